/**
 * `npm run traffic [-- [--kernels] [NAME]]`: the memory traffic of each family of CUDA kernels, as the simulator models it: bytes moved (sectors of 32 bytes)
 * against the bytes that must move, sectors a request, bank cycles against the ideal. Prints a table and writes
 * bench/results/traffic.json. Exits 1 where an op that is bound by memory moves over a twentieth more than it must, or takes over a
 * tenth more bank cycles than it must, and where an op launches other kernels than it promises.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt, ensureKernels, ensureSimulator, simulatorLibrary } from './build.js';
import { findNvcc } from './support/nvcc.js';
import { bin, root, start } from './support/runner.js';
import { cases as allCases, casesNamed } from './traffic/cases.js';

interface Launch {
  kernel: string;
  globalLoadRequests: number;
  globalStoreRequests: number;
  globalLoadSectors: number;
  globalStoreSectors: number;
  sharedCycles: number;
  sharedIdealCycles: number;
  sharedBytes: number;
  flops32: number;
  mma: number;
}

interface Row {
  kernel: string;
  shape: string;
  bytes: number;
  compulsory: number;
  sectors_per_request: number;
  bank_ratio: number;
  mma: number;
  mma_min: number;
  launches: number;
}

const cases = casesNamed(process.argv.slice(2));
const allowed = 1.05;
const allowedBanks = 1.1;
const sectorBytes = 32;

if (findNvcc() === undefined) {
  process.stderr.write('SKIPPED: no nvcc, so there are no kernels to count.\n');
  process.exit(0);
}
await ensureBuilt('addon');
ensureKernels(false);
ensureSimulator();
const folder = mkdtempSync(join(tmpdir(), 'warploom-traffic-'));
const done = await start(bin('tsx'), [join(root, 'scripts', 'traffic', 'run.ts'), ...process.argv.slice(2)], {
  env: {
    WARPLOOM_CUDA_LIBRARY: simulatorLibrary,
    CUDASIM_COUNTERS: join(folder, 'counters.jsonl'),
    CUDASIM_CHECK: 'none',
  },
  timeoutSeconds: 1500,
});
rmSync(folder, { recursive: true, force: true });
const told = done.output
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line) as { name: string; launches?: Launch[]; error?: string });

const rows: Row[] = [];
let short = done.code !== 0 || told.length !== cases.length;
if (short) process.stderr.write(done.output);
process.stdout.write('modelled; ratio: bytes moved over bytes that must move\n');
process.stdout.write(
  `${'op'.padEnd(25)}${'shape'.padEnd(30)}${'ratio'.padStart(8)}${'sectors'.padStart(9)}${'banks'.padStart(8)}  launches\n`,
);
for (const [k, { name, launches, error }] of told.entries()) {
  const { shape, compulsory, bound, sorts, launches: promised } = cases[k]!;
  if (!launches) {
    process.stdout.write(`${name.padEnd(25)}${shape.padEnd(30)} ${error}\n`);
    short = true;
    continue;
  }
  const sum = (of: (launch: Launch) => number) => launches.reduce((total, launch) => total + of(launch), 0);
  const sectors = sum((l) => l.globalLoadSectors + l.globalStoreSectors);
  const requests = sum((l) => l.globalLoadRequests + l.globalStoreRequests);
  const ideal = sum((l) => l.sharedIdealCycles);
  const bytes = sectors * sectorBytes;
  const row: Row = {
    kernel: [...new Set(launches.map((l) => l.kernel))].join(' '),
    shape: `${name} ${shape}`,
    bytes,
    compulsory,
    sectors_per_request: sectors / requests,
    bank_ratio: ideal === 0 ? 1 : sum((l) => l.sharedCycles) / ideal,
    mma: sum((l) => l.mma),
    mma_min: 0,
    launches: launches.length,
  };
  rows.push(row);
  const flaws = [
    ...(bound && bytes / compulsory > allowed ? ['OVER'] : []),
    ...(bound && row.bank_ratio > allowedBanks ? [sorts ? '(banks: sorts)' : 'BANKS'] : []),
    ...(promised && promised.join() !== launches.map((l) => l.kernel).join() ? [`NOT ${promised.join(' ')}`] : []),
  ];
  short ||= flaws.some((flaw) => !flaw.startsWith('('));
  process.stdout.write(
    `${name.padEnd(25)}${shape.padEnd(30)}${(bytes / compulsory).toFixed(3).padStart(8)}` +
      `${row.sectors_per_request.toFixed(2).padStart(9)}${row.bank_ratio.toFixed(3).padStart(8)}  ${row.launches} (${row.kernel})` +
      `${flaws.map((flaw) => ` ${flaw}`).join('')}\n`,
  );
  if (process.argv.includes('--kernels')) {
    for (const l of launches) {
      const moved = (l.globalLoadSectors + l.globalStoreSectors) * sectorBytes;
      process.stdout.write(
        `  ${l.kernel.padEnd(48)}${(moved / compulsory).toFixed(4).padStart(8)}` +
          `${`${l.sharedCycles} of ${l.sharedIdealCycles}`.padStart(24)} bank cycles\n`,
      );
    }
  }
  if (bound) continue;
  const flops = sum((l) => l.flops32);
  process.stdout.write(
    `  bytes a FLOP: ${(bytes / flops).toFixed(4)} global, ${(sum((l) => l.sharedBytes) / flops).toFixed(3)} shared\n`,
  );
}
if (cases.length === allCases.length) {
  const results = join(root, 'bench', 'results');
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, 'traffic.json'), `${JSON.stringify(rows, null, 1)}\n`);
}
process.stdout.write(short ? 'traffic: SHORT\n' : 'traffic: ok\n');
process.exitCode = short ? 1 : 0;
