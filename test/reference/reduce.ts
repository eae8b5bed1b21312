import { build, coordinates, flatIndex, normalDims, zeros, type Ref } from './array.js';

type Dim = number | readonly number[] | undefined;

/** Folds the elements of each kept place in row-major order, `f(accumulator, element, position among the reduced)`. */
function fold(x: Ref, dim: Dim, keepDim: boolean, f: (values: number[]) => number): Ref {
  const dims = new Set(normalDims(dim, x.shape.length));
  const keptShape = x.shape.map((n, i) => (dims.has(i) ? 1 : n));
  const groups = Array.from({ length: keptShape.reduce((p, n) => p * n, 1) }, () => [] as number[]);
  for (let i = 0; i < x.data.length; i++) {
    const at = coordinates(i, x.shape).map((c, d) => (dims.has(d) ? 0 : c));
    groups[flatIndex(at, keptShape)]!.push(x.data[i]!);
  }
  const shape = keepDim ? keptShape : x.shape.filter((_, i) => !dims.has(i));
  const out = zeros(shape);
  groups.forEach((values, i) => (out.data[i] = f(values)));
  return out;
}

/** Neumaier's compensated sum: the reference must not carry the error that it judges. */
export function exactSum(values: ArrayLike<number>): number {
  let sum = 0;
  let lost = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    const next = sum + v;
    lost += Math.abs(sum) >= Math.abs(v) ? sum - next + v : v - next + sum;
    sum = next;
  }
  return Number.isFinite(sum) ? sum + lost : sum;
}

const extreme = (values: number[], better: (a: number, b: number) => boolean): number => {
  let best = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) return i;
    if (better(values[i]!, values[best]!)) best = i;
  }
  return best;
};
const greater = (a: number, b: number) => a > b;
const less = (a: number, b: number) => a < b;

export const sum = (x: Ref, dim?: Dim, keepDim = false): Ref => fold(x, dim, keepDim, exactSum);
export const sumAbs = (x: Ref, dim?: Dim, keepDim = false): Ref =>
  fold(x, dim, keepDim, (values) => exactSum(values.map(Math.abs)));
export const mean = (x: Ref, dim?: Dim, keepDim = false): Ref =>
  fold(x, dim, keepDim, (values) => exactSum(values) / values.length);
export const max = (x: Ref, dim?: Dim, keepDim = false): Ref =>
  fold(x, dim, keepDim, (values) => values[extreme(values, greater)]!);
export const min = (x: Ref, dim?: Dim, keepDim = false): Ref =>
  fold(x, dim, keepDim, (values) => values[extreme(values, less)]!);
export const argmax = (x: Ref, dim?: Dim, keepDim = false): Ref =>
  fold(x, dim, keepDim, (values) => extreme(values, greater));
export const argmin = (x: Ref, dim?: Dim, keepDim = false): Ref =>
  fold(x, dim, keepDim, (values) => extreme(values, less));

/** How many elements each result of a reduction covers. */
export function reducedCount(x: Ref, dim?: Dim): number {
  return normalDims(dim, x.shape.length).reduce((count, d) => count * x.shape[d]!, 1);
}

/** A copy of `x` summed to `shape`, the reverse of broadcasting. */
export function sumTo(x: Ref, shape: readonly number[]): Ref {
  const skip = x.shape.length - shape.length;
  const out = build(shape, () => 0);
  for (let i = 0; i < x.data.length; i++) {
    const at = coordinates(i, x.shape)
      .slice(skip)
      .map((c, d) => (shape[d] === 1 ? 0 : c));
    out.data[flatIndex(at, shape)]! += x.data[i]!;
  }
  return out;
}
