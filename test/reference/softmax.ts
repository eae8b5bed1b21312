import { coordinates, flatIndex, normalDim, zeros, type Ref } from './array.js';
import { exactSum } from './reduce.js';

/** Calls `row(indices)` for every line of elements along `dim`. */
export function eachRow(x: Ref, dim: number, row: (indices: number[]) => void): void {
  const d = normalDim(dim, x.shape.length);
  if (x.shape.length === 0) return row([0]);
  for (let i = 0; i < x.data.length; i++) {
    const at = coordinates(i, x.shape);
    if (at[d] !== 0) continue;
    row(
      Array.from({ length: x.shape[d]! }, (_, c) => {
        at[d] = c;
        return flatIndex(at, x.shape);
      }),
    );
  }
}

/** log(sum(exp(values))), against the maximum. */
export function logSumExp(values: readonly number[]): number {
  let top = -Infinity;
  for (const v of values) {
    if (Number.isNaN(v)) return NaN;
    top = Math.max(top, v);
  }
  if (!Number.isFinite(top)) return top;
  return top + Math.log(exactSum(values.map((v) => Math.exp(v - top))));
}

/** exp(x - max) / sum; a row that holds NaN or +infinity, or nothing but -infinity, is NaN throughout or where PyTorch has it. */
export function softmax(x: Ref, dim: number): Ref {
  const y = zeros(x.shape);
  eachRow(x, dim, (row) => {
    const values = row.map((i) => x.data[i]!);
    const top = values.some(Number.isNaN) ? NaN : Math.max(...values);
    const powers = values.map((v) => Math.exp(v - top));
    const total = exactSum(powers);
    row.forEach((i, k) => (y.data[i] = powers[k]! / total));
  });
  return y;
}

export function logSoftmax(x: Ref, dim: number): Ref {
  const y = zeros(x.shape);
  eachRow(x, dim, (row) => {
    const values = row.map((i) => x.data[i]!);
    const top = values.some(Number.isNaN) ? NaN : Math.max(...values);
    const rest = Math.log(exactSum(values.map((v) => Math.exp(v - top))));
    row.forEach((i, k) => (y.data[i] = values[k]! - top - rest));
  });
  return y;
}
