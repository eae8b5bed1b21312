import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  fit,
  FormatError,
  latestCheckpoint,
  loadCheckpoint,
  saveCheckpoint,
  tensor,
  type History,
} from '../../src/index.js';
import { fingerprint, toyRun } from './support.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warploom-checkpoint-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function timeless({ epochs, ...rest }: History): unknown {
  return { ...rest, seconds: 0, epochs: epochs.map((record) => ({ ...record, seconds: 0 })) };
}

const stopping = { patience: 2, restoreBest: true };

describe('resuming', () => {
  it.each([
    ['mid-epoch', 7, false],
    ['after the last batch of an epoch', 5, false],
    ['captured', 13, true],
  ])('%s gives the weights and the history of a run that never stopped', async (_, stopAt, capture) => {
    const whole = toyRun();
    const expected = await fit(whole.model, { ...whole.options, earlyStopping: stopping, capture });

    const checkpoint = { dir: folder, every: 3 };
    const controller = new AbortController();
    const first = toyRun();
    const cut = await fit(first.model, {
      ...first.options,
      earlyStopping: stopping,
      checkpoint,
      capture,
      signal: controller.signal,
      callbacks: [{ onStep: ({ totalSteps }) => (totalSteps === stopAt ? controller.abort() : undefined) }],
    });
    expect([cut.stopped, cut.steps]).toEqual(['aborted', stopAt]);

    // another seed for weights and dropout: everything that matters must come from the file
    const second = toyRun(99);
    const resumed = await fit(second.model, {
      ...second.options,
      seed: whole.options.seed,
      earlyStopping: stopping,
      checkpoint,
      capture,
      resume: true,
    });
    expect(timeless(resumed)).toEqual(timeless(expected));
    expect(await fingerprint(second.model)).toBe(await fingerprint(whole.model));
  });

  it('continues from any checkpoint of the run, not only the last', async () => {
    const whole = toyRun();
    await fit(whole.model, { ...whole.options, checkpoint: { dir: folder, every: 4, keep: 100 } });
    const expected = await fingerprint(whole.model);
    for (const name of await readdir(folder)) {
      const again = toyRun(99);
      await fit(again.model, { ...again.options, seed: whole.options.seed, resume: join(folder, name) });
      expect(await fingerprint(again.model), name).toBe(expected);
    }
  });

  it('of a finished run does nothing more', async () => {
    const { model, options } = toyRun();
    const checkpoint = { dir: folder };
    const history = await fit(model, { ...options, checkpoint, earlyStopping: stopping });
    const again = toyRun(99);
    let steps = 0;
    const resumed = await fit(again.model, {
      ...again.options,
      seed: options.seed,
      checkpoint,
      earlyStopping: stopping,
      resume: true,
      callbacks: [{ onStep: () => void steps++ }],
    });
    expect(steps).toBe(0);
    expect(timeless(resumed)).toEqual(timeless(history));
    expect(await fingerprint(again.model)).toBe(await fingerprint(model));
  });

  it('keeps the best weights of earlier epochs, and stays ended after early stopping', async () => {
    const run = (): ReturnType<typeof toyRun> => {
      const made = toyRun();
      made.optimizer.lr = 0.05;
      Object.assign(made.options, { epochs: 60, earlyStopping: { patience: 3 } });
      return made;
    };
    const whole = run();
    const expected = await fit(whole.model, whole.options);
    expect(expected.stopped).toBe('early');

    const checkpoint = { dir: folder };
    const stopAt = expected.bestEpoch! * 5 + 7;
    const controller = new AbortController();
    const first = run();
    await fit(first.model, {
      ...first.options,
      checkpoint,
      signal: controller.signal,
      callbacks: [{ onStep: ({ totalSteps }) => (totalSteps === stopAt ? controller.abort() : undefined) }],
    });
    for (const more of [true, false]) {
      const again = run();
      let steps = 0;
      const callbacks = [{ onStep: () => void steps++ }];
      const history = await fit(again.model, { ...again.options, checkpoint, resume: true, callbacks });
      expect(timeless(history)).toEqual(timeless(expected));
      expect(await fingerprint(again.model)).toBe(await fingerprint(whole.model));
      expect(steps > 0).toBe(more);
    }
  });

  it('starts anew in an empty folder, and without resume clears older checkpoints', async () => {
    const { model, options } = toyRun();
    const history = await fit(model, {
      ...options,
      epochs: 2,
      checkpoint: { dir: join(folder, 'new', 'one') },
      resume: true,
    });
    expect(history.steps).toBe(10);
    const dir = join(folder, 'new', 'one');
    expect(await readdir(dir)).toEqual(['checkpoint-0000000005.safetensors', 'checkpoint-0000000010.safetensors']);
    const other = toyRun();
    await fit(other.model, { ...other.options, epochs: 1, checkpoint: { dir } });
    expect(await readdir(dir)).toEqual(['checkpoint-0000000005.safetensors']);
  });

  it('refuses a checkpoint of other data, batch size, seed or model', async () => {
    const { model, options } = toyRun();
    await fit(model, { ...options, epochs: 1, checkpoint: { dir: folder } });
    const path = (await latestCheckpoint(folder))!;
    const attempt = (change: object): PromiseLike<unknown> => {
      const other = toyRun();
      return fit(other.model, { ...other.options, resume: path, ...change });
    };
    await expect(attempt({ batchSize: 16 })).rejects.toThrow(/batchSize 32, this run has 16/);
    await expect(attempt({ seed: 1 })).rejects.toThrow(/seed 5, this run has 1/);
    await expect(attempt({ train: options.validation })).rejects.toThrow(FormatError);
  });
});

