/** Training on a simulated CUDA device: PyTorch's losses, and the main job in small. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import { readDigits, SIDE } from '../../examples/digits/data.js';
import { digitsModel } from '../../examples/digits/model.js';

const names = ['mlp', 'cnn', 'transformer'] as const;
type Losses = Record<(typeof names)[number], number[]>;

// A process of its own, whose default device is the card.
function train(how: 'eager' | 'capture'): Losses {
  const script = fileURLToPath(new URL('../train/frozenSteps.ts', import.meta.url));
  const args = ['--import', 'tsx', script, 'baseline', how];
  const env = { ...process.env, WARPLOOM_DEVICE: 'cuda' };
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', env })) as Losses;
}

describe('ten steps on CUDA', () => {
  let eager: Losses | undefined;

  test.each(names)('of the %s reproduce the losses of PyTorch', (name) => {
    eager ??= train('eager');
    const path = new URL(`../frozen/steps_${name}.json`, import.meta.url);
    const expected = (JSON.parse(readFileSync(path, 'utf8')) as { float32: number[] }).float32;
    expect(eager[name]).toHaveLength(expected.length);
    for (const [i, loss] of expected.entries()) {
      expect(Math.abs(eager[name][i]! - loss), `step ${i + 1}`).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(loss)));
    }
  });

  test('give the same bits captured', () => {
    expect(train('capture')).toEqual((eager ??= train('eager')));
  });
});

test("digits: the loss falls, and is the CPU's", { timeout: 300_000 }, async () => {
  const digits = readDigits();
  const data = wl.arrayDataset({
    image: { data: digits.images.slice(0, 300 * SIDE * SIDE), shape: [1, SIDE, SIDE] },
    label: digits.labels.slice(0, 300),
  });
  const run = async (device: string) => {
    wl.manualSeed(0);
    const model = digitsModel().to(device);
    const optimizer = new wl.optim.Adam(model.namedParameters(), { lr: 2e-3 });
    const history = await wl.fit(model, {
      train: data,
      loss: wl.crossEntropy,
      optimizer,
      epochs: 2,
      batchSize: 50,
      seed: 0,
      capture: true,
    });
    return history.epochs.map(({ loss }) => loss);
  };
  const here = await run('cpu');
  const there = await run('cuda');
  expect(there[1]!).toBeLessThan(there[0]!);
  there.forEach((loss, i) => expect(Math.abs(loss - here[i]!), `epoch ${i + 1}`).toBeLessThan(1e-4));
});
