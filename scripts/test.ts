/**
 * `npm test [-- VITEST ARGUMENTS]`: builds what the tests need, runs vitest on the CPU and on simulated CUDA devices, the native
 * tests and the surface check. With arguments it runs vitest alone, on those.
 */
import { rmSync } from 'node:fs';
import { buildFolder, ensureBuilt } from './build.js';
import { cudaTests, runOnCuda, simulated } from './support/cudaTests.js';
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
// What is chosen may be of CUDA devices, and WARPLOOM_TEST_DEVICES may name them.
const vitest =
  chosen.length > 0
    ? await runVitest(chosen, { env: simulated })
    : await runVitest(['--exclude', `${cudaTests}/**`], {
        env: { WARPLOOM_DEVICE: 'cpu', WARPLOOM_TEST_DEVICES: 'cpu' },
      });
add(totals, vitest.totals);
lap('vitest');
if (chosen.length > 0) finish(totals);

const cuda = await runOnCuda();
add(totals, cuda.totals);
lap('vitest on CUDA');
keepTitles([...vitest.passed, ...cuda.passed]);

add(totals, await runNative(buildFolder));
lap('native tests');

// Every claim needs its case on each device.
process.env['WARPLOOM_TEST_DEVICES'] = cuda.passed.length > 0 ? 'cpu,cuda' : 'cpu';
const { problems } = await judgeSurface();
for (const problem of problems) process.stdout.write(`surface: ${problem}\n`);
// One check: every promised name has its cases.
add(totals, { passed: problems.length === 0 ? 1 : 0, failed: problems.length === 0 ? 0 : 1, skipped: 0 });
finish(totals);
