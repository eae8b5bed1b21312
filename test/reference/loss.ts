import { coordinates, flatIndex, ref, scalar, zip, type Ref } from './array.js';
import { exactSum } from './reduce.js';
import { logSumExp } from './softmax.js';

export type Reduction = 'none' | 'mean' | 'sum';

export interface CrossEntropyOptions {
  weight?: Ref;
  ignoreIndex?: number;
  labelSmoothing?: number;
  reduction?: Reduction;
}

/**
 * PyTorch's cross entropy of logits [C], [N, C] or [N, C, ...]: targets are class indices without the class dim, or
 * probabilities of the logits' shape. The mean of index targets divides by the weights of the targets that count.
 */
export function crossEntropy(logits: Ref, target: Ref, options: CrossEntropyOptions = {}): Ref {
  const { weight, ignoreIndex = -100, labelSmoothing = 0, reduction = 'mean' } = options;
  const dim = logits.shape.length === 1 ? 0 : 1;
  const classes = logits.shape[dim]!;
  const places = logits.shape.filter((_, d) => d !== dim);
  const probabilities = target.shape.length === logits.shape.length;
  const count = places.reduce((p, n) => p * n, 1);
  const losses = new Float64Array(count);
  let divisor = 0;
  for (let place = 0; place < count; place++) {
    const at = coordinates(place, places);
    const flat = (c: number) => flatIndex([...at.slice(0, dim), c, ...at.slice(dim)], logits.shape);
    const row = Array.from({ length: classes }, (_, c) => logits.data[flat(c)]!);
    const normaliser = logSumExp(row);
    const cost = (c: number) => (weight ? weight.data[c]! : 1) * (normaliser - row[c]!);
    const smooth = () => exactSum(row.map((_, c) => cost(c))) * (labelSmoothing / classes);
    if (probabilities) {
      const share = (c: number) => (1 - labelSmoothing) * target.data[flat(c)]! + labelSmoothing / classes;
      losses[place] = exactSum(row.map((_, c) => share(c) * cost(c)));
      divisor += 1;
      continue;
    }
    const wanted = target.data[place]!;
    if (wanted === ignoreIndex) continue;
    losses[place] = (1 - labelSmoothing) * cost(wanted) + (labelSmoothing > 0 ? smooth() : 0);
    divisor += weight ? weight.data[wanted]! : 1;
  }
  return reduce(ref(places, losses), reduction, divisor);
}

function reduce(losses: Ref, reduction: Reduction, divisor: number): Ref {
  if (reduction === 'none') return losses;
  const total = exactSum(losses.data);
  return scalar(reduction === 'sum' ? total : total / divisor);
}

export function mseLoss(x: Ref, y: Ref, reduction: Reduction = 'mean'): Ref {
  const squares = zip((a, b) => (a - b) ** 2, x, y);
  return reduce(squares, reduction, squares.data.length);
}
