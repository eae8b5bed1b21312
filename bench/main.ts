/**
 * `npm run bench -- [--json FILE] [--threads 1,2] [--rounds N] [REGEX]`: warploom beside its peers. REGEX picks cases. The fast peers
 * are asked in turn, round after round, so that a machine that changes its pace meets all of them. A peer that cannot do a case gets
 * a row with the reason.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { caseNames, type Row } from './cases.js';
import { addMemory, jsPeers, machineOf, merged, peakRow, pytorch, rowsOf, warploom } from './measure.js';
import { reasons, tableOf, type Machine } from './table.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, threads: { type: 'string' }, rounds: { type: 'string', default: '3' } },
});
const pattern = new RegExp(positionals[0] ?? '');
const wanted = caseNames.filter((name) => pattern.test(name));
const cases = wanted.filter((name) => name !== 'peak');
const counts = values.threads
  ? values.threads.split(',').map(Number)
  : [...new Set([1, Math.min(2, availableParallelism()), availableParallelism()])];
const rounds = Math.max(1, Number(values.rounds));

const progress = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

const rows: Row[] = [];
const machines = new Map<number, Machine>();
const peers = cases.length > 0 ? [warploom, pytorch, ...jsPeers()] : [];
for (const threads of counts) {
  // Measured on every run, asked for or not: floors are read against it.
  const measured = machineOf(threads);
  machines.set(threads, typeof measured === 'string' ? { gflops: Infinity, gbytes: Infinity } : measured);
  if (wanted.includes('peak')) rows.push(peakRow(threads, measured));
  const here: Row[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const peer of peers) {
      if (round > 0 && peer.rounds === 'first') continue;
      progress(`${peer.name}, ${threads} thread${threads === 1 ? '' : 's'}, round ${round + 1} of ${rounds}`);
      here.push(...rowsOf(peer.name, threads, cases, peer.measure(threads, cases)));
    }
  }
  const times = merged(here);
  // The case whose memory counts, behind all times: each in a fresh process.
  if (cases.includes('gpt_step')) for (const peer of peers) addMemory(peer, threads, 'gpt_step', times);
  rows.push(...times);
}

console.log(`${cpus()[0]?.model ?? 'an unknown CPU'}, ${cpus().length} processors`);
for (const [threads, { gflops, gbytes, trip_ns }] of machines) {
  const rates = `${gflops.toFixed(0)} GFLOP/s of float32 fma, ${gbytes.toFixed(1)} GB/s`;
  const trip = trip_ns === undefined ? '' : `, ${trip_ns} ns for a cache line from one processor to another and back`;
  console.log(`${threads} thread${threads === 1 ? '' : 's'}: ${rates}${trip}`);
}
const memory = rows.flatMap(({ peer, case: name, threads, peak_mb }) =>
  peak_mb === undefined
    ? []
    : [`${name}, ${threads}: ${peer} takes ${peak_mb.toFixed(1)} MB at most beyond its import`],
);
if (cases.length > 0) console.log(['', ...tableOf(rows, machines), '', ...memory, ...reasons(rows)].join('\n'));
if (values.json) {
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
}
if (rows.some((row) => row.peer === 'warploom' && row.error !== undefined)) process.exitCode = 1;
