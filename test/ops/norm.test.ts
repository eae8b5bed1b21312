import * as wl from '../../src/index.js';
import { opCase } from '../opCase.js';
import { layerNorm } from '../reference/norm.js';
import * as bounds from '../tolerance.js';

interface Params {
  normalizedShape: number[];
  eps?: number;
}
const sample = (shape: readonly number[], tail: number[], parameters: 0 | 1 | 2, eps?: number) => ({
  inputs: [shape, ...[tail, tail].slice(0, parameters)],
  params: { normalizedShape: tail, eps },
});

const rows = (shape: readonly number[]): number => shape.at(-1) ?? 1;

opCase<Params>({
  name: 'layerNorm',
  run: ([x, weight, bias], { normalizedShape, eps }) => wl.layerNorm(x!, normalizedShape, { weight, bias, eps }),
  reference: ([x, weight, bias], { normalizedShape, eps }) => layerNorm(x!, normalizedShape, weight, bias, eps),
  bound: bounds.chained(
    ([x]) => rows(x!.shape),
    // Inputs lie within 2 and their deviation is near 1; the worst row of a small sample has a deviation near 0.1.
    () => 8,
  ),
  samples: [
    sample([4, 6], [6], 2),
    sample([2, 3, 4], [3, 4], 2),
    sample([3, 5], [5], 0),
    sample([3, 5], [5], 1),
    sample([2, 7], [7], 2, 0.1),
  ],
  edges: [
    sample([0, 4], [4], 2),
    sample([1], [1], 2),
    sample([31], [31], 2),
    sample([3, 33], [33], 2),
    sample([2, 4097], [4097], 2),
    sample([70, 3], [3], 2),
  ],
  // A row and its parameters have roles of their own: rows that repeat would have no variance.
  layouts: ['contiguous', 'offset', 'transposed', 'strided'],
  special: [
    { inputs: [{ shape: [3, 3], data: [NaN, 1, 2, 1, 2, 3, 4, 5, 7] }, [3], [3]], params: { normalizedShape: [3] } },
    { inputs: [{ shape: [2, 3], data: [Infinity, 1, 2, 1, -Infinity, 3] }], params: { normalizedShape: [3] } },
    { inputs: [{ shape: [2, 3], data: [5, 5, 5, 0, 0, 0] }], params: { normalizedShape: [3] } },
  ],
  bad: [
    {
      title: 'a shape that x does not end in',
      call: (device) => wl.layerNorm(wl.zeros([2, 3], { device }), [4]),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(4,?\)/],
    },
    {
      title: 'a weight of another shape',
      call: (device) => wl.layerNorm(wl.zeros([2, 3], { device }), [3], { weight: wl.zeros([2], { device }) }),
      error: 'ShapeError',
      says: [/weight/, /\(2,?\)/],
    },
    {
      title: 'integers',
      call: (device) => wl.layerNorm(wl.zeros([2, 3], { device, dtype: 'int32' }), [3]),
      error: 'DTypeError',
    },
  ],
  frozen: ([x, weight, bias], params) => {
    const { normalizedShape, eps } = params as unknown as Params;
    return wl.layerNorm(x!, normalizedShape, { weight, bias, eps });
  },
  sweep: (random) => {
    const width = random.integer(3, 60);
    return sample([...random.shape(random.integer(0, 2), 6), width], [width], random.pick([0, 1, 2] as const));
  },
});
