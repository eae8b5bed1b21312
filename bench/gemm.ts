/**
 * `npm run bench:gemm -- [--json FILE] [--threads 1,2] [--seconds S] [PART]`: float32 products of the native core beside oneDNN's and
 * OpenBLAS's (apt install libdnnl2 libopenblas0-openmp), one process for each thread count. PART picks shapes, S is the time of a shape.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureGemmBench } from '../scripts/build.js';

/** GFLOP/s. */
interface Rate {
  best: number;
  median: number;
}

interface Row {
  shape: string;
  threads: number;
  peak: number;
  warploom: Rate;
  onednn?: Rate;
  openblas?: Rate;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    threads: { type: 'string', default: '1,2' },
    seconds: { type: 'string', default: '1' },
  },
});

const harness = ensureGemmBench();
const all: Row[] = [];
for (const threads of values.threads.split(',')) {
  const done = spawnSync(harness, [threads, positionals[0] ?? '', values.seconds], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (done.status !== 0) throw new Error(`${harness} ended with ${done.signal ?? `status ${done.status}`}`);
  const rows = done.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
  const peak = Math.max(...rows.map((row) => row.peak));
  console.log(`\n${threads} thread(s), GFLOP/s of the best call (median); peak of fma ${peak.toFixed(1)}`);
  const columns = ['warploom', 'oneDNN', 'OpenBLAS', 'of peak', 'of the better'];
  console.log(`${'shape'.padEnd(28)}${columns.map((name) => name.padStart(16)).join('')}`);
  for (const row of rows) {
    const peers = [row.onednn, row.openblas].flatMap((rate) => rate ?? []);
    const rate = (each?: Rate) => (each ? `${each.best.toFixed(1)} (${each.median.toFixed(1)})` : 'absent');
    const better = Math.max(...peers.map((each) => each.best));
    const cells = [
      rate(row.warploom),
      rate(row.onednn),
      rate(row.openblas),
      (row.warploom.best / peak).toFixed(2),
      peers.length > 0 ? (row.warploom.best / better).toFixed(2) : '',
    ];
    console.log(`${row.shape.padEnd(28)}${cells.map((cell) => cell.padStart(16)).join('')}`);
    all.push({ ...row, peak });
  }
}
if (values.json) {
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(all, null, 2)}\n`);
}
