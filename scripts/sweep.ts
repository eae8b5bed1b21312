/**
 * `npm run test:sweep -- [--seconds N] [--seed N] [--rounds N] [--schedules N] [--functions N]`: first exp, log, tanh, erf and their
 * like over every one of the 2^32 float32 inputs (or every Nth, as --functions says) on each instruction set of this machine. Then
 * random operands of random shapes and layouts for every op, against the plain references: on simulated CUDA devices, in as many
 * schedules of blocks, warps and streams as --schedules says, and on the CPU, seed after seed until the time is used up. A failure
 * prints the seed of its sample; `--seed S --seconds 1 --functions 0` repeats a pass.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildFolder, ensureBuilt } from './build.js';
import { sweepCuda } from './support/cudaTests.js';
import { findNvcc } from './support/nvcc.js';
import { add, finish, noTotals, root, start, sumTotals } from './support/runner.js';
import { runVitest } from './support/vitest.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string' },
    rounds: { type: 'string', default: '40' },
    schedules: { type: 'string', default: '8' },
    functions: { type: 'string', default: '1' },
  },
});
const seconds = Number(values.seconds);
let seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const rounds = Number(values.rounds);
const schedules = Number(values.schedules);
const stride = Number(values.functions);
if (!(seconds > 0) || !Number.isInteger(seed) || !(rounds > 0) || !(schedules >= 0) || !(stride >= 0)) {
  process.stderr.write(
    'usage: sweep.ts [--seconds N] [--seed N] [--rounds N] [--schedules N] [--functions N, 0: none]\n',
  );
  process.exit(2);
}

await ensureBuilt('test');
const totals = noTotals();

/** The functions over every `stride`-th input. Minutes for all of them, outside --seconds, which is for the random passes. */
async function functions(): Promise<boolean> {
  process.stdout.write(
    stride === 1 ? 'functions: every float32 input\n' : `functions: one float32 input in ${stride}\n`,
  );
  const program = join(root, buildFolder, 'functions_test');
  const done = await start(program, ['OverTheirInputs'], { env: { WARPLOOM_TEST_STRIDE: String(stride) } });
  process.stdout.write(done.output);
  const counted = sumTotals(done.output);
  if (done.code !== 0 && counted.failed === 0) counted.failed = 1;
  add(totals, counted);
  return counted.failed === 0;
}
let good = stride === 0 || (await functions());

const end = performance.now() + seconds * 1000;
type Pass = Awaited<ReturnType<typeof runVitest>>;

/** One pass with the next seed of samples. Returns false when it failed. */
async function take(what: string, body: (env: Record<string, string>) => Promise<Pass>): Promise<boolean> {
  process.stdout.write(`sweep on ${what}: seed ${seed}, ${rounds} rounds\n`);
  const pass = await body({ WARPLOOM_TEST_SEED: String(seed), WARPLOOM_TEST_SWEEP: String(rounds) });
  seed++;
  add(totals, pass.totals);
  if (pass.totals.failed > 0) process.stdout.write(pass.output);
  return pass.totals.failed === 0;
}

if (schedules > 0 && findNvcc() === undefined) {
  process.stdout.write('SKIPPED CUDA: without nvcc there are no kernels\n');
  totals.skipped++;
} else {
  // 0 is the plain schedule, which `npm test` takes.
  for (let schedule = 1; good && schedule <= schedules; schedule++) {
    good = await take(`cuda, CUDASIM_SEED=${schedule}`, (env) => sweepCuda(schedule, env));
  }
}
while (good) {
  good = await take('cpu', (env) =>
    runVitest(['test/ops'], { env: { WARPLOOM_DEVICE: 'cpu', WARPLOOM_TEST_DEVICES: 'cpu', ...env }, show: false }),
  );
  if (performance.now() >= end) break;
}
finish(totals);
