/**
 * `npm run test:teeth -- [PATTERN]`: breaks each op on purpose (a sign, an element off by one, a dropped tail, a wrong axis, a
 * gradient negated or doubled) and runs its tests, which must fail. A mutant that survives, or that no test reaches, is a failure
 * of the tests; a rule that an op does not have is skipped. `npm run test:teeth -- native` breaks lines of the CPU back end, for
 * each instruction set of this machine.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt } from './build.js';
import { bin, finish, noTotals, root, start } from './support/runner.js';
import { allMutants, type Bite } from './teeth/mutants.js';
import { biteNative, buildBroken, nativeBites, type NativeBite } from './teeth/native.js';

const wanted = new RegExp(process.argv[2] ?? '');
await ensureBuilt('test');
const folder = join(root, 'build-teeth');
mkdirSync(folder, { recursive: true });
const totals = noTotals();

type Outcome = 'red' | 'survived' | 'never reached' | 'no such rule';

async function bite(chosen: Bite | NativeBite, lane: number): Promise<Outcome> {
  const mark = join(folder, `mark-${process.pid}-${lane}`);
  rmSync(mark, { force: true });
  if ('broken' in chosen) return biteNative(chosen, mark);
  const { mutant, files, pattern, optional } = chosen;
  const args = ['run', ...files, '--bail', '1', '--reporter', 'dot', ...(pattern === '' ? [] : ['-t', pattern])];
  const env = { WARPLOOM_TEETH: JSON.stringify(mutant), WARPLOOM_TEETH_MARK: mark, WARPLOOM_THREADS: '1' };
  const done = await start(bin('vitest'), args, { env, timeoutSeconds: 300 });
  if (!existsSync(mark)) return optional ? 'no such rule' : 'never reached';
  return done.code !== 0 ? 'red' : 'survived';
}

const mutants = [...allMutants(), ...nativeBites()].filter((m) => wanted.test(m.name));
if (mutants.some((m) => 'broken' in m)) buildBroken();
let next = 0;
await Promise.all(
  [0, 1].map(async (lane) => {
    while (next < mutants.length) {
      const mutant = mutants[next++]!;
      const outcome = await bite(mutant, lane);
      if (outcome === 'red') totals.passed++;
      else if (outcome === 'no such rule') totals.skipped++;
      else totals.failed++;
      process.stdout.write(`${mutant.name}: ${outcome}\n`);
    }
  }),
);
finish(totals);
