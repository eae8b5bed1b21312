/** What the test scripts share: starting programs, summing totals, and the closing line. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNvcc } from './nvcc.js';

export const root = join(fileURLToPath(new URL('.', import.meta.url)), '..', '..');
export const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

export interface Finished {
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly seconds: number;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** shows the output as it comes */
  readonly show?: boolean;
  readonly timeoutSeconds?: number;
}

/** Runs a program to its end, and returns stdout and stderr as one text. It never rejects for a failing program. */
export function start(command: string, args: readonly string[], options: StartOptions = {}): Promise<Finished> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const timer = options.timeoutSeconds
      ? setTimeout(() => {
          output += `\nstopped after ${options.timeoutSeconds} s\n`;
          child.kill('SIGKILL');
        }, options.timeoutSeconds * 1000)
      : undefined;
    const take = (chunk: Buffer) => {
      output += chunk.toString();
      if (options.show) process.stdout.write(chunk);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, signal, output, seconds: (performance.now() - began) / 1000 });
    });
  });
}

export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

export const noTotals = (): Totals => ({ passed: 0, failed: 0, skipped: 0 });

export function add(to: Totals, more: Totals): void {
  to.passed += more.passed;
  to.failed += more.failed;
  to.skipped += more.skipped;
}

export const closing = ({ passed, failed, skipped }: Totals): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;

/** Sums every line `N passed, N failed, N skipped` of an output. */
export function sumTotals(output: string): Totals {
  const totals = noTotals();
  for (const [, passed, failed, skipped] of output.matchAll(/(\d+) passed, (\d+) failed, (\d+) skipped/g)) {
    add(totals, { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) });
  }
  return totals;
}

/** Prints the closing line and ends the process with the status that fits. */
export function finish(totals: Totals, ok = true): never {
  process.stdout.write(`${closing(totals)}\n`);
  process.exit(ok && totals.failed === 0 && totals.passed > 0 ? 0 : 1);
}

/** Only the absence of nvcc may skip a native test: where it is, a skip is a failure. */
export function judgeSkips(totals: Totals, nvcc: boolean): void {
  if (totals.skipped === 0 || !nvcc) return;
  process.stdout.write('nvcc is here, so a skipped native test is a failure\n');
  totals.failed += totals.skipped;
  totals.skipped = 0;
}

/** Runs the native tests of a build folder, or those whose name matches `only`. A test program that dies counts as one failure. What is skipped is always shown. */
export async function runNative(
  folder: string,
  env: Record<string, string> = {},
  timeoutSeconds = 900,
  only?: string,
): Promise<Totals> {
  const chosen = only === undefined ? [] : ['-R', only];
  const args = ['--test-dir', folder, '--verbose', '--parallel', '2', '--timeout', '600', ...chosen];
  const done = await start('ctest', args, { env, timeoutSeconds });
  const totals = sumTotals(done.output);
  const crashed = /(\d+) tests failed out of (\d+)/.exec(done.output);
  if (done.code !== 0 && totals.failed === 0) totals.failed += Math.max(1, Number(crashed?.[1] ?? 1));
  if (/No tests were found/.test(done.output)) totals.failed += 1;
  for (const [line] of done.output.matchAll(/SKIPPED .*/g)) process.stdout.write(`${line}\n`);
  judgeSkips(totals, findNvcc() !== undefined);
  if (done.code !== 0 || totals.failed > 0) process.stdout.write(done.output);
  return totals;
}
