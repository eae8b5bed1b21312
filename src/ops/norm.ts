/** Layer normalisation over the last dims (Ba, Kiros and Hinton 2016). */
import * as native from '../addon.ops.js';
import type { OutSpec, View } from '../addon.js';
import { apply } from '../apply.js';
import { type BackwardContext, defineOp } from '../autograd/define.js';
import { formatShape, numelOf, sameShape, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { add, div, mul, sub } from './arithmetic.js';
import { sqrt } from './elementwise.js';
import { mean, sumTo } from './reduce.js';
import { dense, gradientOf, gradientOut, requireFloat, shapeError, viewAs, method } from './support.js';
import { reshape } from './view.js';

interface LayerNormParams {
  /** number of normalised dims, counted from the last */
  readonly dims: number;
  readonly eps: number;
  /** inputs are x, then weight and bias where present */
  readonly weight: boolean;
  readonly bias: boolean;
}

/** R rows of C columns. */
function rows(shape: Shape, dims: number): [number, number] {
  return [numelOf(shape.slice(0, shape.length - dims)), numelOf(shape.slice(shape.length - dims))];
}

/** A parameter's gradient as the kernel writes it: [C]. */
function flat(out: Tensor | OutSpec, C: number): View | OutSpec {
  return out instanceof Tensor ? viewAs(out, [C]) : { dtype: out.dtype, shape: [C] };
}

function place({ weight, bias }: LayerNormParams): { weight: number; bias: number } {
  return { weight: weight ? 1 : -1, bias: bias ? (weight ? 2 : 1) : -1 };
}

const layerNormOp = defineOp<LayerNormParams>({
  name: 'layerNorm',
  dtypes: 'promote',
  forward(inputs, params, ctx) {
    const x = inputs[0]!;
    const { dtype, shape } = x;
    const at = place(params);
    const [R, C] = rows(shape, params.dims);
    const weight = params.weight ? dense(inputs[at.weight]!) : null;
    const bias = params.bias ? dense(inputs[at.bias]!) : null;
    const out = native.layerNorm(
      x.device,
      viewAs(dense(x), [R, C]),
      weight && viewAs(weight, [C]),
      bias && viewAs(bias, [C]),
      { dtype, shape: [R, C] },
      { dtype, shape: [R] },
      { dtype, shape: [R] },
      params.eps,
    );
    const center = Tensor.fresh(out.mean, [R], dtype);
    const rstd = Tensor.fresh(out.rstd, [R], dtype);
    if (inputs.some((_, i) => ctx.needsGrad(i)))
      ctx.save(x, center, rstd, ...(params.weight ? [inputs[at.weight]!] : []));
    return Tensor.fresh(out.y, shape, dtype);
  },
  // The statistics are computed again from x, so that the second derivative sees how they depend on it.
  grad([g], ctx) {
    const { params, saved, inputShapes } = ctx;
    if (!g) return inputShapes.map(() => null);
    const [R, C] = rows(inputShapes[0]!, params.dims);
    const at = place(params);
    const x = reshape(saved[0]!, [R, C]);
    const gr = reshape(g, [R, C]);
    const centered = sub(x, mean(x, 1, { keepDim: true }));
    const rstd = div(1, sqrt(add(mean(mul(centered, centered), 1, { keepDim: true }), params.eps)));
    const xhat = mul(centered, rstd);
    const grads: (Tensor | null)[] = inputShapes.map(() => null);
    if (ctx.needsGrad(0)) {
      const gw = params.weight ? mul(gr, reshape(saved[3]!, [C])) : gr;
      const along = mul(xhat, mean(mul(gw, xhat), 1, { keepDim: true }));
      const dx = mul(rstd, sub(sub(gw, mean(gw, 1, { keepDim: true })), along));
      grads[0] = reshape(dx, inputShapes[0]!);
    }
    if (params.weight && ctx.needsGrad(at.weight))
      grads[at.weight] = reshape(sumTo(mul(gr, xhat), [C]), inputShapes[at.weight]!);
    if (params.bias && ctx.needsGrad(at.bias)) grads[at.bias] = reshape(sumTo(gr, [C]), inputShapes[at.bias]!);
    return grads;
  },
  backward([g], ctx: BackwardContext<LayerNormParams>) {
    const { params, saved, inputShapes } = ctx;
    if (!g) return inputShapes.map(() => null);
    const [x, center, rstd, weight] = saved;
    const { dtype, shape } = x!;
    const [R, C] = rows(shape, params.dims);
    const at = place(params);
    const parameter = (i: number) => (i >= 0 && ctx.needsGrad(i) ? gradientOut(ctx, i) : null);
    const [dweight, dbias] = [parameter(at.weight), parameter(at.bias)];
    const out = native.layerNormBackward(
      g.device,
      viewAs(dense(g), [R, C]),
      viewAs(dense(x!), [R, C]),
      center!,
      rstd!,
      weight ? viewAs(dense(weight), [C]) : null,
      ctx.needsGrad(0) ? { dtype, shape: [R, C] } : null,
      dweight && flat(dweight, C),
      dbias && flat(dbias, C),
    );
    const grads: (Tensor | null)[] = inputShapes.map(() => null);
    if (out.dx) grads[0] = Tensor.fresh(out.dx, shape, dtype);
    if (dweight) grads[at.weight] = gradientOf(dweight, out.dweight!);
    if (dbias) grads[at.bias] = gradientOf(dbias, out.dbias!);
    return grads;
  },
});

export interface LayerNormOptions {
  /** of the normalised shape; multiplies the result */
  weight?: Tensor | null;
  /** of the normalised shape; added behind the weight */
  bias?: Tensor | null;
  /** added to the variance; default 1e-5 */
  eps?: number;
}

/**
 * (x - mean) / sqrt(variance + eps) weight + bias, with mean and (biased) variance over the last dims.
 *
 * @param x [..., *normalizedShape], float32 or float64
 * @param normalizedShape the sizes of the last dims, or the size of the last one
 * @throws ShapeError where x does not end in normalizedShape, or weight or bias are not of it
 */
export function layerNorm(x: Tensor, normalizedShape: number | Shape, options: LayerNormOptions = {}): Tensor {
  const { weight = null, bias = null, eps = 1e-5 } = options;
  const tail = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
  const { shape } = x;
  if (tail.length === 0 || !sameShape(shape.slice(Math.max(0, shape.length - tail.length)), tail)) {
    throw shapeError(
      'layerNorm',
      `x is ${formatShape(shape)} and does not end in normalizedShape ${formatShape(tail)}`,
      [shape, tail],
    );
  }
  const inputs = [x];
  for (const [name, parameter] of [['weight', weight] as const, ['bias', bias] as const]) {
    if (!parameter) continue;
    if (!sameShape(parameter.shape, tail)) {
      throw shapeError(
        'layerNorm',
        `${name} is ${formatShape(parameter.shape)}, normalizedShape ${formatShape(tail)}`,
        [parameter.shape, tail],
      );
    }
    inputs.push(parameter);
  }
  requireFloat('layerNorm', ...inputs);
  return apply(layerNormOp, inputs, { dims: tail.length, eps, weight: weight !== null, bias: bias !== null });
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link layerNorm}. */
    layerNorm(normalizedShape: number | Shape, options?: LayerNormOptions): Tensor;
  }
}

Tensor.prototype.layerNorm = method(layerNorm);
