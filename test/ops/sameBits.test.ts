/** Moves and draws have no rounding to differ in: every device gives the CPU's bits, whatever the layout. */
import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { DType, Tensor } from '../../src/index.js';
import { testDevices } from '../harness/surface.js';

const dtypes = ['float32', 'int32', 'int64', 'uint8', 'bool'] as const;
const sizes = [0, 1, 3, 31, 33, 4097, 20_000];

/** Values that conversions must agree on: fractions, signs, both ends of every integer range, and beyond. */
const odd = [0, -0, 0.5, -0.75, 1, -1, 255.9, 256, -129, 2147483520, 2147483648, -2147483648, -3e9, 1e18, 1e19, -1e30];
const floats = [...odd, NaN, Infinity, -Infinity, 1e-40];
const wholes = [0n, 1n, -1n, 255n, 256n, 2147483647n, -2147483648n, 4294967297n, 9007199254740993n, -(2n ** 63n)];

/** Elements of a dtype, the same on every device. */
function sample(dtype: DType, shape: readonly number[], device: string, special = floats): Tensor {
  const n = shape.reduce((p, s) => p * s, 1);
  const at = <T>(list: readonly T[], i: number) => list[(i * 7 + (i >> 4)) % list.length]!;
  const indices = Array.from({ length: n }, (_, i) => i);
  const values =
    dtype === 'float32'
      ? Float32Array.from(indices, (i) => (i % 3 === 0 ? at(special, i) : i * 0.37 - 50))
      : dtype === 'int64'
        ? BigInt64Array.from(indices, (i) => (i % 3 === 0 ? at(wholes, i) : BigInt(i * 977 - 5000)))
        : dtype === 'int32'
          ? Int32Array.from(indices, (i) => (i * 2654435761) | 0)
          : Uint8Array.from(indices, (i) => (dtype === 'bool' ? ((i * 5) % 3) & 1 : i * 31));
  return wl.tensor(values, { shape: [...shape], dtype, device });
}

/** How a view may lie in a larger tensor. */
interface Layout {
  readonly name: string;
  readonly base: readonly number[];
  readonly of: (base: Tensor) => Tensor;
  readonly readOnly?: boolean;
}
const layouts: readonly Layout[] = [
  ...sizes.map((n) => ({ name: `row of ${n}`, base: [n], of: (x: Tensor) => x })),
  { name: 'offset by one', base: [4098], of: (x) => wl.narrow(x, 0, 1, 4097) },
  { name: 'offset by four', base: [104], of: (x) => wl.narrow(x, 0, 4, 100) },
  { name: 'matrix transposed', base: [33, 65], of: (x) => wl.transpose(x, 0, 1) },
  { name: 'narrow matrix transposed', base: [300, 3], of: (x) => wl.transpose(x, 0, 1) },
  { name: 'batch transposed', base: [3, 31, 2, 40], of: (x) => wl.permute(x, [2, 3, 0, 1]) },
  { name: 'outermost to innermost', base: [40, 3, 50], of: (x) => wl.permute(x, [2, 1, 0]) },
  { name: 'heads', base: [2, 7, 3, 16], of: (x) => wl.permute(x, [0, 2, 1, 3]) },
  { name: 'columns', base: [9, 64], of: (x) => wl.narrow(x, 1, 16, 32) },
  { name: 'odd columns', base: [9, 65], of: (x) => wl.narrow(x, 1, 3, 33) },
  { name: 'every third', base: [100, 31], of: (x) => wl.slice(x, 0, 1, 99, 3) },
  { name: 'every other column', base: [31, 66], of: (x) => wl.slice(x, 1, 0, 66, 2) },
  { name: 'expanded', base: [33, 1], of: (x) => wl.expand(x, [5, 33, 32]), readOnly: true },
  { name: 'one value expanded', base: [1], of: (x) => wl.expand(x, [70, 40]), readOnly: true },
  { name: 'eight dims', base: [2, 3, 2, 3, 2, 3, 2, 3], of: (x) => wl.permute(x, [7, 2, 5, 0, 3, 6, 1, 4]) },
];

const bits = async (x: Tensor): Promise<Uint8Array> => {
  const data = (await x.data()) as Float32Array;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
};

/** Runs a program on the device and on the CPU. */
async function same(device: string, what: string, program: (device: string) => Tensor): Promise<void> {
  const [actual, expected] = await Promise.all([bits(program(device)), bits(program('cpu'))]);
  expect(Buffer.compare(actual, expected), what).toBe(0);
}

