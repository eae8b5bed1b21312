/**
 * Convolutions of layers' sizes on other devices: y and dx have the bits of the CPU, whatever kernel the shape leads to, for both sum
 * in one order; dw sums over images and pixels in an order of the device's own.
 */
import { describe, expect, test } from 'vitest';
import { conv2d, grad, tensor, type Conv2dOptions, type Tensor } from '../../src/index.js';
import { testDevices } from '../harness/surface.js';
import { Random } from '../harness/values.js';

type Shape = readonly number[];

interface Layer {
  readonly x: Shape;
  readonly w: Shape;
  readonly options?: Conv2dOptions;
}

/** Each leads to other kernels: tiles of every width, shared sums, phases of strides, few channels, groups. */
const layers: readonly Layer[] = [
  { x: [4, 1, 28, 28], w: [16, 1, 5, 5], options: { padding: 2 } },
  { x: [4, 16, 14, 14], w: [32, 16, 5, 5], options: { padding: 2 } },
  { x: [2, 3, 33, 31], w: [64, 3, 7, 7], options: { stride: 2, padding: 3 } },
  { x: [2, 70, 9, 9], w: [130, 70, 3, 3], options: { stride: 2, padding: 1 } },
  { x: [1, 160, 7, 7], w: [65, 160, 3, 3], options: { padding: 1 } },
  { x: [2, 64, 8, 8], w: [64, 64, 1, 1] },
  { x: [4, 24, 12, 12], w: [24, 1, 3, 3], options: { padding: 1, groups: 24 } },
  { x: [4, 24, 12, 12], w: [48, 6, 3, 3], options: { padding: [1, 0], stride: [1, 2], groups: 4 } },
  { x: [2, 8, 16, 16], w: [4, 8, 3, 3], options: { dilation: [2, 3], stride: [3, 2], padding: 4 } },
  { x: [3, 3, 32, 32], w: [40, 3, 8, 8], options: { stride: 8 } },
  { x: [2, 5, 20, 20], w: [6, 5, 2, 2], options: { stride: 5 } },
];

function values(shape: Shape, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: shape.reduce((n, size) => n * size, 1) }, () => random.next() * 2 - 1);
}

/** y, dx and dw of a gradient g that is as random as x and w; of their magnitudes where `map` takes them. */
async function results(device: string, { x, w, options }: Layer, map = (v: number) => v): Promise<Float32Array[]> {
  const operand = (shape: Shape, seed: number): Tensor =>
    tensor(values(shape, seed).map(map), { shape: [...shape], device, requiresGrad: true });
  const [a, b] = [operand(x, 1), operand(w, 2)];
  const y = conv2d(a, b, options);
  const g = tensor(values(y.shape, 3).map(map), { shape: [...y.shape], device });
  const [dx, dw] = grad(y, [a, b], { gradOutputs: [g] });
  return Promise.all([y, dx!, dw!].map((t) => t.data('float32')));
}
const bits = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

/** Tests of every device under test beside the CPU. */
export function describeDevices(): void {
  describe.each(testDevices().filter((device) => device !== 'cpu'))('convolution on %s', (device) => {
    test.each(layers.map((layer) => [`${layer.x.join('x')} with ${layer.w.join('x')}`, layer] as const))(
      '%s',
      async (_, layer) => {
        const [y, dx, dw] = await results('cpu', layer);
        const [deviceY, deviceDx, deviceDw] = await results(device, layer);
        expect(bits(deviceY!)).toEqual(bits(y!));
        expect(bits(deviceDx!)).toEqual(bits(dx!));
        const sums = (await results('cpu', layer, Math.abs))[2]!;
        const terms = (y!.length / layer.w[0]!) | 0;
        const bound = 4 * 2 ** -23 * Math.max(1, Math.log2(terms));
        dw!.forEach((value, i) => expect(Math.abs(deviceDw![i]! - value)).toBeLessThanOrEqual(bound * sums[i]!));
      },
    );
  });
}
