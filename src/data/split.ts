/** Splitting a dataset into disjoint parts, by class where asked. */
import { NotSupportedError, ShapeError } from '../errors.js';
import { epochOrder } from './context.js';
import { Subset, type Dataset } from './dataset.js';

export interface SplitOptions<S extends object> {
  /** fractions of the dataset (their sum at most 1), or counts of samples */
  train?: number;
  validation?: number;
  test?: number;
  /**
   * the class that each part must hold in the same proportion: a field's name or place, a label per sample, or a
   * function of the sample
   */
  stratify?:
    (keyof S & (string | number)) | ArrayLike<number | bigint | string> | ((sample: S, index: number) => unknown);
  /** default 0 */
  seed?: number;
}

export interface Split<S extends object> {
  train: Subset<S>;
  validation: Subset<S>;
  test: Subset<S>;
}

const PARTS = ['train', 'validation', 'test'] as const;

/**
 * Shares `total` in proportion to `weights` (which sum to 1) by the largest remainder; equal remainders go to the
 * earlier part.
 */
export function apportion(total: number, weights: readonly number[]): number[] {
  const exact = weights.map((weight) => weight * total);
  // A weight such as 0.1 times 70 is a hair off 7: what is within rounding of a whole number is that number.
  const counts = exact.map((value) => Math.floor(value + 1e-9 * Math.max(1, value)));
  let left = total - counts.reduce((sum, n) => sum + n, 0);
  const order = exact.map((_, i) => i).sort((a, b) => exact[b]! - counts[b]! - (exact[a]! - counts[a]!) || a - b);
  for (const i of order) {
    if (left <= 0) break;
    counts[i]!++;
    left--;
  }
  return counts;
}

/**
 * A table of whole numbers with exactly the given row and column sums, each cell the floor or ceiling of row * column /
 * total. Floors first, then one each to the largest remainders; where that leaves a row over, an exchange along a path
 * of cells makes room (the table is a flow network with whole capacities, so a whole solution exists).
 */
function proportionalTable(rows: readonly number[], columns: readonly number[]): number[][] {
  const total = rows.reduce((sum, n) => sum + n, 0);
  if (total === 0) return rows.map(() => columns.map(() => 0));
  const remainders = rows.map((row) => columns.map((column) => ((row * column) % total) / total));
  const table = rows.map((row) => columns.map((column) => Math.floor((row * column) / total)));
  const extra = rows.map(() => columns.map(() => false));
  const rowNeed = rows.map((row, r) => row - table[r]!.reduce((sum, n) => sum + n, 0));
  const columnNeed = columns.map((column, c) => column - table.reduce((sum, row) => sum + row[c]!, 0));

  const cells = rows.flatMap((_, r) => columns.map((_, c) => ({ r, c, remainder: remainders[r]![c]! })));
  cells.sort((a, b) => b.remainder - a.remainder || a.r - b.r || a.c - b.c);
  for (const { r, c, remainder } of cells) {
    if (remainder === 0 || rowNeed[r]! === 0 || columnNeed[c]! === 0) continue;
    extra[r]![c] = true;
    rowNeed[r]!--;
    columnNeed[c]!--;
  }

  // Gives row r one more cell, where need be by moving another row's extra from column c to a column further on.
  const place = (r: number, seen: Set<number>): boolean => {
    for (let c = 0; c < columns.length; c++) {
      if (seen.has(c) || extra[r]![c] || remainders[r]![c] === 0) continue;
      seen.add(c);
      if (columnNeed[c]! > 0) {
        columnNeed[c]!--;
        extra[r]![c] = true;
        return true;
      }
      for (let other = 0; other < rows.length; other++) {
        if (other === r || !extra[other]![c]) continue;
        if (place(other, seen)) {
          extra[other]![c] = false;
          extra[r]![c] = true;
          return true;
        }
      }
    }
    return false;
  };
  for (let r = 0; r < rows.length; r++) while (rowNeed[r]! > 0 && place(r, new Set())) rowNeed[r]!--;
  return table.map((row, r) => row.map((n, c) => n + (extra[r]![c] ? 1 : 0)));
}

