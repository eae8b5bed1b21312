/** Ten training steps from frozen weights and batches give PyTorch's losses, on each instruction set, eager and captured. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const names = ['mlp', 'cnn', 'transformer'] as const;
type Losses = Record<(typeof names)[number], number[]>;

// A process of its own: the instruction set is chosen before the device opens.
function train(isa: string, how: 'eager' | 'capture'): Losses {
  const script = fileURLToPath(new URL('./frozenSteps.ts', import.meta.url));
  return JSON.parse(
    execFileSync(process.execPath, ['--import', 'tsx', script, isa, how], { encoding: 'utf8' }),
  ) as Losses;
}

describe.each(['baseline', 'avx2', 'avx512'])('ten steps on %s', (isa) => {
  const eager = train(isa, 'eager');

  it.each(names)('of the %s reproduce the losses', (name) => {
    const path = new URL(`../frozen/steps_${name}.json`, import.meta.url);
    const expected = (JSON.parse(readFileSync(path, 'utf8')) as { float32: number[] }).float32;
    expect(expected).toHaveLength(10);
    expect(eager[name]).toHaveLength(10);
    for (const [i, loss] of expected.entries()) {
      expect(Math.abs(eager[name][i]! - loss), `step ${i + 1}`).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(loss)));
    }
  });

  it('give the same bits captured', () => {
    expect(train(isa, 'capture')).toEqual(eager);
  });
});
