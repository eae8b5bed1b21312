/**
 * Reductions over any dims: sum, mean, max, min, argmax, argmin. A kernel sees x with the kept dims first and the reduced
 * dims behind them; nothing is copied for that.
 */
import * as native from '../addon.ops.js';
import type { OutSpec, View } from '../addon.js';
import { apply } from '../apply.js';
import { defineOp } from '../autograd/define.js';
import type { Device } from '../device.js';
import { type DType, isFloating } from '../dtype.js';
import { Tensor } from '../tensor.js';
import { div, mul } from './arithmetic.js';
import { eq } from './compare.js';
import { to } from './copy.js';
import { collapseDims, formatShape, normalizeDims, numelOf, sameShape, type Shape } from '../shape.js';
import { type Dims, dtypeError, refuseHalf, shapeError, view, method } from './support.js';
import { expand, reshape } from './view.js';

type ReduceKernel = (device: Device, x: View, y: OutSpec | View, kept: number) => Tensor['storage'];

interface ReduceParams {
  /** ascending and distinct */
  readonly dims: readonly number[];
  readonly keepDim: boolean;
}

export interface ReduceOptions {
  /** whether reduced dims stay with size 1; default false */
  keepDim?: boolean;
}

function keptShape(shape: Shape, dims: readonly number[]): number[] {
  return shape.map((n, d) => (dims.includes(d) ? 1 : n));
}

function outShape(shape: Shape, { dims, keepDim }: ReduceParams): number[] {
  return keepDim ? keptShape(shape, dims) : shape.filter((_, d) => !dims.includes(d));
}

/** Runs a reduction kernel; neighbouring dims are merged within the kept and within the reduced group. */
export function runReduce(kernel: ReduceKernel, x: Tensor, params: ReduceParams, dtype: DType): Tensor {
  const { shape, strides } = x;
  const pick = (list: Shape, wanted: boolean) => list.filter((_, d) => params.dims.includes(d) === wanted);
  const kept = collapseDims(pick(shape, false), [pick(strides, false)]);
  const reduced = collapseDims(pick(shape, true), [pick(strides, true)]);
  const v = view(x, [...kept.shape, ...reduced.shape], [...kept.strides[0]!, ...reduced.strides[0]!]);
  const y = kernel(x.device, v, { dtype, shape: kept.shape }, kept.shape.length);
  return Tensor.fresh(y, outShape(shape, params), dtype);
}

/** The gradient or result of a reduction as a tensor that broadcasts against the input. */
function restore(t: Tensor, inputShape: Shape, params: ReduceParams): Tensor {
  return params.keepDim ? t : reshape(t, keptShape(inputShape, params.dims));
}

const sumOp = defineOp<ReduceParams>({
  name: 'sum',
  dtypes: 'none',
  forward([x], params) {
    return runReduce(native.sum, x!, params, x!.dtype);
  },
  grad([g], { params, inputShapes }) {
    return [g ? expand(restore(g, inputShapes[0]!, params), inputShapes[0]!) : null];
  },
});

/** Sums a gradient over the dims along which an operand of sizes `shape` was broadcast. */
export function sumTo(g: Tensor, shape: Shape): Tensor {
  if (sameShape(g.shape, shape)) return g;
  const lead = g.shape.length - shape.length;
  const dims: number[] = [];
  for (let d = 0; d < g.shape.length; d++) {
    if (d < lead || (shape[d - lead] === 1 && g.shape[d] !== 1)) dims.push(d);
  }
  return reshape(apply(sumOp, [g], { dims, keepDim: true }), shape);
}

const meanOp = defineOp<ReduceParams>({
  name: 'mean',
  dtypes: 'none',
  forward([x], params) {
    return runReduce(native.mean, x!, params, x!.dtype);
  },
  grad([g], { params, inputShapes }) {
    if (!g) return [null];
    const shape = inputShapes[0]!;
    const count = numelOf(params.dims.map((d) => shape[d]!));
    return [expand(restore(div(g, count), shape, params), shape)];
  },
});

function extremeOp(name: 'max' | 'min', kernel: ReduceKernel) {
  return defineOp<ReduceParams>({
    name,
    dtypes: 'none',
    forward([x], params, ctx) {
      const { shape } = x!;
      if (params.dims.some((d) => shape[d] === 0)) {
        throw shapeError(
          name,
          `has no value over an empty dim: x is ${formatShape(shape)}, dims [${params.dims.join(', ')}]`,
          [shape],
        );
      }
      const y = runReduce(kernel, x!, params, x!.dtype);
      if (ctx.needsGrad(0)) ctx.save(x!, y);
      return y;
    },
    // Equal extremes share the gradient evenly, as in torch.amax.
    grad([g], { params, saved: [x, y] }) {
      if (!g) return [null];
      const mask = to(eq(x!, restore(y!, x!.shape, params)), g.dtype);
      const count = sum(mask, params.dims, { keepDim: true });
      return [mul(div(restore(g, x!.shape, params), count), mask)];
    },
  });
}

