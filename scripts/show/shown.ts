import { execFile } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bin, root, start } from '../support/runner.js';

/** What an acceptance figure came to, and whether that is enough. */
export interface Shown {
  readonly figures: string;
  readonly ok: boolean;
}

const folder = join(root, 'build-show');
let compiled: Promise<unknown> | undefined;

/** Library and bodies as plain JavaScript: what is measured is the library alone, without a compiler in its process. */
async function compile(): Promise<void> {
  await promisify(execFile)(bin('tsc'), ['-p', 'tsconfig.show.json'], { cwd: root });
  // The library looks for the addon beside its own folder.
  const prebuilds = join(folder, 'prebuilds');
  if (!existsSync(prebuilds)) symlinkSync(join(root, 'prebuilds'), prebuilds);
}

/** Runs a module of this folder's `bodies` in a process of its own and returns the JSON object on its last line. */
export async function measureInChild<T>(
  body: string,
  args: readonly string[],
  env: Record<string, string> = {},
  nodeArgs: readonly string[] = [],
): Promise<T> {
  await (compiled ??= compile());
  const file = join(folder, 'scripts', 'show', 'bodies', `${body}.js`);
  const done = await start(process.execPath, [...nodeArgs, file, ...args], { env, timeoutSeconds: 1800 });
  const line = done.output.trim().split('\n').at(-1) ?? '';
  if (done.code !== 0 || !line.startsWith('{')) {
    throw new Error(`${body} ${args.join(' ')} ended with ${done.signal ?? done.code}:\n${done.output}`);
  }
  return JSON.parse(line) as T;
}

/** The path of the compiled library's index.js, for workers and bare node. */
export async function compiledLibrary(): Promise<string> {
  await (compiled ??= compile());
  return join(folder, 'src', 'index.js');
}

export const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}
