/**
 * A back end that neither `src/` nor `native/binding/` has heard of: a shared library with two kernels in the op table and two
 * devices (test/native/fake_device). What works here proves the seam.
 */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import * as wl from '../../src/index.js';
import { covers, root } from '../harness/surface.js';

const library = join(root, 'build-cmake', 'Release', 'fake_device.so');
const read = async (t: wl.Tensor): Promise<number[]> => Array.from(await t.data('float32'));
const on = (values: number[], shape: number[], device = 'fake') => wl.tensor(values, { shape, device });
const ramp = (n: number) => Array.from({ length: n }, (_, i) => (i % 7) - 3);

beforeAll(() => {
  expect(wl.loadBackend(library)).toEqual(['fake', 'fake:1']);
});

describe('a back end from a shared library', () => {
  it('lists its devices', () => {
    expect(wl.devices()).toEqual(expect.arrayContaining(['cpu', 'fake', 'fake:1']));
    expect(wl.device('fake:1').type).toBe('fake');
    covers('loadBackend');
  });

  it.each([0, 1, 31, 4097])('adds and copies %i elements', async (n) => {
    const a = ramp(n);
    const b = ramp(n).reverse();
    const sum = on(a, [n]).add(on(b, [n]));
    expect(sum.device.name).toBe('fake');
    expect(await read(sum)).toEqual(a.map((x, i) => Math.fround(x + b[i]!)));
    expect(await read(on(a, [n]).clone())).toEqual(a);
  });

  it('takes views: broadcast, transposed, shifted by one element', async () => {
    const x = on(ramp(12), [3, 4]);
    const v = ramp(12);
    const plus = await read(x.transpose(0, 1).add(on([10, 20, 30], [3])));
    expect(plus).toEqual(
      Array.from({ length: 12 }, (_, i) => v[(i % 3) * 4 + Math.floor(i / 3)]! + 10 * ((i % 3) + 1)),
    );
    expect(await read(on(ramp(9), [9]).slice(0, 1, 9).clone())).toEqual(ramp(9).slice(1));
    expect(await read(x.transpose(0, 1))).toEqual(
      Array.from({ length: 12 }, (_, i) => v[(i % 3) * 4 + Math.floor(i / 3)]),
    );
    expect(await read(x.add(1.5))).toEqual(v.map((w) => w + 1.5));
  });

  it('records gradients of an op whose gradient needs no kernel', async () => {
    const a = on([1, 2], [2]).requiresGrad_();
    const b = on([3, 4], [2]).requiresGrad_();
    const [ga, gb] = wl.grad([a.add(b)], [a, b], { gradOutputs: [on([5, 6], [2])] });
    expect(await read(ga!)).toEqual([5, 6]);
    expect(await read(gb!)).toEqual([5, 6]);
  });

  it('passes tensors on to other devices in queue order, and failures with them', async () => {
    const a = ramp(4097);
    const there = on(a, [4097]).add(1);
    const back = there.to('fake:1').add(1).to('cpu').mul(2);
    there.dispose();
    expect(await read(back)).toEqual(a.map((x) => 2 * (x + 2)));
    const broken = wl.tensor([1, 2], { dtype: 'int32', device: 'fake' }).add(1);
    await expect(broken.to('cpu').add(1).data()).rejects.toThrow(/computes float32 only/);
    expect(() => wl.capture((x: wl.Tensor) => x.to('fake'))(wl.tensor([1], { device: 'cpu' }))).toThrow(
      wl.CaptureError,
    );
  });

  it('has memory of its own', () => {
    const before = { cpu: wl.memory('cpu').active, fake: wl.memory('fake').active };
    const x = on(ramp(1000), [1000]);
    expect(wl.memory('fake').active).toBeGreaterThanOrEqual(before.fake + 4000);
    expect(wl.memory('cpu').active).toBe(before.cpu);
    x.dispose();
    expect(wl.memory('fake').active).toBe(before.fake);
  });

  it('refuses an op it has no kernel for, by name', () => {
    expect(() => on([1], [1]).exp()).toThrow(wl.NotSupportedError);
    expect(() => on([1], [1]).exp()).toThrow(/\[exp\].*fake/);
  });

  it('is never mixed with another device', () => {
    expect(() => on([1], [1]).add(wl.tensor([1], { device: 'cpu' }))).toThrow(wl.DeviceError);
    expect(() => on([1], [1]).add(on([1], [1], 'fake:1'))).toThrow(/fake and fake:1|fake:1 and fake/);
  });

  it('reports a failing kernel with a read of what it spoiled, and of nothing else', async () => {
    const wrong = wl.tensor(Int32Array.of(1, 2), { device: 'fake' });
    const spoiled = wrong.add(wrong);
    expect(await read(on([1], [1]).add(on([2], [1])))).toEqual([3]);
    await expect(spoiled.ready()).rejects.toThrow(/float32 only/);
    await expect(spoiled.data()).rejects.toThrow(/float32 only/);
    spoiled.dispose();
    expect(await read(on([5, 6], [2]))).toEqual([5, 6]);
  });

  it('replays a recording', async () => {
    const step = wl.capture((x: wl.Tensor) => x.add(x).add(1), { device: 'fake' });
    expect(await read(step(on([-1, 2], [2])))).toEqual([-1, 5]);
    expect(await read(step(on([3, -4], [2])))).toEqual([7, -7]);
    step.dispose();
  });
});

it('loadBackend says what is wrong with a library', () => {
  expect(() => wl.loadBackend(library)).toThrow(/fake exists already/);
  expect(() => wl.loadBackend(join(root, 'package.json'))).toThrow(wl.DeviceError);
  expect(() => wl.loadBackend(join(root, 'nowhere.so'))).toThrow(/nowhere\.so/);
  expect(() => wl.loadBackend(join(root, 'prebuilds', 'linux-x64', 'warploom.node'))).toThrow(/warploomBackend/);
  covers('loadBackend', 'badInput');
});
