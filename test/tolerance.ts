/**
 * The one file of bounds. Every bound is an absolute error per element, worked out from the inputs in float64; eps is the
 * distance from 1 to the next number of the dtype. The rules: 4 ulp elementwise, 4 eps log2(n) sum|x| for sums,
 * 4 eps (|A||B|) for products. A wider bound states its reason where it stands.
 */
import { build, coordinates, get, normalDim, numel, type Ref } from './reference/array.js';
import { reducedCount, sumAbs } from './reference/reduce.js';
import { matmulAbs } from './reference/matmul.js';

export type FloatName = 'float32' | 'float64';

export const epsOf = (dtype: string): number => (dtype === 'float64' ? 2 ** -52 : 2 ** -23);

/** The unit in the last place of `value`. */
export function ulp(value: number, dtype: string): number {
  const [mantissa, smallest] = dtype === 'float64' ? [52, -1022] : [23, -126];
  const a = Math.abs(value);
  if (!Number.isFinite(a)) return 0;
  if (a === 0) return 2 ** (smallest - mantissa);
  let exponent = Math.floor(Math.log2(a));
  if (2 ** exponent > a) exponent--;
  return 2 ** (Math.max(exponent, smallest) - mantissa);
}

export interface Judged {
  readonly inputs: readonly Ref[];
  readonly params: unknown;
  readonly expected: Ref;
  readonly dtype: string;
}

/** The allowed absolute error at each element of the expected output. */
export type Bound = (judged: Judged) => (element: number) => number;

export const exact: Bound = () => () => 0;

export const ulps =
  (count: number): Bound =>
  ({ expected, dtype }) =>
  (i) =>
    count * ulp(expected.data[i]!, dtype);

export const elementwise: Bound = ulps(4);

/**
 * Gelu. Wider than 4 ulp for x below -1, where 1 + erf(x) cancels: the absolute error stays 4 eps |x|, as in PyTorch.
 */
export const gelu: Bound =
  ({ inputs, expected, dtype }) =>
  (i) => {
    const x = inputs[0]!.data[i]!;
    return Math.max(4 * ulp(expected.data[i]!, dtype), x < 0 && Number.isFinite(x) ? 4 * epsOf(dtype) * -x : 0);
  };

const log2 = (n: number): number => Math.max(1, Math.log2(Math.max(1, n)));

interface ReduceParams {
  dim?: number | readonly number[] | undefined;
  keepDim?: boolean;
}

export const sum: Bound = ({ inputs, params, dtype }) => {
  const { dim, keepDim } = params as ReduceParams;
  const scale = sumAbs(inputs[0]!, dim, keepDim ?? false).data;
  const factor = 4 * epsOf(dtype) * log2(reducedCount(inputs[0]!, dim));
  return (i) => factor * scale[i]!;
};

/** The sum's bound over the count, and one rounding for the division. */
export const mean: Bound = (judged) => {
  const { dim } = judged.params as ReduceParams;
  const total = sum(judged);
  const count = reducedCount(judged.inputs[0]!, dim);
  return (i) => total(i) / count + ulp(judged.expected.data[i]!, judged.dtype);
};

export const matmul: Bound = ({ inputs, dtype }) => {
  const scale = matmulAbs(inputs[0]!, inputs[1]!).data;
  return (i) => 4 * epsOf(dtype) * scale[i]!;
};

/**
 * A bound proportional to the size of the terms that a result is summed from: `scale` is the reference run on the absolute
 * values of the inputs. Convolutions, fused bias and attention are such sums.
 */
export const termwise =
  (scale: (inputs: readonly Ref[], params: never) => Ref, factor = 4): Bound =>
  ({ inputs, params, dtype }) => {
    const size = scale(
      inputs.map((x) => ({ shape: x.shape, data: x.data.map(Math.abs) })),
      params as never,
    ).data;
    return (i) => factor * epsOf(dtype) * size[i]!;
  };

