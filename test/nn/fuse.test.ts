/** A layer and the activation behind it run as one op in a Sequential, and nobody can tell by the values. */
import { describe, expect, test } from 'vitest';
import { grad, manualSeed, nn, randn, sum, type Tensor } from '../../src/index.js';

const bits = (x: Tensor | null): Uint8Array => new Uint8Array(x!.dataSync().buffer);

function pair(activation: nn.Module & { forward(x: Tensor): Tensor }) {
  manualSeed(3);
  const layer = new nn.Linear(70, 33);
  return { layer, activation, x: randn([19, 70]).requiresGrad_(), model: new nn.Sequential(layer, activation) };
}

/** The output, and the gradients of input, weight and bias under a weighted sum. */
function results(layer: nn.Linear, x: Tensor, forward: (x: Tensor) => Tensor): Uint8Array[] {
  const y = forward(x);
  sum(y.mul(y)).backward();
  const all = [y, x.grad, layer.weight.grad, layer.bias!.grad].map(bits);
  for (const leaf of [x, layer.weight, layer.bias!]) leaf.grad = null;
  return all;
}

describe('nn.Sequential', () => {
  test.each([
    ['ReLU', new nn.ReLU()],
    ['GELU', new nn.GELU()],
    ['GELU by tanh', new nn.GELU({ approximate: 'tanh' })],
  ])('runs Linear and %s as one op with the same bits', (_, module) => {
    const { layer, activation, x, model } = pair(module);
    const apart = results(layer, x, (input) => activation.forward(layer.forward(input)));
    expect(model.forward(x).gradNode!.name).toBe('linear');
    expect(results(layer, x, (input) => model.forward(input))).toEqual(apart);
  });

  test('runs them apart where somebody would notice', () => {
    const { layer, activation, x, model } = pair(new nn.ReLU());
    const op = (): string => model.forward(x).gradNode!.name;
    expect(op()).toBe('linear');
    const seen: string[] = [];
    const hooks = [
      () => layer.registerForwardHook(() => void seen.push('layer')),
      () => layer.registerForwardPreHook(() => void seen.push('before layer')),
      () => activation.registerForwardHook(() => void seen.push('activation')),
      () => activation.registerForwardPreHook(() => void seen.push('before activation')),
    ];
    for (const hook of hooks) {
      const remove = hook();
      expect(op()).toBe('relu');
      remove();
    }
    expect(seen).toEqual(['layer', 'before layer', 'activation', 'before activation']);
    expect(op()).toBe('linear');

    class Doubled extends nn.Linear {
      override forward(input: Tensor): Tensor {
        return super.forward(input).mul(2);
      }
    }
    class Leaky extends nn.ReLU {
      override forward(input: Tensor): Tensor {
        return super.forward(input).sub(super.forward(input.neg()).mul(0.1));
      }
    }
    const named = Object.assign(new nn.ReLU(), { call: (input: Tensor) => input.neg() });
    expect(new nn.Sequential(new Doubled(70, 3), new nn.ReLU()).forward(x).gradNode!.name).toBe('relu');
    expect(new nn.Sequential(new nn.Linear(70, 3), new Leaky()).forward(x).gradNode!.name).toBe('sub');
    expect(new nn.Sequential(new nn.Linear(70, 3), named).forward(x).gradNode!.name).toBe('neg');
  });

  test.each([
    ['Conv2d and ReLU', [new nn.Conv2d(2, 5, 3, { padding: 1 }), new nn.ReLU()], ['conv2d']],
    [
      'Conv2d, ReLU and MaxPool2d',
      [new nn.Conv2d(2, 4, 3, { stride: 2 }), new nn.ReLU(), new nn.MaxPool2d(2)],
      ['maxPool2d', 'conv2d'],
    ],
    ['ReLU and MaxPool2d with padding', [new nn.ReLU(), new nn.MaxPool2d(3, { stride: 2, padding: 1 })], ['maxPool2d']],
    ['Conv2d, MaxPool2d', [new nn.Conv2d(2, 4, 3), new nn.MaxPool2d(2)], ['maxPool2d', 'conv2d']],
    ['Conv2d and GELU', [new nn.Conv2d(2, 4, 3), new nn.GELU()], ['gelu', 'conv2d']],
  ])('runs %s in as few ops as there can be, with the same bits', (_, layers, names) => {
    manualSeed(3);
    const x = randn([3, 2, 11, 9]).requiresGrad_();
    const model = new nn.Sequential(...layers);
    const run = (y: Tensor): Uint8Array[] => {
      manualSeed(5);
      const gradients = grad(y, [x, ...model.parameters()], { gradOutputs: [randn(y.shape)] });
      return [y, ...gradients].map(bits);
    };
    const together = model.forward(x);
    const ops: string[] = [];
    for (let node = together.gradNode; node?.op; node = node.next[0] ?? null) ops.push(node.op.name);
    expect(ops).toEqual(names);
    expect(run(together)).toEqual(run(layers.reduce<Tensor>((y, layer) => layer.forward(y), x)));
  });

  test('runs what is left over alone', () => {
    const { x } = pair(new nn.ReLU());
    expect(new nn.Sequential(new nn.Linear(70, 3)).forward(x).gradNode!.name).toBe('linear');
    expect(new nn.Sequential(new nn.ReLU(), new nn.Linear(70, 3), new nn.Tanh()).forward(x).gradNode!.name).toBe(
      'tanh',
    );
    expect(new nn.Sequential(new nn.Linear(70, 3), new nn.ReLU(), new nn.ReLU()).forward(x).gradNode!.name).toBe(
      'relu',
    );
  });
});
