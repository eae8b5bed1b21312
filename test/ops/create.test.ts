import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { DType, Tensor } from '../../src/index.js';
import { assertClose } from '../harness/compare.js';
import { computes, covers, testDevices } from '../harness/surface.js';
import { read } from '../harness/values.js';
import { build, ref, type Ref } from '../reference/array.js';
import { normals, philoxWords, uniforms } from '../reference/random.js';

const dtypes = ['float32', 'float64', 'int32', 'int64', 'uint8', 'bool'] as const;
const shapes = [[], [0], [1], [3, 33], [2, 4097]];
const exactly = () => 0;

async function same(actual: Tensor, expected: Ref, dtype: DType, what: string): Promise<void> {
  expect(actual.dtype, what).toBe(dtype);
  assertClose(await read(actual), expected, exactly, what);
}

describe.each(testDevices())('creation on %s', (device) => {
  test('zeros, ones, full and their likes, in every dtype and shape', async () => {
    for (const dtype of dtypes.filter((d) => computes(device, d))) {
      for (const shape of shapes) {
        const what = `[${shape.join(', ')}] ${dtype}`;
        const x = wl.zeros(shape, { dtype, device });
        const [zero, one] = [build(shape, () => 0), build(shape, () => 1)];
        await same(x, zero, dtype, `zeros ${what}`);
        await same(wl.ones(shape, { dtype, device }), one, dtype, `ones ${what}`);
        await same(wl.full(shape, 1, { dtype, device }), one, dtype, `full ${what}`);
        await same(wl.zerosLike(wl.ones(shape, { dtype, device })), zero, dtype, `zerosLike ${what}`);
        await same(wl.onesLike(x), one, dtype, `onesLike ${what}`);
        await same(wl.fullLike(x, 1), one, dtype, `fullLike ${what}`);
      }
    }
    for (const name of ['zeros', 'ones', 'full', 'zerosLike', 'onesLike', 'fullLike']) covers(name, 'value', 'edge');
  });

  test('creation refuses sizes that are no sizes', () => {
    const bad: number[][] = [[-1], [1.5], [NaN], [2 ** 63], [2 ** 40, 2 ** 40], [1, 1, 1, 1, 1, 1, 1, 1, 1]];
    for (const shape of bad) {
      for (const name of ['zeros', 'ones', 'rand', 'randn'] as const) {
        expect(() => wl[name](shape, { device }), `${name} [${shape.join(', ')}]`).toThrow(wl.ShapeError);
        expect(() => wl[name](shape, { device })).toThrow(name);
      }
      expect(() => wl.full(shape, 1, { device })).toThrow(/full/);
      expect(() => wl.randint(0, 2, shape, { device })).toThrow(/randint/);
      expect(() => wl.bernoulli(shape, 0.5, { device })).toThrow(/bernoulli/);
    }
    for (const name of ['zeros', 'ones', 'full', 'rand', 'randn', 'randint', 'bernoulli']) covers(name, 'badInput');
  });

  test('tensor takes numbers, nested arrays and typed arrays, and copies them', async () => {
    const source = Float32Array.of(1, 2, 3, 4);
    const copied = wl.tensor(source, { shape: [2, 2], device });
    source[0] = 9;
    await same(copied, ref([2, 2], [1, 2, 3, 4]), 'float32', 'a typed array');
    await same(wl.tensor(3, { device }), ref([], [3]), 'float32', 'a number');
    await same(
      wl.tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { device },
      ),
      ref([2, 2], [1, 2, 3, 4]),
      'float32',
      'nested',
    );
    await same(wl.tensor([true, false], { device }), ref([2], [1, 0]), 'bool', 'booleans');
    await same(wl.tensor([1n, 2n], { device }), ref([2], [1, 2]), 'int64', 'bigints');
    await same(wl.tensor(Int32Array.of(5), { device }), ref([1], [5]), 'int32', 'Int32Array');
    await same(wl.tensor(BigInt64Array.of(5n), { device }), ref([1], [5]), 'int64', 'BigInt64Array');
    await same(wl.tensor([1, 2], { dtype: 'int64', device }), ref([2], [1, 2]), 'int64', 'numbers as int64');
    expect(() => wl.tensor([[1], [2, 3]], { device })).toThrow(wl.ShapeError);
    expect(() => wl.tensor([1, 2, 3], { shape: [2], device })).toThrow(/3 values.*\(2,?\)/);
    expect(() => wl.tensor([0.5], { dtype: 'int32', device })).toThrow(wl.DTypeError);
    expect(() => wl.tensor([NaN], { dtype: 'int32', device })).toThrow(wl.DTypeError);
    expect(() => wl.tensor([2 ** 63], { dtype: 'int64', device })).toThrow(wl.DTypeError);
    covers('tensor', 'value', 'edge', 'badInput');
  });

  test('arange and eye', async () => {
    await same(wl.arange(5, { device }), ref([5], [0, 1, 2, 3, 4]), 'int32', 'arange(5)');
    await same(wl.arange(2, 5, { device }), ref([3], [2, 3, 4]), 'int32', 'arange(2, 5)');
    await same(wl.arange(0, 1, 0.25, { device }), ref([4], [0, 0.25, 0.5, 0.75]), 'float32', 'arange(0, 1, 0.25)');
    await same(wl.arange(3, 0, -1, { device }), ref([3], [3, 2, 1]), 'int32', 'arange(3, 0, -1)');
    const widest = computes(device, 'float64') ? 'float64' : 'int64';
    await same(
      wl.arange(4097, { device, dtype: widest }),
      build([4097], ([i]) => i!),
      widest,
      'arange(4097)',
    );
    await same(wl.arange(0, { device }), ref([0], []), 'int32', 'arange(0)');
    expect(() => wl.arange(0, 5, -1, { device })).toThrow(/arange/);
    await same(
      wl.eye(3, 2, { device }),
      build([3, 2], ([i, j]) => (i === j ? 1 : 0)),
      'float32',
      'eye(3, 2)',
    );
    await same(wl.eye(0, 0, { device }), ref([0, 0], []), 'float32', 'eye(0)');
    expect(() => wl.eye(-1, 2, { device })).toThrow(/eye/);
    covers('arange', 'value', 'edge', 'badInput');
    covers('eye', 'value', 'edge', 'badInput');
  });
});

