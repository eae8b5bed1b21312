import * as wl from '../../src/index.js';
import type { Tensor } from '../../src/index.js';
import type { Input } from '../harness/values.js';
import { opCase } from '../opCase.js';
import * as reference from '../reference/loss.js';
import * as bounds from '../tolerance.js';

interface Params {
  weighted?: boolean;
  ignoreIndex?: number;
  labelSmoothing?: number;
  reduction?: reference.Reduction;
}

function run([logits, target, weight]: Tensor[], { ignoreIndex, labelSmoothing, reduction }: Params): Tensor {
  return wl.crossEntropy(logits!, target!, { weight, ignoreIndex, labelSmoothing, reduction });
}

const classes = (shape: readonly number[], below: number, data?: number[]): Input => ({
  shape,
  dtype: 'int64',
  domain: { below },
  data,
});
const weights = (n: number): Input => ({ shape: [n], domain: 'positive' });

const samples = [
  { inputs: [[4, 3], classes([4], 3)], params: {} },
  { inputs: [[4, 3], classes([4], 3), weights(3)], params: { labelSmoothing: 0.1 } },
  { inputs: [[4, 3], classes([4], 3, [0, 2, 1, 2])], params: { ignoreIndex: 2, reduction: 'sum' as const } },
  { inputs: [[2, 3, 2], classes([2, 2], 3), weights(3)], params: { reduction: 'none' as const } },
  { inputs: [[4, 3], { shape: [4, 3], domain: 'positive' as const }, weights(3)], params: { labelSmoothing: 0.2 } },
  { inputs: [[3], classes([], 3)], params: {} },
];

opCase<Params>({
  name: 'crossEntropy',
  run,
  reference: ([logits, target, weight], { ignoreIndex, labelSmoothing, reduction }) =>
    reference.crossEntropy(logits!, target!, { weight, ignoreIndex, labelSmoothing, reduction }),
  bound: bounds.chained(
    ([logits]) => logits!.data.length,
    // The costs that are summed: weights and probabilities up to 4, three to five classes, logits within 2.
    ([logits, target]) =>
      4 * (target!.shape.length === logits!.shape.length ? 16 : 4) * Math.max(1, logits!.shape[0] ?? 1),
  ),
  samples,
  // Classes and weights are given; only the logits, and probabilities, have a gradient.
  differentiable: [0],
  edges: [
    { inputs: [[1, 1], classes([1], 1)], params: {} },
    { inputs: [[0, 3], classes([0], 3)], params: { reduction: 'sum' } },
    { inputs: [[31, 33], classes([31], 33)], params: {} },
    { inputs: [[2, 4097], classes([2], 4097)], params: { reduction: 'none' } },
    { inputs: [[3, 4, 0], classes([3, 0], 4)], params: { reduction: 'none' } },
  ],
  special: [
    { inputs: [{ shape: [2, 3], data: [NaN, 1, 2, 1, 2, 3] }, classes([2], 3, [0, 1])], params: { reduction: 'none' } },
    {
      inputs: [{ shape: [2, 3], data: [-Infinity, 1, 2, 1, 2, 3] }, classes([2], 3, [1, 1])],
      params: { reduction: 'none' },
    },
    { inputs: [{ shape: [1, 3], data: [1, 2, 3] }, classes([1], 3, [-100])], params: {} },
  ],
  bad: [
    {
      title: 'a class out of range',
      call: (device) => wl.crossEntropy(wl.zeros([2, 3], { device }), wl.tensor([0, 3], { dtype: 'int32', device })),
      error: 'IndexError',
      says: [/3/],
    },
    {
      title: 'targets of another batch size',
      call: (device) => wl.crossEntropy(wl.zeros([2, 3], { device }), wl.zeros([4], { dtype: 'int32', device })),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(4,?\)/],
    },
    {
      title: 'weights of another number of classes',
      call: (device) =>
        wl.crossEntropy(wl.zeros([2, 3], { device }), wl.zeros([2], { dtype: 'int32', device }), {
          weight: wl.ones([4], { device }),
        }),
      error: 'ShapeError',
      says: [/weight/],
    },
  ],
  frozen: (inputs, params) => run(inputs, params as Params),
  sweep: (random) => {
    const [n, c] = [random.integer(1, 20), random.integer(1, 30)];
    return {
      inputs: [[n, c], classes([n], c)],
      params: { reduction: random.pick(['none', 'mean', 'sum'] as const), labelSmoothing: random.pick([0, 0.1]) },
    };
  },
});

const reductions = ['none', 'mean', 'sum'] as const;
interface MseParams {
  reduction: reference.Reduction;
}
const mse = (shape: readonly number[], reduction: reference.Reduction) => ({
  inputs: [shape, shape],
  params: { reduction },
});

opCase<MseParams>({
  name: 'mseLoss',
  run: ([x, y], params) => wl.mseLoss(x!, y!, params),
  reference: ([x, y], { reduction }) => reference.mseLoss(x!, y!, reduction),
  bound: bounds.chained(
    ([x]) => x!.data.length,
    () => 0,
  ),
  samples: reductions.map((r) => mse([2, 3], r)),
  edges: reductions.flatMap((r) => [
    mse([], r),
    mse([1], r),
    mse([31], r),
    mse([3, 33], r),
    mse([2, 4097], r),
    mse([0], r),
  ]),
  bad: [
    {
      title: 'shapes that differ',
      call: (device) => wl.mseLoss(wl.zeros([2, 3], { device }), wl.zeros([2, 4], { device })),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(2, 4\)/],
    },
  ],
  sweep: (random) => mse(random.shape(2, 30), random.pick(reductions)),
});
