/** The numbers that `npm run cudasim` makes: formats without a JavaScript array, fills, summaries. */
import { expect, test } from 'vitest';
import {
  fromHalf,
  initialBytes,
  parseArgument,
  summarise,
  toHalf,
  type BufferArgument,
} from '../../scripts/cudasim/values.js';

// From the formats' definitions: sign, exponent, fraction.
const known: ['f16' | 'bf16', number, number][] = [
  ['f16', 0, 0x0000],
  ['f16', -0, 0x8000],
  ['f16', 1, 0x3c00],
  ['f16', -2.5, 0xc100],
  ['f16', 65504, 0x7bff],
  ['f16', 65519.99, 0x7bff],
  ['f16', 65520, 0x7c00],
  ['f16', Infinity, 0x7c00],
  ['f16', -Infinity, 0xfc00],
  ['f16', 2 ** -14, 0x0400],
  ['f16', 2 ** -24, 0x0001],
  ['f16', 2 ** -25, 0x0000],
  ['f16', 1.5 * 2 ** -25, 0x0001],
  ['f16', 1 + 2 ** -11, 0x3c00],
  ['f16', 1 + 3 * 2 ** -11, 0x3c02],
  ['f16', 2 - 2 ** -12, 0x4000],
  ['bf16', 1, 0x3f80],
  ['bf16', -3.140625, 0xc049],
  ['bf16', 1 + 2 ** -8, 0x3f80],
  ['bf16', 1 + 3 * 2 ** -8, 0x3f82],
  ['bf16', 2 ** 127 * (2 - 2 ** -7), 0x7f7f],
  ['bf16', 2 ** 128, 0x7f80],
  ['bf16', 2 ** -133, 0x0001],
];

test('half types round to nearest even', () => {
  for (const [format, value, bits] of known)
    expect([format, value, toHalf(value, format)]).toEqual([format, value, bits]);
  for (const format of ['f16', 'bf16'] as const) {
    expect(fromHalf(toHalf(NaN, format), format)).toBeNaN();
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = fromHalf(bits, format);
      if (!Number.isNaN(value) && toHalf(value, format) !== bits)
        expect([format, bits]).toEqual([format, toHalf(value, format)]);
    }
  }
});

const bytes = (text: string): Buffer => initialBytes(parseArgument(text) as BufferArgument)!;

test('fills of every kind', () => {
  expect(bytes('f32:3:arange')).toEqual(Buffer.from(Float32Array.of(0, 1, 2).buffer));
  expect(bytes('f64:2:ones')).toEqual(Buffer.from(Float64Array.of(1, 1).buffer));
  expect(bytes('f16:3:arange')).toEqual(Buffer.from(Uint16Array.of(0, 0x3c00, 0x4000).buffer));
  expect(bytes('bf16:3:arange')).toEqual(Buffer.from(Uint16Array.of(0, 0x3f80, 0x4000).buffer));
  expect(bytes('i32:2:zeros')).toEqual(Buffer.alloc(8));
  expect(bytes('i64:3:arange')).toEqual(Buffer.from(BigInt64Array.of(0n, 1n, 2n).buffer));
  expect(bytes('u8:300:arange')[299]).toBe(299 % 256);
  expect(initialBytes(parseArgument('f32:3:uninit') as BufferArgument)).toBeNull();
});

test('random fills are a matter of the seed, and distributed as they say', () => {
  expect(bytes('f32:100:randn:7')).toEqual(bytes('f32:100:randn:7'));
  expect(bytes('f32:100:randn:7')).not.toEqual(bytes('f32:100:randn:8'));
  const moments = (text: string): [number, number] => {
    const data = bytes(text);
    const values = new Float64Array(data.buffer, data.byteOffset, data.length / 8);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length];
  };
  // Five standard errors of 20000 draws.
  const [mean, variance] = moments('f64:20000:randn:1');
  expect(Math.abs(mean)).toBeLessThan(0.036);
  expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  const [middle, spread] = moments('f64:20000:uniform:1');
  expect(Math.abs(middle - 0.5)).toBeLessThan(0.0103);
  expect(Math.abs(spread - 1 / 12)).toBeLessThan(0.0027);
  expect(summarise('f64', bytes('f64:20000:uniform:1'))).toMatchObject({ nan: 0 });
  const { min, max } = summarise('u8', bytes('u8:5000:uniform:1'));
  expect([min, max]).toEqual([0, 99]);
});

test('a summary leaves NaN out', () => {
  const data = Buffer.from(Float32Array.of(NaN, 2, -1, NaN, Infinity).buffer);
  expect(summarise('f32', data)).toEqual({ first: [NaN, 2, -1, NaN, Infinity], min: -1, max: Infinity, nan: 2 });
  expect(summarise('f16', Buffer.from(Uint16Array.of(0x7e00).buffer))).toEqual({
    first: [NaN],
    min: null,
    max: null,
    nan: 1,
  });
});
