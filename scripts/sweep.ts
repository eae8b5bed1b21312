/**
 * `npm run test:sweep -- [--seconds N] [--seed N] [--rounds N] [--schedules N]`: random operands of random shapes and layouts for
 * every op, against the plain references: first on simulated CUDA devices, in as many schedules of blocks, warps and streams as
 * --schedules says, then on the CPU, seed after seed until the time is used up. A failure prints the seed of its sample;
 * `--seed S --seconds 1` repeats a pass.
 */
import { parseArgs } from 'node:util';
import { ensureBuilt } from './build.js';
import { sweepCuda } from './support/cudaTests.js';
import { findNvcc } from './support/nvcc.js';
import { add, finish, noTotals } from './support/runner.js';
import { runVitest } from './support/vitest.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string' },
    rounds: { type: 'string', default: '40' },
    schedules: { type: 'string', default: '8' },
  },
});
const seconds = Number(values.seconds);
let seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const rounds = Number(values.rounds);
const schedules = Number(values.schedules);
if (!(seconds > 0) || !Number.isInteger(seed) || !(rounds > 0) || !(schedules >= 0)) {
  process.stderr.write('usage: sweep.ts [--seconds N] [--seed N] [--rounds N] [--schedules N]\n');
  process.exit(2);
}

await ensureBuilt('test');
const totals = noTotals();
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

let good = true;
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
