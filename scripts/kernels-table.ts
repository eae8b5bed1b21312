/**
 * `npm run kernels:table`: what ptxas made of each kernel for each shipped architecture, from the build of the package's fatbins, as a
 * table and as bench/results/kernels.json. Exits 1 where a kernel spills registers or a table is missing.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buildFolder, ensureKernels } from './build.js';
import { findNvcc } from './support/nvcc.js';
import { root } from './support/runner.js';

interface Row {
  kernel: string;
  arch: string;
  registers: number;
  /** static, bytes a block; what a launch asks for beside is the chooser's */
  shared: number;
  spill_stores: number;
  spill_loads: number;
  /** warps that fit a multiprocessor, of those it can hold, by registers, static shared memory and the block's size */
  occupancy: number;
}

/** Limits of a multiprocessor (CUDA C++ Programming Guide, compute capabilities): warps, blocks, bytes of shared memory. */
const limits: Record<string, { warps: number; blocks: number; shared: number }> = {
  sm_80: { warps: 64, blocks: 32, shared: 164 << 10 },
  sm_86: { warps: 48, blocks: 16, shared: 100 << 10 },
  sm_89: { warps: 48, blocks: 24, shared: 100 << 10 },
  sm_90: { warps: 64, blocks: 32, shared: 228 << 10 },
  sm_100: { warps: 64, blocks: 32, shared: 228 << 10 },
  sm_120: { warps: 48, blocks: 24, shared: 100 << 10 },
};
const registerFile = 65536;
/** Registers are given to a warp in steps of 256; the driver keeps a kilobyte of shared memory for itself in each block. */
const registerStep = 256;
const reservedShared = 1024;

function occupancyOf(arch: string, threads: number, registers: number, shared: number): number {
  const sm = limits[arch];
  if (!sm) throw new Error(`the limits of ${arch} are not known here`);
  const warps = Math.ceil(threads / 32);
  const perWarp = Math.ceil((registers * 32) / registerStep) * registerStep;
  const blocks = Math.min(
    sm.blocks,
    Math.floor(sm.warps / warps),
    Math.floor(Math.floor(registerFile / perWarp) / warps),
    Math.floor(sm.shared / (shared + reservedShared)),
  );
  return (blocks * warps) / sm.warps;
}

/** Threads of a block, from the bounds that each kernel states. */
function threadsOf(ptx: string): Map<string, number> {
  const threads = new Map<string, number>();
  for (const part of ptx.split('.entry ').slice(1)) {
    const name = /^(\w+)/.exec(part)![1]!;
    const bound = /\.maxntid (\d+)(?:, (\d+))?(?:, (\d+))?/.exec(part.slice(0, part.indexOf('{')));
    threads.set(name, bound ? Number(bound[1]) * Number(bound[2] ?? 1) * Number(bound[3] ?? 1) : 1);
  }
  return threads;
}

function rowsOf(log: string, threads: ReadonlyMap<string, number>): Row[] {
  const rows: Row[] = [];
  const entry = /Compiling entry function '(\w+)' for '(sm_\d+)'([\s\S]*?Used \d+ registers[^\n]*)/g;
  for (const [, kernel, arch, said] of log.matchAll(entry)) {
    const number = (pattern: RegExp) => Number(pattern.exec(said!)?.[1] ?? 0);
    const registers = number(/Used (\d+) registers/);
    const shared = number(/(\d+) bytes smem/);
    rows.push({
      kernel: kernel!,
      arch: arch!,
      registers,
      shared,
      spill_stores: number(/(\d+) bytes spill stores/),
      spill_loads: number(/(\d+) bytes spill loads/),
      occupancy: occupancyOf(arch!, threads.get(kernel!) ?? 1, registers, shared),
    });
  }
  return rows;
}

if (findNvcc() === undefined) {
  process.stderr.write('SKIPPED: no nvcc, so there are no kernels to tell of.\n');
  process.exit(0);
}
ensureKernels(true);
const folder = join(root, buildFolder, 'kernels-release');
const rows: Row[] = [];
let failed = false;
for (const file of readdirSync(folder).filter((name) => name.endsWith('.ptxas'))) {
  const family = basename(file, '.ptxas');
  const threads = threadsOf(readFileSync(join(folder, `${family}.ptx`), 'utf8'));
  const found = rowsOf(readFileSync(join(folder, file), 'utf8'), threads);
  if (found.length !== threads.size * Object.keys(limits).length) {
    process.stderr.write(
      `${family}: ${found.length} rows for ${threads.size} kernels: the log of ptxas is not whole\n`,
    );
    failed = true;
  }
  rows.push(...found);
}
rows.sort((a, b) => a.kernel.localeCompare(b.kernel) || a.arch.localeCompare(b.arch, undefined, { numeric: true }));
const spilling = rows.filter((row) => row.spill_stores + row.spill_loads > 0);
for (const row of spilling) process.stderr.write(`${row.kernel} spills on ${row.arch}\n`);
failed ||= spilling.length > 0 || rows.length === 0;
const results = join(root, 'bench', 'results');
mkdirSync(results, { recursive: true });
writeFileSync(join(results, 'kernels.json'), `${JSON.stringify(rows, null, 1)}\n`);

const archs = Object.keys(limits);
const names = [...new Set(rows.map((row) => row.kernel))];
const width = Math.max(...names.map((name) => name.length));
const line = (name: string, cells: readonly string[]) =>
  `${name.padEnd(width)} ${cells.map((cell) => cell.padStart(8)).join('')}\n`;
process.stdout.write('registers/occupancy in percent, by architecture; static shared memory in bytes\n');
process.stdout.write(line('', [...archs, 'shared']));
for (const name of names) {
  const own = archs.map((arch) => rows.find((row) => row.kernel === name && row.arch === arch));
  const cells = own.map((row) => (row ? `${row.registers}/${Math.round(row.occupancy * 100)}` : '-'));
  process.stdout.write(line(name, [...cells, String(Math.max(...own.map((row) => row?.shared ?? 0)))]));
}
process.stdout.write(
  `${names.length} kernels, ${archs.length} architectures, ${spilling.length} spill${spilling.length === 1 ? 's' : ''}\n`,
);
process.exitCode = failed ? 1 : 0;
