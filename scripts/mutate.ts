/**
 * `npm run test:mutate [-- FILE[:LINE]]`: whether the tests notice a missing barrier. Each barrier and wait of each CUDA kernel is
 * skipped, one line of source at a time (CUDASIM_SKIP, so nothing is compiled anew), and the op tests of the families that hold the
 * line run in the simulator with all its checks on. Red tests or a finding: noticed. A line that nothing notices must say why in a
 * comment above it that begins with `Harmless to skip:`, and a line that says so must not be noticed.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buildFolder, ensureBuilt, kernelFolder, simulatorLibrary } from './build.js';
import { barrierLines, type BarrierLine } from './mutate/lines.js';
import { nativeTestOf, testsOf } from './mutate/tests.js';
import { findNvcc } from './support/nvcc.js';
import { finish, root, start } from './support/runner.js';
import { runVitest } from './support/vitest.js';

const harmlessMark = 'Harmless to skip:';

/** The comment right above a line, or on it. */
function reasonAt(path: string, line: number): string | undefined {
  const lines = readFileSync(path, 'utf8').split('\n');
  const comment: string[] = [];
  for (let k = line - 2; k >= 0 && /^\s*\/\//.test(lines[k]!); k--)
    comment.unshift(lines[k]!.replace(/^\s*\/\/\s?/, ''));
  const text = `${comment.join(' ')} ${lines[line - 1]?.split('//')[1] ?? ''}`;
  const at = text.indexOf(harmlessMark);
  return at < 0 ? undefined : text.slice(at + harmlessMark.length).trim();
}

/** Runs the tests of the families, one family after another, until one notices. */
async function noticed({ file, line, families }: BarrierLine, report: string): Promise<string | undefined> {
  for (const family of families) {
    const native = nativeTestOf(family);
    if (native !== undefined) {
      const args = ['--test-dir', buildFolder, '-R', `^${native}$`, '--timeout', '300', '--no-tests=error'];
      const done = await start('ctest', args, { env: { CUDASIM_SKIP: `${file}:${line}` }, timeoutSeconds: 400 });
      if (done.code !== 0) return `${family}: ${native}`;
      continue;
    }
    rmSync(report, { force: true });
    const { totals, output } = await runVitest([...testsOf(family), '--bail', '1'], {
      show: false,
      env: {
        WARPLOOM_DEVICE: 'cpu',
        WARPLOOM_TEST_DEVICES: 'cuda',
        WARPLOOM_CUDA_LIBRARY: simulatorLibrary,
        CUDASIM_SKIP: `${file}:${line}`,
        CUDASIM_REPORT: report,
      },
    });
    const findings = existsSync(report) ? readFileSync(report, 'utf8').trim().split('\n').filter(Boolean) : [];
    if (findings.length > 0) {
      const { check, kernel } = JSON.parse(findings[0]!) as { check: string; kernel: string };
      return `${family}: ${check} in ${kernel}`;
    }
    if (totals.failed > 0) return `${family}: ${/FAIL\s+(.*)/.exec(output)?.[1] ?? 'red'}`;
    if (totals.passed === 0) throw new Error(`no test of ${family} ran\n${output}`);
  }
  return undefined;
}

if (findNvcc() === undefined) {
  process.stderr.write('SKIPPED: no nvcc, so there are no kernels to change.\n');
  process.exit(0);
}
await ensureBuilt('test');
const only = process.argv[2];
const report = join(root, 'build-vitest', 'mutate-report.jsonl');
mkdirSync(join(root, 'build-vitest'), { recursive: true });
const texts = new Map(
  readdirSync(kernelFolder)
    .filter((name) => name.endsWith('.ptx'))
    .map((name) => [basename(name, '.ptx'), readFileSync(join(kernelFolder, name), 'utf8')]),
);
const lines = barrierLines(texts).filter(
  ({ file, line }) => only === undefined || only === file || only === `${file}:${line}`,
);
const totals = { passed: 0, failed: 0, skipped: 0 };
for (const at of lines) {
  const reason = reasonAt(join(root, 'native', 'cuda', 'kernels', at.file), at.line);
  const how = await noticed(at, report);
  const good = (how === undefined) === (reason !== undefined);
  const say = how !== undefined ? `noticed by ${how}` : reason !== undefined ? `harmless: ${reason}` : 'NOT NOTICED';
  process.stdout.write(
    `${at.file}:${at.line} ${say}${good || how === undefined ? '' : `, though it says it is harmless: ${reason}`}\n`,
  );
  totals[good ? 'passed' : 'failed']++;
}
if (lines.length === 0) process.stdout.write(`no barrier in ${only ?? 'any kernel'}\n`);
finish(totals);
