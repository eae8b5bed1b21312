import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bin, noTotals, root, start, type Totals } from './runner.js';

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { status: string; assertionResults: { status: string; fullName: string }[] }[];
}

/** Runs vitest and returns its totals and the names of the tests that passed; a file that does not load, or a run without a report, counts as a failure. */
export async function runVitest(
  args: readonly string[],
  {
    env = {},
    show = true,
    timeoutSeconds = 1500,
  }: { env?: Record<string, string>; show?: boolean; timeoutSeconds?: number } = {},
): Promise<{ totals: Totals; output: string; passed: string[] }> {
  const folder = join(root, 'build-vitest');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `report-${process.pid}.json`);
  rmSync(file, { force: true });
  const done = await start(bin('vitest'), ['run', ...args], {
    env: { WARPLOOM_TEST_JSON: file, ...env },
    show,
    timeoutSeconds,
  });
  const totals = noTotals();
  let passed: string[] = [];
  if (existsSync(file)) {
    const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
    rmSync(file);
    totals.passed = report.numPassedTests;
    totals.failed = report.numFailedTests;
    totals.skipped = report.numPendingTests + report.numTodoTests;
    passed = report.testResults.flatMap((r) =>
      r.assertionResults.filter((a) => a.status === 'passed').map((a) => a.fullName),
    );
    totals.failed += report.testResults.filter((r) => r.status === 'failed' && r.assertionResults.length === 0).length;
  }
  // A worker that crashed leaves a bad exit status and perhaps no failed test.
  if (done.code !== 0 && totals.failed === 0) totals.failed = 1;
  return { totals, output: done.output, passed };
}
