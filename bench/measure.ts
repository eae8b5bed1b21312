/** One process for each peer, so that no one's threads stay awake in another's time. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emptyRow, type CaseName, type Row } from './cases.js';
import type { Machine } from './table.js';

export const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '..');

export interface Done {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface Peer {
  readonly name: string;
  /** how often a run of the benchmark asks it: slow peers once */
  readonly rounds: 'all' | 'first';
  /** Runs the cases in a process of their own; rows come as lines of JSON. */
  measure(threads: number, cases: readonly (CaseName | '--memory')[]): Done;
  /** Runs one case in a fresh process for its `peak_mb`, where the peer can. */
  memory?(threads: number, name: CaseName): Done;
}

export function run(command: string, args: readonly string[], env: Record<string, string> = {}): Done {
  const limit = 600_000;
  const done = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: limit,
  });
  return { status: done.status, stdout: done.stdout ?? '', stderr: done.error ? done.error.message : done.stderr };
}

export const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/** Rows of a peer's process; each case without one becomes a row with the reason. */
export function rowsOf(peer: string, threads: number, cases: readonly CaseName[], done: Done): Row[] {
  const rows = done.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Row);
  const error = lastLine(done.stderr) || `ended with status ${done.status}`;
  const absent = cases.filter((name) => !rows.some((row) => row.case === name));
  return [...rows, ...absent.map((name) => ({ ...emptyRow(rows[0]?.peer ?? peer, name, threads), error }))];
}

/** Puts a peer's `peak_mb` of a case into its row. */
export function addMemory(peer: Peer, threads: number, name: CaseName, rows: readonly Row[]): void {
  const row = rows.find(
    (each) => each.case === name && each.peer.split(' ')[0] === peer.name && each.error === undefined,
  );
  if (peer.memory === undefined || row === undefined) return;
  const { peak_mb } = rowsOf(peer.name, threads, [name], peer.memory(threads, name))[0]!;
  if (peak_mb !== undefined) row.peak_mb = peak_mb;
}

/** Rows of the same peer, case and threads become one: the median of the medians, the least minimum, all repetitions. */
export function merged(rows: readonly Row[]): Row[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = [row.peer, row.case, row.threads, row.dtype].join('|');
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((group) => {
    const good = group.filter((row) => row.error === undefined);
    if (good.length === 0) return group[0]!;
    const medians = good.map((row) => row.median_ms).sort((a, b) => a - b);
    return {
      ...good[0]!,
      median_ms: medians[medians.length >> 1]!,
      min_ms: Math.min(...good.map((row) => row.min_ms)),
      reps: good.reduce((sum, row) => sum + row.reps, 0),
    };
  });
}

/** Compiles the small probe and measures the machine with it; the reason where that fails. */
export function machineOf(threads: number): Machine | string {
  const probe = join(root, 'build-bench', 'peak');
  mkdirSync(dirname(probe), { recursive: true });
  const built = run('g++', ['-O3', '-march=native', '-pthread', '-o', probe, join(here, 'native', 'peak.cc')]);
  if (built.status !== 0) return lastLine(built.stderr) || 'g++ failed';
  const done = run(probe, [String(threads)]);
  return done.status === 0 ? (JSON.parse(done.stdout) as Machine) : lastLine(done.stderr);
}

/** The peak as a row: the time of 1e9 floating-point operations, and the rates themselves. */
export function peakRow(threads: number, measured: Machine | string): Row {
  const row = emptyRow('machine', 'peak', threads);
  if (typeof measured === 'string') return { ...row, error: measured };
  const ms = 1000 / measured.gflops;
  return { ...row, median_ms: ms, min_ms: ms, reps: 7, ...measured };
}

export const warploom: Peer = {
  name: 'warploom',
  rounds: 'all',
  measure: (threads, cases) =>
    run(process.execPath, ['--import', 'tsx', join(here, 'ours.ts'), ...cases], { WARPLOOM_THREADS: String(threads) }),
  memory(threads, name) {
    return this.measure(threads, ['--memory', name]);
  },
};

/** Debian's PyTorch needs its OpenBLAS with OpenMP found first: with the plain one two threads are many times slower. */
export const pytorch: Peer = {
  name: 'pytorch',
  rounds: 'all',
  measure(threads, cases) {
    const openblas = '/usr/lib/x86_64-linux-gnu/openblas-openmp';
    const env = { OMP_NUM_THREADS: String(threads), ...(existsSync(openblas) ? { LD_LIBRARY_PATH: openblas } : {}) };
    const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
    return run(python, [join(here, 'pytorch.py'), String(threads), ...cases], env);
  },
  memory(threads, name) {
    return this.measure(threads, ['--memory', name]);
  },
};

/** The peers in JavaScript, with a package.json and a lock of their own, installed on the first run; or what kept them from it. */
export function jsPeers(): Peer[] {
  const installed = installPeers();
  return ['tfjs-wasm', 'jax-js-wasm'].map((name) => ({
    name,
    rounds: 'first',
    measure: (threads, cases) =>
      installed.status === 0
        ? run(process.execPath, [join(here, 'peers', `${name}.mjs`), String(threads), ...cases])
        : installed,
  }));
}

/** bench/node_modules as its lock says. */
export function installPeers(): Done {
  if (existsSync(join(here, 'node_modules', '.package-lock.json'))) return { status: 0, stdout: '', stderr: '' };
  // onnxruntime-node's own script fetches CUDA libraries, which nothing here uses.
  return run('npm', ['ci', '--prefix', here, '--ignore-scripts', '--no-audit', '--no-fund']);
}
