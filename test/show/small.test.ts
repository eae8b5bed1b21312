/** Small versions of the acceptance figures that are about surviving: the full ones are `npm run show`. */
import { expect, test } from 'vitest';
import { show as hostile } from '../../scripts/show/hostile.js';
import { show as memory } from '../../scripts/show/memory.js';
import { show as workers } from '../../scripts/show/workers.js';

test('memory is flat in tidy, fit and capture, and unscoped loops are bounded', { timeout: 240_000 }, async () => {
  const { figures, ok } = await memory(3000, 1000);
  expect(ok, figures).toBe(true);
});

test('misuse gives typed errors, and mutated files are refused or read', { timeout: 120_000 }, async () => {
  const { figures, ok } = await hostile(3000, false);
  expect(ok, figures).toBe(true);
});

test('workers train at once, and terminations and exits in mid-work are clean', { timeout: 240_000 }, async () => {
  const { figures, ok } = await workers(40, 10);
  expect(ok, figures).toBe(true);
});
