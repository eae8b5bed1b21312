/**
 * `npm test [-- VITEST ARGUMENTS]`: builds what the tests need, runs vitest, the native tests and the surface check. With
 * arguments it runs vitest alone, on those.
 */
import { rmSync } from 'node:fs';
import { buildFolder, ensureBuilt } from './build.js';
import { add, finish, noTotals, runNative } from './support/runner.js';
import { runVitest } from './support/vitest.js';
import { evidenceFolder } from '../test/harness/surface.js';
import { judgeSurface, keepTitles } from './surface.js';

const chosen = process.argv.slice(2);
const totals = noTotals();
const began = performance.now();
const lap = (what: string) =>
  process.stdout.write(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s since the start\n`);

await ensureBuilt('test');
lap('built');
rmSync(evidenceFolder, { recursive: true, force: true });
const vitest = await runVitest(chosen);
add(totals, vitest.totals);
lap('vitest');
if (chosen.length > 0) finish(totals);
keepTitles(vitest.passed);

add(totals, await runNative(buildFolder));
lap('native tests');

const { problems } = await judgeSurface();
for (const problem of problems) process.stdout.write(`surface: ${problem}\n`);
// One check: every promised name has its cases.
add(totals, { passed: problems.length === 0 ? 1 : 0, failed: problems.length === 0 ? 0 : 1, skipped: 0 });
finish(totals);
