/** Scaled dot-product attention (Vaswani et al. 2017), composed of products and a softmax. */
import { DTypeError } from '../errors.js';
import { formatShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { add, mul } from './arithmetic.js';
import { ge, logicalAnd, where } from './compare.js';
import { arange } from './create.js';
import { matmul } from './matmul.js';
import { softmax } from './softmax.js';
import { requireFloat, shapeError } from './support.js';
import { transpose, unsqueeze } from './view.js';

export interface AttentionOptions {
  /** query i sees keys 0 to i only; default false. Together with a mask both hold. */
  causal?: boolean;
  /** broadcasts to [..., L, S]; bool: true takes part; float: added to the scores */
  mask?: Tensor | null;
  /** factor of the scores; default 1 / sqrt(E) */
  scale?: number | null;
}

/**
 * softmax(q k^T scale + mask) v. A query that sees no key gives NaN.
 *
 * @param q [..., L, E], float32 or float64
 * @param k [..., S, E]
 * @param v [..., S, D]
 * @returns [..., L, D]
 * @throws ShapeError where the sizes differ
 */
export function scaledDotProductAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const op = 'scaledDotProductAttention';
  requireFloat(op, q, k, v);
  const shapes = [q.shape, k.shape, v.shape];
  const E = q.shape[q.shape.length - 1];
  const L = q.shape[q.shape.length - 2];
  const S = k.shape[k.shape.length - 2];
  const fits =
    shapes.every((s) => s.length >= 2) && k.shape[k.shape.length - 1] === E && v.shape[v.shape.length - 2] === S;
  if (!fits) {
    const message = `q is ${formatShape(q.shape)}, k ${formatShape(k.shape)}, v ${formatShape(v.shape)}`;
    throw shapeError(op, message, shapes, 'They must be [..., L, E], [..., S, E] and [..., S, D].');
  }
  const { causal = false, mask = null } = options;
  const scale = options.scale ?? 1 / Math.sqrt(E!);
  let scores = matmul(mul(q, scale), transpose(k, -2, -1));
  let visible: Tensor | null = null;
  if (mask?.dtype === 'bool') visible = mask;
  else if (mask && (mask.dtype === 'float32' || mask.dtype === 'float64')) scores = add(scores, mask);
  else if (mask)
    throw new DTypeError(`a mask is bool or floating, got ${mask.dtype}`, { op, hint: 'Compare it: mask.ne(0).' });
  if (causal) {
    const rows = unsqueeze(arange(L!, { dtype: 'int32', device: q.device }), 1);
    const past = ge(rows, arange(S!, { dtype: 'int32', device: q.device }));
    visible = visible ? logicalAnd(visible, past) : past;
  }
  if (visible) scores = where(visible, scores, -Infinity);
  return matmul(softmax(scores, -1), v);
}
