/** The one table of `npm run bench`: a line for each case and number of threads, ours beside each peer, the floor and the goal. */
import { caseNames, goals, work, type CaseName, type Row } from './cases.js';

export interface Machine {
  /** fused multiply-adds of float32, in 1e9 operations a second */
  gflops: number;
  /** 1e9 bytes a second to and from memory */
  gbytes: number;
  /** nanoseconds of a cache line from the first processor to the second and back; of more than one thread only */
  trip_ns?: number;
}

const duration = (ms: number): string => (ms < 0.1 ? `${(ms * 1000).toFixed(2)} us` : `${ms.toFixed(2)} ms`);
const ratio = (value: number): string => `${Number(value.toPrecision(2))}`;

/** The least time that the machine allows, in ms; 0 where only overhead counts. */
export function floorOf(name: CaseName, machine: Machine): number {
  return Math.max(work[name].flops / machine.gflops, work[name].bytes / machine.gbytes) / 1e6;
}

/** A peer's name without its version: `pytorch 1.13.0a0` is `pytorch`. */
export const peerName = (row: Row): string => row.peer.split(' ')[0]!;

/**
 * The lines of the table. Times are medians; under a peer stands ours over theirs, so less than 1 is faster than the peer. `wanted`
 * is what ours over PyTorch's is meant to be at most.
 */
export function tableOf(rows: readonly Row[], machines: ReadonlyMap<number, Machine>): string[] {
  const measured = rows.filter((row) => row.case !== 'peak');
  const peers = [...new Set(measured.map(peerName))].filter((name) => name !== 'warploom');
  const lines = [['case', 'threads', 'warploom', ...peers.map((name) => `/ ${name}`), 'wanted', 'floor / warploom']];
  for (const name of caseNames) {
    for (const threads of [...machines.keys()]) {
      const here = measured.filter((row) => row.case === name && row.threads === threads);
      const own = here.find((row) => peerName(row) === 'warploom');
      if (!own) continue;
      if (own.error !== undefined) {
        lines.push([name, String(threads), `cannot: ${own.error}`]);
        continue;
      }
      const over = peers.map((peer) => {
        const row = here.find((each) => peerName(each) === peer);
        if (!row) return '';
        return row.error === undefined ? ratio(own.median_ms / row.median_ms) : 'cannot';
      });
      const goal = goals[name]?.[threads === 1 ? 0 : 1];
      const floor = floorOf(name, machines.get(threads)!);
      const cells = [goal === undefined ? '' : `<= ${goal}`, floor > 0 ? ratio(floor / own.median_ms) : ''];
      lines.push([name, String(threads), duration(own.median_ms), ...over, ...cells]);
    }
  }
  const widths = lines[0]!.map((_, k) => Math.max(...lines.map((line) => line[k]?.length ?? 0)));
  return lines.map((line) =>
    line
      .map((cell, k) => (k === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[k]!)))
      .join('  ')
      .trimEnd(),
  );
}

/** Why a peer has no time for a case, each reason once. */
export function reasons(rows: readonly Row[]): string[] {
  const of = new Map<string, Set<string>>();
  for (const row of rows) {
    if (row.error === undefined) continue;
    const key = `${peerName(row)}: ${row.error}`;
    of.set(key, (of.get(key) ?? new Set()).add(row.case));
  }
  return [...of].map(([key, cases]) => `${[...cases].join(', ')}: ${key}`);
}
