/** What users do wrong, and the typed error each must give. */
import * as wl from '../../../src/index.js';

export interface Misuse {
  readonly title: string;
  readonly call: () => unknown;
  /** the classes that fit */
  readonly error: readonly string[];
  /** what name and message must contain: the op, and shapes where they matter */
  readonly says: readonly string[];
}

const a = (shape: number[] = [2, 3], options: wl.CreateOptions = {}) => wl.zeros(shape, options);
const gone = () => {
  const x = a([1]);
  x.dispose();
  return x;
};
const bad = (title: string, error: string | string[], says: string[], call: () => unknown): Misuse => ({
  title,
  call,
  error: [error].flat(),
  says,
});

const huge = [2 ** 63, 2 ** 53, Infinity, NaN, -1, 0.5];
const number = ['DTypeError', 'ShapeError', 'IndexError'];

export const misuses: readonly Misuse[] = [
  ...huge.flatMap((n) => [
    bad(`zeros of [${n}]`, 'ShapeError', ['zeros'], () => wl.zeros([n])),
    bad(`reshape to [${n}]`, 'ShapeError', ['reshape'], () => wl.reshape(a(), [n === -1 ? -2 : n])),
    bad(`expand to [${n}, 3]`, 'ShapeError', ['expand'], () => wl.expand(a([1, 3]), [n === -1 ? -2 : n, 3])),
    bad(`randn of [${n}]`, 'ShapeError', ['randn'], () => wl.randn([n])),
  ]),
  ...[2 ** 63, NaN, 0.5, 7, -8].flatMap((n) => [
    bad(`sum over dim ${n}`, number, ['sum'], () => wl.sum(a(), n)),
    bad(`softmax over dim ${n}`, number, ['softmax'], () => wl.softmax(a(), n)),
    bad(`transpose of dim ${n}`, number, ['transpose'], () => wl.transpose(a(), 0, n)),
    bad(`select at ${n}`, number, ['select'], () => wl.select(a(), 0, n)),
    bad(`concat over dim ${n}`, number, ['concat'], () => wl.concat([a(), a()], n)),
  ]),
  bad('sizes whose product is beyond every memory', ['ShapeError', 'OutOfMemoryError'], [], () =>
    wl.zeros([2 ** 40, 4]),
  ),
  bad('add of other shapes', 'ShapeError', ['add', '(2, 3)', '(2, 4)'], () => wl.add(a(), a([2, 4]))),
  bad('matmul of other shapes', 'ShapeError', ['matmul', '(2, 3)', '(4, 5)'], () => wl.matmul(a(), a([4, 5]))),
  bad('conv2d of other channels', 'ShapeError', ['conv2d', '(1, 3, 5, 5)', '(2, 4, 3, 3)'], () =>
    wl.conv2d(a([1, 3, 5, 5]), a([2, 4, 3, 3])),
  ),
  bad('layerNorm of another size', 'ShapeError', ['layerNorm', '(2, 3)'], () => wl.layerNorm(a(), 4)),
  bad('crossEntropy of other shapes', 'ShapeError', ['crossEntropy', '(2, 3)'], () =>
    wl.crossEntropy(a(), a([5], { dtype: 'int32' })),
  ),
  bad('permute with a dim twice', 'ShapeError', ['permute', '(2, 3)'], () => wl.permute(a(), [0, 0])),
  bad('split into sizes that do not add up', 'ShapeError', ['split', '(2, 3)'], () => wl.split(a(), [1, 1], 1)),
  bad('concat of other sizes', 'ShapeError', ['concat', '(2, 3)', '(3, 4)'], () => wl.concat([a(), a([3, 4])], 0)),
  bad('nested arrays of unequal lengths', 'ShapeError', ['tensor'], () => wl.tensor([[1], [2, 3]])),
  bad('values that do not fill a shape', 'ShapeError', ['tensor'], () => wl.tensor([1, 2, 3], { shape: [2, 2] })),
  bad('a ninth dim', 'ShapeError', ['zeros'], () => wl.zeros([1, 1, 1, 1, 1, 1, 1, 1, 1])),
  bad('softmax of integers', 'DTypeError', ['softmax', 'int32'], () => wl.softmax(a([3], { dtype: 'int32' }), 0)),
  bad('matmul of bool', 'DTypeError', ['matmul', 'bool'], () =>
    wl.matmul(a([2, 2], { dtype: 'bool' }), a([2, 2], { dtype: 'bool' })),
  ),
  bad('neg of bool', 'DTypeError', ['neg'], () => wl.neg(a([2], { dtype: 'bool' }))),
  bad('a floating index', 'DTypeError', ['embedding', 'float32'], () => wl.embedding(a(), a([2]))),
  bad('a dtype that does not exist', 'DTypeError', ['zeros'], () => wl.zeros([2], { dtype: 'float8' as wl.DType })),
  bad('a cast to a dtype that does not exist', 'DTypeError', ['cast'], () => wl.cast(a(), 'float8' as wl.DType)),
  bad('a gradient on integers', 'DTypeError', [], () => a([2], { dtype: 'int32' }).requiresGrad_()),
  bad('a read as another dtype', 'DTypeError', ['data'], () => a().data('int32')),
  bad('a device that does not exist', 'DeviceError', ['nowhere'], () => a([2], { device: 'nowhere' })),
  bad('a move to a device that does not exist', 'DeviceError', ['nowhere'], () => wl.to(a(), 'nowhere')),
  bad('an embedding index past the table', 'IndexError', ['embedding', '9'], () =>
    wl.embedding(a(), wl.tensor([9], { dtype: 'int32' })),
  ),
  bad('an embedding index of -2^31', 'IndexError', ['embedding'], () =>
    wl.embedding(a(), wl.tensor([-(2 ** 31)], { dtype: 'int32' })),
  ),
  bad('a class of 2^62', 'IndexError', ['crossEntropy'], () => wl.crossEntropy(a(), wl.tensor([0n, 2n ** 62n]))),
  ...(['add', 'matmul', 'softmax', 'sum', 'permute', 'data', 'backward', 'exp', 'item'] as const).map((op) =>
    bad(`${op} of a disposed tensor`, 'DisposedError', [op], () => {
      const x = gone();
      switch (op) {
        case 'add':
          return wl.add(x, 1);
        case 'matmul':
          return wl.matmul(x, a());
        case 'softmax':
          return wl.softmax(x, 0);
        case 'sum':
          return wl.sum(x);
        case 'permute':
          return wl.permute(x, [0]);
        case 'exp':
          return wl.exp(x);
        case 'data':
          return x.data();
        case 'item':
          return x.item();
        case 'backward':
          return x.backward();
      }
    }),
  ),
  bad('writing a leaf that requires a gradient', 'InPlaceError', ['add_'], () =>
    a([2], { requiresGrad: true }).add_(1),
  ),
  bad('writing an expanded view', 'InPlaceError', ['mul_'], () => wl.expand(a([1, 3]), [2, 3]).mul_(2)),
  bad('writing into another shape', 'ShapeError', ['add_', '(2, 3)', '(4,)'], () => a().add_(a([4]))),
  bad('a quotient written into integers', 'DTypeError', ['div_'], () => a([2], { dtype: 'int32' }).div_(2)),
  bad('a saved tensor changed before backward', ['AutogradError', 'InPlaceError'], ['version'], () => {
    const x = wl.ones([2], { requiresGrad: true });
    const y = wl.exp(x);
    const z = wl.mul(y, y);
    y.add_(1);
    wl.sum(z).backward();
  }),
  bad('backward of a matrix without a gradient', ['AutogradError', 'ShapeError'], [], () =>
    wl.mul(a([2, 2], { requiresGrad: true }), 2).backward(),
  ),
  bad('backward twice', 'AutogradError', [], () => {
    const y = wl.sum(wl.exp(wl.ones([2], { requiresGrad: true })));
    y.backward();
    y.backward();
  }),
  bad('backward of a constant', 'AutogradError', [], () => wl.sum(a()).backward()),
  bad('an item of a matrix', 'ShapeError', ['item', '(2, 3)'], () => a().item()),
  bad('a read inside a capture', 'CaptureError', [], () =>
    wl.capture((x: wl.Tensor) => wl.add(x, wl.exp(x).dataSync()[0] as number))(a([1])),
  ),
  bad('a dropout chance of NaN', ['ShapeError', 'DTypeError'], ['dropout'], () => wl.dropout(a(), { p: NaN })),
  bad('a convolution stride of 0', 'ShapeError', ['conv2d', 'stride'], () =>
    wl.conv2d(a([1, 1, 3, 3]), a([1, 1, 2, 2]), { stride: 0 }),
  ),
  bad('a pooling window of 2^63', 'ShapeError', ['maxPool2d'], () => wl.maxPool2d(a([1, 1, 3, 3]), 2 ** 63)),
  bad('a stack of nothing', 'ShapeError', ['stack'], () => wl.stack([])),
  bad('a file that is too short', 'FormatError', [], () => wl.loadSafetensors(new Uint8Array(3))),
];
