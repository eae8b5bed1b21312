import { describe, expect, it } from 'vitest';
import { arrayDataset, DataLoader, Dataset, Subset, tidy, type SampleContext, type Tensor } from '../../src/index.js';
import { covers } from '../harness/surface.js';

const numbers = arrayDataset({
  x: { data: Float32Array.from({ length: 22 }, (_, i) => i), shape: [2] },
  label: Int32Array.from({ length: 11 }, (_, i) => i),
});

async function labels(batches: AsyncIterable<{ label: Tensor }>): Promise<number[][]> {
  const seen: number[][] = [];
  for await (const batch of batches) seen.push([...(await batch.label.data('int32'))]);
  return seen;
}

describe('arrayDataset', () => {
  it('names or numbers its fields and refuses lengths that differ', () => {
    expect(numbers.length).toBe(11);
    expect([...numbers.get(3).x.data]).toEqual([6, 7]);
    expect([...arrayDataset([labelsOf(4), labelsOf(4)]).get(2)[1].data]).toEqual([2]);
    expect(() => arrayDataset({ a: labelsOf(4), b: labelsOf(5) })).toThrow(/'b' has 5 samples, field 'a' has 4/);
    expect(() => arrayDataset({ a: { data: labelsOf(5), shape: [2] } })).toThrow(/no multiple/);
    expect(() => numbers.get(11)).toThrow(/outside \[0, 11\)/);
    expect(() => new Subset(numbers, Int32Array.of(0, 11))).toThrow(/outside/);
    for (const name of ['ArrayDataset', 'arrayDataset', 'Subset']) covers(name);
  });
});

const labelsOf = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);

