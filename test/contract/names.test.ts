/** Names that no other test is about: each does what its documentation says, once. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import * as wl from '../../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'warploom-names-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('isDType, itemSize, promoteTypes, promotionTable and resultType speak of dtypes', () => {
  expect([wl.isDType('float32'), wl.isDType('float8')]).toEqual([true, false]);
  expect([wl.itemSize.float64, wl.itemSize.bool, wl.itemSize.int64]).toEqual([8, 1, 8]);
  expect(wl.promoteTypes('int64', 'float32')).toBe('float32');
  expect(wl.promotionTable.uint8.int32).toBe('int32');
  for (const a of wl.dtypes) {
    for (const b of wl.dtypes) expect(wl.promotionTable[a][b]).toBe(wl.promotionTable[b][a]);
    expect(wl.promoteTypes(a, a)).toBe(a);
  }
  // A 0-dim tensor does not widen its own category, as in PyTorch.
  expect(wl.resultType([wl.zeros([2]), wl.zeros([], { dtype: 'float64' })])).toBe('float32');
  expect(wl.resultType([wl.zeros([2]), wl.zeros([1], { dtype: 'float64' })])).toBe('float64');
});

test('Device, defaultDevice and setDefaultDevice name places; configureCpu is refused once the device is in use', () => {
  const cpu = wl.defaultDevice();
  expect(cpu).toBeInstanceOf(wl.Device);
  expect(wl.setDefaultDevice('cpu')).toBe(cpu);
  expect(wl.zeros([1]).device).toBe(cpu);
  expect(() => wl.setDefaultDevice('nowhere')).toThrow(wl.DeviceError);
  expect(() => wl.configureCpu({ threads: 1 })).toThrow(wl.NotSupportedError);
});

test('setMemoryLimit bounds, emptyCache gives back, resetPeakMemory starts the peak anew', async () => {
  const { limit } = wl.memory();
  const big = wl.zeros([2 ** 20]);
  await big.ready();
  expect(wl.memory().peak).toBeGreaterThanOrEqual(2 ** 22);
  big.dispose();
  wl.resetPeakMemory();
  expect(wl.memory().peak).toBeLessThan(2 ** 22);
  wl.emptyCache();
  const { reserved, active } = wl.memory();
  expect(reserved - active).toBeLessThan(2 ** 22);
  try {
    wl.setMemoryLimit(active + 2 ** 20);
    expect(() => wl.zeros([2 ** 20])).toThrow(wl.OutOfMemoryError);
    expect(await wl.sum(wl.ones([4])).item()).toBe(4);
  } finally {
    wl.setMemoryLimit(limit);
  }
});

test('defineOp, applyMany and applyInPlace carry an op of one own; isGradEnabled follows noGrad', async () => {
  const halves = wl.defineOp<null>({
    name: 'halves',
    forward: ([x]) => [wl.mul(x!, 0.5), wl.mul(x!, 0.5)],
    grad: ([a, b]) => [wl.mul(wl.add(a!, b!), 0.5)],
  });
  const x = wl.tensor([2, 4], { requiresGrad: true });
  const [first, second] = wl.applyMany(halves, [x], null);
  wl.sum(wl.add(first!, second!)).backward();
  expect(await x.grad!.data('float32')).toEqual(Float32Array.of(1, 1));
  const double = wl.defineOp<null>({
    name: 'double_',
    forward: ([target]) => target!.mul_(2),
    grad: ([g]) => [g ? wl.mul(g, 2) : null],
  });
  const y = wl.tensor([1, 2]);
  expect(wl.applyInPlace(double, y, [], null)).toBe(y);
  expect(await y.data('float32')).toEqual(Float32Array.of(2, 4));
  expect([wl.isGradEnabled(), wl.noGrad(() => wl.isGradEnabled())]).toEqual([true, false]);
});

test('GradBucket holds the gradients of its parameters in one flat tensor', async () => {
  const [a, b] = [wl.ones([3], { requiresGrad: true }), wl.ones([2, 2], { requiresGrad: true })];
  const bucket = new wl.GradBucket([a, b]);
  wl.add(wl.sum(wl.mul(a, 2)), wl.sum(wl.mul(b, 3))).backward();
  expect([bucket.present(0), bucket.present(1)]).toEqual([true, true]);
  const flat = await bucket.flat.data('float32');
  bucket.offsets.forEach((offset) => expect(offset % 16).toBe(0));
  expect(Array.from(flat.slice(bucket.offsets[0], bucket.offsets[0]! + 3))).toEqual([2, 2, 2]);
  expect(Array.from(flat.slice(bucket.offsets[1], bucket.offsets[1]! + 4))).toEqual([3, 3, 3, 3]);
  bucket.markEmpty();
  expect(a.grad).toBeNull();
});

test('saveSafetensors, loadSafetensors, serializeSafetensors, safetensorsMetadata and SAFETENSORS_FORMAT_VERSION', async () => {
  const tensors = { w: wl.tensor([1, 2, 3, 4], { shape: [2, 2] }), n: wl.tensor([7], { dtype: 'int64' }) };
  const path = join(folder, 'a.safetensors');
  await wl.saveSafetensors(path, tensors, { metadata: { note: 'x' } });
  const back = await wl.loadSafetensors(path);
  expect(await back['w']!.data('float32')).toEqual(Float32Array.of(1, 2, 3, 4));
  expect(back['w']!.shape).toEqual([2, 2]);
  expect(await back['n']!.data('int64')).toEqual(BigInt64Array.of(7n));
  expect(await wl.safetensorsMetadata(path)).toMatchObject({ note: 'x' });
  const bytes = await wl.serializeSafetensors(tensors, { metadata: { note: 'x' } });
  expect(Buffer.from(bytes).equals(readFileSync(path))).toBe(true);
  expect(wl.SAFETENSORS_FORMAT_VERSION).toBe(1);
});

test('writeAtomic replaces a file whole, or leaves it', async () => {
  const path = join(folder, 'b.txt');
  await wl.writeAtomic(path, [Buffer.from('one'), Buffer.from('two')]);
  expect(readFileSync(path, 'utf8')).toBe('onetwo');
  const failing = (function* () {
    yield Buffer.from('half');
    throw new Error('no more');
  })();
  await expect(wl.writeAtomic(path, failing)).rejects.toThrow('no more');
  expect(readFileSync(path, 'utf8')).toBe('onetwo');
});

test('saveCheckpoint, loadCheckpoint and latestCheckpoint', async () => {
  const at = join(folder, 'steps');
  expect(await wl.latestCheckpoint(at)).toBeNull();
  const { mkdirSync } = await import('node:fs');
  mkdirSync(at);
  for (const step of [5, 10]) await wl.saveCheckpoint(at, step, { w: wl.full([2], step) }, { step }, { keep: 1 });
  const newest = await wl.latestCheckpoint(at);
  expect(newest).toMatch(/10\.safetensors$/);
  const { state, tensors } = await wl.loadCheckpoint<{ step: number }>(newest!);
  expect(state).toEqual({ step: 10 });
  expect(await tensors['w']!.data('float32')).toEqual(Float32Array.of(10, 10));
  await expect(wl.loadCheckpoint(join(folder, 'a.safetensors'))).rejects.toThrow(wl.FormatError);
});

test('evaluate and predict run a model over a dataset', async () => {
  const model = new wl.nn.Sequential(new wl.nn.Flatten());
  const data = wl.arrayDataset({
    x: { data: Float32Array.of(1, 0, 0, 1, 1, 0), shape: [2] },
    y: Int32Array.of(0, 1, 1),
  });
  const { outputs, shape } = await wl.predict(model, data);
  expect(shape).toEqual([3, 2]);
  expect(outputs).toEqual(Float32Array.of(1, 0, 0, 1, 1, 0));
  const figures = await wl.evaluate(model, data, { loss: wl.crossEntropy, metrics: ['accuracy'] });
  expect(figures['accuracy']).toBeCloseTo(2 / 3, 6);
  const [right, wrong] = [Math.log(1 + Math.exp(-1)), Math.log(1 + Math.E)];
  expect(figures['loss']).toBeCloseTo((2 * right + wrong) / 3, 5);
});

test('renderReport gives one page that loads nothing from elsewhere', () => {
  const page = wl.renderReport({
    title: 'A <title>',
    subtitle: 'in short',
    figures: [{ label: 'accuracy', value: '97 %' }],
    charts: [],
    settings: { seed: 1 },
  });
  expect(page).toMatch(/^<!doctype html>/i);
  expect(page).not.toContain('A <title>');
  expect(page).not.toMatch(/(src|href)="https?:/);
});
