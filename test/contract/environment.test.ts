import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { root } from '../harness/surface.js';

const run = promisify(execFile);

/** Runs a module body in a process of its own, with the variables given. */
async function outside(body: string, env: Record<string, string>): Promise<string> {
  const code = `import * as wl from ${JSON.stringify(join(root, 'src', 'index.ts'))};\n${body}`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', code];
  return (await run(process.execPath, args, { cwd: root, env: { ...process.env, ...env } })).stdout.trim();
}

const sum = 'console.log((await wl.sum(wl.ones([3, 1000])).item()));';

test('WARPLOOM_ISA chooses the instruction set, and WARPLOOM_THREADS the number of threads', async () => {
  const show = 'await wl.zeros([1]).ready(); console.log(JSON.stringify(wl.device("cpu")), wl.device("cpu").name);';
  expect(await outside(show, { WARPLOOM_ISA: 'baseline', WARPLOOM_THREADS: '1' })).toMatch(/cpu/);
  for (const isa of ['baseline', 'avx2', 'avx512']) expect(await outside(sum, { WARPLOOM_ISA: isa })).toBe('3000');
  for (const threads of ['1', '2', '3']) expect(await outside(sum, { WARPLOOM_THREADS: threads })).toBe('3000');
});

test('WARPLOOM_DEVICE names the default device, and one that does not exist is a typed error', async () => {
  expect(await outside('console.log(String(wl.zeros([1]).device));', { WARPLOOM_DEVICE: 'cpu' })).toBe('cpu');
  const refused = 'try { wl.zeros([1]); } catch (e) { console.log(e.name); }';
  expect(await outside(refused, { WARPLOOM_DEVICE: 'nowhere' })).toBe('DeviceError');
});

test('WARPLOOM_ADDON is the only candidate where it is set; importing does not load it', async () => {
  const lazy = 'try { wl.zeros([1]); } catch (e) { console.log(e.name, e.message.includes("missing.node")); }';
  expect(await outside(lazy, { WARPLOOM_ADDON: join(root, 'missing.node') })).toBe('AddonLoadError true');
});
