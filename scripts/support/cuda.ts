/** CUDA for the scripts of this repository: a card where a driver answers, else the simulator. The library itself never looks for the latter. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureKernels, ensureSimulator, simulatorLibrary } from '../build.js';
import { findNvcc } from './nvcc.js';
import { root } from './runner.js';

/** Whether a driver with a device answers. Asked in a process of its own: a process opens its driver once. */
function driverAnswers(): boolean {
  const addon = join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'warploom.node');
  const ask = `process.stdout.write(String(require(${JSON.stringify(addon)}).cudaStatus().devices))`;
  return Number(spawnSync(process.execPath, ['-e', ask], { encoding: 'utf8' }).stdout) > 0;
}

/** What the arguments and variables of a program ask for: `--device`, else WARPLOOM_DEVICE; and WARPLOOM_TEST_DEVICES. */
export function asksForCuda(args: readonly string[], env: Readonly<Record<string, string | undefined>>): boolean {
  const at = args.indexOf('--device');
  const option = at >= 0 ? args[at + 1] : args.find((arg) => arg.startsWith('--device='))?.slice('--device='.length);
  const tested = (env['WARPLOOM_TEST_DEVICES'] ?? '').split(',');
  return [option ?? env['WARPLOOM_DEVICE'] ?? '', ...tested].some((name) => name.startsWith('cuda'));
}

/**
 * Builds what a program on CUDA needs, and names the library in WARPLOOM_CUDA_LIBRARY of this process where it is the simulator.
 * Returns false where there is nothing to run: no driver, and no nvcc to make kernels for the simulator. The library says so, too.
 */
export function prepareCuda(): boolean {
  const named = process.env['WARPLOOM_CUDA_LIBRARY'] ?? '';
  const nvcc = findNvcc() !== undefined;
  if (named !== simulatorLibrary && driverAnswers()) {
    // What a card runs without compiling; without nvcc, what lies there already.
    if (nvcc) ensureKernels(true);
    return true;
  }
  if (!nvcc) {
    process.stderr.write('No CUDA driver answers, and without nvcc there are no kernels to simulate.\n');
    return false;
  }
  if (named !== '' && named !== simulatorLibrary) return true;
  ensureKernels(false);
  ensureSimulator();
  process.env['WARPLOOM_CUDA_LIBRARY'] = simulatorLibrary;
  // A program trains for minutes, and looking for races takes as long again; the ops' tests look for them.
  const checks = (process.env['CUDASIM_CHECK'] ??= 'mem,init');
  const how = `CUDASIM_CHECK=${checks}, where mem,init,race,sync are all`;
  process.stderr.write(
    `No CUDA driver answers: CUDA devices are simulated on the CPU (${simulatorLibrary}; ${how}).\n`,
  );
  return true;
}
