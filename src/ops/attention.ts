/** Scaled dot-product attention (Vaswani et al. 2017), in one kernel that never holds the matrix of scores. */
import * as native from '../addon.ops.js';
import type { View } from '../addon.js';
import { apply } from '../apply.js';
import { type BackwardContext, defineOp } from '../autograd/define.js';
import { mode } from '../context.js';
import type { Device } from '../device.js';
import { type DType, resultType } from '../dtype.js';
import { DTypeError } from '../errors.js';
import { broadcastShapes, contiguousStrides, expandStrides, formatShape, numelOf, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { add, mul, sub } from './arithmetic.js';
import { ge, logicalAnd, where } from './compare.js';
import { cast } from './copy.js';
import { arange } from './create.js';
import { matmul } from './matmul.js';
import { sum, sumTo } from './reduce.js';
import { softmax } from './softmax.js';
import { allocate, dense, requireFloat, shapeError, view } from './support.js';
import { transpose, unsqueeze } from './view.js';

export interface AttentionOptions {
  /** query i sees keys 0 to i only; default false. Together with a mask both hold. */
  causal?: boolean;
  /** broadcasts to [..., L, S]; bool: true takes part; float: added to the scores */
  mask?: Tensor | null;
  /** factor of the scores; default 1 / sqrt(E) */
  scale?: number | null;
}

interface AttentionParams {
  readonly causal: boolean;
  readonly scale: number;
}

const name = 'scaledDotProductAttention';

/** Sizes of q [..., L, E], k [..., S, E], v [..., S, D]; batch is what the leading dims of these and the mask broadcast to. */
interface Sizes {
  readonly batch: Shape;
  readonly L: number;
  readonly S: number;
  readonly E: number;
  readonly D: number;
}

function sizesOf(q: Shape, k: Shape, v: Shape, mask: Shape | null): Sizes {
  const shapes = mask ? [q, k, v, mask] : [q, k, v];
  const E = q[q.length - 1];
  const S = k[k.length - 2];
  const fits = [q, k, v].every((s) => s.length >= 2) && k[k.length - 1] === E && v[v.length - 2] === S;
  if (!fits) {
    const message = `q is ${formatShape(q)}, k ${formatShape(k)}, v ${formatShape(v)}`;
    throw shapeError(name, message, shapes, 'They must be [..., L, E], [..., S, E] and [..., S, D].');
  }
  const batch = broadcastShapes(
    shapes.map((s) => s.slice(0, -2)),
    name,
  );
  const L = q[q.length - 2]!;
  const [rows, columns] = mask ? [mask[mask.length - 2] ?? 1, mask[mask.length - 1] ?? 1] : [1, 1];
  if ((rows !== 1 && rows !== L) || (columns !== 1 && columns !== S)) {
    throw shapeError(name, `mask is ${formatShape(mask!)}`, shapes, `It must broadcast to [..., ${L}, ${S}].`);
  }
  return { batch, L, S: S!, E: E!, D: v[v.length - 1]! };
}

/** x as the kernels take it: repeated to the leading sizes `batch`, its rows gapless. */
function rowsOf(x: Tensor, batch: Shape): View {
  const rank = x.shape.length;
  const y = x.shape[rank - 1]! <= 1 || x.strides[rank - 1] === 1 ? x : dense(x);
  const shape = [...batch, x.shape[rank - 2]!, x.shape[rank - 1]!];
  return view(y, shape, expandStrides(y.shape, y.strides, shape, name));
}

function maskView(mask: Tensor, batch: Shape, L: number, S: number): View {
  const shape = [...batch, L, S];
  return view(mask, shape, expandStrides(mask.shape, mask.strides, shape, name));
}

/** Whether a tensor of these sizes and strides, its dims in any order, fills its memory without a gap. */
function fills(shape: Shape, strides: Shape): boolean {
  const dims = shape.map((_, d) => d).filter((d) => shape[d] !== 1);
  dims.sort((a, b) => strides[a]! - strides[b]!);
  let step = 1;
  for (const d of dims) {
    if (strides[d] !== step) return false;
    step *= shape[d]!;
  }
  return true;
}

/**
 * Strides for `shape` with the dims in memory in the order of `like`, a tensor of the same number of dims: heads that are a
 * transposed [B, T, H, D] give results that are, too. Row-major where `like` repeats elements or ends in another dim than its last.
 */
function stridesLike(shape: Shape, like: Tensor): Shape {
  const rank = shape.length;
  const { strides } = like;
  if (like.shape.length !== rank || strides.some((s, d) => s === 0 && like.shape[d]! > 1))
    return contiguousStrides(shape);
  const leading = Array.from({ length: rank - 1 }, (_, d) => d);
  leading.sort((a, b) => strides[b]! - strides[a]! || a - b);
  const result = new Array<number>(rank);
  let step = 1;
  for (const d of [rank - 1, ...leading.reverse()]) {
    result[d] = step;
    step *= Math.max(shape[d]!, 1);
  }
  return result;
}

/** A tensor whose elements are still to be written, laid out as `strides` say. */
function fresh(device: Device, shape: Shape, strides: Shape, dtype: DType): Tensor {
  return allocate(name, device, shape, dtype).withStrides(shape, strides, 0);
}

/**
 * Where the gradients of q, k and v go. Three interleaved windows of one memory, as a projection to [B, T, 3 H D] gives them,
 * get gradients that are windows of one memory in the same way, so that joining them moves nothing.
 */
function gradientsLike(
  inputs: readonly Tensor[],
  shapes: readonly Shape[],
  wanted: readonly boolean[],
): (Tensor | null)[] {
  const [q, k, v] = inputs as [Tensor, Tensor, Tensor];
  const { device, dtype, storage, shape, strides } = q;
  const alike = [k, v].every(
    (x) =>
      x.storage === storage && x.shape.every((n, d) => n === shape[d]) && x.strides.every((s, d) => s === strides[d]),
  );
  const step = k.offset - q.offset;
  if (
    alike &&
    wanted.every(Boolean) &&
    shapes.every((s) => s.length === shape.length && s.every((n, d) => n === shape[d])) &&
    step > 0 &&
    v.offset - k.offset === step &&
    strides[shape.length - 1] === 1 &&
    fills([3, ...shape], [step, ...strides])
  ) {
    const memory = allocate(name, device, [3 * numelOf(shape)], dtype);
    return inputs.map((x) => memory.withStrides(shape, strides, x.offset - q.offset));
  }
  return inputs.map((x, i) => (wanted[i] ? fresh(device, shapes[i]!, stridesLike(shapes[i]!, x), dtype) : null));
}

/** Which pairs may see each other, or null for all. */
function visibility(q: Tensor, k: Tensor, mask: Tensor | null, causal: boolean): Tensor | null {
  const visible = mask?.dtype === 'bool' ? mask : null;
  if (!causal) return visible;
  const rows = unsqueeze(arange(q.shape[q.shape.length - 2]!, { dtype: 'int32', device: q.device }), 1);
  const past = ge(rows, arange(k.shape[k.shape.length - 2]!, { dtype: 'int32', device: q.device }));
  return visible ? logicalAnd(visible, past) : past;
}

/** The weights softmax(q k^T scale + mask), composed of recorded ops. */
function weightsOf(q: Tensor, k: Tensor, mask: Tensor | null, visible: Tensor | null, scale: number): Tensor {
  let scores = matmul(mul(q, scale), transpose(k, -2, -1));
  if (mask && mask.dtype !== 'bool') scores = add(scores, mask);
  if (visible) scores = where(visible, scores, -Infinity);
  return softmax(scores, -1);
}

interface Saved {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  mask: Tensor | null;
  y: Tensor;
  lse: Tensor;
}

function savedOf({ saved }: BackwardContext<AttentionParams>): Saved {
  const [q, k, v, y, lse, mask = null] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor?];
  return { q, k, v, mask, y, lse };
}

