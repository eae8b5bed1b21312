/** Copies between CUDA devices: ordered by the devices themselves, without a way through the host. */
import { expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { Tensor } from '../../src/index.js';
import { addon } from '../../src/addon.js';

const numbers = async (x: Tensor): Promise<number[]> => Array.from((await x.data()) as ArrayLike<number>, Number);
const ramp = (n: number) => Float32Array.from({ length: n }, (_, i) => ((i * 37) % 101) / 8 - 6);
const facts = (device: string) => addon().deviceInfo(wl.device(device).id);

test('no bytes come to the host', async () => {
  const x = wl.tensor(ramp(5000), { device: 'cuda' });
  for (const name of ['cuda', 'cuda:1']) addon().synchronize(wl.device(name).id);
  const before = [facts('cuda'), facts('cuda:1')];
  const y = x.narrow(0, 3, 4096).to('cuda:1');
  const back = y.to('cuda');
  for (const name of ['cuda', 'cuda:1']) addon().synchronize(wl.device(name).id);
  const after = [facts('cuda'), facts('cuda:1')];
  expect(after.map((fact) => fact.reads)).toEqual(before.map((fact) => fact.reads));
  // Each received one copy.
  expect(after.map((fact, k) => fact.launches - before[k]!.launches)).toEqual([1, 1]);
  expect(await numbers(y)).toEqual(Array.from(ramp(5000).subarray(3, 4099)));
  expect(await numbers(back)).toEqual(await numbers(y));
});

test('what is written to the source behind the copy does not show in it', async () => {
  const x = wl.zeros([3001], { device: 'cuda' });
  const copies: Tensor[] = [];
  for (let i = 0; i < 6; i++) {
    copies.push(x.to('cuda:1').add(0.5));
    x.add_(1);
  }
  for (const [i, copy] of copies.entries()) expect(new Set(await numbers(copy))).toEqual(new Set([i + 0.5]));
});

test('memory of the source is not taken over before the copy is done', async () => {
  const copies: Tensor[] = [];
  for (let i = 0; i < 6; i++) {
    const x = wl.full([4000], i, { device: 'cuda:1' });
    copies.push(x.to('cuda'));
    x.dispose(); // the next tensor has its block
  }
  for (const [i, copy] of copies.entries()) expect(new Set(await numbers(copy))).toEqual(new Set([i]));
});

test('both ways at once, many times', async () => {
  let [a, b] = [wl.full([777], 1, { device: 'cuda' }), wl.full([777], 2, { device: 'cuda:1' })];
  for (let i = 0; i < 20; i++) [a, b] = [b.mul(1.5).to('cuda'), a.add(i).to('cuda:1')];
  let [x, y] = [1, 2];
  for (let i = 0; i < 20; i++) [x, y] = [Math.fround(y * 1.5), x + i];
  expect(new Set(await numbers(a))).toEqual(new Set([x]));
  expect(new Set(await numbers(b))).toEqual(new Set([y]));
});

test('an index outside its range is told by whoever reads the copy, once', async () => {
  const table = wl.zeros([4, 3], { device: 'cuda' });
  const copy = wl.embedding(table, wl.tensor([1, 9], { dtype: 'int32', device: 'cuda' })).to('cuda:1');
  const error: unknown = await copy.data().catch((e: unknown) => e);
  expect(error).toBeInstanceOf(wl.IndexError);
  expect(String(error)).toContain('9');
  expect(new Set(await numbers(wl.embedding(table, wl.tensor([1], { dtype: 'int32', device: 'cuda' }))))).toEqual(
    new Set([0]),
  );
  expect(await numbers(wl.ones([2], { device: 'cuda:1' }))).toEqual([1, 1]);
});
