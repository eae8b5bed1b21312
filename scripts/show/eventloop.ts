/** The event loop during twenty products of 2,048^3 at two threads: a 1 ms timer is late by at most 5 ms at p99 and 25 ms at worst. */
import { measureInChild, percentile, type Shown } from './shown.js';

export async function show(count = 20, size = 2048): Promise<Shown> {
  const args = [String(count), String(size)];
  const { busy, idle, seconds } = await measureInChild<{ busy: number[]; idle: number[]; seconds: number }>(
    'eventloop',
    args,
    {
      WARPLOOM_THREADS: '2',
    },
  );
  const figures = (late: number[]) => {
    const sorted = [...late].sort((x, y) => x - y);
    return { p99: percentile(sorted, 0.99), worst: sorted.at(-1) ?? NaN };
  };
  const [during, beside] = [figures(busy), figures(idle)];
  const text = (f: { p99: number; worst: number }) => `p99 ${f.p99.toFixed(2)} ms, worst ${f.worst.toFixed(2)} ms`;
  return {
    figures: `${count} products in ${seconds.toFixed(1)} s, ${busy.length} ticks, late ${text(during)}; idle ${text(beside)}`,
    ok: busy.length > 0 && during.p99 <= 5 && during.worst <= 25,
  };
}
