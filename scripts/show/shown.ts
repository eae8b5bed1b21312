import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bin, root, start } from '../support/runner.js';

/** What an acceptance figure came to, and whether that is enough. */
export interface Shown {
  readonly figures: string;
  readonly ok: boolean;
}

/** Runs a module of this folder's `bodies` in a process of its own and returns the JSON object on its last line. */
export async function measureInChild<T>(
  body: string,
  args: readonly string[],
  env: Record<string, string> = {},
  nodeArgs: readonly string[] = [],
): Promise<T> {
  const file = join(root, 'scripts', 'show', 'bodies', `${body}.ts`);
  const done = await start(process.execPath, [...nodeArgs, '--import', 'tsx', file, ...args], {
    env,
    timeoutSeconds: 1800,
  });
  const line = done.output.trim().split('\n').at(-1) ?? '';
  if (done.code !== 0 || !line.startsWith('{')) {
    throw new Error(`${body} ${args.join(' ')} ended with ${done.signal ?? done.code}:\n${done.output}`);
  }
  return JSON.parse(line) as T;
}

/** The library as plain JavaScript, for workers: they start without a compiler. Returns the path of index.js. */
export async function compiledLibrary(): Promise<string> {
  await promisify(execFile)(
    bin('tsc'),
    ['-p', 'tsconfig.build.json', '--outDir', 'build-show', '--declaration', 'false'],
    { cwd: root },
  );
  return join(root, 'build-show', 'index.js');
}

export const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}
