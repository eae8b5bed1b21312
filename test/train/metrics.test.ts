import { describe, expect, it } from 'vitest';
import { ConfusionMatrix, ShapeError } from '../../src/index.js';

/** Figures straight from the pairs, one plain loop each. */
function plainFigures(
  truth: number[],
  predicted: number[],
  label: number,
): [precision: number, recall: number, f1: number, support: number] {
  let right = 0;
  let called = 0;
  let support = 0;
  for (let i = 0; i < truth.length; i++) {
    if (predicted[i] === label) called++;
    if (truth[i] === label) support++;
    if (truth[i] === label && predicted[i] === label) right++;
  }
  const precision = called === 0 ? 0 : right / called;
  const recall = support === 0 ? 0 : right / support;
  const f1 = precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
  return [precision, recall, f1, support];
}

describe('ConfusionMatrix', () => {
  const classes = 5;
  // class 4 is never true and class 3 never predicted: both zero denominators occur
  const truth = Array.from({ length: 400 }, (_, i) => (i * 7 + (i >> 3)) % 4);
  const predicted = truth.map((label, i) => (i % 5 === 0 ? (i % 10 === 0 ? 4 : 0) : label === 3 ? 1 : label));
  const matrix = new ConfusionMatrix(classes);
  matrix.add(truth.slice(0, 150), predicted.slice(0, 150));
  matrix.add(new Int32Array(truth.slice(150)), new Int32Array(predicted.slice(150)));

  it('counts what plain loops count', () => {
    for (let row = 0; row < classes; row++) {
      for (let column = 0; column < classes; column++) {
        const count = truth.filter((label, i) => label === row && predicted[i] === column).length;
        expect(matrix.at(row, column)).toBe(count);
        expect(matrix.rows()[row]![column]).toBe(count);
      }
    }
    expect(matrix.total).toBe(400);
    expect(matrix.accuracy).toBe(truth.filter((label, i) => label === predicted[i]).length / 400);
  });

  it('gives precision, recall, F1 and support of each class, 0 where undefined', () => {
    for (const { label, precision, recall, f1, support } of matrix.perClass()) {
      expect([precision, recall, f1, support]).toEqual(plainFigures(truth, predicted, label));
    }
    const means = matrix.macro();
    const mean = (k: 0 | 1 | 2): number =>
      Array.from({ length: classes }, (_, label) => plainFigures(truth, predicted, label)[k]).reduce((a, b) => a + b) /
      classes;
    expect(means.precision).toBeCloseTo(mean(0), 12);
    expect(means.recall).toBeCloseTo(mean(1), 12);
    expect(means.f1).toBeCloseTo(mean(2), 12);
  });

  it('takes the largest score, the first of equal ones', () => {
    const m = new ConfusionMatrix(3);
    m.addLogits([0, 1, 2], [5, 5, 1, -3, -1, -2, -Infinity, 0, 7]);
    expect(m.rows()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
  });

  it('is empty before the first batch', () => {
    const m = new ConfusionMatrix(2);
    expect([m.total, m.accuracy, m.macro().f1]).toEqual([0, 0, 0]);
  });

  it('refuses lengths that differ, indices that are no class, and impossible sizes', () => {
    const m = new ConfusionMatrix(2);
    expect(() => m.add([0, 1], [0])).toThrow(ShapeError);
    expect(() => m.add([0], [2])).toThrow(/predicted class 2 of sample 0/);
    expect(() => m.add([-1], [0])).toThrow(/true class -1/);
    expect(() => m.add([0.5], [0])).toThrow(ShapeError);
    expect(() => m.addLogits([0], [1])).toThrow(ShapeError);
    expect(() => new ConfusionMatrix(0)).toThrow(ShapeError);
    expect(m.total).toBe(0);
  });
});
