/**
 * `npm run bench:beside -- [--threads 1,2] [--neighbours 0,1] [--rounds N] [--turn MS] [--addon FILE] CASE...`: what a busy machine costs.
 * A case runs in a process for each number of threads, in turns, alone and beside processes that never sleep. CASE is one of
 * cases.ts or MxKxN, a product. Each --addon adds processes with another build of the addon, in the same turns.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { parseArgs } from 'node:util';
import { here } from './measure.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', default: '1,2' },
    neighbours: { type: 'string', default: '0,1' },
    rounds: { type: 'string', default: '10' },
    turn: { type: 'string', default: '150' },
    addon: { type: 'string', multiple: true, default: [] },
  },
});
const numbers = (text: string): number[] => text.split(',').map(Number);

/** One process that runs the case when told to. */
class Runner {
  readonly times = new Map<number, number[]>();
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;

  constructor(
    name: string,
    readonly threads: number,
    readonly addon: string,
  ) {
    const env = {
      ...process.env,
      WARPLOOM_THREADS: String(threads),
      ...(addon === '' ? {} : { WARPLOOM_ADDON: addon }),
    };
    this.process = spawn(process.execPath, ['--import', 'tsx', join(here, 'ours.ts'), '--turns', name], { env });
    this.process.stderr.pipe(process.stderr);
    const reader: Interface = createInterface({ input: this.process.stdout });
    this.lines = reader[Symbol.asyncIterator]();
  }

  async turn(neighbours: number, ms: number): Promise<void> {
    this.process.stdin.write(`${ms}\n`);
    const line = await this.lines.next();
    if (line.done) throw new Error('a process of the benchmark ended before its turn');
    const times = this.times.get(neighbours) ?? [];
    this.times.set(neighbours, times.concat(JSON.parse(line.value) as number[]));
  }

  end(): void {
    this.process.stdin.end();
  }
}

/** Processes that keep processors busy until they are ended. */
const busy = (count: number): (() => void) => {
  const all = Array.from({ length: count }, () => spawn(process.execPath, ['-e', 'for (;;);']));
  return () => all.forEach((each) => each.kill('SIGKILL'));
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const median = (sorted: readonly number[]): number => sorted[sorted.length >> 1]!;
const mean = (all: readonly number[]): number => all.reduce((sum, each) => sum + each, 0) / all.length;
const cells = (all: readonly string[]): string => all.map((each) => each.padStart(11)).join('');

const counts = numbers(values.threads);
console.log(
  `${'milliseconds'.padEnd(20)}${cells(['neighbours', 'threads', 'least', 'median', 'mean', 'p95', 'of median', 'of mean'])}`,
);
for (const name of positionals) {
  const runners = ['', ...values.addon].flatMap((addon) => counts.map((threads) => new Runner(name, threads, addon)));
  for (const runner of runners) await runner.turn(-1, 50); // warm
  for (const neighbours of numbers(values.neighbours)) {
    const stop = busy(neighbours);
    await pause(neighbours > 0 ? 200 : 0);
    for (let round = 0; round < Number(values.rounds); round++)
      for (const runner of runners) await runner.turn(neighbours, Number(values.turn));
    stop();
    for (const { threads, addon, times } of runners) {
      const mine = times.get(neighbours)!.sort((a, b) => a - b);
      const first = runners.find((each) => each.addon === addon)!.times.get(neighbours)!;
      const [middle, average] = [median(mine), mean(mine)];
      const figures = [mine[0]!, middle, average, mine[Math.floor(mine.length * 0.95)]!].map((ms) => ms.toFixed(3));
      const ratios = [middle / median(first), average / mean(first)].map((ratio) => ratio.toFixed(2));
      const label = addon === '' ? name : `${name} (${addon.split('/').at(-1)})`;
      console.log(`${label.padEnd(20)}${cells([String(neighbours), String(threads), ...figures, ...ratios])}`);
    }
  }
  for (const runner of runners) runner.end();
}
