import * as wl from '../../src/index.js';
import { opCase } from '../opCase.js';
import { ref, type Ref } from '../reference/array.js';
import { uniforms } from '../reference/random.js';
import * as bounds from '../tolerance.js';

interface Params {
  p: number;
  seed: number;
}

/** Element i is kept where the i-th uniform of the stream is at least p. */
function dropped(x: Ref, { p, seed }: Params): Ref {
  const draws = uniforms(BigInt(seed), 0n, x.data.length);
  return ref(
    x.shape,
    Array.from(x.data, (v, i) => (draws[i]! >= Math.fround(p) ? v / (1 - p) : 0)),
  );
}

const sample = (shape: readonly number[], p = 0.5, seed = 3) => ({ inputs: [shape], params: { p, seed } });

opCase<Params>({
  name: 'dropout',
  run: ([x], { p, seed }) => wl.dropout(x!, { p, generator: new wl.Generator({ seed }) }),
  reference: ([x], params) => dropped(x!, params),
  bound: bounds.ulps(2),
  samples: [sample([3, 4]), sample([40], 0.25, 9), sample([5, 5], 0.75, 1)],
  edges: [sample([]), sample([0]), sample([1]), sample([31]), sample([3, 33]), sample([2, 4097])],
  special: [{ inputs: [{ shape: [6], data: [NaN, Infinity, -Infinity, 0, 1, NaN] }], params: { p: 0.01, seed: 5 } }],
  bad: [
    {
      title: 'a chance above 1',
      call: (device) => wl.dropout(wl.zeros([2, 3], { device }), { p: 1.5 }),
      error: 'ShapeError',
      says: [/1\.5/],
    },
    {
      title: 'integers',
      call: (device) => wl.dropout(wl.zeros([2, 3], { device, dtype: 'int32' })),
      error: 'DTypeError',
      says: [/int32/],
    },
  ],
  sweep: (random) =>
    sample(random.shape(random.integer(1, 3), 20), random.pick([0.1, 0.5, 0.9]), random.integer(0, 1e9)),
});
