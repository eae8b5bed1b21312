import { describe, expect, it } from 'vitest';
import { arrayDataset, splitDataset, type Dataset } from '../../src/index.js';
import { covers } from '../harness/surface.js';

/** 103 samples of classes 0 to 3 with 53, 30, 17 and 3 members, sorted by class as real files are. */
const counts = [53, 30, 17, 3];
const labels = Uint8Array.from(counts.flatMap((n, c) => new Array<number>(n).fill(c)));
const dataset = arrayDataset({
  x: { data: Float32Array.from({ length: labels.length * 2 }, (_, i) => i), shape: [2] },
  label: labels,
});

const byClass = (indices: Int32Array): number[] =>
  counts.map((_, c) => [...indices].filter((i) => labels[i] === c).length);

describe('splitDataset', () => {
  it('makes disjoint parts of exact size that cover the dataset', () => {
    const { train, validation, test } = splitDataset(dataset, { train: 0.8, validation: 0.1, test: 0.1, seed: 7 });
    // 82.4, 10.3 and 10.3: the floors leave one over, and 0.4 is the largest remainder.
    expect([train.length, validation.length, test.length]).toEqual([83, 10, 10]);
    const all = [...train.indices, ...validation.indices, ...test.indices].sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: 103 }, (_, i) => i));
  });

  it('holds every class in proportion to the floor or ceiling, with exact totals', () => {
    for (const seed of [0, 1, 2]) {
      const parts = splitDataset(dataset, { train: 0.7, validation: 0.2, test: 0.1, stratify: 'label', seed });
      expect([parts.train.length, parts.validation.length, parts.test.length]).toEqual([72, 21, 10]);
      for (const part of [parts.train, parts.validation, parts.test]) {
        byClass(part.indices).forEach((n, c) => {
          const exact = (counts[c]! * part.length) / 103;
          expect(n).toBeGreaterThanOrEqual(Math.floor(exact));
          expect(n).toBeLessThanOrEqual(Math.ceil(exact));
        });
      }
      expect(new Set([...parts.train.indices, ...parts.validation.indices, ...parts.test.indices]).size).toBe(103);
      // Every cell of sizes x parts / 103 rounded by largest remainder; here no exchange is needed.
      expect(byClass(parts.train.indices)).toEqual([37, 21, 12, 2]);
      expect(byClass(parts.validation.indices)).toEqual([11, 6, 3, 1]);
      expect(byClass(parts.test.indices)).toEqual([5, 3, 2, 0]);
    }
    covers('splitDataset');
  });

  it('finds a table of counts where plain rounding has none', () => {
    // Every class has one sample for each part: largest remainders alone, class by class, would give one part all of
    // them.
    const tied = Uint8Array.from({ length: 60 }, (_, i) => i % 20);
    const { train, validation, test } = splitDataset(arrayDataset([tied]), {
      train: 20,
      validation: 20,
      test: 20,
      stratify: 0,
    });
    for (const part of [train, validation, test]) expect(new Set([...part.indices].map((i) => tied[i])).size).toBe(20);
  });

  it('keeps margins exact for random class sizes', () => {
    let state = 12345;
    const next = (n: number): number => (state = (state * 1103515245 + 12345) % 2147483648) % n;
    for (let round = 0; round < 200; round++) {
      const sizes = Array.from({ length: 1 + next(9) }, () => 1 + next(13));
      const classes = sizes.flatMap((n, c) => new Array<number>(n).fill(c));
      const n = classes.length;
      const train = next(n + 1);
      const validation = next(n - train + 1);
      const parts = splitDataset(arrayDataset([Uint8Array.from(classes)]), {
        train,
        validation: validation,
        test: 0,
        stratify: classes,
        seed: round,
      });
      // Below 2 a part is a fraction: leave those to the other cases.
      if (train < 2 && validation < 2) continue;
      expect([parts.train.length, parts.validation.length, parts.test.length]).toEqual([train, validation, 0]);
      sizes.forEach((size, c) => {
        const inTrain = [...parts.train.indices].filter((i) => classes[i] === c).length;
        expect(Math.abs(inTrain - (size * train) / n)).toBeLessThan(1);
      });
    }
  });

  it('repeats with its seed and differs with another', () => {
    const of = (seed: number): number[] => [
      ...splitDataset(dataset, { train: 0.5, stratify: 'label', seed }).train.indices,
    ];
    expect(of(3)).toEqual(of(3));
    expect(of(3)).not.toEqual(of(4));
  });

  it('leaves out what the parts do not ask for, and takes counts', () => {
    const { train, validation, test } = splitDataset(dataset, { train: 50, test: 3 });
    expect([train.length, validation.length, test.length]).toEqual([50, 0, 3]);
    expect(splitDataset(dataset, { train: 0.5 }).train.length).toBe(52);
    expect(splitDataset(arrayDataset([new Float32Array(0)]), { train: 1 }).train.length).toBe(0);
  });

  it('takes labels by name, place, list and function', () => {
    const want = [...splitDataset(dataset, { train: 0.5, stratify: 'label', seed: 1 }).train.indices];
    expect([...splitDataset(dataset, { train: 0.5, stratify: labels, seed: 1 }).train.indices]).toEqual(want);
    expect([
      ...splitDataset(dataset, { train: 0.5, stratify: (sample) => sample.label.data[0], seed: 1 }).train.indices,
    ]).toEqual(want);
    const tuple = arrayDataset([new Float32Array(103), labels]);
    expect([...splitDataset(tuple, { train: 0.5, stratify: 1, seed: 1 }).train.indices]).toEqual(want);
  });

  it('refuses parts that do not fit', () => {
    expect(() => splitDataset(dataset, { train: 0.8, test: 0.3 })).toThrow(/fractions sum to 1.1/);
    expect(() => splitDataset(dataset, { train: 100, test: 10 })).toThrow(/110 samples, the dataset 103/);
    expect(() => splitDataset(dataset, { train: 2, test: 0.5 })).toThrow(/mix counts and fractions/);
    expect(() => splitDataset(dataset, { train: -0.1 })).toThrow(/at least 0/);
    expect(() => splitDataset(dataset, { train: 0.5, stratify: [1, 2] })).toThrow(/2 labels, the dataset 103/);
    expect(() =>
      splitDataset(dataset as unknown as Dataset<{ nothing: number }>, { train: 0.5, stratify: 'nothing' }),
    ).toThrow(/no field 'nothing'/);
  });
});
