/**
 * `npm run check`: everything that a commit need not wait for. Lint, types, the native tests under sanitizers, the package as a
 * user gets it, the output lines of the main job, and a share of the random sweep. At most 30 minutes on two cores.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildFolder, ensureBuilt } from './build.js';
import { runCudaPass } from './support/cudaTests.js';
import { findNvcc } from './support/nvcc.js';
import { checkPackage } from './support/package.js';
import { add, bin, finish, noTotals, runNative, start, type Totals } from './support/runner.js';

const totals = noTotals();
const began = performance.now();

/** Runs one step, says how long it took, and counts it; steps with totals of their own return them. */
async function step(name: string, body: () => Promise<Totals | boolean>): Promise<void> {
  const from = performance.now();
  let result: Totals | boolean;
  try {
    result = await body();
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    result = false;
  }
  const counted = typeof result === 'boolean' ? { passed: result ? 1 : 0, failed: result ? 0 : 1, skipped: 0 } : result;
  add(totals, counted);
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  process.stdout.write(`check ${name}: ${counted.failed === 0 ? 'ok' : 'FAILED'} (${seconds} s)\n`);
}

async function passes(command: string, args: readonly string[], timeoutSeconds = 900): Promise<boolean> {
  const done = await start(command, args, { timeoutSeconds });
  if (done.code !== 0) process.stdout.write(done.output);
  return done.code === 0;
}

/** Configures and builds the native tests, the simulator's too, with sanitizers in a folder of their own, and runs them. */
async function sanitized(folder: string, sanitizers: string, env: Record<string, string>): Promise<Totals> {
  const configure = [
    '-S',
    '.',
    '-B',
    folder,
    `-DWARPLOOM_SANITIZE=${sanitizers}`,
    '-DWARPLOOM_TESTS=ON',
    '-DWARPLOOM_CUDASIM=ON',
    `-DWARPLOOM_NVCC=${findNvcc() ?? ''}`,
  ];
  if (!(await passes('cmake', configure))) return { passed: 0, failed: 1, skipped: 0 };
  // The simulator's handlers are templates by the hundred: with sanitizers they are most of this check's time.
  if (!(await passes('cmake', ['--build', folder, '-j', '2'], 1500))) return { passed: 0, failed: 1, skipped: 0 };
  return runNative(folder, env);
}

/** The main job's lines, as scripts read them. */
async function digitsLines(): Promise<boolean> {
  const out = mkdtempSync(join(tmpdir(), 'warploom-digits-'));
  try {
    const done = await start('npm', ['run', '-s', 'digits', '--', '--device', 'cpu', '--epochs', '1', '--out', out], {
      timeoutSeconds: 300,
    });
    const wanted = [
      /^device: cpu$/m,
      /^trained: \d+ epochs in [\d.]+ s$/m,
      /^test accuracy: 0\.\d{4}$/m,
      /^weights: \S+ sha256 [0-9a-f]{64}$/m,
      /^report: \S+$/m,
    ];
    const lacking = wanted.filter((pattern) => !pattern.test(done.output));
    if (done.code !== 0 || lacking.length > 0) process.stdout.write(`${done.output}\nlacking: ${lacking.join(' ')}\n`);
    return done.code === 0 && lacking.length === 0;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

await step('build', async () => {
  await ensureBuilt('test');
  return true;
});
await step('lint', () => passes('npm', ['run', '-s', 'lint']));
await step('types', () => passes(bin('tsc'), ['--noEmit']));
await step('native tests under ASan and UBSan', () =>
  sanitized('build-asan', 'address,undefined', {
    ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  }),
);
await step('native tests under TSan', () =>
  sanitized('build-tsan', 'thread', { TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1' }),
);
await step('a million launches', () =>
  runNative(buildFolder, { CUDASIM_LAUNCHES: '1000000' }, 900, '^cudasim_driver_endurance_test$'),
);
// Memory alone is looked at: what else is known of 2^31 bytes would not fit beside them.
await step('a tensor of more than 2^31 elements', async () => {
  if (findNvcc() === undefined) return { passed: 0, failed: 0, skipped: 1 };
  const env = { WARPLOOM_TEST_LARGE: '1', CUDASIM_CHECK: 'mem' };
  return (await runCudaPass({ schedule: 0, files: ['test/cuda/device.test.ts'], env })).totals;
});
await step('package', checkPackage);
// Of the fatbins that the package has just been built with: nothing is compiled twice. A kernel that spills fails.
await step('kernels table', async () => {
  const done = await start(bin('tsx'), ['scripts/kernels-table.ts'], { timeoutSeconds: 900 });
  process.stdout.write(done.code === 0 ? `${done.output.trimEnd().split('\n').at(-1)}\n` : done.output);
  return done.code === 0;
});
await step('digits', digitsLines);
// A prime share, so that every pattern of low bits comes up; `npm run test:sweep` takes every input.
await step('sweep, one function input in 61', () =>
  passes(bin('tsx'), ['scripts/sweep.ts', '--seconds', '120', '--schedules', '1', '--functions', '61']),
);
process.stdout.write(`${((performance.now() - began) / 60_000).toFixed(1)} minutes\n`);
finish(totals);
