import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import { assertClose } from '../harness/compare.js';
import { covers, testDevices } from '../harness/surface.js';
import { place, Random, fill, layouts, read } from '../harness/values.js';
import type { Ref } from '../reference/array.js';
import * as reference from '../reference/elementwise.js';

type Name = 'add_' | 'sub_' | 'mul_' | 'div_';
const wanted: Record<Name, (a: Ref, b: Ref) => Ref> = {
  add_: reference.add,
  sub_: reference.sub,
  mul_: reference.mul,
  div_: reference.div,
};
const names = Object.keys(wanted) as Name[];
const rounding = (expected: Ref) => (i: number) => Math.abs(expected.data[i]!) * 2 ** -22;

describe.each(testDevices())('writing in place on %s', (device) => {
  test.each(names)('%s writes its target in every layout and shape', async (name) => {
    const random = new Random(11);
    for (const [shape, other] of [
      [
        [2, 3],
        [2, 3],
      ],
      [[3, 33], [33]],
      [
        [2, 4097],
        [2, 1],
      ],
      [[31], []],
      [[0, 3], [3]],
    ] as const) {
      for (const layout of layouts.filter((l) => l !== 'expanded')) {
        const a = place(fill(shape, 'normal', random), 'float32', device, layout);
        const b = place(fill(other, 'normal', random), 'float32', device);
        const before = a.tensor.version;
        expect(a.tensor[name](b.tensor)).toBe(a.tensor);
        expect(a.tensor.version).toBeGreaterThan(before);
        const expected = wanted[name](a.ref, b.ref);
        assertClose(await read(a.tensor), expected, rounding(expected), `${name} [${shape.join(', ')}], ${layout}`);
      }
    }
    covers(`Tensor.${name}`, 'value', 'edge');
  });

  test.each(names)('%s refuses what it cannot do', (name) => {
    const x = wl.ones([2, 3], { device });
    expect(() => x[name](wl.ones([2, 4], { device }))).toThrow(wl.ShapeError);
    expect(() => wl.ones([3], { device })[name](x)).toThrow(/\(3,?\).*\(2, 3\)/);
    const leaf = wl.ones([2, 3], { device, requiresGrad: true });
    expect(() => leaf[name](x)).toThrow(wl.InPlaceError);
    expect(() => wl.expand(wl.ones([1, 3], { device }), [2, 3])[name](x)).toThrow(wl.InPlaceError);
    x.dispose();
    expect(() => x[name](2)).toThrow(wl.DisposedError);
    covers(`Tensor.${name}`, 'badInput');
  });

  test('a changed saved tensor makes backward throw, naming op and versions', () => {
    const x = wl.ones([3], { device, requiresGrad: true });
    const y = wl.exp(wl.mul(x, 2));
    const z = wl.mul(y, y);
    y.add_(1);
    expect(() => wl.sum(z).backward()).toThrow(/mul.*version/s);
  });

  test('zero_, fill_ and copy_ write through views', async () => {
    const x = wl.ones([3, 4], { device });
    wl.slice(x, 1, 1, 3).zero_();
    expect(await wl.sum(x).item()).toBe(6);
    wl.slice(x, 0, 2).fill_(5);
    expect((await read(x)).data.slice(8)).toEqual(Float64Array.of(5, 5, 5, 5));
    x.copy_(wl.tensor([1, 2, 3, 4], { device, dtype: 'int32' }));
    expect((await read(x)).data).toEqual(Float64Array.of(1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4));
    expect(() => x.copy_(wl.ones([5], { device }))).toThrow(wl.ShapeError);
    for (const name of ['zero_', 'fill_', 'copy_']) covers(`Tensor.${name}`, 'value');
  });

  test('uniform_ and normal_ draw in their range', async () => {
    const x = wl.zeros([3, 101], { device });
    x.uniform_(2, 3, { generator: new wl.Generator({ seed: 4 }) });
    const uniform = (await read(x)).data;
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...uniform)).toBeLessThan(3);
    expect(new Set(uniform).size).toBeGreaterThan(290);
    x.normal_(10, 0.5, { generator: new wl.Generator({ seed: 4 }) });
    const normal = (await read(x)).data;
    const mean = normal.reduce((s, v) => s + v, 0) / normal.length;
    expect(Math.abs(mean - 10)).toBeLessThan(0.15);
    covers('Tensor.uniform_');
    covers('Tensor.normal_');
  });
});
