import { numel, zeros, type Ref } from './array.js';
import { exactSum } from './reduce.js';

/** Normalised over the last `tail.length` dims with the biased variance: (x - mean) / sqrt(var + eps) weight + bias. */
export function layerNorm(x: Ref, tail: readonly number[], weight?: Ref, bias?: Ref, eps = 1e-5): Ref {
  const y = zeros(x.shape);
  const n = numel(tail);
  for (let start = 0; start < x.data.length; start += n) {
    const row = x.data.subarray(start, start + n);
    const mean = exactSum(row) / n;
    const variance = exactSum(row.map((v) => (v - mean) ** 2)) / n;
    const rstd = 1 / Math.sqrt(variance + eps);
    for (let i = 0; i < n; i++) {
      y.data[start + i] = (row[i]! - mean) * rstd * (weight ? weight.data[i]! : 1) + (bias ? bias.data[i]! : 0);
    }
  }
  return y;
}
