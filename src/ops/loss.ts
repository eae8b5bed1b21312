/** Losses fused with their gradients. */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { type BackwardContext, defineOp } from '../autograd/define.js';
import { NotSupportedError } from '../errors.js';
import { formatShape, numelOf, sameShape, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { add, div, mul, neg, sub } from './arithmetic.js';
import { eq, ge, logicalAnd, lt, ne, where } from './compare.js';
import { to } from './copy.js';
import { arange } from './create.js';
import { sum } from './reduce.js';
import { logSoftmax, softmax, splitAround } from './softmax.js';
import { dense, requireFloat, requireIndex, shapeError, viewAs, method } from './support.js';
import { reshape } from './view.js';

/** 'none': one loss for each target; 'mean': their (weighted) mean; 'sum': their sum. */
export type Reduction = 'none' | 'mean' | 'sum';
const reductionCode: Readonly<Record<Reduction, number>> = { none: 0, mean: 1, sum: 2 };

function checkReduction(op: string, reduction: Reduction): number {
  if (Object.hasOwn(reductionCode, reduction)) return reductionCode[reduction];
  throw new NotSupportedError(`unknown reduction ${String(reduction)}`, { op, hint: 'Known are none, mean and sum.' });
}

interface CrossEntropyParams {
  readonly ignoreIndex: number;
  readonly labelSmoothing: number;
  readonly reduction: number;
  /** whether target holds probabilities instead of indices */
  readonly soft: boolean;
}

/** Logits as N samples of C classes at I places: [C], [N, C] and [N, C, d1, ...] all read that way. */
function classLayout(shape: Shape): { dim: number; N: number; C: number; I: number; places: Shape } {
  const dim = shape.length === 1 ? 0 : 1;
  const places = shape.filter((_, d) => d !== dim);
  return { dim, N: dim === 0 ? 1 : shape[0]!, C: shape[dim]!, I: numelOf(shape.slice(dim + 1)), places };
}

const crossEntropyOp = defineOp<CrossEntropyParams>({
  name: 'crossEntropy',
  forward(inputs, params, ctx) {
    const [logits, target, weight = null] = inputs as [Tensor, Tensor, Tensor?];
    const { device, dtype } = logits;
    const { dim, N, C, I, places } = classLayout(logits.shape);
    const out = native.crossEntropy(
      device,
      splitAround(logits, dim),
      params.soft ? splitAround(target, dim) : viewAs(dense(target), [N, I]),
      weight && viewAs(dense(weight), [C]),
      { dtype, shape: params.reduction === 0 ? [N, I] : [] },
      { dtype, shape: [N, I] },
      { dtype, shape: [] },
      params.ignoreIndex,
      params.labelSmoothing,
      params.reduction,
    );
    const lse = Tensor.fresh(out.lse, [N, I], dtype);
    const norm = Tensor.fresh(out.norm, [], dtype);
    if (ctx.needsGrad(0) || ctx.needsGrad(1)) ctx.save(logits, target, lse, norm, ...(weight ? [weight] : []));
    return Tensor.fresh(out.loss, params.reduction === 0 ? places : [], dtype);
  },
  // With q the smoothed and weighted target distribution the loss is -sum q log p, so its gradient is p sum(q) - q.
  grad([g], ctx) {
    const { params, saved, inputShapes } = ctx;
    const grads: (Tensor | null)[] = inputShapes.map(() => null);
    if (!g) return grads;
    const [logits, target, , norm, weight = null] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor?];
    const { N, C, I } = classLayout(logits.shape);
    const x = reshape(logits, [N, C, I]);
    const w = weight && reshape(weight, [1, C, 1]);
    const scaled = params.reduction === 1 ? overNorm(g, norm) : g;
    const gn = params.reduction === 0 ? reshape(scaled, [N, 1, I]) : scaled;
    if (ctx.needsGrad(0)) {
      const q = targetDistribution(params, target, w, x);
      const p = softmax(x, 1);
      grads[0] = reshape(mul(sub(mul(p, sum(q, 1, { keepDim: true })), q), gn), inputShapes[0]!);
    }
    if (params.soft && ctx.needsGrad(1)) grads[1] = targetGradient(params, gn, x, w, inputShapes[1]!);
    return grads;
  },
  backward([g], ctx: BackwardContext<CrossEntropyParams>) {
    const { params, saved, inputShapes, device } = ctx;
    const grads: (Tensor | null)[] = inputShapes.map(() => null);
    if (!g) return grads;
    const [logits, target, lse, norm, weight = null] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor?];
    const { dtype } = logits;
    const { dim, N, C, I } = classLayout(logits.shape);
    if (ctx.needsGrad(0)) {
      const dlogits = native.crossEntropyBackward(
        device,
        params.reduction === 0 ? viewAs(dense(g), [N, I]) : g,
        splitAround(logits, dim),
        params.soft ? splitAround(target, dim) : viewAs(dense(target), [N, I]),
        weight && viewAs(dense(weight), [C]),
        lse,
        norm,
        { dtype, shape: [N, C, I] },
        params.ignoreIndex,
        params.labelSmoothing,
        params.reduction,
      );
      grads[0] = Tensor.fresh(dlogits, logits.shape, dtype);
    }
    if (params.soft && ctx.needsGrad(1)) {
      const scaled = params.reduction === 1 ? overNorm(g, norm) : g;
      const gn = params.reduction === 0 ? reshape(scaled, [N, 1, I]) : scaled;
      const w = weight && reshape(weight, [1, C, 1]);
      grads[1] = targetGradient(params, gn, reshape(logits, [N, C, I]), w, inputShapes[1]!);
    }
    return grads;
  },
});

