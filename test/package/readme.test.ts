/** The README's programs run as they stand, on the sources of this checkout. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { root, start } from '../../scripts/support/runner.js';
import { readmePrograms } from './readme.js';

const folder = mkdtempSync(join(tmpdir(), 'warploom-readme-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const programs = readmePrograms();

test('the README has programs', () => expect(programs.length).toBeGreaterThan(0));

test.each(programs.map((text, i) => [i + 1, text] as const))('program %i runs', async (i, text) => {
  const file = join(folder, `program${i}.mjs`);
  const source = pathToFileURL(join(root, 'src', 'index.ts')).href;
  writeFileSync(file, text.replaceAll(`'warploom'`, JSON.stringify(source)));
  const { code, output } = await start(process.execPath, ['--import', 'tsx', file], { timeoutSeconds: 50 });
  expect(code, output).toBe(0);
  for (const [, expected] of text.matchAll(/\/\/ prints (.*)$/gm)) expect(output).toContain(expected);
});