/**
 * Softmax. Wider than 4 ulp: the rounding of x - max is multiplied by exp into a relative error of eps |x - max| / 2, and the
 * divisor is a sum over the row.
 */
export const softmax: Bound = ({ inputs, params, expected, dtype }) => {
  const x = inputs[0]!;
  const spread = rowSpread(x, (params as { dim: number }).dim);
  return (i) => {
    const relative = 4 + 4 * log2(spread.count) + spread.of(i);
    return epsOf(dtype) * relative * expected.data[i]! + ulp(0, dtype);
  };
};

/** Log-softmax: as softmax, but the errors are absolute, in units of x and of the log of the sum. */
export const logSoftmax: Bound = ({ inputs, params, expected, dtype }) => {
  const spread = rowSpread(inputs[0]!, (params as { dim: number }).dim);
  return (i) => epsOf(dtype) * (4 * Math.abs(expected.data[i]!) + 4 * log2(spread.count) + spread.of(i));
};

/** The distance of each element from the largest finite one of its row along `dim`. */
function rowSpread(x: Ref, dim: number): { count: number; of: (i: number) => number } {
  const d = normalDim(dim, x.shape.length);
  const count = x.shape[d] ?? 1;
  const peak = build(
    x.shape.map((n, k) => (k === d ? 1 : n)),
    (at) => {
      let best = -Infinity;
      for (let c = 0; c < count; c++) {
        const v = get(
          x,
          at.map((a, k) => (k === d ? c : a)),
        );
        if (Number.isFinite(v) && v > best) best = v;
      }
      return best;
    },
  );
  const of = (i: number) => {
    const at = coordinates(i, x.shape);
    if (x.shape.length > 0) at[d] = 0;
    const distance = Math.abs(x.data[i]! - get(peak, at));
    return Number.isFinite(distance) ? distance : 0;
  };
  return { count, of };
}

/**
 * Results that come out of a chain of sums over `n` terms of size about `size` (norms, losses): 8 eps log2(n) (size + |e|).
 * Wider than a plain sum because each stage (mean, variance, scale) adds its own.
 */
export const chained =
  (n: (inputs: readonly Ref[]) => number, size: (inputs: readonly Ref[]) => number): Bound =>
  ({ inputs, expected, dtype }) => {
    const factor = 8 * epsOf(dtype) * log2(n(inputs));
    const floor = size(inputs);
    return (i) => factor * (floor + Math.abs(expected.data[i]!));
  };

/**
 * Composed and fused gradients, and float32 gradients against float64 ones, take the same sums in another order: 64 eps of the
 * element and of the largest element of that gradient, times log2 of the number of elements that meet in it. The factor covers
 * the forward pass's own error, which both carry into the backward pass.
 */
export function gradientBound(expected: Ref, dtype: string, meeting: number): (element: number) => number {
  const largest = expected.data.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
  const factor = 64 * epsOf(dtype) * log2(meeting);
  return (i) => factor * (Math.abs(expected.data[i]!) + 0.25 * largest) + ulp(1, dtype);
}

/** Against central differences in float64: relative 1e-4 (second derivatives 1e-3), with a floor for elements near zero. */
export function differenceBound(expected: Ref, order: 1 | 2): (element: number) => number {
  const relative = order === 1 ? 1e-4 : 1e-3;
  const largest = expected.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  return (i) => relative * (Math.abs(expected.data[i]!) + 0.01 * Math.max(1, largest));
}

/**
 * Frozen values of PyTorch carry PyTorch's own rounding: twice the op's bound, and the decimal digits they were written with.
 */
export function frozenBound(
  ours: (element: number) => number,
  expected: Ref,
  dtype: string,
): (element: number) => number {
  return (i) => 2 * ours(i) + 2 * ulp(expected.data[i]!, dtype);
}

/** How many elements a gradient sums over, at most: for gradientBound. */
export const meetingOf = (inputs: readonly Ref[]): number => Math.max(1, ...inputs.map((x) => numel(x.shape)));
