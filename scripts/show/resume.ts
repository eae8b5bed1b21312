/**
 * The main job gives the same weights to the bit: repeated, at 1, 2 and 3 threads, eager and captured, and killed at three random
 * steps and resumed. Compared by the sha256 of the weights' file.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, start } from '../support/runner.js';
import type { Shown } from './shown.js';

const program = ['--import', 'tsx', join(root, 'examples', 'digits.ts'), '--device', 'cpu', '--seed', '0'];

function hashOf(output: string): string {
  const found = /^weights: \S+ sha256 ([0-9a-f]{64})$/m.exec(output);
  if (!found) throw new Error(`no line of weights in:\n${output}`);
  return found[1]!;
}

async function whole(
  out: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ hash: string; seconds: number }> {
  const done = await start(process.execPath, [...program, '--out', out, ...args], { env, timeoutSeconds: 900 });
  if (done.code !== 0) throw new Error(done.output);
  return { hash: hashOf(done.output), seconds: done.seconds };
}

/** Kills the run after `wait` seconds, as a power failure would. */
function killed(out: string, args: string[], wait: number): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...program, '--out', out, ...args], { cwd: root, stdio: 'ignore' });
    const timer = setTimeout(() => child.kill('SIGKILL'), wait * 1000);
    child.on('exit', (_, signal) => {
      clearTimeout(timer);
      resolve(signal === 'SIGKILL');
    });
  });
}

export async function show(epochs = 4): Promise<Shown> {
  const folder = mkdtempSync(join(tmpdir(), 'warploom-resume-'));
  const args = ['--epochs', String(epochs)];
  try {
    const first = await whole(join(folder, 'first'), args);
    const different: string[] = [];
    const compare = async (name: string, more: string[], env: Record<string, string> = {}) => {
      const { hash } = await whole(join(folder, name.replaceAll(' ', '-')), [...args, ...more], env);
      if (hash !== first.hash) different.push(name);
    };
    await compare('repeated', []);
    for (const threads of ['1', '2', '3']) await compare(`${threads} threads`, [], { WARPLOOM_THREADS: threads });
    await compare('eager', ['--eager']);
    await compare('captured', ['--capture']);
    // Each life is shorter than the one before left to do, so all three kills hit a run in progress.
    let kills = 0;
    const out = join(folder, 'killed');
    for (let i = 0; i < 3; i++) {
      const wait = first.seconds * (0.15 + Math.random() * 0.15);
      if (await killed(out, i === 0 ? args : [...args, '--resume'], wait)) kills++;
    }
    const { hash } = await whole(out, [...args, '--resume']);
    if (hash !== first.hash) different.push('killed and resumed');
    const figures = `sha256 ${first.hash.slice(0, 12)}, repeats, 1 2 3 threads, eager, captured, ${kills} kills: ${different.length === 0 ? 'all equal' : `different: ${different.join(', ')}`}`;
    return { figures, ok: different.length === 0 && kills === 3 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
