/**
 * Memory over many steps, in tidy, in fit and in capture: live tensors and active bytes are equal at the mark and at the end, and
 * the resident size grows by less than 8 MiB. Unscoped loops: bounded where they await, a warning and a typed error where not.
 */
import { measureInChild, mib, type Shown } from './shown.js';

interface Marked {
  storages: number;
  active: number;
  rss: number;
}

/** The library's own await points give finalizers a turn above this many bytes; a step of the loop makes two tensors of 4 MiB. */
const threshold = 64 * 2 ** 20;
const oneStep = 2 * 4 * 2 ** 20 + 2 ** 16;

export async function show(steps = 100_000, mark = 1000): Promise<Shown> {
  const parts: string[] = [];
  let ok = true;
  for (const mode of ['tidy', 'fit', 'capture']) {
    const args = [mode, String(steps), String(mark)];
    const { before, after } = await measureInChild<{ before: Marked; after: Marked }>('memory', args, {}, [
      '--expose-gc',
      // V8 widens its nursery in steps of 8 MiB and more as any program runs, and keeps it; held at one size, what grows is ours.
      '--max-semi-space-size=1',
    ]);
    const growth = after.rss - before.rss;
    ok &&= before.storages === after.storages && before.active === after.active && growth < 8 * 2 ** 20;
    parts.push(
      `${mode} ${before.storages} and ${after.storages} tensors, ${before.active} and ${after.active} bytes, resident +${mib(growth)}`,
    );
  }
  const { peak } = await measureInChild<{ peak: number }>('unscoped', ['awaiting']);
  ok &&= peak <= threshold + oneStep;
  parts.push(`unscoped awaiting peak ${mib(peak)}`);
  const held = await measureInChild<{ warnings: number; typed: boolean; alive: boolean }>(
    'unscoped',
    ['synchronous'],
    {},
    ['--expose-gc'],
  );
  ok &&= held.warnings === 1 && held.typed && held.alive;
  parts.push(
    `unscoped synchronous ${held.warnings} warning, ${held.typed ? 'typed error' : 'no typed error'}, ${held.alive ? 'alive' : 'dead'}`,
  );
  return { figures: parts.join('; '), ok };
}
