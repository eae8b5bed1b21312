/** Where the scripts look for nvcc, and what its absence may skip. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findNvcc } from '../../scripts/support/nvcc.js';
import { judgeSkips } from '../../scripts/support/runner.js';

const folder = mkdtempSync(join(tmpdir(), 'warploom-nvcc-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('WARPLOOM_NVCC names nvcc, empty means none, and PATH is next', () => {
  const [first, second] = ['first', 'second'].map((name) => {
    mkdirSync(join(folder, name));
    const file = join(folder, name, 'nvcc');
    writeFileSync(file, '#!/bin/sh\n');
    chmodSync(file, 0o755);
    return file;
  });
  const PATH = [join(folder, 'absent'), join(folder, 'first'), join(folder, 'second')].join(':');
  expect(findNvcc({ PATH })).toBe(first);
  expect(findNvcc({ PATH, WARPLOOM_NVCC: second })).toBe(second);
  expect(findNvcc({ PATH, WARPLOOM_NVCC: '' })).toBeUndefined();
  expect(() => findNvcc({ PATH, WARPLOOM_NVCC: join(folder, 'absent') })).toThrow(/absent is not a program/);
  chmodSync(first!, 0o644);
  expect(findNvcc({ PATH })).toBe(second);
});

test('with nvcc a skipped native test is a failure', () => {
  const having = { passed: 3, failed: 0, skipped: 2 };
  judgeSkips(having, true);
  expect(having).toEqual({ passed: 3, failed: 2, skipped: 0 });
  const without = { passed: 3, failed: 0, skipped: 2 };
  judgeSkips(without, false);
  expect(without).toEqual({ passed: 3, failed: 0, skipped: 2 });
});
