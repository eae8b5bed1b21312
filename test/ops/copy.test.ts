import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { DType } from '../../src/index.js';
import { assertClose } from '../harness/compare.js';
import { computes, covers, testDevices } from '../harness/surface.js';
import { layouts, place, read } from '../harness/values.js';
import { build, ref } from '../reference/array.js';

const all = ['float32', 'float64', 'int32', 'int64', 'uint8', 'bool'] as const;

/** What a value becomes: towards zero for integers, truth for bool. */
function converted(v: number, to: DType): number {
  if (to === 'bool') return v === 0 ? 0 : 1;
  if (to === 'float32') return Math.fround(v);
  return to === 'float64' ? v : Math.trunc(v) + 0;
}

describe.each(testDevices())('conversion on %s', (device) => {
  const dtypes = all.filter((dtype) => computes(device, dtype));
  const float64 = computes(device, 'float64');

  for (const from of dtypes) {
    test(`cast and to: ${from} to every dtype, in every layout`, async () => {
      const values = ref([2, 3], from === 'bool' ? [0, 1, 1, 0, 1, 0] : [0, 1, 2, 100, 3, 200]);
      const given = from.startsWith('float')
        ? ref(
            [2, 3],
            [...values.data].map((v) => v + 0.75),
          )
        : values;
      for (const to of dtypes) {
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
        await read(wl.cast(x, float64 ? 'float64' : 'int32')),
        build(shape, () => 1),
        () => 0,
        'cast',
      );
    }
    const odd = wl.tensor([NaN, Infinity, -Infinity], { device });
    const wide = wl.to(odd, { dtype: 'float64', device: float64 ? device : 'cpu' });
    expect(await wide.data('float64')).toEqual(Float64Array.of(NaN, Infinity, -Infinity));
    if (!float64) expect(() => wl.cast(odd, 'float64')).toThrow(wl.NotSupportedError);
    covers('cast', 'nan');
  });

  test('the gradient of a cast returns in the dtype of its input', async () => {
    const x = wl.tensor([1, 2, 3], { device, requiresGrad: true });
    wl.sum(wl.mul(wl.to(x, { dtype: 'float64', device: float64 ? device : 'cpu' }), 2)).backward();
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
