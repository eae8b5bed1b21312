/** Rows of a table by index. */
import * as native from '../addon.ops.js';
import type { OutSpec } from '../addon.js';
import { apply } from '../apply.js';
import { defineOp, type BackwardContext, type OpDefinition } from '../autograd/define.js';
import { IndexError } from '../errors.js';
import { formatShape, type Shape } from '../shape.js';
import type { Storage } from '../storage.js';
import { Tensor } from '../tensor.js';
import { eq, where } from './compare.js';
import { dense, gradientOf, gradientOut, requireFloat, requireIndex, shapeError, viewAs } from './support.js';
import { unsqueeze } from './view.js';

interface EmbeddingParams {
  /** the row whose gradient is dropped; -1 for none */
  readonly paddingIdx: number;
}

const embeddingOp: OpDefinition<EmbeddingParams> = defineOp<EmbeddingParams>({
  name: 'embedding',
  dtypes: 'none',
  forward([weight, index], _, ctx) {
    const { dtype, shape } = weight!;
    const n = index!.numel;
    const D = shape[1]!;
    if (ctx.needsGrad(0)) ctx.save(index!);
    const y = native.embedding(weight!.device, dense(weight!), viewAs(dense(index!), [n]), { dtype, shape: [n, D] });
    return Tensor.fresh(y, [...index!.shape, D], dtype);
  },
  grad([g], { saved: [index], params: { paddingIdx }, inputShapes }) {
    return [g ? apply(embeddingBackwardOp, [g, index!], { paddingIdx, shape: inputShapes[0]! }) : null, null];
  },
  backward([g], ctx: BackwardContext<EmbeddingParams>) {
    if (!g) return [null, null];
    const out = gradientOut(ctx, 0);
    return [gradientOf(out, sumRows(g, ctx.saved[0]!, ctx.inputShapes[0]![1]!, out, ctx.params.paddingIdx)), null];
  },
});

/** Writes the gradient of the table, D wide, to `out`. */
function sumRows(g: Tensor, index: Tensor, D: number, out: Tensor | OutSpec, paddingIdx: number): Storage {
  const n = index.numel;
  return native.embeddingBackward(g.device, viewAs(dense(g), [n, D]), viewAs(dense(index), [n]), out, paddingIdx);
}

/** The gradient of the table: every row the sum of its g rows, in ascending order of position. */
const embeddingBackwardOp: OpDefinition<EmbeddingParams & { readonly shape: Shape }> = defineOp<
  EmbeddingParams & { readonly shape: Shape }
>({
  name: 'embedding backward',
  dtypes: 'none',
  forward([g, index], { paddingIdx, shape }, ctx) {
    if (ctx.needsGrad(0)) ctx.save(index!);
    const { dtype } = g!;
    return Tensor.fresh(sumRows(g!, index!, shape[1]!, { dtype, shape }, paddingIdx), shape, dtype);
  },
  grad([gg], { saved: [index], params: { paddingIdx } }) {
    if (!gg) return [null, null];
    const rows = apply(embeddingOp, [gg, index!], { paddingIdx });
    return [paddingIdx < 0 ? rows : where(unsqueeze(eq(index!, paddingIdx), -1), 0, rows), null];
  },
});

export interface EmbeddingOptions {
  /** a row that gets no gradient; negative ones count from the last */
  paddingIdx?: number | null;
}

/**
 * The rows of `weight` that `index` names.
 *
 * @param weight [V, D], float32 or float64
 * @param index any shape, int32, int64 or uint8; values in [0, V). One outside gives a row of zeros, and reading any later
 *   result rejects with IndexError.
 * @returns [...index.shape, D]
 * @throws ShapeError where weight is not 2-D, DTypeError for an index of another dtype
 */
export function embedding(weight: Tensor, index: Tensor, { paddingIdx }: EmbeddingOptions = {}): Tensor {
  requireFloat('embedding', weight);
  requireIndex('embedding', 'index', index);
  if (weight.shape.length !== 2) {
    throw shapeError(
      'embedding',
      `weight must be [V, D], got ${formatShape(weight.shape)}`,
      [weight.shape, index.shape],
      'The table comes first.',
    );
  }
  const V = weight.shape[0]!;
  let padding = -1;
  if (paddingIdx !== undefined && paddingIdx !== null) {
    padding = paddingIdx < 0 ? paddingIdx + V : paddingIdx;
    if (!Number.isInteger(paddingIdx) || padding < 0 || padding >= V) {
      throw new IndexError(`paddingIdx ${paddingIdx} is outside a table of ${V} rows`, {
        op: 'embedding',
        value: paddingIdx,
        bound: V,
      });
    }
  }
  return apply(embeddingOp, [weight, index], { paddingIdx: padding });
}
