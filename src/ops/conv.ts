/**
 * 2-D convolution (cross-correlation, as PyTorch's). Its two gradients are ops of their own; each op's gradient is made of the
 * other two, so derivatives of any order exist.
 */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { type BackwardContext, defineOp } from '../autograd/define.js';
import { NotSupportedError } from '../errors.js';
import { formatShape, numelOf, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { reluGrad } from './elementwise.js';
import { sum } from './reduce.js';
import { dense, gradientOf, gradientOut, requireFloat, shapeError, viewAs, method } from './support.js';
import { squeeze, unsqueeze } from './view.js';

/** stride, padding, dilation, each as height and width; then groups */
type Geometry = readonly [number, number, number, number, number, number, number];

interface ConvParams {
  readonly geometry: Geometry;
  readonly relu: boolean;
}

/** The gradient ops need the shape that they produce: a stride hides it. */
interface ConvGradParams {
  readonly geometry: Geometry;
  readonly shape: Shape;
}

function outSize(size: number, kernel: number, stride: number, padding: number, dilation: number): number {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

const conv2dOp = defineOp<ConvParams>({
  name: 'conv2d',
  dtypes: 'promote',
  forward(inputs, { geometry, relu }, ctx) {
    const [x, w, bias = null] = inputs as [Tensor, Tensor, Tensor?];
    const [sh, sw, ph, pw, dh, dw] = geometry;
    const [N, , H, W] = x.shape as [number, number, number, number];
    const [O, , KH, KW] = w.shape as [number, number, number, number];
    const shape = [N, O, outSize(H, KH, sh, ph, dh), outSize(W, KW, sw, pw, dw)];
    const out = { dtype: x.dtype, shape };
    const y = Tensor.fresh(
      native.conv2d(x.device, dense(x), dense(w), bias && dense(bias), out, ...geometry, relu ? 1 : 0),
      shape,
      x.dtype,
    );
    const saved: Tensor[] = [];
    if (ctx.needsGrad(1)) saved.push(x);
    if (ctx.needsGrad(0)) saved.push(w);
    if (relu && inputs.some((_, i) => ctx.needsGrad(i))) saved.push(y);
    if (saved.length > 0) ctx.save(...saved);
    return y;
  },
  grad([g], ctx) {
    const { params, inputShapes } = ctx;
    const grads: (Tensor | null)[] = inputShapes.map(() => null);
    if (!g) return grads;
    const { x, w, y } = savedOf(ctx);
    const inner = y ? reluGrad(g, y) : g;
    if (w) grads[0] = inputGrad(inner, w, inputShapes[0]!, params.geometry);
    if (x) grads[1] = weightGrad(inner, x, inputShapes[1]!, params.geometry);
    if (inputShapes.length === 3 && ctx.needsGrad(2)) grads[2] = sum(inner, [0, 2, 3]);
    return grads;
  },
  backward([g], ctx: BackwardContext<ConvParams>) {
    const { params, inputShapes, device } = ctx;
    const grads: (Tensor | null)[] = inputShapes.map(() => null);
    if (!g) return grads;
    const { geometry } = params;
    const { dtype } = g;
    const { x, w, y } = savedOf(ctx);
    let inner = dense(g);
    if (y) {
      const flat = [numelOf(g.shape)];
      const masked = native.reluBackward(device, viewAs(inner, flat), viewAs(y, flat), { dtype, shape: flat }, 0, 0);
      inner = Tensor.fresh(masked, g.shape, dtype);
    }
    if (w) {
      const dx = gradientOut(ctx, 0);
      grads[0] = gradientOf(dx, native.conv2dBackwardInput(device, inner, dense(w), dx, ...geometry));
    }
    const bias = inputShapes.length === 3 && ctx.needsGrad(2);
    if (x) {
      const [dw, dbias] = [gradientOut(ctx, 1), bias ? gradientOut(ctx, 2) : null];
      const out = native.conv2dBackwardWeight(device, inner, dense(x), dw, dbias, ...geometry);
      grads[1] = gradientOf(dw, out.dw);
      if (dbias) grads[2] = gradientOf(dbias, out.dbias!);
    } else if (bias) {
      grads[2] = sum(inner, [0, 2, 3]);
    }
    return grads;
  },
});

/** What conv2d's forward kept: x for the gradient of the weight, the weight for that of x, y where relu was applied. */
function savedOf(ctx: BackwardContext<ConvParams>): { x: Tensor | null; w: Tensor | null; y: Tensor | null } {
  const { saved, params } = ctx;
  let next = 0;
  return {
    x: ctx.needsGrad(1) ? saved[next++]! : null,
    w: ctx.needsGrad(0) ? saved[next++]! : null,
    y: params.relu ? saved[next++]! : null,
  };
}

/** dx of (g, w): linear in both. */
const conv2dInputGradOp = defineOp<ConvGradParams>({
  name: 'conv2d backward of x',
  forward([g, w], { geometry, shape }, ctx) {
    if (ctx.needsGrad(0) || ctx.needsGrad(1)) ctx.save(g!, w!);
    const dx = native.conv2dBackwardInput(g!.device, dense(g!), dense(w!), { dtype: g!.dtype, shape }, ...geometry);
    return Tensor.fresh(dx, shape, g!.dtype);
  },
  grad([gg], ctx) {
    const {
      params,
      saved: [g, w],
    } = ctx;
    if (!gg) return [null, null];
    return [
      ctx.needsGrad(0) ? apply(conv2dOp, [gg, w!], { geometry: params.geometry, relu: false }) : null,
      ctx.needsGrad(1) ? weightGrad(g!, gg, w!.shape, params.geometry) : null,
    ];
  },
});

/** dw of (g, x): linear in both. */
const conv2dWeightGradOp = defineOp<ConvGradParams>({
  name: 'conv2d backward of weight',
  forward([g, x], { geometry, shape }, ctx) {
    if (ctx.needsGrad(0) || ctx.needsGrad(1)) ctx.save(g!, x!);
    const dw = native.conv2dBackwardWeight(
      g!.device,
      dense(g!),
      dense(x!),
      { dtype: g!.dtype, shape },
      null,
      ...geometry,
    ).dw;
    return Tensor.fresh(dw, shape, g!.dtype);
  },
  grad([gg], ctx) {
    const {
      params,
      saved: [g, x],
    } = ctx;
    if (!gg) return [null, null];
    return [
      ctx.needsGrad(0) ? apply(conv2dOp, [x!, gg], { geometry: params.geometry, relu: false }) : null,
      ctx.needsGrad(1) ? inputGrad(g!, gg, x!.shape, params.geometry) : null,
    ];
  },
});

function inputGrad(g: Tensor, w: Tensor, shape: Shape, geometry: Geometry): Tensor {
  return apply(conv2dInputGradOp, [g, w], { geometry, shape });
}

function weightGrad(g: Tensor, x: Tensor, shape: Shape, geometry: Geometry): Tensor {
  return apply(conv2dWeightGradOp, [g, x], { geometry, shape });
}

/** One number for height and width, or both. */
export type Pair = number | readonly [number, number];

export function pair(op: string, name: string, value: Pair, least: number): readonly [number, number] {
  const both = typeof value === 'number' ? ([value, value] as const) : value;
  if (
    !Array.isArray(both) ||
    both.length !== 2 ||
    both.some((n: unknown) => !Number.isInteger(n) || (n as number) < least)
  ) {
    throw shapeError(op, `${name} must be a whole number from ${least} on, or two of them, got ${String(value)}`, []);
  }
  return both as readonly [number, number];
}

export interface Conv2dOptions {
  /** [O], added to every output channel */
  bias?: Tensor | null;
  /** step of the window; default 1 */
  stride?: Pair;
  /** zeros on each side; default 0 */
  padding?: Pair;
  /** distance between the window's elements; default 1 */
  dilation?: Pair;
  /** channels are convolved in this many separate groups; default 1 */
  groups?: number;
  /** applied to the sums in the same pass; default 'none' */
  activation?: 'none' | 'relu';
}

/**
 * Slides each of O windows over the input: y[n, o, i, j] = bias[o] + sum over c, k, l of x[n, c, i stride + k dilation -
 * padding, ...] weight[o, c, k, l].
 *
 * @param x [N, C, H, W] or [C, H, W], float32 or float64
 * @param weight [O, C / groups, KH, KW]
 * @returns [N, O, OH, OW] with OH = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1
 * @throws ShapeError where channels, groups, bias or sizes do not fit
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  const { bias = null, groups = 1, activation = 'none' } = options;
  const inputs = bias ? [x, weight, bias] : [x, weight];
  requireFloat('conv2d', ...inputs);
  const shapes = inputs.map((i) => i.shape);
  const stride = pair('conv2d', 'stride', options.stride ?? 1, 1);
  const padding = pair('conv2d', 'padding', options.padding ?? 0, 0);
  const dilation = pair('conv2d', 'dilation', options.dilation ?? 1, 1);
  const rank = x.shape.length;
  if ((rank !== 3 && rank !== 4) || weight.shape.length !== 4) {
    const message = `x must be [N, C, H, W] or [C, H, W] and weight [O, C / groups, KH, KW], got ${formatShape(x.shape)} and ${formatShape(weight.shape)}`;
    throw shapeError('conv2d', message, shapes);
  }
  const [O, channels, KH, KW] = weight.shape as [number, number, number, number];
  const [C, H, W] = x.shape.slice(-3) as [number, number, number];
  if (!Number.isInteger(groups) || groups < 1 || C !== channels * groups || O % groups !== 0) {
    const message = `x ${formatShape(x.shape)} has ${C} channels, weight ${formatShape(weight.shape)} with ${groups} groups takes ${channels * groups}`;
    throw shapeError('conv2d', message, shapes, 'weight is [O, C / groups, KH, KW], and groups divides C and O.');
  }
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== O)) {
    throw shapeError(
      'conv2d',
      `bias is ${formatShape(bias.shape)}, weight ${formatShape(weight.shape)}; bias must be (${O},)`,
      shapes,
    );
  }
  const height = outSize(H, KH, stride[0], padding[0], dilation[0]);
  const width = outSize(W, KW, stride[1], padding[1], dilation[1]);
  if (KH < 1 || KW < 1 || height < 1 || width < 1) {
    const message = `the window (${KH}, ${KW}) with dilation (${dilation.join(', ')}) does not fit into (${H}, ${W}) with padding (${padding.join(', ')})`;
    throw shapeError('conv2d', message, shapes, 'Raise the padding or shrink the kernel.');
  }
  if (activation !== 'none' && activation !== 'relu') {
    const hint = 'Known are none, relu.';
    throw new NotSupportedError(`unknown activation ${String(activation)}`, { op: 'conv2d', hint });
  }
  const params: ConvParams = { geometry: [...stride, ...padding, ...dilation, groups], relu: activation === 'relu' };
  if (rank === 4) return apply(conv2dOp, inputs, params);
  return squeeze(apply(conv2dOp, [unsqueeze(x, 0), ...inputs.slice(1)], params), 0);
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link conv2d}. */
    conv2d(weight: Tensor, options?: Conv2dOptions): Tensor;
  }
}

Tensor.prototype.conv2d = method(conv2d);