/** The label as a map key: 3, 3n, [3] and a one-element field all name class 3. */
function labelKey(value: unknown): string {
  if (typeof value === 'object' && value !== null) {
    const data = 'data' in value ? (value as { data: unknown }).data : value;
    if (ArrayBuffer.isView(data)) return Array.from(data as unknown as ArrayLike<number | bigint>).join(',');
  }
  return String(value);
}

function labelsOf<S extends object>(dataset: Dataset<S>, by: NonNullable<SplitOptions<S>['stratify']>): string[] {
  if (typeof by === 'object') {
    if (by.length !== dataset.length) {
      throw new ShapeError(`stratify has ${by.length} labels, the dataset ${dataset.length} samples`, {
        op: 'splitDataset',
      });
    }
    return Array.from(by, labelKey);
  }
  return Array.from({ length: dataset.length }, (_, i) => {
    const sample = dataset.get(i);
    if (sample instanceof Promise) {
      sample.catch(() => undefined);
      throw new NotSupportedError('cannot stratify by samples that are read asynchronously', {
        op: 'splitDataset',
        hint: 'Pass the labels themselves: stratify: labels.',
      });
    }
    if (typeof by === 'function') return labelKey(by(sample, i));
    const label = (sample as Record<string | number, unknown>)[by];
    if (label === undefined) {
      throw new ShapeError(`sample ${i} has no field '${String(by)}'`, { op: 'splitDataset' });
    }
    return labelKey(label);
  });
}

function partSizes(n: number, fractions: readonly number[]): number[] {
  if (fractions.some((f) => !(f >= 0) || !Number.isFinite(f))) {
    throw new ShapeError('parts must be fractions or counts of at least 0', { op: 'splitDataset' });
  }
  const asCounts = fractions.some((f) => f > 1);
  const sum = fractions.reduce((total, f) => total + f, 0);
  if (asCounts && fractions.some((f) => !Number.isInteger(f))) {
    throw new ShapeError(`parts mix counts and fractions: ${fractions.join(', ')}`, { op: 'splitDataset' });
  }
  if (asCounts ? sum > n : sum > 1 + 1e-9) {
    throw new ShapeError(
      asCounts ? `parts hold ${sum} samples, the dataset ${n}` : `fractions sum to ${sum}, above 1`,
      { op: 'splitDataset' },
    );
  }
  return asCounts ? [...fractions, n - sum] : apportion(n, [...fractions, Math.max(0, 1 - sum)]);
}

/**
 * Splits a dataset into disjoint parts, shuffled by `seed`. The sizes are exact: the largest remainders round up. With
 * `stratify` every part holds each class in the proportion of the whole, to the floor or ceiling. What the parts leave
 * over is in none.
 * Throws ShapeError when the parts exceed the dataset, NotSupportedError when samples needed for `stratify` are read
 * asynchronously.
 */
export function splitDataset<S extends object>(dataset: Dataset<S>, options: SplitOptions<S>): Split<S> {
  const n = dataset.length;
  const sizes = partSizes(
    n,
    PARTS.map((part) => options[part] ?? 0),
  );
  const labels = options.stratify === undefined ? undefined : labelsOf(dataset, options.stratify);

  // Classes in order of first appearance in the dataset, so the seed alone decides who goes where.
  const classes = new Map<string, number>();
  for (const label of labels ?? ['']) if (!classes.has(label)) classes.set(label, classes.size);
  const classOf = (i: number): number => (labels === undefined ? 0 : classes.get(labels[i]!)!);
  const counts = new Array<number>(classes.size).fill(0);
  for (let i = 0; i < n; i++) counts[classOf(i)]!++;

  const left = proportionalTable(counts, sizes);
  const chosen: number[][] = sizes.map(() => []);
  for (const i of epochOrder(n, options.seed ?? 0, 0)) {
    const row = left[classOf(i)]!;
    const part = row.findIndex((count) => count > 0);
    row[part]!--;
    chosen[part]!.push(i);
  }
  const subset = (k: number): Subset<S> => new Subset(dataset, Int32Array.from(chosen[k]!));
  return { train: subset(0), validation: subset(1), test: subset(2) };
}
