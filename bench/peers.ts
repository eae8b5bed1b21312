/** The JavaScript peers: bench/package.json has a lock of its own, and is installed on the first run. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CaseName } from './cases.js';

export interface Done {
  status: number | null;
  stdout: string;
  stderr: string;
}

export type Run = (command: string, args: readonly string[], env?: Record<string, string>) => Done;

export interface Peer {
  readonly name: string;
  /** Runs the cases in a process of their own; rows come as lines of JSON. */
  measure(threads: number, cases: readonly CaseName[]): Done;
}

const here = dirname(fileURLToPath(import.meta.url));

/** The peers, or what kept them from being installed as the answer of each. */
export function jsPeers(run: Run): Peer[] {
  const installed = existsSync(join(here, 'node_modules', '.package-lock.json'))
    ? { status: 0, stdout: '', stderr: '' }
    : // onnxruntime-node's own script fetches CUDA libraries, which nothing here uses.
      run('npm', ['ci', '--prefix', here, '--ignore-scripts', '--no-audit', '--no-fund']);
  return ['tfjs-wasm', 'jax-js-wasm'].map((name) => ({
    name,
    measure: (threads, cases) => {
      if (installed.status !== 0) return installed;
      const program = join(here, 'peers', `${name}.mjs`);
      return run(process.execPath, [program, String(threads), ...cases]);
    },
  }));
}
