/** Softmax and log-softmax along any dim. The kernels see (outer, n, inner) with strides, so no dim needs a copy. */
import * as native from '../addon.ops.js';
import type { View } from '../addon.js';
import { apply } from '../apply.js';
import { defineOp, type OpDefinition } from '../autograd/define.js';
import { normalizeDim, numelOf } from '../shape.js';
import { Tensor } from '../tensor.js';
import { mul, sub } from './arithmetic.js';
import { exp } from './elementwise.js';
import { sum } from './reduce.js';
import { dense, foldedStride, requireFloat, view, method } from './support.js';

interface SoftmaxParams {
  readonly dim: number;
}

/** x as (outer, n, inner) around `dim`; a copy only where the dims on one side have no common stride. */
export function splitAround(x: Tensor, dim: number): View {
  const { shape } = x;
  if (shape.length === 0) return view(x, [1, 1, 1], [1, 1, 1]);
  const outer = foldedStride(x, 0, dim);
  const inner = foldedStride(x, dim + 1, shape.length);
  const sizes = [numelOf(shape.slice(0, dim)), shape[dim]!, numelOf(shape.slice(dim + 1))];
  if (outer === null || inner === null) return view(dense(x), sizes, [sizes[1]! * sizes[2]!, sizes[2]!, 1]);
  return view(x, sizes, [outer, x.strides[dim]!, inner]);
}

type Backward = typeof native.softmaxBackward;

function softmaxLike(
  name: string,
  kernel: typeof native.softmax,
  fused: Backward,
  rule: (g: Tensor, y: Tensor, dim: number) => Tensor,
): OpDefinition<SoftmaxParams> {
  return defineOp<SoftmaxParams>({
    name,
    forward([x], { dim }, ctx) {
      const v = splitAround(x!, dim);
      const y = Tensor.fresh(kernel(x!.device, v, { dtype: v.dtype, shape: v.shape }), x!.shape, x!.dtype);
      if (ctx.needsGrad(0)) ctx.save(y);
      return y;
    },
    grad: ([g], { saved: [y], params }) => [g ? rule(g, y!, params.dim) : null],
    backward([g], { saved: [y], params: { dim } }) {
      if (!g) return [null];
      const v = splitAround(y!, dim);
      const dx = fused(g.device, splitAround(g, dim), v, { dtype: v.dtype, shape: v.shape });
      return [Tensor.fresh(dx, y!.shape, y!.dtype)];
    },
  });
}

const softmaxOp = softmaxLike('softmax', native.softmax, native.softmaxBackward, (g, y, dim) => {
  const weighted = mul(g, y);
  return sub(weighted, mul(y, sum(weighted, dim, { keepDim: true })));
});

const logSoftmaxOp = softmaxLike('logSoftmax', native.logSoftmax, native.logSoftmaxBackward, (g, y, dim) =>
  sub(g, mul(exp(y), sum(g, dim, { keepDim: true }))),
);

/**
 * e^x / sum(e^x) along `dim`, computed against the maximum so that nothing overflows. A row of -Infinity is NaN.
 *
 * @param x float32 or float64, any shape
 * @throws DTypeError for integers and bool, IndexError for a dim out of range
 */
export function softmax(x: Tensor, dim: number): Tensor {
  requireFloat('softmax', x);
  return apply(softmaxOp, [x], { dim: normalizeDim(dim, x.shape.length, 'softmax') });
}

/** log(softmax(x)) along `dim`, as x - max - log(sum(e^(x - max))). */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  requireFloat('logSoftmax', x);
  return apply(logSoftmaxOp, [x], { dim: normalizeDim(dim, x.shape.length, 'logSoftmax') });
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link softmax}. */
    softmax(dim: number): Tensor;
    /** See {@link logSoftmax}. */
    logSoftmax(dim: number): Tensor;
  }
}

Tensor.prototype.softmax = method(softmax);
Tensor.prototype.logSoftmax = method(logSoftmax);