describe('files', () => {
  it('keeps the newest, by step', async () => {
    for (const step of [1, 20, 3, 100])
      await saveCheckpoint(folder, step, { a: tensor([step]) }, { step }, { keep: 2 });
    expect(await readdir(folder)).toEqual(['checkpoint-0000000020.safetensors', 'checkpoint-0000000100.safetensors']);
    const { tensors, state } = await loadCheckpoint<{ step: number }>((await latestCheckpoint(folder))!);
    expect([await tensors['a']!.item(), state.step]).toEqual([100, 100]);
  });

  it('has no newest in a folder that is empty or missing', async () => {
    expect(await latestCheckpoint(folder)).toBeNull();
    expect(await latestCheckpoint(join(folder, 'missing'))).toBeNull();
  });

  it('refuses other files, newer layouts and cut ones', async () => {
    const other = join(folder, 'other.safetensors');
    await cp(fixture('format-1.safetensors'), other);
    await expect(loadCheckpoint(other)).rejects.toThrow(/not a checkpoint/);
    const path = await saveCheckpoint(folder, 1, { a: tensor([1, 2, 3]) }, {});
    await truncate(path, 200);
    await expect(loadCheckpoint(path)).rejects.toThrow(FormatError);
  });

  it('loads checkpoint layout 1, warning of another build', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): number => warnings.push(warning);
    process.on('warning', note);
    try {
      const { tensors, state, build, isa } = await loadCheckpoint(fixture('checkpoint-1.safetensors'));
      expect(state).toEqual({ steps: 3, note: 'kept' });
      expect([build, isa]).toEqual(['0.0.0', 'other']);
      expect([...(await tensors['model.0.weight']!.data())]).toEqual([1, 2]);
      await new Promise((resolve) => setImmediate(resolve));
      expect(warnings.map((w) => (w as NodeJS.ErrnoException).code)).toContain('WARPLOOM_RESUME');
    } finally {
      process.off('warning', note);
    }
  });

  it('clears what killed writers left, not what living ones write', async () => {
    const dead = '.checkpoint-0000000001.safetensors.4194399-0.tmp';
    const living = `.checkpoint-0000000002.safetensors.${process.pid}-7.tmp`;
    for (const name of [dead, living]) await writeFile(join(folder, name), 'partial');
    const { model, options } = toyRun();
    await fit(model, { ...options, epochs: 1, checkpoint: { dir: folder } });
    const names = await readdir(folder);
    expect(names).not.toContain(dead);
    expect(names).toContain(living);
  });

  it('are whole whenever the writer is killed', async () => {
    const writer = fileURLToPath(new URL('./checkpoint-writer.ts', import.meta.url));
    for (const delay of [0, 7, 19]) {
      const child = spawn(process.execPath, ['--import', 'tsx', writer, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const gone = new Promise((resolve) => child.once('exit', resolve));
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill('SIGKILL');
      await gone;
      const { tensors, state } = await loadCheckpoint<{ step: number }>((await latestCheckpoint(folder))!);
      const values = await tensors['a']!.data('float32');
      expect(values.length).toBe(200_000);
      expect(values.every((value) => value === state.step)).toBe(true);
    }
  });
});

function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}
