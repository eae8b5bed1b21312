/** Matrix products. A transposed operand is a view and is never copied; `linear` fuses bias and activation into the product. */
import * as native from '../addon.ops.js';
import type { View } from '../addon.js';
import { apply } from '../apply.js';
import { type BackwardContext, defineOp } from '../autograd/define.js';
import { NotSupportedError } from '../errors.js';
import { broadcastShape, expandStrides, formatShape, numelOf, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { geluGrad, geluTanhGrad, reluGrad } from './elementwise.js';
import { sumTo } from './reduce.js';
import {
  dense,
  foldedStride,
  gradientOf,
  gradientOut,
  requireFloat,
  shapeError,
  view,
  viewAs,
  method,
} from './support.js';
import { reshape, transpose, unsqueeze } from './view.js';

/** How the operands of a product lie to each other: a [...batch, M, K], b [...batch, K, N]. */
interface Layout {
  readonly batch: Shape;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** without the M or N that a 1-D operand does not have */
  readonly outShape: Shape;
}

function layout(a: Shape, b: Shape): Layout {
  if (a.length === 0 || b.length === 0) {
    throw shapeError(
      'matmul',
      `needs at least 1-D operands, got ${formatShape(a)} and ${formatShape(b)}`,
      [a, b],
      'Use mul for scalars.',
    );
  }
  const K = a[a.length - 1]!;
  const other = b.length === 1 ? b[0]! : b[b.length - 2]!;
  if (K !== other) {
    const place = b.length === 1 ? 'the length of b' : "b's second to last";
    const hint = b.length > 1 && b[b.length - 1] === K ? 'Transpose b?' : undefined;
    const message = `inner dimensions differ: a is ${formatShape(a)}, b is ${formatShape(b)}; a's last must equal ${place}`;
    throw shapeError('matmul', message, [a, b], hint);
  }
  const batchA = a.slice(0, -2);
  const batchB = b.slice(0, -2);
  let batch: Shape;
  try {
    batch = broadcastShape(batchA, batchB, 'matmul');
  } catch {
    const message = `batch dimensions do not broadcast: a is ${formatShape(a)}, b is ${formatShape(b)}`;
    throw shapeError('matmul', message, [a, b], 'All but the last two sizes must be equal or 1.');
  }
  const M = a.length === 1 ? 1 : a[a.length - 2]!;
  const N = b.length === 1 ? 1 : b[b.length - 1]!;
  const outShape = [...batch, ...(a.length === 1 ? [] : [M]), ...(b.length === 1 ? [] : [N])];
  return { batch, M, N, K, outShape };
}

/** x, [..., C] of any rank, as [R, C], where one stride walks all rows; else null. */
function foldRows(x: View): View | null {
  const rank = x.shape.length;
  const stride = foldedStride(x, 0, rank - 1);
  if (stride === null) return null;
  return view(x, [numelOf(x.shape.slice(0, -1)), x.shape[rank - 1]!], [stride, x.strides[rank - 1]!]);
}

const matmulOp = defineOp<null>({
  name: 'matmul',
  dtypes: 'promote',
  forward([a, b], _, ctx) {
    const { batch, M, N, K, outShape } = layout(a!.shape, b!.shape);
    const { device, dtype } = a!;
    if (ctx.needsGrad(0)) {
      if (ctx.needsGrad(1)) ctx.save(a!, b!);
      else ctx.save(b!);
    } else if (ctx.needsGrad(1)) {
      ctx.save(a!);
    }
    const matrix = (x: Tensor, first: boolean): View => {
      if (x.shape.length > 1) return x;
      return first ? view(x, [1, K], [0, x.strides[0]!]) : view(x, [K, 1], [x.strides[0]!, 0]);
    };
    let va = matrix(a!, true);
    let vb = matrix(b!, false);
    const folded = vb.shape.length === 2 && va.shape.length > 2 ? foldRows(va) : null;
    if (folded) {
      const y = native.matmul(device, folded, vb, null, { dtype, shape: [folded.shape[0]!, N] }, null, 0, false).y;
      return Tensor.fresh(y, outShape, dtype);
    }
    if (batch.length > 0) {
      const spread = (x: View, rows: number, columns: number) => {
        const shape = [...batch, rows, columns];
        return view(x, shape, expandStrides(x.shape, x.strides, shape, 'matmul'));
      };
      va = spread(va, M, K);
      vb = spread(vb, K, N);
    }
    const y = native.matmul(device, va, vb, null, { dtype, shape: [...batch, M, N] }, null, 0, false).y;
    return Tensor.fresh(y, outShape, dtype);
  },
  grad([g], ctx) {
    if (!g) return [null, null];
    const [shapeA, shapeB] = ctx.inputShapes as [Shape, Shape];
    const { batch, M, N, K } = layout(shapeA, shapeB);
    // a is kept for the gradient of b, b for that of a; a comes first.
    const a = ctx.needsGrad(1) ? ctx.saved[0]! : null;
    const b = ctx.needsGrad(0) ? ctx.saved[ctx.saved.length - 1]! : null;
    const G = reshape(g, [...batch, M, N]);
    return [gradA(), gradB()];

    function gradA(): Tensor | null {
      if (!ctx.needsGrad(0)) return null;
      const B = shapeB.length === 1 ? unsqueeze(b!, 1) : b!;
      const dA = matmul(G, transpose(B, -2, -1));
      return reshape(sumTo(dA, [...shapeA.slice(0, -2), M, K]), shapeA);
    }
    function gradB(): Tensor | null {
      if (!ctx.needsGrad(1)) return null;
      const A = shapeA.length === 1 ? unsqueeze(a!, 0) : a!;
      if (shapeB.length <= 2) {
        // One product over all rows instead of one for each batch entry and a sum.
        const rows = numelOf(batch) * M;
        return reshape(matmul(transpose(reshape(A, [rows, K]), 0, 1), reshape(G, [rows, N])), shapeB);
      }
      return sumTo(matmul(transpose(A, -2, -1), G), shapeB);
    }
  },
});

/**
 * The matrix product a b, with PyTorch's rules: 1-D operands are a row on the left and a column on the right, and their dim is
 * dropped again; leading dims broadcast. Each element is within 4 eps (|a| |b|) of the exact product, and sums over K in one
 * order whatever the batch.
 *
 * @param a [..., M, K] or [K], float32 or float64, any strides
 * @param b [..., K, N] or [K]
 * @returns [..., M, N]
 * @throws ShapeError where the inner sizes differ or the batch dims do not broadcast, DTypeError for integers and bool
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  requireFloat('matmul', a, b);
  return apply(matmulOp, [a, b], null);
}

export type Activation = 'none' | 'relu' | 'gelu' | 'geluTanh';
const activationCode: Readonly<Record<Activation, number>> = { none: 0, relu: 1, gelu: 2, geluTanh: 3 };

interface LinearParams {
  readonly bias: boolean;
  readonly activation: Activation;
}

/** Where the saved tensors of a linear lie; -1 for those not kept. The gelus keep all, for their second derivative. */
function savedPlaces({ bias, activation }: LinearParams, ctx: { needsGrad(i: number): boolean }) {
  const curved = activation === 'gelu' || activation === 'geluTanh';
  let next = 0;
  return {
    x: curved || ctx.needsGrad(1) ? next++ : -1,
    weight: curved || ctx.needsGrad(0) ? next++ : -1,
    bias: curved && bias ? next++ : -1,
    /** the output for relu, the sum before the activation for gelu */
    inner: activation !== 'none' ? next++ : -1,
  };
}

function rowsView(x: Tensor): View {
  return foldRows(x) ?? foldRows(dense(x))!;
}

const linearOp = defineOp<LinearParams>({
  name: 'linear',
  dtypes: 'promote',
  forward(inputs, params, ctx) {
    const [x, weight, bias = null] = inputs as [Tensor, Tensor, Tensor?];
    const { device, dtype } = x;
    const [N, K] = weight.shape as [number, number];
    const { activation } = params;
    const a = rowsView(x);
    const R = a.shape[0]!;
    const b = view(weight, [K, N], [weight.strides[1]!, weight.strides[0]!]);
    const recorded = inputs.some((_, i) => ctx.needsGrad(i));
    const wantsPre = recorded && (activation === 'gelu' || activation === 'geluTanh');
    const out = native.matmul(
      device,
      a,
      b,
      bias && view(bias, [N], bias.strides),
      { dtype, shape: [R, N] },
      wantsPre ? { dtype, shape: [R, N] } : null,
      activationCode[activation],
      false,
    );
    const y = Tensor.fresh(out.y, [...x.shape.slice(0, -1), N], dtype);
    if (recorded) {
      const at = savedPlaces(params, ctx);
      const saved: Tensor[] = [];
      if (at.x >= 0) saved.push(x);
      if (at.weight >= 0) saved.push(weight);
      if (at.bias >= 0) saved.push(bias!);
      if (at.inner >= 0) saved.push(out.pre ? Tensor.fresh(out.pre, y.shape, dtype) : y);
      ctx.save(...saved);
    }
    return y;
  },
  grad([g], ctx) {
    const { params, saved, inputShapes } = ctx;
    if (!g) return inputShapes.map(() => null);
    const [shapeX, shapeW] = inputShapes as [Shape, Shape];
    const [N, K] = shapeW as [number, number];
    const R = numelOf(shapeX.slice(0, -1));
    const at = savedPlaces(params, ctx);
    let inner = g;
    if (params.activation === 'relu') inner = reluGrad(g, saved[at.inner]!);
    else if (params.activation !== 'none') {
      // The saved sum is no part of the graph: computed again, it lets the second derivative through.
      const pre = linear(saved[at.x]!, saved[at.weight]!, at.bias >= 0 ? saved[at.bias] : null);
      inner = (params.activation === 'gelu' ? geluGrad : geluTanhGrad)(g, pre);
    }
    const G = reshape(inner, [R, N]);
    const grads: (Tensor | null)[] = inputShapes.map(() => null);
    if (ctx.needsGrad(0)) grads[0] = reshape(matmul(G, saved[at.weight]!), shapeX);
    if (ctx.needsGrad(1)) grads[1] = matmul(transpose(G, 0, 1), reshape(saved[at.x]!, [R, K]));
    if (params.bias && ctx.needsGrad(2)) grads[2] = sumTo(G, [N]);
    return grads;
  },
  backward([g], ctx: BackwardContext<LinearParams>) {
    const { params, saved, inputShapes, device } = ctx;
    if (!g) return inputShapes.map(() => null);
    const [shapeX, shapeW] = inputShapes as [Shape, Shape];
    const [N, K] = shapeW as [number, number];
    const R = numelOf(shapeX.slice(0, -1));
    const { dtype } = g;
    const at = savedPlaces(params, ctx);
    let G = viewAs(dense(g), [R, N]);
    if (params.activation !== 'none') {
      const kernel = activationBackward[params.activation];
      const flat = kernel(
        device,
        viewAs(G, [R * N]),
        viewAs(saved[at.inner]!, [R * N]),
        { dtype, shape: [R * N] },
        0,
        0,
      );
      G = Tensor.fresh(flat, [R, N], dtype);
    }
    const grads: (Tensor | null)[] = inputShapes.map(() => null);
    if (ctx.needsGrad(0)) {
      const dx = native.matmul(device, G, saved[at.weight]!, null, { dtype, shape: [R, K] }, null, 0, false).y;
      grads[0] = Tensor.fresh(dx, shapeX, dtype);
    }
    const turned = view(G, [N, R], [1, N]);
    if (ctx.needsGrad(1)) {
      const out = gradientOut(ctx, 1);
      const dw = native.matmul(device, turned, rowsView(saved[at.x]!), null, out, null, 0, false).y;
      grads[1] = gradientOf(out, dw);
    }
    if (params.bias && ctx.needsGrad(2)) {
      const out = gradientOut(ctx, 2);
      grads[2] = gradientOf(out, native.sum(device, turned, out, 1));
    }
    return grads;
  },
});

const activationBackward = {
  relu: native.reluBackward,
  gelu: native.geluBackward,
  geluTanh: native.geluTanhBackward,
} as const;

export interface LinearOptions {
  /** applied to the sum in the same pass; default 'none' */
  activation?: Activation;
}

/**
 * act(x weight^T + bias), in one kernel forward and one product for each gradient.
 *
 * @param x [..., I], float32 or float64
 * @param weight [O, I]
 * @param bias [O]
 * @returns [..., O]
 * @throws ShapeError where the sizes differ, DTypeError for integers and bool
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  { activation = 'none' }: LinearOptions = {},
): Tensor {
  const inputs = bias ? [x, weight, bias] : [x, weight];
  requireFloat('linear', ...inputs);
  const shapes = inputs.map((i) => i.shape);
  if (weight.shape.length !== 2)
    throw shapeError('linear', `weight must be [O, I], got ${formatShape(weight.shape)}`, shapes);
  const [O, I] = weight.shape as [number, number];
  if (x.shape.length === 0 || x.shape[x.shape.length - 1] !== I) {
    const message = `x is ${formatShape(x.shape)}, weight ${formatShape(weight.shape)}; x's last must equal weight's last`;
    throw shapeError('linear', message, shapes, 'weight is [out, in].');
  }
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== O)) {
    throw shapeError(
      'linear',
      `bias is ${formatShape(bias.shape)}, weight ${formatShape(weight.shape)}; bias must be (${O},)`,
      shapes,
    );
  }
  if (!Object.hasOwn(activationCode, activation)) {
    const hint = `Known are ${Object.keys(activationCode).join(', ')}.`;
    throw new NotSupportedError(`unknown activation ${String(activation)}`, { op: 'linear', hint });
  }
  return apply(linearOp, inputs, { bias: inputs.length === 3, activation });
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link matmul}. */
    matmul(other: Tensor): Tensor;
    /** See {@link linear}. */
    linear(weight: Tensor, bias?: Tensor | null, options?: LinearOptions): Tensor;
  }
}

Tensor.prototype.matmul = method(matmul);
Tensor.prototype.linear = method(linear);
