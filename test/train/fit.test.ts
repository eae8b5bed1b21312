import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  evaluate,
  fit,
  memory,
  nn,
  noGrad,
  optim,
  predict,
  tidy,
  WarploomError,
  type EpochEvent,
  type FitEvent,
  type History,
  type Metric,
} from '../../src/index.js';
import { fingerprint, toyDataset, toyRun } from './support.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warploom-fit-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A history without the one figure that differs between runs. */
function timeless({ epochs, ...rest }: History): unknown {
  return { ...rest, seconds: 0, epochs: epochs.map((record) => ({ ...record, seconds: 0 })) };
}

describe('history', () => {
  it('records loss, metrics and validation of each epoch, and the loss falls', async () => {
    const { model, options } = toyRun();
    const history = await fit(model, { ...options, epochs: 8 });
    expect(history.stopped).toBe('finished');
    expect(history.bestEpoch).toBeNull();
    expect(history.steps).toBe(8 * 5);
    expect(history.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const [first, last] = [history.epochs[0]!, history.epochs[7]!];
    expect(last.loss).toBeLessThan(first.loss * 0.9);
    expect(last.valLoss).toBeLessThan(first.valLoss!);
    expect(last.accuracy).toBeGreaterThan(first.accuracy!);
    for (const record of history.epochs) {
      expect(record.accuracy! * 150).toBeCloseTo(Math.round(record.accuracy! * 150), 6);
      expect(record.valAccuracy! * 60).toBeCloseTo(Math.round(record.valAccuracy! * 60), 6);
      expect(record.learningRate).toBeCloseTo(0.01, 12);
      expect(record.seconds).toBeGreaterThan(0);
    }
  });

  it('means over samples, not over batches', async () => {
    const { model, options } = toyRun();
    const data = toyDataset(50, 3);
    const whole = await evaluate(model, data, { loss: options.loss, metrics: ['accuracy'], batchSize: 50 });
    const pieces = await evaluate(model, data, { loss: options.loss, metrics: ['accuracy'], batchSize: 16 });
    expect(pieces['loss']).toBeCloseTo(whole['loss']!, 5);
    expect(pieces['accuracy']).toBe(whole['accuracy']);
    const { outputs, shape } = await predict(model, data, { batchSize: 16 });
    expect(shape).toEqual([50, 3]);
    let right = 0;
    for (let i = 0; i < 50; i++) {
      const row = outputs.subarray(i * 3, i * 3 + 3);
      const sample = data.get(i);
      if (row.indexOf(Math.max(...row)) === sample.label.data[0]) right++;
    }
    expect(right / 50).toBe(whole['accuracy']);
  });

  it('weighs the last, smaller batch by its size in training too', async () => {
    const { options } = toyRun();
    const model = new nn.Linear(8, 3);
    const still = new optim.SGD(model.parameters(), { lr: 0 });
    const { epochs } = await fit(model, { ...options, optimizer: still, epochs: 1 });
    const all = await evaluate(model, options.train, { loss: options.loss, metrics: ['accuracy'], batchSize: 150 });
    expect(epochs[0]!.loss).toBeCloseTo(all['loss']!, 5);
    expect(epochs[0]!.accuracy).toBeCloseTo(all['accuracy']!, 6);
  });

  it('takes metrics of your own', async () => {
    const { model, options } = toyRun();
    const largest: Metric = { name: 'largest', sum: (output) => output.max([1]).sum() };
    const { epochs } = await fit(model, { ...options, epochs: 1, metrics: [largest] });
    expect(epochs[0]!['largest']).toBeTypeOf('number');
    expect(epochs[0]!['valLargest']).toBeTypeOf('number');
  });

  it('follows a schedule by step or by epoch', async () => {
    const rates = async (scheduleEvery: 'step' | 'epoch', tMax: number): Promise<number[]> => {
      const { model, optimizer, options } = toyRun();
      const schedule = new optim.CosineAnnealingLR(optimizer, { tMax });
      const { epochs } = await fit(model, { ...options, epochs: 2, schedule, scheduleEvery });
      return epochs.map((record) => record.learningRate);
    };
    expect(await rates('epoch', 2)).toEqual([expect.closeTo(0.01, 9), expect.closeTo(0.005, 9)]);
    const byStep = await rates('step', 10);
    expect(byStep[0]).toBeLessThan(0.0066);
    expect(byStep[1]).toBeLessThan(0.0003);
  });
});

describe('determinism', () => {
  it('gives the same weights again, eager or captured, watched or not, inside scopes and modes', async () => {
    const weights = async (change: object, around: <T>(fn: () => T) => T = (fn) => fn()): Promise<string> => {
      const { model, options } = toyRun();
      await around(async () => {
        await fit(model, { ...options, ...change });
      });
      return fingerprint(model);
    };
    const eager = await weights({});
    expect(await weights({})).toBe(eager);
    expect(await weights({ capture: true })).toBe(eager);
    expect(await weights({ validation: undefined })).toBe(eager);
    expect(await weights({}, tidy)).toBe(eager);
    expect(await weights({}, noGrad)).toBe(eager);
    expect(await weights({ seed: 6 })).not.toBe(eager);
  });

  it('gives the same history, eager or captured', async () => {
    const history = async (capture: boolean): Promise<unknown> => {
      const { model, options } = toyRun();
      return timeless(await fit(model, { ...options, capture }));
    };
    expect(await history(true)).toEqual(await history(false));
  });
});

describe('early stopping', () => {
  it('ends after patience and gives the best epoch its weights back', async () => {
    const { model, optimizer, options } = toyRun();
    optimizer.lr = 0.05;
    const seen: { loss: number; weights: string }[] = [];
    const history = await fit(model, {
      ...options,
      epochs: 60,
      earlyStopping: { patience: 3 },
      callbacks: [
        {
          onEpochEnd: async ({ valLoss }) => {
            seen.push({ loss: valLoss!, weights: await fingerprint(model) });
          },
        },
      ],
    });
    expect(history.stopped).toBe('early');
    const best = seen.reduce((a, b) => (b.loss < a.loss ? b : a));
    expect(history.bestEpoch).toBe(seen.indexOf(best) + 1);
    expect(history.epochs.length).toBe(history.bestEpoch! + 3);
    expect(await fingerprint(model)).toBe(best.weights);
    expect(best.weights).not.toBe(seen.at(-1)!.weights);
  });

  it('counts a gain below minDelta as none, watches accuracy upwards, and can leave the last weights', async () => {
    const { model, options } = toyRun();
    let last = '';
    const history = await fit(model, {
      ...options,
      epochs: 20,
      earlyStopping: { patience: 2, minDelta: 1, monitor: 'valAccuracy', restoreBest: false },
      callbacks: [
        {
          onEpochEnd: async () => {
            last = await fingerprint(model);
          },
        },
      ],
    });
    expect([history.stopped, history.bestEpoch, history.epochs.length]).toEqual(['early', 1, 3]);
    expect(await fingerprint(model)).toBe(last);
  });

  it('says which figures there are when it is told to watch another', async () => {
    const { model, options } = toyRun();
    await expect(fit(model, { ...options, earlyStopping: { monitor: 'f1' } })).rejects.toThrow(
      /'f1'.*It has epoch, loss/,
    );
  });
});

describe('watching a run', () => {
  it('hands out every step and epoch, and is a promise as well', async () => {
    const { model, options } = toyRun();
    const run = fit(model, { ...options, epochs: 2 });
    const events: FitEvent[] = [];
    for await (const event of run) events.push(event);
    expect(
      events.map((e) => (e.type === 'step' ? `${e.epoch}.${e.step}/${e.stepsPerEpoch}` : `epoch ${e.epoch}`)),
    ).toEqual([
      ...['1.1/5', '1.2/5', '1.3/5', '1.4/5', '1.5/5', 'epoch 1'],
      ...['2.1/5', '2.2/5', '2.3/5', '2.4/5', '2.5/5', 'epoch 2'],
    ]);
    const history = await run;
    expect(history.epochs[1]!.valLoss).toBe((events.at(-1) as EpochEvent).valLoss);
  });

  it('holds still while the body of the loop works', async () => {
    const { model, options } = toyRun();
    for await (const event of fit(model, { ...options, epochs: 1 })) {
      const before = await fingerprint(model);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(await fingerprint(model), JSON.stringify(event)).toBe(before);
    }
  });

  it('ends after the current step when the loop is left', async () => {
    const { model, options } = toyRun();
    const run = fit(model, options);
    for await (const event of run) if (event.type === 'step' && event.totalSteps === 7) break;
    const history = await run;
    expect([history.stopped, history.steps]).toEqual(['aborted', 7]);
  });

  it('throws a failure into the loop and into the promise', async () => {
    const { model, options } = toyRun();
    const run = fit(model, { ...options, callbacks: [{ onStep: () => Promise.reject(new Error('no more')) }] });
    await expect(
      (async () => {
        for await (const event of run) void event;
      })(),
    ).rejects.toThrow('no more');
    await expect(run).rejects.toThrow('no more');
  });

  it('calls back in order', async () => {
    const { model, options } = toyRun();
    const calls: string[] = [];
    await fit(model, {
      ...options,
      epochs: 1,
      callbacks: [
        {
          onTrainStart: () => void calls.push('start'),
          onEpochStart: (epoch) => void calls.push(`epoch ${epoch}`),
          onStep: ({ step }) => void calls.push(`step ${step}`),
          onEpochEnd: () => void calls.push('epoch end'),
          onTrainEnd: ({ steps }) => void calls.push(`end ${steps}`),
        },
      ],
    });
    expect(calls).toEqual(['start', 'epoch 1', 'step 1', 'step 2', 'step 3', 'step 4', 'step 5', 'epoch end', 'end 5']);
  });

  it('prints nothing where there is no terminal', async () => {
    const written = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write').mockReturnValue(true));
    try {
      const { model, options } = toyRun();
      await fit(model, { ...options, progress: true });
      for (const spy of written) expect(spy).not.toHaveBeenCalled();
    } finally {
      for (const spy of written) spy.mockRestore();
    }
  });
});

describe('progress', () => {
  it('draws a bar on standard error where that is a terminal, unless told not to', async () => {
    const before = Object.getOwnPropertyDescriptor(process.stderr, 'isTTY');
    const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      Object.defineProperty(process.stderr, 'isTTY', { value: true, configurable: true });
      const { model, options } = toyRun();
      await fit(model, { ...options, epochs: 1, progress: false });
      expect(written).not.toHaveBeenCalled();
      await fit(model, { ...options, epochs: 1 });
      expect(written.mock.calls.map(([text]) => String(text)).join('')).toMatch(/epoch 1\/1 \[.*\d\/5 loss/);
    } finally {
      written.mockRestore();
      if (before) Object.defineProperty(process.stderr, 'isTTY', before);
      else delete (process.stderr as { isTTY?: boolean }).isTTY;
    }
  });
});

describe('limits', () => {
  it('keeps memory flat', async () => {
    for (const capture of [false, true]) {
      const { model, options } = toyRun();
      const active: number[] = [];
      await fit(model, {
        ...options,
        capture,
        epochs: 12,
        validation: undefined,
        callbacks: [{ onEpochEnd: () => void active.push(memory().active) }],
      });
      expect(active[11], `capture ${capture}`).toBe(active[1]);
    }
  });

  it('leaves files alone without a folder for checkpoints', async () => {
    const { model, options } = toyRun();
    await fit(model, { ...options, epochs: 1 });
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses options that make no sense, at once', () => {
    const { model, options } = toyRun();
    expect(() => fit(model, { ...options, epochs: 0 })).toThrow(/epochs must be a positive whole number, got 0/);
    expect(() => fit(model, { ...options, batchSize: 1.5 })).toThrow(WarploomError);
    expect(() => fit(model, { ...options, resume: true })).toThrow(/needs checkpoint.dir/);
    expect(() => fit(model, { ...options, checkpoint: { dir: folder, every: 0 } })).toThrow(/checkpoint.every/);
  });
});