describe.each(testDevices())('the bits of the CPU on %s', (device) => {
  for (const { name, base, of, readOnly } of layouts) {
    const make = (dtype: DType, on: string) => of(sample(dtype, base, on));
    test(`copies and conversions of a view: ${name}`, async () => {
      for (const from of dtypes) {
        await same(device, `${from} made dense`, (d) => wl.clone(make(from, d)));
        for (const to of dtypes) await same(device, `${from} to ${to}`, (d) => wl.cast(make(from, d), to));
      }
    });
    if (readOnly) continue;
    test(`copies into a view: ${name}`, async () => {
      for (const to of dtypes) {
        for (const from of dtypes) {
          await same(device, `${from} into ${to}`, (d) => {
            const whole = sample(to, base, d);
            const target = of(whole);
            target.copy_(sample(from, target.shape, d));
            return whole;
          });
        }
        await same(device, `fill of ${to}`, (d) => {
          const whole = sample(to, base, d);
          of(whole).fill_(to === 'bool' ? 1 : 77);
          return whole;
        });
      }
    });
    test(`where over a view: ${name}`, async () => {
      for (const dtype of dtypes) {
        await same(device, `${dtype}, three views`, (d) => {
          const a = make(dtype, d);
          return wl.where(make('bool', d), a, sample(dtype, a.shape, d));
        });
        await same(device, `${dtype}, scalars`, (d) => wl.where(make('bool', d), make(dtype, d), 1));
        await same(device, `${dtype}, a number and one value`, (d) =>
          wl.where(make('bool', d), 1, sample(dtype, [], d)),
        );
      }
    });
  }

  test('ramps: whole, wrapping, fractional, empty', async () => {
    for (const dtype of ['float32', 'int32', 'int64', 'uint8'] as const) {
      await same(device, `${dtype} from 0`, (d) => wl.arange(0, 5000, 1, { dtype, device: d }));
      await same(device, `${dtype} downwards`, (d) => wl.arange(300, -5, -7, { dtype, device: d }));
      await same(device, `${dtype} by 0.3`, (d) => wl.arange(-10, 1300, 0.3, { dtype, device: d }));
      await same(device, `${dtype} of large steps`, (d) =>
        wl.arange(0, 2 ** 53 - 1, 2 ** 50 + 1, { dtype, device: d }),
      );
      await same(device, `${dtype} beyond int64`, (d) => wl.arange(-1e20, 1e20, 1e18, { dtype, device: d }));
      await same(device, `${dtype} empty`, (d) => wl.arange(0, 0, 1, { dtype, device: d }));
    }
  });

  test.each([...sizes, 5, 127, 128, 129, 4096])('draws of %i elements, and the generator behind them', async (n) => {
    for (const seed of [3, 2 ** 40 + 1]) {
      const programs: Record<string, (generator: wl.Generator, device: string) => Tensor> = {
        rand: (generator, d) => wl.rand([n], { generator, device: d }),
        randn: (generator, d) => wl.randn([n], { generator, device: d }),
        uniform_: (generator, d) => wl.zeros([n], { device: d }).uniform_(-3, 5e-7, { generator }),
        normal_: (generator, d) => wl.narrow(wl.zeros([n + 1], { device: d }), 0, 1, n).normal_(3, 0.1, { generator }),
      };
      for (const dtype of dtypes) {
        programs[`bernoulli ${dtype}`] = (generator, d) => wl.bernoulli([n], 0.3, { generator, device: d, dtype });
        if (dtype === 'bool') continue;
        programs[`randint ${dtype}`] = (generator, d) =>
          wl.randint(-5, 2 ** 31 - 6, [n], { generator, device: d, dtype });
      }
      for (const [name, program] of Object.entries(programs)) {
        const states: unknown[] = [];
        await same(device, `${name}, seed ${seed}`, (d) => {
          const generator = new wl.Generator({ seed });
          program(generator, d);
          const second = program(generator, d);
          states.push(generator.getState());
          return second;
        });
        const [there, here] = await Promise.all(states);
        expect(there, `${name}: the state`).toEqual(here);
      }
    }
  });

  test.each(sizes)('dropout of %i elements and its gradient', async (n) => {
    for (const p of [0, 0.3, 1]) {
      for (const offset of [0, 1]) {
        const run = (d: string, gradient: boolean): Tensor => {
          const x = wl
            .narrow(sample('float32', [n + offset], d, odd), 0, offset, n)
            .detach()
            .requiresGrad_();
          const y = wl.dropout(x, { p, generator: new wl.Generator({ seed: 9 }) });
          if (!gradient) return y.detach();
          return wl.grad([y], [x], { gradOutputs: [sample('float32', [n], d, odd)] })[0]!;
        };
        await same(device, `p ${p}, offset ${offset}`, (d) => run(d, false));
        await same(device, `gradient, p ${p}, offset ${offset}`, (d) => run(d, true));
      }
    }
  });
});
