/** What a user sees where no addon fits: importing works, the first use says which files were tried and what to do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { root, start } from '../../scripts/support/runner.js';

const folder = mkdtempSync(join(tmpdir(), 'warploom-loader-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const entry = pathToFileURL(join(root, 'src', 'index.ts')).href;
const program = `
const { zeros, AddonLoadError } = await import(${JSON.stringify(entry)});
console.log('imported');
try {
  zeros([1]);
} catch (error) {
  console.log(error instanceof AddonLoadError, error.code);
  console.log(error.message);
}`;

async function use(addon: string): Promise<string> {
  const args = ['--import', 'tsx', '--input-type=module', '-e', program];
  const { code, output } = await start(process.execPath, args, { env: { WARPLOOM_ADDON: addon }, timeoutSeconds: 50 });
  expect(code, output).toBe(0);
  return output;
}

test('a file that is not there', async () => {
  const path = join(folder, 'absent.node');
  const output = await use(path);
  expect(output).toMatch(/^imported\ntrue ERR_ADDON_LOAD\n/);
  expect(output).toContain(`${path}: no such file`);
  expect(output).toContain('node-gyp rebuild');
});

test('a file that is no library', async () => {
  const path = join(folder, 'text.node');
  writeFileSync(path, 'not a library, and long enough to hold the header of one. '.repeat(20));
  const output = await use(path);
  expect(output).toMatch(/^imported\ntrue ERR_ADDON_LOAD\n/);
  expect(output).toContain(`${path}: `);
  expect(output).toContain('invalid ELF header');
});
