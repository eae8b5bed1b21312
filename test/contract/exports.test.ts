import { expect, test } from 'vitest';
import * as warploom from '../../src/index.js';
import { readSurface } from '../harness/surface.js';

const promised = [
  'tensor',
  'grad',
  'noGrad',
  'tidy',
  'keep',
  'capture',
  'nn',
  'optim',
  'crossEntropy',
  'scaledDotProductAttention',
  'fit',
  'splitDataset',
  'Dataset',
  'DataLoader',
  'Generator',
  'manualSeed',
  'saveSafetensors',
  'loadSafetensors',
  'memory',
  'setMemoryLimit',
  'defineOp',
  'gradcheck',
];

test('the promised names are exported', () => {
  const exported = Object.keys(warploom);
  expect(promised.filter((name) => !exported.includes(name))).toEqual([]);
  expect(Object.keys(warploom.nn)).toEqual(expect.arrayContaining(['Module', 'ModuleList', 'Sequential']));
});

test('each op on tensors is also a method', () => {
  const free = new Set([
    'where',
    'concat',
    'stack',
    'zeros',
    'ones',
    'full',
    'tensor',
    'arange',
    'eye',
    'rand',
    'randn',
    'randint',
    'bernoulli',
  ]);
  const alone = new Set([
    'scaledDotProductAttention',
    'embedding',
    'crossEntropy',
    'mseLoss',
    'zerosLike',
    'onesLike',
    'fullLike',
  ]);
  const methods = warploom.Tensor.prototype as unknown as Record<string, unknown>;
  const ops = [...readSurface().values()].filter(
    (row) => row.kind === 'op' && !free.has(row.name) && !alone.has(row.name),
  );
  expect(ops.length).toBeGreaterThan(40);
  expect(ops.filter((row) => typeof methods[row.name] !== 'function').map((row) => row.name)).toEqual([]);
});

test('methods of Tensor that read keep their names', () => {
  const methods = warploom.Tensor.prototype as unknown as Record<string, unknown>;
  for (const name of [
    'ready',
    'data',
    'dataSync',
    'item',
    'dispose',
    'bytes',
    'tolist',
    'toString',
    'backward',
    'detach',
    'retainGrad',
  ]) {
    expect(typeof methods[name], name).toBe('function');
  }
});

test('dtypes of JavaScript values, and of what is read', async () => {
  const { tensor } = warploom;
  expect(tensor([1, 2]).dtype).toBe('float32');
  expect(tensor(Int32Array.of(1)).dtype).toBe('int32');
  expect(tensor(BigInt64Array.of(1n)).dtype).toBe('int64');
  expect(tensor([1], { dtype: 'int64' }).dtype).toBe('int64');
  expect(await tensor([1, 2], { dtype: 'int64' }).data()).toEqual(BigInt64Array.of(1n, 2n));
  expect(await tensor([true, false]).data()).toEqual(Uint8Array.of(1, 0));
  expect(await tensor(7, { dtype: 'int64' }).item()).toBe(7n);
  expect(await tensor(7).item()).toBe(7);
  expect((await warploom.argmax(tensor([1, 3, 2])).data()) instanceof Int32Array).toBe(true);
  expect(warploom.sum(tensor(Int32Array.of(1, 2))).dtype).toBe('int32');
  await expect((async () => tensor([1]).data('float64'))()).rejects.toThrow(warploom.DTypeError);
});

test('printing a tensor shows shape, dtype and device, and reads nothing', async () => {
  const { inspect } = await import('node:util');
  const text = inspect(warploom.zeros([2, 3]));
  expect(text).toMatch(/2, 3/);
  expect(text).toMatch(/float32/);
  expect(text).toMatch(/cpu/);
});
