/** Memory that was used before serves again: a large result takes no pages from the system. */
import { expect, test } from 'vitest';
import { add, dispose, emptyCache, tidy, type Tensor, zeros } from '../../src/index.js';

const count = 1e7;

/** The page faults of the process during a call, in the middle of nine: others belong to JavaScript's own heap. */
async function faults(fn: () => Promise<void>): Promise<number> {
  const all: number[] = [];
  for (let i = 0; i < 9; i++) {
    const before = process.resourceUsage().minorPageFault;
    await fn();
    all.push(process.resourceUsage().minorPageFault - before);
  }
  return all.sort((a, b) => a - b)[4]!;
}

test('a fresh result of 40 MB takes fewer than ten page faults once one has been made before', async () => {
  const options = { device: 'cpu' } as const;
  const [a, b] = [zeros([count], options), zeros([count], options)];
  const result = async (): Promise<Tensor> => {
    const c = add(a, b);
    await c.ready();
    return c;
  };
  dispose(await result());
  expect(await faults(async () => dispose(await result()))).toBeLessThan(10);
  expect(await faults(() => tidy(async () => void (await result())))).toBeLessThan(10);
  // What it costs where the system must give the pages: the count sees it.
  const fresh = await faults(async () => {
    dispose(await result());
    emptyCache();
  });
  expect(fresh).toBeGreaterThan(10);
  dispose([a, b]);
});
