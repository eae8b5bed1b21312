import * as wl from '../../src/index.js';
import { opCase } from '../opCase.js';
import { zip, type Ref } from '../reference/array.js';
import { gelu, geluTanh, relu } from '../reference/elementwise.js';
import * as reference from '../reference/matmul.js';
import * as bounds from '../tolerance.js';
import { describeDevices } from './matmulDevices.js';

const pairs = (...shapes: (readonly (readonly number[])[])[]) =>
  shapes.map((inputs) => ({ inputs, params: undefined }));

opCase<void>({
  name: 'matmul',
  run: ([a, b]) => wl.matmul(a!, b!),
  reference: ([a, b]) => reference.matmul(a!, b!),
  bound: bounds.matmul,
  samples: pairs(
    [
      [2, 3],
      [3, 4],
    ],
    [[3], [3]],
    [[2, 3], [3]],
    [[3], [3, 2]],
    [
      [2, 1, 2, 3],
      [4, 3, 2],
    ],
    [
      [65, 70],
      [70, 67],
    ],
  ),
  gradientSamples: pairs(
    [
      [2, 3],
      [3, 4],
    ],
    [[3], [3]],
    [[2, 3], [3]],
    [[3], [3, 2]],
    [
      [2, 1, 2, 3],
      [2, 3, 2],
    ],
  ),
  edges: pairs(
    [
      [0, 3],
      [3, 2],
    ],
    [
      [2, 0],
      [0, 3],
    ],
    [
      [2, 3],
      [3, 0],
    ],
    [
      [1, 1],
      [1, 1],
    ],
    [
      [5, 1],
      [1, 7],
    ],
    [
      [1, 33],
      [33, 1],
    ],
    [
      [31, 33],
      [33, 31],
    ],
    [
      [2, 4097],
      [4097, 3],
    ],
    [
      [129, 17],
      [17, 130],
    ],
    [
      [3, 0, 2, 4],
      [4, 5],
    ],
    [
      [70, 2, 3],
      [70, 3, 2],
    ],
  ),
  bad: [
    {
      title: 'inner sizes that differ',
      call: (device) => wl.matmul(wl.zeros([2, 3], { device }), wl.zeros([4, 5], { device })),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(4, 5\)/],
    },
    {
      title: 'batch dims that do not broadcast',
      call: (device) => wl.matmul(wl.zeros([2, 2, 3], { device }), wl.zeros([3, 3, 5], { device })),
      error: 'ShapeError',
      says: [/\(2, 2, 3\)/, /\(3, 3, 5\)/],
    },
    {
      title: 'a 0-dim operand',
      call: (device) => wl.matmul(wl.zeros([], { device }), wl.zeros([3], { device })),
      error: 'ShapeError',
    },
    {
      title: 'integers',
      call: (device) =>
        wl.matmul(wl.zeros([2, 3], { device, dtype: 'int32' }), wl.zeros([3, 2], { device, dtype: 'int32' })),
      error: 'DTypeError',
      says: [/int32/],
    },
  ],
  sweep: (random) => {
    const [m, k, n] = [random.integer(1, 40), random.integer(1, 90), random.integer(1, 40)];
    const batch = random.shape(random.integer(0, 2), 3);
    const thin = batch.map((size) => (random.next() < 0.4 ? 1 : size));
    return {
      inputs: [
        [...batch, m, k],
        [...thin, k, n],
      ],
      params: undefined,
    };
  },
});

interface LinearParams {
  activation: wl.Activation;
}
const activations = ['none', 'relu', 'gelu', 'geluTanh'] as const;
const act: Record<wl.Activation, (x: Ref) => Ref> = { none: (x) => x, relu, gelu, geluTanh };
const linears = (...shapes: (readonly (readonly number[])[])[]) =>
  shapes.flatMap((inputs) => activations.map((activation) => ({ inputs, params: { activation } })));

opCase<LinearParams>({
  name: 'linear',
  run: ([x, w, b], params) => wl.linear(x!, w!, b, params),
  reference: ([x, w, b], { activation }) => act[activation](reference.linear(x!, w!, b)),
  // An activation's slope is at most 1.13, and a gelu adds 4 eps of its operand.
  bound: bounds.termwise(([x, w, b]) => zip((size) => 2.2 * size, reference.linear(x!, w!, b))),
  samples: linears(
    [[4, 3], [2, 3], [2]],
    [
      [2, 2, 3],
      [5, 3],
    ],
    [[3], [2, 3], [2]],
  ),
  edges: linears([[0, 3], [2, 3], [2]], [[1, 1], [1, 1], [1]], [[31, 33], [33, 33], [33]], [[2, 4097], [3, 4097], [3]]),
  bad: [
    {
      title: 'sizes that differ',
      call: (device) => wl.linear(wl.zeros([2, 3], { device }), wl.zeros([5, 4], { device })),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(5, 4\)/],
    },
    {
      title: 'a bias of another size',
      call: (device) =>
        wl.linear(wl.zeros([2, 3], { device }), wl.zeros([5, 3], { device }), wl.zeros([4], { device })),
      error: 'ShapeError',
      says: [/\(5, 3\)/, /\(4,?\)/],
    },
    {
      title: 'an activation that does not exist',
      call: (device) =>
        wl.linear(wl.zeros([2, 3], { device }), wl.zeros([5, 3], { device }), null, { activation: 'swish' as 'relu' }),
      error: 'NotSupportedError',
      says: [/swish/],
    },
  ],
  frozen: ([x, w, b], params) => wl.linear(x!, w!, b, params),
  sweep: (random) => {
    const [o, i] = [random.integer(1, 40), random.integer(1, 90)];
    return {
      inputs: [[...random.shape(random.integer(0, 2), 5), i], [o, i], [o]],
      params: { activation: random.pick(activations) },
    };
  },
});

describeDevices();
