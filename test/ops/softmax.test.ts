import * as wl from '../../src/index.js';
import { opCase } from '../opCase.js';
import * as reference from '../reference/softmax.js';
import * as bounds from '../tolerance.js';

const sample = (shape: readonly number[], dim: number) => ({ inputs: [shape], params: { dim } });
const far = { inputs: [{ shape: [2, 4], data: [0, 50, -50, 80, -1000, 1000, 999, 998] }], params: { dim: 1 } };

for (const name of ['softmax', 'logSoftmax'] as const) {
  opCase<{ dim: number }>({
    name,
    run: ([x], { dim }) => wl[name](x!, dim),
    reference: ([x], { dim }) => reference[name](x!, dim),
    bound: bounds[name],
    samples: [sample([2, 3], 1), sample([2, 3, 4], 1), sample([3, 4], 0), sample([2, 3], -1), far],
    gradientSamples: [sample([2, 3], 1), sample([2, 3, 4], 1), sample([3, 4], 0)],
    edges: [
      sample([], 0),
      sample([0], 0),
      sample([0, 3], 1),
      sample([1], 0),
      sample([5, 1], 1),
      sample([31], 0),
      sample([3, 33], 1),
      sample([33, 3], 0),
      sample([2, 4097], 1),
    ],
    special: [
      { inputs: [{ shape: [2, 3], data: [NaN, 1, 2, 1, 2, 3] }], params: { dim: 1 } },
      { inputs: [{ shape: [2, 3], data: [-Infinity, 1, 2, -Infinity, -Infinity, -Infinity] }], params: { dim: 1 } },
      { inputs: [{ shape: [2, 3], data: [Infinity, 1, 2, 0, -0, 0] }], params: { dim: 1 } },
      {
        inputs: [{ shape: [40], data: Array.from({ length: 40 }, (_, i) => (i === 37 ? NaN : i / 10)) }],
        params: { dim: 0 },
      },
    ],
    bad: [
      {
        title: 'a dim out of range',
        call: (device) => wl[name](wl.zeros([2, 3], { device }), 2),
        error: 'IndexError',
        says: [/2/],
      },
      {
        title: 'integers',
        call: (device) => wl[name](wl.zeros([2, 3], { device, dtype: 'int64' }), 0),
        error: 'DTypeError',
        says: [/int64/],
      },
    ],
    sweep: (random) => {
      const shape = random.shape(random.integer(1, 4), 11);
      return sample(shape, random.integer(-shape.length, shape.length - 1));
    },
  });
}
