/**
 * Whatever call the driver refuses, at whatever moment: a program gets a typed error for what it asked, does not hang, does not abort,
 * and the CPU goes on. Each function of the driver is made to fail in a process of its own. How is drawn for each, from a seed that
 * is printed and that WARPLOOM_TEST_SEED repeats.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root } from '../harness/surface.js';
import { outside } from './support.js';

const definitions = readFileSync(join(root, 'native', 'cuda', 'driver.def'), 'utf8');
const symbols = [...definitions.matchAll(/^WL_CU\(\w+, (\w+),/gm)].map(([, symbol]) => symbol!);

/** CUDASIM_FAIL's words: from the first call on, the first alone, the second alone, from the third on; out of memory, invalid, lost. */
const faults = ['1+:2', '1:2', '2:1', '3+:719'];
const seed = Number(process.env['WARPLOOM_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const drawn = (index: number) => {
  // xorshift32 of the seed and the place
  let state = (seed + Math.imul(index + 1, 0x9e3779b9)) | 0 || 1;
  for (let i = 0; i < 4; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
  }
  return faults[(state >>> 0) % faults.length]!;
};

/** Everything that reaches the driver, twice; then work of the CPU. What is not an error of ours, or of a missing operand, is foreign. */
const program = `
const told = async (needs, what) => {
  if (needs.some((tensor) => tensor === undefined)) return;
  try {
    await what();
  } catch (error) {
    if (!(error instanceof wl.WarploomError)) console.log('foreign', error);
  }
};
for (let round = 0; round < 2; round++) {
  let x, step;
  await told([], () => { x = wl.tensor([1, 2, 3, 4], { shape: [2, 2], device: 'cuda' }); });
  await told([x], () => x.matmul(x).add(1).data());
  await told([x], () => wl.embedding(wl.tensor(new Int32Array([5]), { device: 'cuda' }), x).data());
  await told([x], () => { step = wl.capture(() => x.mul(2).sum()); return step().data(); });
  await told([x, step], async () => { for (let i = 0; i < 3; i++) await step().data(); });
  await told([], () => wl.zeros([300_000], { device: 'cuda' }).slice(0, 0, 1).contiguous().data());
  await told([], () => wl.tensor(new Float32Array(100_000), { device: 'cuda' }).sum().item());
  await told([x], () => x.to('cuda:1').add(1).data());
  await told([x], () => x.to('cpu').add(1).data());
  await told([], () => wl.randn([4], { device: 'cuda' }).sum().item());
  await told([x], () => x.dataSync());
  await told([x], () => { step?.dispose(); x.dispose(); });
}
console.log(await wl.ones([2], { device: 'cpu' }).add(1).data());
`;

describe('a driver that refuses', () => {
  console.log(`faults of the driver: seed ${seed}`);
  test.concurrent.each(symbols.map((symbol, index) => `${symbol}:${drawn(index)}`))('%s', async (CUDASIM_FAIL) => {
    const { code, out, err } = await outside(program, { CUDASIM_FAIL });
    expect({ code, out }, err).toEqual({ code: 0, out: 'Float32Array(2) [ 2, 2 ]' });
  });
});