describe('DataLoader', () => {
  it('stacks batches in order, the last one smaller', async () => {
    const loader = new DataLoader(numbers, { batchSize: 4 });
    expect(loader.length).toBe(3);
    const shapes: number[][] = [];
    for await (const { x } of loader) {
      shapes.push([...x.shape]);
      expect(x.dtype).toBe('float32');
    }
    expect(shapes).toEqual([
      [4, 2],
      [4, 2],
      [3, 2],
    ]);
    expect(await labels(loader)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 10],
    ]);
  });

  it('drops the last batch where asked', async () => {
    const loader = new DataLoader(numbers, { batchSize: 4, dropLast: true });
    expect(loader.length).toBe(2);
    expect((await labels(loader)).flat()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('shuffles by seed and epoch, every sample once', async () => {
    const loader = new DataLoader(numbers, { batchSize: 4, shuffle: true, seed: 5 });
    const first = (await labels(loader)).flat();
    const second = (await labels(loader)).flat();
    expect(loader.state).toEqual({ epoch: 2, position: 0 });
    expect([...first].sort((a, b) => a - b)).toEqual([...labelsOf(11)]);
    expect(first).not.toEqual([...labelsOf(11)]);
    expect(second).not.toEqual(first);
    expect(
      (await labels(new DataLoader(numbers, { batchSize: 3, shuffle: true, seed: 5, prefetch: 3 }))).flat(),
    ).toEqual(first);
    expect((await labels(new DataLoader(numbers, { batchSize: 4, shuffle: true, seed: 6 }))).flat()).not.toEqual(first);
  });

  it.each([0, 1, 4])('continues behind the batch that its state was read at (prefetch %i)', async (prefetch) => {
    const options = { batchSize: 3, shuffle: true, seed: 9, prefetch };
    const whole = new DataLoader(numbers, options);
    const epochs = [await labels(whole), await labels(whole)];
    const first = new DataLoader(numbers, options);
    await labels(first);
    let state = first.state;
    for await (const batch of first) {
      expect([...(await batch.label.data('int32'))]).toEqual(epochs[1]![0]);
      state = JSON.parse(JSON.stringify(first.state)) as typeof state;
      break;
    }
    expect(state).toEqual({ epoch: 1, position: 3 });
    const second = new DataLoader(numbers, options);
    second.loadState(state);
    expect(await labels(second)).toEqual(epochs[1]!.slice(1));
    expect(second.state).toEqual({ epoch: 2, position: 0 });
    covers('DataLoader');
  });

  it('begins the same epoch again when a loop was left early', async () => {
    const loader = new DataLoader(numbers, { batchSize: 3, shuffle: true });
    let peek: number[] = [];
    for await (const batch of loader) {
      peek = [...(await batch.label.data('int32'))];
      break;
    }
    expect(loader.state).toEqual({ epoch: 0, position: 0 });
    expect((await labels(loader))[0]).toEqual(peek);
    expect(() => loader.loadState({ epoch: 0, position: 12 })).toThrow(/position 12 of 11/);
  });

  it('keeps a state loaded inside a loop, whatever that loop still does', async () => {
    const loader = new DataLoader(numbers, { batchSize: 3 });
    for await (const { x } of loader) {
      if (x.shape[0] === 3) loader.loadState({ epoch: 4, position: 6 });
    }
    expect(loader.state).toEqual({ epoch: 4, position: 6 });
    expect(await labels(loader)).toEqual([
      [6, 7, 8],
      [9, 10],
    ]);
  });

  it('augments by seed, epoch and index, however batches are cut', async () => {
    const transform = (sample: { label: number }, context: SampleContext): { label: number; noise: number } => ({
      label: sample.label,
      noise: context.random(),
    });
    class Plain extends Dataset<{ label: number; noise: number }> {
      override readonly length = 10;
      override get(index: number): Promise<{ label: number; noise: number }> {
        return Promise.resolve({ label: index, noise: 0 });
      }
    }
    const draws = async (batchSize: number, epoch: number, seed: number): Promise<Map<number, number>> => {
      const loader = new DataLoader(new Plain(), {
        batchSize,
        shuffle: true,
        seed,
        transform,
        prefetch: batchSize % 3,
      });
      loader.loadState({ epoch, position: 0 });
      const found = new Map<number, number>();
      for await (const { label, noise } of loader) {
        const [l, v] = [await label.data('float32'), await noise.data('float32')];
        l.forEach((index, i) => found.set(index, v[i]!));
      }
      return new Map([...found].sort(([a], [b]) => a - b));
    };
    const base = await draws(4, 0, 1);
    expect(new Set(base.values()).size).toBe(10);
    expect(await draws(3, 0, 1)).toEqual(base);
    expect(await draws(4, 1, 1)).not.toEqual(base);
    expect(await draws(4, 0, 2)).not.toEqual(base);
    for (const name of ['Dataset', 'SampleContext']) covers(name);
  });

  it('follows arrays and numbers with its dtypes, or those asked for', async () => {
    const tuple = arrayDataset([Uint8Array.of(1, 2), BigInt64Array.of(3n, 4n), Float64Array.of(0.5, 1.5)]);
    for await (const [a, b, c] of new DataLoader(tuple, { batchSize: 2, dtypes: { 0: 'int64' } })) {
      expect([a.dtype, b.dtype, c.dtype]).toEqual(['int64', 'int64', 'float64']);
      expect([...(await a.data('int64'))]).toEqual([1n, 2n]);
    }
  });

  it('names the field of samples that do not stack', async () => {
    class Ragged extends Dataset<{ x: Float32Array }> {
      override readonly length = 2;
      override get(index: number): { x: Float32Array } {
        return { x: new Float32Array(index + 1) };
      }
    }
    await expect(async () => {
      for await (const batch of new DataLoader(new Ragged(), { batchSize: 2 })) expect(batch).toBeUndefined();
    }).rejects.toThrow(/'x' has shape \[2\] in one sample and \[1\]/);
    expect(() => new DataLoader(numbers, { batchSize: 0 })).toThrow(/positive integer/);
  });

  it('reports a failing read to the one who asks for that batch', async () => {
    class Broken extends Dataset<{ x: number }> {
      override readonly length = 4;
      override get(index: number): { x: number } {
        if (index === 3) throw new Error('unreadable sample 3');
        return { x: index };
      }
    }
    let delivered = 0;
    await expect(async () => {
      for await (const batch of new DataLoader(new Broken(), { batchSize: 2, prefetch: 2 })) {
        expect(batch.x.shape).toEqual([2]);
        delivered++;
      }
    }).rejects.toThrow(/unreadable sample 3/);
    expect(delivered).toBe(1);
  });

  it('gives its batches to the scope that asks for them', async () => {
    let kept: Tensor | undefined;
    await tidy(async () => {
      for await (const { x } of new DataLoader(numbers, { batchSize: 11 })) kept = x;
    });
    expect(kept!.disposed).toBe(true);
  });
});