const maxOp = extremeOp('max', native.max);
const minOp = extremeOp('min', native.min);

function reduceParams(op: string, x: Tensor, dims: Dims | undefined, options: ReduceOptions): ReduceParams {
  x.checkUsable(op);
  refuseHalf(op, x.dtype);
  const { shape } = x;
  if (typeof dims === 'object' && new Set(dims.map((d) => (d < 0 ? d + shape.length : d))).size < dims.length) {
    throw shapeError(op, `dims [${dims.join(', ')}] name a dim of ${formatShape(shape)} twice`, [shape]);
  }
  return { dims: normalizeDims(dims, x.shape.length, op), keepDim: options.keepDim ?? false };
}

/**
 * The sum over `dims` (all by default). An integer sum keeps its dtype; uint8 and bool give int32. An empty sum is 0.
 * The rounding error is within 4 eps log2(n) sum|x|, and the order of summation depends on the shape alone.
 *
 * @param x any shape and dtype
 * @param options.dtype sums in and returns this dtype
 * @throws ShapeError for a dim out of range or given twice
 */
export function sum(x: Tensor, dims?: Dims, options: ReduceOptions & { dtype?: DType } = {}): Tensor {
  const params = reduceParams('sum', x, dims, options);
  const natural = x.dtype === 'uint8' || x.dtype === 'bool' ? 'int32' : x.dtype;
  return apply(sumOp, [to(x, options.dtype ?? natural)], params);
}

/**
 * The mean over `dims` (all by default); NaN where nothing is summed.
 *
 * @throws DTypeError for integers and bool: cast first, or give `dtype`
 */
export function mean(x: Tensor, dims?: Dims, options: ReduceOptions & { dtype?: DType } = {}): Tensor {
  const params = reduceParams('mean', x, dims, options);
  const dtype = options.dtype ?? x.dtype;
  if (!isFloating(dtype))
    throw dtypeError('mean', `needs a floating dtype, got ${dtype}`, "Give { dtype: 'float32' } or cast first.");
  return apply(meanOp, [to(x, dtype)], params);
}

/**
 * The largest element over `dims` (all by default). NaN wins. Equal maxima share the gradient evenly (torch.amax).
 *
 * @throws ShapeError where a reduced dim is empty
 */
export function max(x: Tensor, dims?: Dims, options: ReduceOptions = {}): Tensor {
  return apply(maxOp, [x], reduceParams('max', x, dims, options));
}

/** The smallest element over `dims` (all by default). NaN wins. Equal minima share the gradient evenly (torch.amin). */
export function min(x: Tensor, dims?: Dims, options: ReduceOptions = {}): Tensor {
  return apply(minOp, [x], reduceParams('min', x, dims, options));
}

function indexOp(name: 'argmax' | 'argmin', kernel: ReduceKernel) {
  return defineOp<ReduceParams>({
    name,
    dtypes: 'none',
    forward([x], params) {
      const { shape } = x!;
      if (params.dims.some((d) => shape[d] === 0)) {
        throw shapeError(name, `has no value over an empty dim: x is ${formatShape(shape)}`, [shape]);
      }
      return runReduce(kernel, x!, params, 'int32');
    },
    grad: () => [null],
  });
}

const argmaxOp = indexOp('argmax', native.argmax);
const argminOp = indexOp('argmin', native.argmin);

/**
 * The position of the largest element along `dim`, or in the flattened tensor without one; int32. The first of equal maxima
 * and the first NaN win. Has no gradient.
 */
export function argmax(x: Tensor, dim?: number, options: ReduceOptions = {}): Tensor {
  return apply(argmaxOp, [x], reduceParams('argmax', x, dim, options));
}

/** The position of the smallest element along `dim`, or in the flattened tensor; int32. First on ties, NaN first. */
export function argmin(x: Tensor, dim?: number, options: ReduceOptions = {}): Tensor {
  return apply(argminOp, [x], reduceParams('argmin', x, dim, options));
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link sum}. */
    sum(dims?: Dims, options?: ReduceOptions & { dtype?: DType }): Tensor;
    /** See {@link mean}. */
    mean(dims?: Dims, options?: ReduceOptions & { dtype?: DType }): Tensor;
    /** See {@link max}. */
    max(dims?: Dims, options?: ReduceOptions): Tensor;
    /** See {@link min}. */
    min(dims?: Dims, options?: ReduceOptions): Tensor;
    /** See {@link argmax}. */
    argmax(dim?: number, options?: ReduceOptions): Tensor;
    /** See {@link argmin}. */
    argmin(dim?: number, options?: ReduceOptions): Tensor;
  }
}

Tensor.prototype.sum = method(sum);
Tensor.prototype.mean = method(mean);
Tensor.prototype.max = method(max);
Tensor.prototype.min = method(min);
Tensor.prototype.argmax = method(argmax);
Tensor.prototype.argmin = method(argmin);