/** g over the mean's divisor, and g where nothing counts: all gradients are 0 then. */
function overNorm(g: Tensor, norm: Tensor): Tensor {
  return div(g, where(eq(norm, 0), 1, norm));
}

/** q [N, C, I]: what each class counts at each place, 0 at ignored and impossible indices. */
function targetDistribution(params: CrossEntropyParams, target: Tensor, w: Tensor | null, x: Tensor): Tensor {
  const { labelSmoothing: s, ignoreIndex } = params;
  const [N, C, I] = x.shape as [number, number, number];
  let q: Tensor;
  if (params.soft) {
    q = reshape(target, [N, C, I]);
    if (s > 0) q = add(mul(q, 1 - s), s / C);
    return w ? mul(q, w) : q;
  }
  const index = reshape(target, [N, 1, I]);
  const classes = reshape(arange(C, { dtype: 'int32', device: x.device }), [1, C, 1]);
  const hit = eq(index, classes);
  q = add(mul(to(hit, x.dtype), 1 - s), s / C);
  if (w) q = mul(q, w);
  const valid = logicalAnd(ne(index, ignoreIndex), logicalAnd(ge(index, 0), lt(index, C)));
  return where(valid, q, 0);
}

/** The gradient of probabilities: -(1 - smoothing) w log p. */
function targetGradient(params: CrossEntropyParams, gn: Tensor, x: Tensor, w: Tensor | null, shape: Shape): Tensor {
  const logp = mul(logSoftmax(x, 1), params.labelSmoothing - 1);
  return reshape(mul(w ? mul(logp, w) : logp, gn), shape);
}

export interface CrossEntropyOptions {
  /** [C], a factor for each class */
  weight?: Tensor | null;
  /** targets of this value count nothing, in the loss and in the mean; indices only; default -100 */
  ignoreIndex?: number;
  /** in [0, 1]: this share of each target is spread over all classes; default 0 */
  labelSmoothing?: number;
  /** default 'mean': over the weights of the targets that count, or over all places for probabilities */
  reduction?: Reduction;
}

/**
 * The cross-entropy between softmax(logits) and the targets, in one pass that leaves the logits untouched.
 *
 * @param logits [C], [N, C] or [N, C, d1, ...], float32 or float64
 * @param target class indices [], [N] or [N, d1, ...] (int32, int64, uint8), or probabilities in the shape of logits
 * @returns a 0-dim tensor, or for 'none' one loss for each place
 * @throws ShapeError where the shapes differ, DTypeError for other dtypes. An index outside [0, C) that is not ignoreIndex counts
 *   nothing, and reading any later result rejects with IndexError.
 */
