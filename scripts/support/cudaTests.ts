/** Tests on CUDA devices: the simulator runs the kernels, with all its checks, in two schedules. */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { simulatorLibrary } from '../build.js';
import { findNvcc } from './nvcc.js';
import { add, noTotals, root, type Totals } from './runner.js';
import { runVitest } from './vitest.js';

/** Every family has its kernels, so every op is tested. */
const opTests = ['test/ops'];
/** Tests of the devices themselves, which need no WARPLOOM_TEST_DEVICES. */
export const cudaTests = 'test/cuda';

export interface CudaPass {
  /** of CUDASIM_SEED: the order of blocks, warps and streams */
  readonly schedule: number;
  readonly files: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly show?: boolean;
}

/** The variables of a vitest whose CUDA devices are simulated; nobody else's. */
export const simulated = { WARPLOOM_DEVICE: 'cpu', WARPLOOM_CUDA_LIBRARY: simulatorLibrary };

/** Runs tests on simulated CUDA devices. A finding of the simulator is a failure, whatever the tests say. */
export async function runCudaPass({ schedule, files, env = {}, show = true }: CudaPass) {
  const folder = join(root, 'build-vitest');
  mkdirSync(folder, { recursive: true });
  const report = join(folder, `findings-${process.pid}.jsonl`);
  rmSync(report, { force: true });
  const pass = await runVitest(files, {
    env: {
      ...simulated,
      WARPLOOM_TEST_DEVICES: 'cuda',
      CUDASIM_SEED: String(schedule),
      CUDASIM_REPORT: report,
      // vitest's two processes share the processors already.
      CUDASIM_THREADS: '1',
      ...env,
    },
    show,
  });
  if (existsSync(report)) {
    process.stdout.write(`the simulator's findings in schedule ${schedule}:\n${readFileSync(report, 'utf8')}`);
    pass.totals.failed++;
    rmSync(report);
  }
  return pass;
}

/** What `npm test` runs on CUDA devices: all in the plain schedule, the ops again in a random one. */
export async function runOnCuda(): Promise<{ totals: Totals; passed: string[] }> {
  const totals = noTotals();
  if (findNvcc() === undefined) {
    process.stdout.write(
      'SKIPPED CUDA: without nvcc there are no kernels, and NOTHING of the CUDA devices was tested\n',
    );
    return { totals: { ...totals, skipped: 1 }, passed: [] };
  }
  const plain = await runCudaPass({ schedule: 0, files: [...opTests, cudaTests] });
  // CUDASIM_SEED repeats a failure.
  const schedule = Number(process.env['CUDASIM_SEED'] ?? 1 + Math.floor(Math.random() * 2 ** 31));
  process.stdout.write(`CUDA ops again, CUDASIM_SEED=${schedule}\n`);
  const random = await runCudaPass({ schedule, files: opTests });
  for (const { totals: some } of [plain, random]) {
    add(totals, some);
    // nvcc is here: nothing may be left out.
    totals.failed += some.skipped;
    totals.skipped -= some.skipped;
  }
  return { totals, passed: plain.passed };
}

/** One pass of the sweep: the ops' tests, which take random samples when WARPLOOM_TEST_SWEEP says so. */
export const sweepCuda = (schedule: number, env: Readonly<Record<string, string>>) =>
  runCudaPass({ schedule, files: opTests, env, show: false });
