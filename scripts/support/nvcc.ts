/** Where nvcc is. Every script asks here, and CMake is told: WARPLOOM_NVCC. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export class NvccError extends Error {}

function runnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The path of nvcc: what WARPLOOM_NVCC says (empty: as if there were none), else from PATH, else where a toolkit installs itself. Throws NvccError. */
export function findNvcc(env: Readonly<Record<string, string | undefined>> = process.env): string | undefined {
  const said = env['WARPLOOM_NVCC'];
  if (said !== undefined) {
    if (said === '' || runnable(said)) return said || undefined;
    throw new NvccError(`WARPLOOM_NVCC=${said} is not a program that can be run`);
  }
  const folders = [...(env['PATH'] ?? '').split(delimiter).filter(Boolean), '/usr/local/cuda/bin'];
  return folders.map((folder) => join(folder, 'nvcc')).find(runnable);
}
