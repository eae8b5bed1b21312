/**
 * `npm run bench -- [--json FILE] [--threads 1,2] [REGEX]`: warploom beside its peers, one process for each peer and thread count, so
 * that no one's threads stay awake in another's time. REGEX picks cases. A peer that cannot do a case gets a row with the reason.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { caseNames, work, type CaseName, type Row } from './cases.js';
import { jsPeers, type Done } from './peers.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');

interface Machine {
  gflops: number;
  gbytes: number;
}

function run(command: string, args: readonly string[], env: Record<string, string> = {}): Done {
  const limit = 600_000;
  const done = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: limit,
  });
  return { status: done.status, stdout: done.stdout ?? '', stderr: done.error ? done.error.message : done.stderr };
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

const progress = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

/** Rows of a peer's process; each case without one becomes a row with the reason. */
function rowsOf(peer: string, threads: number, cases: readonly CaseName[], done: Done): Row[] {
  const rows = done.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Row);
  const reason = lastLine(done.stderr) || `ended with status ${done.status}`;
  const absent = cases.filter((name) => !rows.some((row) => row.case === name));
  return [...rows, ...absent.map((name) => cannot(rows[0]?.peer ?? peer, name, threads, reason))];
}

const rowOf = (peer: string, name: CaseName, threads: number, rest: Partial<Row>): Row => ({
  peer,
  case: name,
  threads,
  dtype: 'float32',
  median_ms: 0,
  min_ms: 0,
  reps: 0,
  ...rest,
});

const cannot = (peer: string, name: CaseName, threads: number, error: string): Row =>
  rowOf(peer, name, threads, { error });

/** The peak as a row: the time of 1e9 floating-point operations, and the rates themselves. */
function peakRow(threads: number, measured: Machine | string): Row {
  if (typeof measured === 'string') return cannot('machine', 'peak', threads, measured);
  const ms = 1000 / measured.gflops;
  return rowOf('machine', 'peak', threads, { median_ms: ms, min_ms: ms, reps: 7, ...measured });
}

/** Compiles the small probe once and measures the machine with it. */
function machine(threads: number): Machine | string {
  const probe = join(root, 'build-bench', 'peak');
  mkdirSync(dirname(probe), { recursive: true });
  const built = run('g++', ['-O3', '-march=native', '-pthread', '-o', probe, join(here, 'native', 'peak.cc')]);
  if (built.status !== 0) return lastLine(built.stderr) || 'g++ failed';
  const done = run(probe, [String(threads)]);
  return done.status === 0 ? (JSON.parse(done.stdout) as Machine) : lastLine(done.stderr);
}

/** Debian's PyTorch needs its OpenBLAS with OpenMP found first: with the plain one two threads are many times slower. */
function pytorch(threads: number, cases: readonly CaseName[]): Row[] {
  const openblas = '/usr/lib/x86_64-linux-gnu/openblas-openmp';
  const env = { OMP_NUM_THREADS: String(threads), ...(existsSync(openblas) ? { LD_LIBRARY_PATH: openblas } : {}) };
  const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
  return rowsOf('pytorch', threads, cases, run(python, [join(here, 'pytorch.py'), String(threads), ...cases], env));
}

function ours(threads: number, cases: readonly CaseName[]): Row[] {
  const done = run(process.execPath, ['--import', 'tsx', join(here, 'ours.ts'), ...cases], {
    WARPLOOM_THREADS: String(threads),
  });
  return rowsOf('warploom', threads, cases, done);
}

const time = (ms: number): string => (ms < 0.1 ? `${(ms * 1000).toFixed(2)} us` : `${ms.toFixed(2)} ms`);

/** One line a case: each peer's median, ours over theirs, and the floor that the machine sets. */
function print(rows: readonly Row[], threads: number, measured: Machine | string): void {
  const cores = cpus();
  console.log(
    `\n${threads} thread${threads === 1 ? '' : 's'} of ${cores.length} on ${cores[0]?.model ?? 'an unknown CPU'}`,
  );
  if (typeof measured === 'string') console.log(`peak: cannot (${measured})`);
  else console.log(`peak: ${measured.gflops.toFixed(0)} GFLOP/s of float32 fma, ${measured.gbytes.toFixed(1)} GB/s`);
  for (const name of caseNames.filter((each) => each !== 'peak')) {
    const here = rows.filter((row) => row.case === name && row.threads === threads);
    const own = here.find((row) => row.peer === 'warploom');
    if (here.length === 0) continue;
    const cells = here.map((row) => {
      if (row.error !== undefined) return `${row.peer} cannot (${row.error})`;
      const ratio =
        own && own !== row && own.error === undefined
          ? `, ours takes ${Number((own.median_ms / row.median_ms).toPrecision(2))} of it`
          : '';
      return `${row.peer} ${time(row.median_ms)} (min ${time(row.min_ms)})${ratio}`;
    });
    if (typeof measured !== 'string') {
      const floor = Math.max(work[name].flops / measured.gflops, work[name].bytes / measured.gbytes) / 1e6;
      if (floor > 0) cells.push(`floor ${time(floor)}`);
    }
    console.log(`${name.padEnd(12)} ${cells.join(' | ')}`);
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, threads: { type: 'string' } },
});
const pattern = new RegExp(positionals[0] ?? '');
const wanted = caseNames.filter((name) => pattern.test(name));
const cases = wanted.filter((name) => name !== 'peak');
const counts = values.threads
  ? values.threads.split(',').map(Number)
  : [...new Set([1, Math.min(2, availableParallelism()), availableParallelism()])];

const all: Row[] = [];
for (const threads of counts) {
  // Measured on every run, asked for or not: floors are read against it.
  const measured = machine(threads);
  const rows: Row[] = [];
  if (wanted.includes('peak')) rows.push(peakRow(threads, measured));
  if (cases.length > 0) {
    progress(`${cases.join(' ')} with ${threads} thread${threads === 1 ? '' : 's'}; a minute or more for each peer`);
    rows.push(...ours(threads, cases), ...pytorch(threads, cases));
    for (const peer of jsPeers(run)) rows.push(...rowsOf(peer.name, threads, cases, peer.measure(threads, cases)));
  }
  print(rows, threads, measured);
  all.push(...rows);
}
if (values.json) {
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(all, null, 2)}\n`);
}
if (all.some((row) => row.peer === 'warploom' && row.error !== undefined)) process.exitCode = 1;
