import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { simulatorLibrary } from '../../scripts/build.js';
import { root } from '../harness/surface.js';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs a module body in a process of its own, with `wl` (the library) and `addon` (its native part) in scope: a process opens its
 * CUDA driver once. The simulator is the driver, unless the variables name another.
 */
export function outside(body: string, variables: Record<string, string | undefined> = {}): Promise<Outcome> {
  const module = (name: string) => JSON.stringify(join(root, 'src', name));
  const code = `import * as wl from ${module('index.ts')};\nimport { addon } from ${module('addon.ts')};\n${body}`;
  const env = { ...process.env, WARPLOOM_DEVICE: undefined, WARPLOOM_CUDA_LIBRARY: simulatorLibrary, ...variables };
  const args = ['--import', 'tsx', '--input-type=module', '-e', code];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, env, timeout: 60_000 }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, out: out.trim(), err: err.trim() });
    });
  });
}