const attentionOp = defineOp<AttentionParams>({
  name,
  forward(inputs, { causal, scale }, ctx) {
    const [q, k, v, mask = null] = inputs as [Tensor, Tensor, Tensor, Tensor?];
    const { batch, L, S, D } = sizesOf(q.shape, k.shape, v.shape, mask && mask.shape);
    const { device, dtype } = q;
    const shape = [...batch, L, D];
    const y = fresh(device, shape, stridesLike(shape, q), dtype);
    const out = native.attention(
      device,
      rowsOf(q, batch),
      rowsOf(k, batch),
      rowsOf(v, batch),
      mask && maskView(mask, batch, L, S),
      y,
      { dtype, shape: [...batch, L] },
      scale,
      causal,
    );
    const lse = Tensor.fresh(out.lse, [...batch, L], dtype);
    if (ctx.needsGrad(0) || ctx.needsGrad(1) || ctx.needsGrad(2)) ctx.save(q, k, v, y, lse, ...(mask ? [mask] : []));
    return y;
  },
  grad([g], ctx) {
    const none = ctx.inputShapes.map(() => null);
    if (!g) return none;
    const { q, k, v, mask } = savedOf(ctx);
    const { causal, scale } = ctx.params;
    const [shapeQ, shapeK, shapeV] = ctx.inputShapes as [Shape, Shape, Shape];
    const visible = visibility(q, k, mask, causal);
    const weights = weightsOf(q, k, mask, visible, scale);
    const gradients: (Tensor | null)[] = [...none];
    if (ctx.needsGrad(2)) gradients[2] = sumTo(matmul(transpose(weights, -2, -1), g), shapeV);
    if (ctx.needsGrad(0) || ctx.needsGrad(1)) {
      const weighted = mul(weights, matmul(g, transpose(v, -2, -1)));
      let scores = sub(weighted, mul(weights, sum(weighted, -1, { keepDim: true })));
      if (visible) scores = where(visible, scores, 0);
      scores = mul(scores, scale);
      if (ctx.needsGrad(0)) gradients[0] = sumTo(matmul(scores, k), shapeQ);
      if (ctx.needsGrad(1)) gradients[1] = sumTo(matmul(transpose(scores, -2, -1), q), shapeK);
    }
    return gradients;
  },
  backward([g], ctx) {
    if (!g) return ctx.inputShapes.map(() => null);
    const { q, k, v, mask, y, lse } = savedOf(ctx);
    const { causal, scale } = ctx.params;
    const { batch, L, S, E, D } = sizesOf(q.shape, k.shape, v.shape, mask && mask.shape);
    const shapes = [
      [...batch, L, E],
      [...batch, S, E],
      [...batch, S, D],
    ];
    const wanted = [0, 1, 2].map((i) => ctx.needsGrad(i));
    const gradients = gradientsLike([q, k, v], shapes, wanted);
    native.attentionBackward(
      ctx.device,
      rowsOf(g, batch),
      rowsOf(q, batch),
      rowsOf(k, batch),
      rowsOf(v, batch),
      mask && maskView(mask, batch, L, S),
      y,
      lse,
      gradients[0]!,
      gradients[1]!,
      gradients[2]!,
      scale,
      causal,
    );
    return ctx.inputShapes.map((shape, i) => (gradients[i] ? sumTo(gradients[i], shape) : null));
  },
});