describe.each(testDevices())('random draws on %s', (device) => {
  test('rand is the Philox stream, continued from draw to draw in whole blocks', async () => {
    const generator = new wl.Generator({ seed: 42 });
    await same(wl.rand([3, 11], { generator, device }), ref([3, 11], uniforms(42n, 0n, 33)), 'float32', 'first draw');
    await same(wl.rand([5], { generator, device }), ref([5], uniforms(42n, 9n, 5)), 'float32', 'second draw, block 9');
    expect(await generator.getState()).toEqual([42n, 11n]);
    await same(wl.rand([0], { generator, device }), ref([0], []), 'float32', 'no elements');
    covers('rand', 'value', 'edge');
    covers('Generator');
  });

  test('bernoulli and randint follow the same stream', async () => {
    const draws = uniforms(7n, 0n, 4097);
    const drawn = await read(wl.bernoulli([4097], 0.3, { generator: new wl.Generator({ seed: 7 }), device }));
    const ones = drawn.data.reduce((n, v) => n + v, 0);
    expect(new Set(drawn.data)).toEqual(new Set([0, 1]));
    expect(Math.abs(ones / 4097 - 0.3)).toBeLessThan(0.03);
    assertClose(
      drawn,
      ref(
        [4097],
        draws.map((u) => (u < Math.fround(0.3) ? 1 : 0)),
      ),
      exactly,
      'bernoulli',
    );
    const whole = await read(wl.randint(-3, 4, [4097], { generator: new wl.Generator({ seed: 7 }), device }));
    expect(new Set(whole.data)).toEqual(new Set([-3, -2, -1, 0, 1, 2, 3]));
    // The word's share of 2^32, scaled to the range and cut down.
    const scaled = philoxWords(7n, 0n, 4097).map((word) => -3 + Math.floor((word / 2 ** 32) * 7));
    assertClose(whole, ref([4097], scaled), exactly, 'randint');
    expect(() => wl.bernoulli([1], 1.5, { device })).toThrow(/1\.5/);
    expect(() => wl.randint(3, 3, [1], { device })).toThrow(/randint/);
    covers('bernoulli', 'value', 'edge');
    covers('randint', 'value', 'edge');
  });

  test('randn is Box and Muller over the stream: moments, tails and symmetry', async () => {
    const n = 100_000;
    const { data } = await read(wl.randn([n], { generator: new wl.Generator({ seed: 1 }), device }));
    const mean = data.reduce((s, v) => s + v, 0) / n;
    const moment = (k: number) => data.reduce((s, v) => s + (v - mean) ** k, 0) / n;
    expect(Math.abs(mean)).toBeLessThan(0.015);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.02);
    expect(Math.abs(moment(3))).toBeLessThan(0.05);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.12);
    expect(Math.max(...data.slice(0, 50_000))).toBeGreaterThan(3.5);
    const short = wl.randn([4097], { generator: new wl.Generator({ seed: 1 }), device });
    const wanted = ref([4097], normals(1n, 0n, 4097));
    // float32 polynomials: a few roundings of a radius below 6.
    assertClose(await read(short), wanted, () => 4e-6, 'randn');
    await same(wl.randn([0], { device }), ref([0], []), 'float32', 'no elements');
    covers('randn', 'value', 'edge');
  });

  test('manualSeed, philox and permutation', async () => {
    wl.manualSeed(5);
    const first = await wl.rand([4], { device }).data('float32');
    wl.manualSeed(5);
    expect(await wl.rand([4], { device }).data('float32')).toEqual(first);
    expect(Array.from(wl.philox(3, 2, 9))).toEqual(philoxWords(3n, 2n, 9));
    const order = wl.permutation(100, 9);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    const keys = philoxWords(9n, 0n, 100);
    expect(keys[order[0]!]!).toBe(Math.min(...keys));
    expect(wl.defaultGenerator).toBeInstanceOf(wl.Generator);
    for (const name of ['manualSeed', 'philox', 'permutation', 'defaultGenerator']) covers(name);
  });
});
