import { build, get, getBroadcast, type Ref } from './array.js';
import { matmul } from './matmul.js';
import { transpose } from './movement.js';
import { softmax } from './softmax.js';

export interface AttentionOptions {
  causal?: boolean;
  scale?: number;
  /** bool: true takes part; float: added to the scores */
  mask?: { values: Ref; additive: boolean };
}

/** softmax(q k^T scale + mask) v; q [..., L, E], k [..., S, E], v [..., S, D] -> [..., L, D]. */
export function attention(q: Ref, k: Ref, v: Ref, options: AttentionOptions = {}): Ref {
  const scale = options.scale ?? 1 / Math.sqrt(q.shape.at(-1)!);
  const scores = matmul(q, transpose(k, -2, -1));
  const masked = build(scores.shape, (at) => {
    const score = get(scores, at) * scale;
    const [row, column] = at.slice(-2) as [number, number];
    if (options.causal && column > row) return -Infinity;
    if (!options.mask) return score;
    const m = getBroadcast(options.mask.values, at);
    return options.mask.additive ? score + m : m !== 0 ? score : -Infinity;
  });
  return matmul(softmax(masked, -1), v);
}
