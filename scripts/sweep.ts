/**
 * `npm run test:sweep -- [--seconds N] [--seed N] [--rounds N]`: random operands of random shapes and layouts for every op,
 * against the plain references, seed after seed until the time is used up. A failure prints the seed of its sample;
 * `--seed S --seconds 1` repeats a pass.
 */
import { parseArgs } from 'node:util';
import { ensureBuilt } from './build.js';
import { add, finish, noTotals } from './support/runner.js';
import { runVitest } from './support/vitest.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string' },
    rounds: { type: 'string', default: '40' },
  },
});
const seconds = Number(values.seconds);
let seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const rounds = Number(values.rounds);
if (!(seconds > 0) || !Number.isInteger(seed) || !(rounds > 0)) {
  process.stderr.write('usage: sweep.ts [--seconds N] [--seed N] [--rounds N]\n');
  process.exit(2);
}

await ensureBuilt('test');
const totals = noTotals();
const end = performance.now() + seconds * 1000;
do {
  process.stdout.write(`sweep: seed ${seed}, ${rounds} rounds\n`);
  const pass = await runVitest(['test/ops'], {
    env: { WARPLOOM_TEST_SEED: String(seed), WARPLOOM_TEST_SWEEP: String(rounds) },
    show: false,
  });
  add(totals, pass.totals);
  if (pass.totals.failed > 0) {
    process.stdout.write(pass.output);
    break;
  }
  seed++;
} while (performance.now() < end);
finish(totals);
