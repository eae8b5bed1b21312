/** Rows of a table by index: copies forward and sums in a fixed order backward, so every device gives the CPU's bits. */
import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { DType, Tensor } from '../../src/index.js';
import { covers, testDevices } from '../harness/surface.js';
import { Random } from '../harness/values.js';

interface Case {
  readonly V: number;
  readonly D: number;
  readonly N: number;
  readonly dtype?: DType;
  readonly paddingIdx?: number;
  /** elements that the table and the gradient start behind an aligned address */
  readonly offset?: number;
  /** how far indices reach: few of them are long rows of sums */
  readonly spread?: number;
}
const cases: readonly Case[] = [
  { V: 5, D: 3, N: 0 },
  { V: 1, D: 1, N: 1 },
  { V: 1, D: 4, N: 5000 },
  { V: 7, D: 8, N: 31, dtype: 'int64' },
  { V: 300, D: 33, N: 4097, dtype: 'int64', paddingIdx: 7 },
  { V: 256, D: 12, N: 2049, dtype: 'uint8', paddingIdx: 0 },
  { V: 255, D: 12, N: 2048, dtype: 'uint8' },
  { V: 70_000, D: 4, N: 9000, dtype: 'int64' },
  { V: 70_000, D: 2, N: 3000, paddingIdx: 69_999, spread: 40 },
  { V: 200, D: 1, N: 530_000, dtype: 'uint8' },
  { V: 140_000, D: 2, N: 5000 },
  { V: 3, D: 520, N: 2100 },
  { V: 1000, D: 128, N: 600 },
  { V: 50, D: 132, N: 600, offset: 1 },
  { V: 9, D: 4097, N: 20 },
  { V: 9, D: 4096, N: 20, spread: 2 },
];

/** Draws are the same on every device. */
function rows(n: number, D: number, offset: number, seed: number, device: string): Tensor {
  const values = wl.randn([n * D + offset], { generator: new wl.Generator({ seed }), device });
  return wl.reshape(wl.narrow(values, 0, offset, n * D), [n, D]).detach();
}

function indices({ V, N, dtype = 'int32', spread = V }: Case, device: string): Tensor {
  const random = new Random(N);
  // Rows of any frequency, as in texts: squares crowd at the front.
  const values = Array.from({ length: N }, () => Math.floor(V - spread + spread * random.next() ** 2));
  return wl.tensor(values, { shape: [N], dtype, device });
}

describe.each(testDevices())('rows of a table on %s', (device) => {
  test.each(cases)('%o', { timeout: 60_000 }, async (given) => {
    const { V, D, N, offset = 0, paddingIdx } = given;
    const results = await Promise.all(
      [device, 'cpu'].map(async (d) => {
        const weight = rows(V, D, offset, 1, d).requiresGrad_();
        const y = wl.embedding(weight, indices(given, d), { paddingIdx: paddingIdx ?? null });
        const [gradient] = wl.grad([y], [weight], { gradOutputs: [rows(N, D, offset, 2, d)] });
        return { y: await y.data('float32'), gradient: await gradient!.data('float32') };
      }),
    );
    const [there, here] = results.map(({ y, gradient }) => [y, gradient].map((x) => Buffer.from(x.buffer)));
    expect(Buffer.compare(there![0]!, here![0]!), 'rows').toBe(0);
    expect(Buffer.compare(there![1]!, here![1]!), 'gradient').toBe(0);
    covers('embedding', 'value', 'gradient');
  });

  test.each([20, 5000])(
    'of %i indices one lies outside: a row of zeros, no gradient, and one IndexError',
    async (N) => {
      const values = Array.from({ length: N }, (_, i) => (i === 11 ? 40 : i % 40));
      const index = wl.tensor(values, { dtype: 'int32', device });
      const weight = wl.ones([40, 5], { device, requiresGrad: true });
      const y = wl.embedding(weight, index);
      await expect(y.data()).rejects.toThrow(/\[embedding\].*40/);
      const expected = new Float32Array(N * 5).fill(1).fill(0, 55, 60);
      expect(await y.data('float32')).toEqual(expected);
      const [gradient] = wl.grad([y], [weight], { gradOutputs: [wl.ones([N, 5], { device })] });
      await expect(gradient!.data()).rejects.toThrow(/embeddingBackward.*40/);
      const counts = Float32Array.from({ length: 200 }, (_, i) => N / 40 - (Math.floor(i / 5) === 11 ? 1 : 0));
      if (N % 40 === 0) expect(await gradient!.data('float32')).toEqual(counts);
    },
  );
});