export function crossEntropy(logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { weight = null, ignoreIndex = -100, labelSmoothing = 0, reduction = 'mean' } = options;
  const op = 'crossEntropy';
  requireFloat(op, logits);
  const { shape, dtype } = logits;
  const shapes = [shape, target.shape];
  if (shape.length === 0)
    throw shapeError(op, 'logits need a class dim, got ()', shapes, 'Give [C], [N, C] or [N, C, d1, ...].');
  const { C, places } = classLayout(shape);
  const soft = target.dtype === 'float32' || target.dtype === 'float64';
  if (!soft) requireIndex(op, 'target', target);
  if (!sameShape(target.shape, soft ? shape : places)) {
    const wanted = soft
      ? `probabilities must be ${formatShape(shape)}`
      : `class indices must be ${formatShape(places)}`;
    const message = `logits are ${formatShape(shape)}, target is ${formatShape(target.shape)}; ${wanted}`;
    throw shapeError(op, message, shapes, soft ? 'For class indices cast the target to int32.' : undefined);
  }
  if (weight && !sameShape(weight.shape, [C])) {
    throw shapeError(
      op,
      `weight is ${formatShape(weight.shape)}, logits ${formatShape(shape)}; weight must be (${C},)`,
      [...shapes, weight.shape],
    );
  }
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw shapeError(op, `labelSmoothing must lie in [0, 1], got ${labelSmoothing}`, shapes);
  }
  const inputs = [logits, soft ? to(target, dtype) : target];
  if (weight) inputs.push(to(weight, dtype));
  return apply(crossEntropyOp, inputs, { ignoreIndex, labelSmoothing, reduction: checkReduction(op, reduction), soft });
}

const mseOp = defineOp<{ readonly reduction: number }>({
  name: 'mseLoss',
  dtypes: 'promote',
  forward([x, y], { reduction }, ctx) {
    const { device, dtype, shape, numel } = x!;
    if (ctx.needsGrad(0) || ctx.needsGrad(1)) ctx.save(x!, y!);
    const flat = [numel];
    const spec = { dtype, shape: reduction === 0 ? flat : [] };
    const loss = native.mse(device, viewAs(dense(x!), flat), viewAs(dense(y!), flat), spec, reduction);
    return Tensor.fresh(loss, reduction === 0 ? shape : [], dtype);
  },
  grad([g], ctx) {
    if (!g) return [null, null];
    const {
      saved: [x, y],
      params,
    } = ctx;
    const factor = params.reduction === 1 ? 2 / x!.numel : 2;
    const dx = mul(mul(sub(x!, y!), factor), g);
    return [ctx.needsGrad(0) ? dx : null, ctx.needsGrad(1) ? neg(dx) : null];
  },
  backward([g], ctx) {
    if (!g) return [null, null];
    const {
      saved: [x, y],
      params,
      device,
    } = ctx;
    const { dtype, shape, numel } = x!;
    const flat = [numel];
    const gv = params.reduction === 0 ? viewAs(dense(g), flat) : g;
    const d = native.mseBackward(
      device,
      gv,
      viewAs(dense(x!), flat),
      viewAs(dense(y!), flat),
      { dtype, shape: flat },
      params.reduction,
    );
    const dx = Tensor.fresh(d, shape, dtype);
    return [ctx.needsGrad(0) ? dx : null, ctx.needsGrad(1) ? neg(dx) : null];
  },
});

export interface MseLossOptions {
  /** default 'mean' */
  reduction?: Reduction;
}

/**
 * The mean squared error (x - y)^2.
 *
 * @param x any shape, float32 or float64
 * @param y of the same shape: unlike PyTorch nothing is broadcast, since [N, 1] against [N] is nearly always a mistake
 * @returns a 0-dim tensor, or for 'none' of the shape of x
 */
export function mseLoss(x: Tensor, y: Tensor, { reduction = 'mean' }: MseLossOptions = {}): Tensor {
  requireFloat('mseLoss', x, y);
  if (!sameShape(x.shape, y.shape)) {
    const message = `shapes differ: x is ${formatShape(x.shape)}, y is ${formatShape(y.shape)}`;
    throw shapeError('mseLoss', message, [x.shape, y.shape], 'Reshape or expand one of them.');
  }
  return apply(mseOp, [x, y], { reduction: checkReduction('mseLoss', reduction) });
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link crossEntropy}. */
    crossEntropy(target: Tensor, options?: CrossEntropyOptions): Tensor;
    /** See {@link mseLoss}. */
    mseLoss(target: Tensor, options?: MseLossOptions): Tensor;
  }
}

Tensor.prototype.crossEntropy = method(crossEntropy);
Tensor.prototype.mseLoss = method(mseLoss);