/**
 * softmax(q k^T scale + mask) v, without the matrix of scores in memory. A query that sees no key gives NaN.
 *
 * Leading dims broadcast, as in matmul. Heads may be views, such as a [B, L, H, E] transposed to [B, H, L, E]: they are not copied,
 * and the result lies in memory as q does. Whether a NaN in v reaches queries from which its key is hidden is left open.
 *
 * @param q [..., L, E], float32 or float64
 * @param k [..., S, E]
 * @param v [..., S, D]
 * @returns [..., L, D]
 * @throws ShapeError where the sizes differ, DTypeError for integers and for a mask of them
 */
export function scaledDotProductAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  requireFloat(name, q, k, v);
  const { causal = false, mask = null } = options;
  if (mask && mask.dtype !== 'bool' && mask.dtype !== 'float32' && mask.dtype !== 'float64') {
    throw new DTypeError(`a mask is bool or floating, got ${mask.dtype}`, {
      op: name,
      hint: 'Compare it: mask.ne(0).',
    });
  }
  const { E } = sizesOf(q.shape, k.shape, v.shape, mask && mask.shape);
  const scale = options.scale ?? 1 / Math.sqrt(E);
  if (mask && mask.dtype !== 'bool' && mask.needsGradient && mode().gradEnabled) {
    // The gradient of a mask is as large as the scores: nothing is saved by not forming them.
    return matmul(weightsOf(q, k, mask, visibility(q, k, mask, causal), scale), v);
  }
  const floats = mask && mask.dtype !== 'bool' ? [q, k, v, mask] : [q, k, v];
  const dtype = resultType(floats);
  const inputs = floats.map((x) => (x.dtype === dtype ? x : cast(x, dtype)));
  if (mask?.dtype === 'bool') inputs.push(mask);
  return apply(attentionOp, inputs, { causal, scale });
}
