import * as wl from '../../src/index.js';
import type { Tensor } from '../../src/index.js';
import type { Sample } from '../harness/sample.js';
import type { Input } from '../harness/values.js';
import { opCase } from '../opCase.js';
import { attention } from '../reference/attention.js';
import * as bounds from '../tolerance.js';

interface Params {
  causal?: boolean;
  scale?: number;
}

const heads = (L: number, E: number, params: Params, mask?: Input): Sample<Params> => {
  const shape = [2, 2, L, E];
  return { inputs: mask ? [shape, shape, shape, mask] : [shape, shape, shape], params };
};
const lower = (L: number): Input => ({
  shape: [L, L],
  dtype: 'bool',
  data: Array.from({ length: L * L }, (_, i) => (i % L <= Math.floor(i / L) ? 1 : 0)),
});

const run = ([q, k, v, mask]: Tensor[], { causal, scale }: Params): Tensor =>
  wl.scaledDotProductAttention(q!, k!, v!, { causal, mask, scale });

opCase<Params>({
  name: 'scaledDotProductAttention',
  run,
  reference: ([q, k, v, mask], params) =>
    attention(q!, k!, v!, {
      ...params,
      mask: mask && { values: mask, additive: mask.data.some((m) => m !== 0 && m !== 1) },
    }),
  // A product of E terms goes through exp, so its error of 4 eps (|q| |k|) becomes relative: up to 4 E of size 4.
  bound: bounds.chained(
    ([q]) => q!.shape.at(-1)! * q!.shape.at(-2)!,
    ([q]) => 4 * q!.shape.at(-1)!,
  ),
  samples: [
    heads(3, 2, {}),
    heads(3, 2, { causal: true }),
    heads(3, 2, { scale: 0.3 }),
    heads(3, 2, {}, lower(3)),
    heads(3, 2, {}, [3, 3]),
  ],
  gradientSamples: [heads(3, 2, {}), heads(3, 2, { causal: true }), heads(3, 2, {}, lower(3))],
  edges: [
    heads(1, 1, {}),
    heads(31, 33, {}),
    heads(33, 5, { causal: true }),
    {
      inputs: [
        [3, 4],
        [5, 4],
        [5, 2],
      ],
      params: {},
    },
  ],
  special: [
    {
      inputs: [[1, 2, 2], { shape: [1, 2, 2], data: [NaN, 1, 2, 1] }, [1, 2, 2]],
      params: {},
    },
  ],
  bad: [
    {
      title: 'head sizes that differ',
      call: (device) =>
        wl.scaledDotProductAttention(
          wl.zeros([2, 3], { device }),
          wl.zeros([2, 4], { device }),
          wl.zeros([2, 3], { device }),
        ),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(2, 4\)/],
    },
  ],
  frozen: (inputs, params) => run(inputs, params as Params),
  sweep: (random) => heads(random.integer(1, 12), random.integer(1, 20), { causal: random.next() < 0.5 }),
});
