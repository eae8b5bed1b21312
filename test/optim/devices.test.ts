/**
 * Optimizers on every device of WARPLOOM_TEST_DEVICES but the CPU: the same steps end where the CPU's do. Where there is only the CPU,
 * that its steps repeat.
 */
import { describe, expect, it } from 'vitest';
import { nn, optim, tensor, type Tensor } from '../../src/index.js';
import { testDevices } from '../harness/surface.js';
import { noise } from './particle.js';

/** Sizes around the bucket's alignment and the chunk that a block of threads owns. */
const SHAPES = [[3], [16], [5, 7], [], [33], [4096], [4097]];
const STEPS = 4;
/** Both devices round each operation on its own, in the same order; division and root are correctly rounded on both. */
const TOLERANCE = 2 ** -22;

const optimizers: [string, (params: Tensor[]) => optim.Optimizer][] = [
  ['SGD', (params) => new optim.SGD(params, { lr: 0.1 })],
  ['SGD, momentum and decay', (params) => new optim.SGD(params, { lr: 0.1, momentum: 0.9, weightDecay: 0.05 })],
  ['SGD, Nesterov', (params) => new optim.SGD(params, { lr: 0.1, momentum: 0.9, nesterov: true })],
  ['Adam, L2', (params) => new optim.Adam(params, { lr: 0.01, weightDecay: 0.1 })],
  ['AdamW, maximizing', (params) => new optim.AdamW(params, { lr: 0.01, weightDecay: 0.1, maximize: true })],
  ['AdamW, clipped', (params) => new optim.AdamW(params, { lr: 0.01, clipGradNorm: 0.5 })],
];

async function train(device: string, make: (params: Tensor[]) => optim.Optimizer): Promise<number[][]> {
  const size = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);
  const place = (shape: readonly number[], seed: number) =>
    tensor(Float32Array.from(noise(size(shape), seed)), { shape, device });
  const params = SHAPES.map((shape, i) => nn.parameter(place(shape, i + 1)));
  const optimizer = make(params);
  for (let step = 1; step <= STEPS; step++) {
    params.forEach((p, i) => (p.grad = place(SHAPES[i]!, 100 * step + i)));
    optimizer.step();
    optimizer.zeroGrad();
  }
  return Promise.all(params.map(async (p) => Array.from(await p.data('float32'))));
}

const others = testDevices().filter((device) => device !== 'cpu');

describe.each(others.length > 0 ? others : ['cpu'])('optimizers on %s', (device) => {
  it.each(optimizers)('%s', async (_, make) => {
    const [there, here] = [await train(device, make), await train('cpu', make)];
    there.forEach((values, i) =>
      values.forEach((value, k) =>
        expect(Math.abs(value - here[i]![k]!)).toBeLessThanOrEqual(TOLERANCE * Math.max(1, Math.abs(here[i]![k]!))),
      ),
    );
  });
});
