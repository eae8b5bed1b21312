/** Two operands of which one is broadcast, large enough that a thread goes down a strip of rows: the bits of the CPU. */
import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { Shape, Tensor } from '../../src/index.js';

const filled = (shape: Shape, dtype: 'float32' | 'uint8', device: string, seed: number): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  const values = Uint8Array.from({ length: n }, (_, i) => ((i + seed) * 37) % 251);
  const bytes = wl.tensor(values, { shape, dtype: 'uint8', device });
  return dtype === 'uint8' ? bytes : bytes.to('float32').div(7);
};

const cases: { name: string; dtype: 'float32' | 'uint8'; a: Shape; b: Shape }[] = [
  { name: 'a row', dtype: 'float32', a: [1031, 1028], b: [1028] },
  { name: 'a column', dtype: 'float32', a: [1031, 1028], b: [1031, 1] },
  { name: 'a row and a column', dtype: 'float32', a: [1, 1028], b: [1031, 1] },
  { name: 'channels', dtype: 'float32', a: [5, 67, 2052], b: [67, 1] },
  { name: 'short rows', dtype: 'float32', a: [30011, 20], b: [20] },
  { name: 'bytes', dtype: 'uint8', a: [1031, 4144], b: [4144] },
];

describe.each(cases)('$name, $dtype', ({ dtype, a, b }) => {
  test('has the bits of the CPU', async () => {
    const on = (device: string) => {
      const [x, y] = [filled(a, dtype, device, 1), filled(b, dtype, device, 5)];
      return Promise.all([x.sub(y), y.sub(x), wl.lt(x, y)].map((z) => z.data()));
    };
    const [ours, wanted] = [await on('cuda'), await on('cpu')];
    // Compared as bytes: toEqual walks millions of elements one by one.
    const bytes = (of: unknown) => Buffer.from((of as Uint8Array).buffer);
    ours.forEach((data, k) => expect(bytes(data).equals(bytes(wanted[k]))).toBe(true));
  });
});
