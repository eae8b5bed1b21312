/**
 * Views that show every element: a view shares storage and version with its tensor and costs no kernel.
 */
import { apply } from '../apply.js';
import { defineOp } from '../autograd/define.js';
import { Tensor } from '../tensor.js';
import { contiguous } from './copy.js';
import { sumTo } from './reduce.js';
import {
  checkShape,
  contiguousStrides,
  expandStrides,
  formatShape,
  inferShape,
  normalizeDim,
  normalizeDims,
  numelOf,
  reshapeStrides,
  sameShape,
  type Shape,
} from '../shape.js';
import { type Dims, shapeError, method } from './support.js';

interface ViewParams {
  readonly shape: Shape;
  readonly strides: Shape;
}

/** The same elements in the same order under other sizes. */
const viewOp = defineOp<ViewParams>({
  name: 'view',
  forward: ([x], { shape, strides }) => x!.asView(shape, strides, x!.offset),
  grad: ([g], { inputShapes }) => [g ? reshape(g, inputShapes[0]!) : null],
});

/**
 * The same elements in the same order under other sizes: a view where the strides allow it, else a copy.
 *
 * @param shape one size may be -1, to be inferred
 * @throws ShapeError where the numbers of elements differ
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const sizes = inferShape(shape, x.shape, 'reshape');
  const strides = reshapeStrides(x.shape, x.strides, sizes);
  if (strides) return apply(viewOp, [x], { shape: sizes, strides });
  return apply(viewOp, [contiguous(x)], { shape: sizes, strides: contiguousStrides(sizes) });
}

/** As {@link reshape}, and throws where that would copy. */
export function view(x: Tensor, shape: Shape): Tensor {
  const sizes = inferShape(shape, x.shape, 'view');
  const strides = reshapeStrides(x.shape, x.strides, sizes);
  if (!strides) {
    throw shapeError(
      'view',
      `${formatShape(x.shape)} with strides ${formatShape(x.strides)} cannot be read as ${formatShape(sizes)} without a copy`,
      [x.shape, sizes],
      'Use reshape.',
    );
  }
  return apply(viewOp, [x], { shape: sizes, strides });
}

/** Merges dims startDim to endDim (both included) into one. A 0-dim tensor becomes 1-D. */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  const from = normalizeDim(startDim, x.shape.length, 'flatten');
  const to = normalizeDim(endDim, x.shape.length, 'flatten');
  if (from > to)
    throw shapeError('flatten', `startDim ${startDim} lies behind endDim ${endDim} for shape ${formatShape(x.shape)}`, [
      x.shape,
    ]);
  const middle = numelOf(x.shape.slice(from, to + 1));
  return reshape(x, [...x.shape.slice(0, from), middle, ...x.shape.slice(to + 1)]);
}

const permuteOp = defineOp<{ readonly order: readonly number[] }>({
  name: 'permute',
  forward([x], { order }) {
    const pick = (list: Shape) => order.map((d) => list[d]!);
    return x!.asView(pick(x!.shape), pick(x!.strides), x!.offset);
  },
  grad([g], { params: { order } }) {
    if (!g) return [null];
    const inverse = new Array<number>(order.length);
    order.forEach((d, i) => (inverse[d] = i));
    return [permute(g, inverse)];
  },
});

/** The dims in another order; a view. @param order each dim of x once @throws ShapeError otherwise */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  const dims = order.map((d) => normalizeDim(d, x.shape.length, 'permute'));
  if (dims.length !== x.shape.length || new Set(dims).size !== dims.length) {
    throw shapeError('permute', `[${order.join(', ')}] must name each dim of ${formatShape(x.shape)} once`, [x.shape]);
  }
  return apply(permuteOp, [x], { order: dims });
}

/** Two dims exchanged; a view. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const a = normalizeDim(dim0, x.shape.length, 'transpose');
  const b = normalizeDim(dim1, x.shape.length, 'transpose');
  const order = x.shape.map((_, d) => (d === a ? b : d === b ? a : d));
  return apply(permuteOp, [x], { order });
}

/** A matrix transposed; a view. Tensors of rank 0 and 1 stay as they are. @throws ShapeError for rank above 2 */
export function t(x: Tensor): Tensor {
  const rank = x.shape.length;
  if (rank > 2)
    throw shapeError('t', `needs rank 2 or less, got ${formatShape(x.shape)}`, [x.shape], 'Use transpose(dim0, dim1).');
  return apply(permuteOp, [x], { order: rank === 2 ? [1, 0] : rank === 1 ? [0] : [] });
}

