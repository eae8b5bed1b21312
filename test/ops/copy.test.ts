import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { DType } from '../../src/index.js';
import { assertClose } from '../harness/compare.js';
import { computes, covers, testDevices } from '../harness/surface.js';
import { layouts, place, read } from '../harness/values.js';
import { build, ref } from '../reference/array.js';

const dtypes = ['float32', 'float64', 'int32', 'int64', 'uint8', 'bool'] as const;

/** What a value becomes: towards zero for integers, truth for bool. */
function converted(v: number, to: DType): number {
  if (to === 'bool') return v === 0 ? 0 : 1;
  if (to === 'float32') return Math.fround(v);
  return to === 'float64' ? v : Math.trunc(v) + 0;
}

describe.each(testDevices())('conversion on %s', (device) => {
  const here = dtypes.filter((dtype) => computes(device, dtype));
  // Another floating dtype, where the device has one.
  const other = computes(device, 'float64') ? 'float64' : 'float32';
  for (const from of here) {
    test(`cast and to: ${from} to every dtype, in every layout`, async () => {
      const values = ref([2, 3], from === 'bool' ? [0, 1, 1, 0, 1, 0] : [0, 1, 2, 100, 3, 200]);
      const given = from.startsWith('float')
        ? ref(
            [2, 3],
            [...values.data].map((v) => v + 0.75),
          )
        : values;
      for (const to of here) {
        for (const layout of layouts) {
          const x = place(given, from, device, layout);
          const expected = build([2, 3], ([i, j]) => converted(x.ref.data[i! * 3 + j!]!, to));
          assertClose(await read(wl.cast(x.tensor, to)), expected, () => 0, `${from} to ${to}, ${layout}`);
          const moved = wl.to(x.tensor, { dtype: to, device });
          expect(moved.dtype).toBe(to);
          assertClose(await read(moved), expected, () => 0, `to ${to}`);
        }
      }
      covers('cast', 'value', 'edge');
      covers('to', 'value', 'edge');
    });
  }

  test('cast of empty, 0-dim and long tensors; NaN stays NaN between floats', async () => {
    for (const shape of [[], [0], [4097], [3, 33]]) {
      const x = wl.ones(shape, { device });
      assertClose(
        await read(wl.cast(x, other)),
        build(shape, () => 1),
        () => 0,
        'cast',
      );
    }
    const odd = await read(wl.cast(wl.tensor([NaN, Infinity, -Infinity], { device }), other));
    expect(odd.data).toEqual(Float64Array.of(NaN, Infinity, -Infinity));
    covers('cast', 'nan');
  });

  test('the gradient of a cast returns in the dtype of its input', async () => {
    const x = wl.tensor([1, 2, 3], { device, requiresGrad: true });
    wl.sum(wl.mul(wl.cast(x, other), 2)).backward();
    expect(x.grad!.dtype).toBe('float32');
    expect(await x.grad!.data('float32')).toEqual(Float32Array.of(2, 2, 2));
    covers('cast', 'gradient');
    covers('to', 'gradient');
  });

  test('cast and to refuse dtypes and devices that do not exist', () => {
    const x = wl.ones([2], { device });
    expect(() => wl.cast(x, 'float8' as DType)).toThrow(wl.DTypeError);
    expect(() => wl.to(x, 'nowhere')).toThrow(wl.DeviceError);
    covers('cast', 'badInput');
    covers('to', 'badInput');
  });
});
