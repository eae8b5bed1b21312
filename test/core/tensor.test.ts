import { inspect } from 'node:util';
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import * as native from '../../src/addon.ops.js';
import {
  AddonLoadError,
  device,
  Device,
  CudaDriverError,
  DeviceError,
  dtypes,
  DTypeError,
  Generator,
  GradBucket,
  IndexError,
  manualSeed,
  defaultGenerator,
  OutOfMemoryError,
  permutation,
  philox,
  promoteTypes,
  resultType,
  ShapeError,
  Tensor,
  WarploomError,
} from '../../src/index.js';
import { fromNative } from '../../src/errors.js';
import { Storage } from '../../src/storage.js';
import { resultTypeWithNumber } from '../../src/dtype.js';
import { add, exp, f32, f64, leaf, mul, reshape, sum, values } from './support.js';

const raw = (bytes: ArrayBufferView, dtype: (typeof dtypes)[number], shape: number[]) =>
  Tensor.fromBytes(bytes, shape, dtype, 'cpu');

describe('reading', () => {
  test('data() gives the array of the dtype', async () => {
    expect(await f32([1, 2]).data()).toEqual(Float32Array.of(1, 2));
    expect(await raw(BigInt64Array.of(-5n), 'int64', []).data('int64')).toEqual(BigInt64Array.of(-5n));
    expect(await raw(Uint8Array.of(1, 0), 'bool', [2]).data()).toEqual(Uint8Array.of(1, 0));
    expect(await raw(Uint16Array.of(0x3f80, 0xc000), 'bfloat16', [2]).data()).toEqual(Float32Array.of(1, -2));
    expect(await raw(Uint16Array.of(0x3c00, 0xfc00, 1, 0x7e00), 'float16', [4]).data()).toEqual(
      Float32Array.of(1, -Infinity, 2 ** -24, NaN),
    );
    await expect(f32([1]).data('int32')).rejects.toThrow(DTypeError);
    expect(() => f32([1]).dataSync('float64')).toThrow(/float32.*float64/);
  });

  test('reads are copies of strided views too', async () => {
    const x = f32([1, 2, 3, 4, 5, 6], [2, 3]);
    const t = x.asView([3, 2], [1, 3], 0);
    expect(t.isContiguous()).toBe(false);
    expect(values(t)).toEqual([1, 4, 2, 5, 3, 6]);
    expect(await x.asView([2], [1], 4).data('float32')).toEqual(Float32Array.of(5, 6));
    const bytes = await x.bytes();
    bytes.fill(0);
    expect(values(x)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('item() and tolist()', async () => {
    expect(await f32([3], [1, 1]).item()).toBe(3);
    expect(await raw(BigInt64Array.of(7n), 'int64', []).item()).toBe(7n);
    await expect(f32([1, 2]).item()).rejects.toThrow(ShapeError);
    expect(f32([1, 2, 3, 4], [2, 2]).tolist()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(raw(Uint8Array.of(1), 'bool', []).tolist()).toBe(true);
    expect(f32([], [2, 0]).tolist()).toEqual([[], []]);
  });

  test('text: console.log shows no values, toString does', () => {
    const x = f32([1.5, 2], [2]);
    expect(inspect(x)).toBe('Tensor(shape=[2], dtype=float32, device=cpu)');
    expect(String(x)).toBe('tensor([1.5, 2], shape=[2], dtype=float32, device=cpu)');
    expect(inspect(leaf([1]))).toContain('requiresGrad');
    x.dispose();
    expect(inspect(x)).toContain('disposed');
  });

  test('ready() waits and reports', async () => {
    const x = exp(f32([0]));
    await x.ready();
    expect(values(x)).toEqual([1]);
  });

  test('a loop that awaits small results lets timers through', async () => {
    let fired = false;
    setTimeout(() => (fired = true), 5);
    const x = f32([1]);
    for (let i = 0; i < 1e6 && !fired; i++) await x.ready();
    expect(fired).toBe(true);
  });

  test('results that come at once are the right ones, and their failures theirs', async () => {
    const x = f32([1, 2]);
    const table = f32([1, 2], [2, 1]);
    const wrong = raw(Int32Array.of(5), 'int32', [1]);
    for (let i = 0; i < 300; i++) {
      const y = add(x, f32([i, i]));
      expect(await y.data('float32')).toEqual(Float32Array.of(i + 1, i + 2));
      y.dispose();
      if (i % 100 === 99) {
        const row = native.embedding(table.device, table, wrong, { dtype: 'float32', shape: [1, 1] });
        await expect(Tensor.fresh(row, [1, 1], 'float32').data()).rejects.toThrow(IndexError);
      }
    }
  });
});

describe('errors', () => {
  test('carry code, op, shapes and hint', () => {
    expect(() => Tensor.fromBytes(new Uint8Array(3), [1], 'float32', 'cpu')).toThrow(ShapeError);
    const error = new ShapeError('sizes differ.', { op: 'add', shapes: [[1], [2]], hint: 'Make them equal.' });
    expect(error).toBeInstanceOf(WarploomError);
    expect([error.name, error.code, error.op, error.shapes]).toEqual(['ShapeError', 'ERR_SHAPE', 'add', [[1], [2]]]);
    expect(error.message).toBe('[add] sizes differ. Make them equal.');
    for (const shape of [[-1], [1.5], [2 ** 53], [2 ** 30, 2 ** 30], [NaN], [1, 1, 1, 1, 1, 1, 1, 1, 1]]) {
      expect(() => raw(new Uint8Array(0), 'uint8', shape)).toThrow(ShapeError);
    }
  });

  test('of the native side become typed', () => {
    const oom = fromNative(
      { code: 'OUT_OF_MEMORY', message: '', requested: 2 ** 20, active: 0, limit: 2 ** 21 },
      'exp',
    );
    expect(oom).toBeInstanceOf(OutOfMemoryError);
    expect(oom.message).toMatch(/\[exp\].*1\.0 MiB.*2\.0 MiB.*tidy/);
    const index = fromNative({ code: 'INDEX', message: '', op: 'embedding', value: 9, bound: 4 });
    expect(index).toBeInstanceOf(IndexError);
    expect(index.message).toBe('[embedding] index 9 is outside [0, 4)');
    expect(fromNative({ code: 'FAILED', message: '[gelu] no' }, 'gelu').message).toBe('[gelu] no');
  });

  test('an index outside rejects the next read, and only that', async () => {
    const weight = f32([1, 2, 3, 4], [2, 2]);
    const index = raw(Int32Array.of(1, 5), 'int32', [2]);
    const y = Tensor.fresh(
      native.embedding(weight.device, weight, index, { dtype: 'float32', shape: [2, 2] }),
      [2, 2],
      'float32',
    );
    await expect(y.data()).rejects.toMatchObject({ code: 'ERR_INDEX', op: 'embedding', value: 5, bound: 2 });
    expect(await exp(f32([0])).data()).toEqual(Float32Array.of(1));
  });

  test('unknown devices are named with those present', () => {
    expect(() => device('cuda:7')).toThrow(CudaDriverError);
    expect(() => device('toaster')).toThrow(DeviceError);
    expect(() => device('toaster')).toThrow(/toaster.*cpu/);
    expect(device('cpu')).toBe(device('cpu:0'));
    expect(device('auto').type).toMatch(/cpu|cuda/);
  });

  test('tensors on two devices are not mixed, scalars neither', () => {
    const elsewhere = new Device(9, 'fake:1');
    for (const shape of [[1], []]) {
      const t = new Tensor(new Storage(-1, elsewhere, 4), shape, shape, 0, 'float32', true);
      let error: unknown;
      try {
        add(f32([1]), t);
      } catch (e) {
        error = e;
      }
      expect(error).toBeInstanceOf(DeviceError);
      expect((error as Error).message).toMatch(/\[add\].*cpu and fake:1/);
    }
  });

  test('the loader says what it tried', () => {
    expect(new AddonLoadError(['/a: no such file']).message).toMatch(/\/a: no such file[^]*node-gyp rebuild/);
    const { stdout } = spawnSync(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        `import { device } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)};
        console.log('imported'); try { device('cpu'); } catch (e) { console.log(e.code, e.tried.length); }`,
      ],
      { encoding: 'utf8', env: { ...process.env, WARPLOOM_ADDON: '/nowhere.node' } },
    );
    expect(stdout).toBe('imported\nERR_ADDON_LOAD 1\n');
  });

  test('a failure that nothing awaited is told once at exit', () => {
    const { stderr, status } = spawnSync(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        `import { Tensor } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)};
        import * as native from ${JSON.stringify(new URL('../../src/addon.ops.ts', import.meta.url).href)};
        const w = Tensor.fromBytes(new Float32Array(4), [2, 2], 'float32', 'cpu');
        const i = Tensor.fromBytes(Int32Array.of(9), [1], 'int32', 'cpu');
        native.embedding(w.device, w, i, { dtype: 'float32', shape: [1, 2] });
        await new Promise((r) => setTimeout(r, 20));`,
      ],
      { encoding: 'utf8' },
    );
    expect(stderr.match(/IndexError: \[embedding\]/g)).toHaveLength(1);
    expect(status).toBe(0);
  });
});

describe('dtypes', () => {
  test('promotion is symmetric, and as in PyTorch', () => {
    for (const a of dtypes) {
      expect(promoteTypes(a, a)).toBe(a);
      for (const b of dtypes) expect(promoteTypes(a, b)).toBe(promoteTypes(b, a));
    }
    expect(promoteTypes('uint8', 'int32')).toBe('int32');
    expect(promoteTypes('int64', 'float16')).toBe('float16');
    expect(promoteTypes('bfloat16', 'float16')).toBe('float32');
    expect(promoteTypes('bool', 'uint8')).toBe('uint8');
    expect(promoteTypes('float32', 'float64')).toBe('float64');
  });

  test('0-dim tensors count by category only', () => {
    const t = (dtype: (typeof dtypes)[number], rank: number) => ({ dtype, shape: new Array<number>(rank).fill(1) });
    expect(resultType([t('float32', 1), t('float64', 0)])).toBe('float32');
    expect(resultType([t('int32', 1), t('float64', 0)])).toBe('float64');
    expect(resultType([t('uint8', 1), t('int64', 0)])).toBe('uint8');
    expect(resultType([t('float32', 0), t('float64', 0)])).toBe('float64');
    expect(resultTypeWithNumber('int32', 1.5)).toBe('float32');
    expect(resultTypeWithNumber('bool', 1)).toBe('int64');
    expect(resultTypeWithNumber('float16', 1.5)).toBe('float16');
  });

  test('apply() brings operands together and gradients back', () => {
    const x = f64([1, 2]).requiresGrad_();
    const y = leaf([3, 4]);
    const z = mul(x, y);
    expect(z.dtype).toBe('float64');
    sum(z).backward();
    expect(y.grad!.dtype).toBe('float32');
    expect(values(y.grad)).toEqual([1, 2]);
    expect(values(x.grad)).toEqual([3, 4]);
    expect(add(raw(Int32Array.of(1), 'int32', [1]), f32([0.5])).dtype).toBe('float32');
  });
});

describe('gradient buckets', () => {
  test('lay parameters out at multiples of 16 elements', () => {
    const a = leaf([1, 2, 3]);
    const b = leaf(new Array<number>(17).fill(1));
    sum(a).backward();
    const bucket = new GradBucket([a, b]);
    expect(bucket.offsets).toEqual([0, 16]);
    expect(bucket.flat.shape).toEqual([48]);
    expect([bucket.present(0), bucket.present(1)]).toEqual([true, false]);
    expect(values(a.grad)).toEqual([1, 1, 1]);
    sum(mul(b, b)).backward();
    expect(values(bucket.flat)).toEqual([
      1,
      1,
      1,
      ...new Array(13).fill(0),
      ...new Array(17).fill(2),
      ...new Array(15).fill(0),
    ]);
    bucket.markEmpty();
    expect(a.grad).toBeNull();
    sum(a).backward();
    bucket.ensureZeroed(0);
    bucket.ensureZeroed(1);
    expect(values(bucket.flat).reduce((x, y) => x + y)).toBe(3);
  });

  test('refuse mixed dtypes and results of ops', () => {
    expect(() => new GradBucket([leaf([1]), f64([1]).requiresGrad_()])).toThrow(DTypeError);
    expect(() => new GradBucket([exp(leaf([1]))])).toThrow(/leaves/);
  });
});

describe('random', () => {
  test('Philox gives the words of the paper', () => {
    // The known answer for counter 0 and key 0 (Random123's kat_vectors).
    expect([...philox(0, 0, 4)]).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    expect([...philox(3n, 1n, 5)]).toEqual([...philox(3, 0, 9)].slice(4));
  });

  test('permutation is the stable argsort of its keys', () => {
    const n = 1000;
    const keys = philox(5, 0, n);
    const expected = Array.from({ length: n }, (_, i) => i).sort((a, b) => keys[a]! - keys[b]! || a - b);
    expect([...permutation(n, 5)]).toEqual(expected);
    expect([...permutation(0, 5)]).toEqual([]);
  });

  test('generators resume, and seeds are checked', async () => {
    const generator = new Generator({ seed: 42 });
    const cpu = device('cpu');
    const draw = (): number[] => {
      const state = generator.stateOn(cpu);
      return values(Tensor.fresh(native.uniform(cpu, state, { dtype: 'float32', shape: [6] }, 0, 1), [6], 'float32'));
    };
    expect(await generator.getState()).toEqual([42n, 0n]);
    draw();
    const state = await generator.getState();
    expect(state).toEqual([42n, 2n]);
    const second = draw();
    generator.setState(state);
    expect(draw()).toEqual(second);
    generator.manualSeed(42);
    expect(await generator.getState()).toEqual([42n, 0n]);
    expect(() => new Generator({ seed: 0.5 })).toThrow(DTypeError);
    manualSeed(-1);
    expect(await defaultGenerator.getState()).toEqual([-1n, 0n]);
    manualSeed(0);
  });
});

describe('setData', () => {
  test('keeps the tensor and changes where it lies', () => {
    const x = leaf([1, 2]);
    const y = f64([5, 6, 7]);
    x.setData(y);
    y.dispose();
    expect(x.dtype).toBe('float64');
    expect(values(x)).toEqual([5, 6, 7]);
    sum(mul(x, x)).backward();
    expect(values(x.grad)).toEqual([10, 12, 14]);
  });

  test('views of it before do not follow', () => {
    const x = f32([1, 2]);
    const view = reshape(x, [2, 1]);
    x.setData(f32([3, 4]));
    expect(values(view)).toEqual([1, 2]);
  });
});