const expandOp = defineOp<{ readonly shape: Shape }>({
  name: 'expand',
  forward: ([x], { shape }) => x!.asView(shape, expandStrides(x!.shape, x!.strides, shape, 'expand'), x!.offset),
  grad: ([g], { inputShapes }) => [g ? sumTo(g, inputShapes[0]!) : null],
});

/**
 * Dims of size 1 repeated to `shape`, new dims in front; a view with stride 0, so nothing is copied and nothing can be
 * written in place.
 *
 * @param shape -1 keeps a size
 * @throws ShapeError where a size is neither 1 nor equal
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  return expandAs('expand', x, shape);
}

/** x broadcast to `shape`; {@link expand} under NumPy's name. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  return expandAs('broadcastTo', x, shape);
}

function expandAs(op: string, x: Tensor, shape: Shape): Tensor {
  x.checkUsable(op);
  const lead = shape.length - x.shape.length;
  const sizes = shape.map((n, d) => (n === -1 && d >= lead ? x.shape[d - lead]! : n));
  checkShape(sizes, op);
  if (lead < 0 || !x.shape.every((n, d) => n === 1 || n === sizes[d + lead])) {
    throw shapeError(
      op,
      `${formatShape(x.shape)} does not expand to ${formatShape(shape)}`,
      [x.shape, shape],
      'Each size must be equal or 1 in x, counted from the last dim.',
    );
  }
  return sameShape(sizes, x.shape) ? x : apply(expandOp, [x], { shape: sizes });
}

/** Drops dims of size 1: those given, or all. A given dim of another size stays, as in PyTorch. */
export function squeeze(x: Tensor, dims?: Dims): Tensor {
  const list = normalizeDims(dims, x.shape.length, 'squeeze');
  const kept = x.shape.map((_, d) => d).filter((d) => x.shape[d] !== 1 || !list.includes(d));
  return apply(viewOp, [x], { shape: kept.map((d) => x.shape[d]!), strides: kept.map((d) => x.strides[d]!) });
}

/** A dim of size 1 inserted before `dim`, which may be -1 for behind the last. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  const d = normalizeDim(dim, x.shape.length + 1, 'unsqueeze');
  const insert = (list: Shape, value: number) => [...list.slice(0, d), value, ...list.slice(d)];
  const shape = insert(x.shape, 1);
  checkShape(shape, 'unsqueeze');
  const stride = d < x.shape.length ? x.shape[d]! * x.strides[d]! : 1;
  return apply(viewOp, [x], { shape, strides: insert(x.strides, stride) });
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link reshape}. */
    reshape(shape: Shape): Tensor;
    /** See {@link view}. */
    view(shape: Shape): Tensor;
    /** See {@link flatten}. */
    flatten(startDim?: number, endDim?: number): Tensor;
    /** See {@link permute}. */
    permute(order: readonly number[]): Tensor;
    /** See {@link transpose}. */
    transpose(dim0: number, dim1: number): Tensor;
    /** See {@link t}. */
    t(): Tensor;
    /** See {@link expand}. */
    expand(shape: Shape): Tensor;
    /** See {@link broadcastTo}. */
    broadcastTo(shape: Shape): Tensor;
    /** See {@link squeeze}. */
    squeeze(dims?: Dims): Tensor;
    /** See {@link unsqueeze}. */
    unsqueeze(dim: number): Tensor;
  }
}

Tensor.prototype.reshape = method(reshape);
Tensor.prototype.view = method(view);
Tensor.prototype.flatten = method(flatten);
Tensor.prototype.permute = method(permute);
Tensor.prototype.transpose = method(transpose);
Tensor.prototype.t = method(t);
Tensor.prototype.expand = method(expand);
Tensor.prototype.broadcastTo = method(broadcastTo);
Tensor.prototype.squeeze = method(squeeze);
Tensor.prototype.unsqueeze = method(unsqueeze);
