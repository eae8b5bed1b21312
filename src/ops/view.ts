/**
 * Views and what is made of them: a view shares storage and version with its tensor and costs no kernel. Also joining and
 * cutting, which are views and copies.
 */
import { apply } from '../apply.js';
import { defineOp, type OpDefinition } from '../autograd/define.js';
import { Tensor } from '../tensor.js';
import { contiguous } from './copy.js';
import { sumTo } from './reduce.js';
import { IndexError } from '../errors.js';
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
import { allocate, copyInto, type Dims, filled, shapeError, view as window } from './support.js';

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

interface SliceParams {
  readonly dim: number;
  readonly start: number;
  readonly step: number;
  /** elements taken along dim */
  readonly length: number;
}

/** The window of a tensor of sizes `shape` that a slice takes. */
function sliceWindow(x: { shape: Shape; strides: Shape; offset: number }, { dim, start, step, length }: SliceParams) {
  const replace = (list: Shape, value: number) => list.map((n, d) => (d === dim ? value : n));
  const shape = replace(x.shape, length);
  // An empty window stays at the start: behind the last element there may be no storage.
  const offset = numelOf(shape) === 0 ? x.offset : x.offset + start * x.strides[dim]!;
  return { shape, strides: replace(x.strides, x.strides[dim]! * step), offset };
}

const sliceOp: OpDefinition<SliceParams> = defineOp<SliceParams>({
  name: 'slice',
  forward([x], params) {
    const { shape, strides, offset } = sliceWindow(x!, params);
    return x!.asView(shape, strides, offset);
  },
  grad: ([g], { params, inputShapes }) => [g ? apply(unsliceOp, [g], { ...params, shape: inputShapes[0]! }) : null],
});

/** The gradient of slice: zeros with g in the window. */
const unsliceOp: OpDefinition<SliceParams & { readonly shape: Shape }> = defineOp<
  SliceParams & { readonly shape: Shape }
>({
  name: 'slice backward',
  forward([g], params) {
    const out = filled(g!.device, params.shape, g!.dtype, 0);
    const { shape, strides, offset } = sliceWindow(out, params);
    copyInto('slice backward', window(out, shape, strides, offset), g!);
    return out;
  },
  grad: ([gg], { params: { dim, start, step, length } }) => [
    gg ? apply(sliceOp, [gg], { dim, start, step, length }) : null,
  ],
});

/**
 * Elements start, start + step, ... before end along `dim`; a view. Negative bounds count from the end, and bounds beyond it
 * are clamped, as in Python.
 *
 * @throws ShapeError for a step below 1
 */
export function slice(x: Tensor, dim: number, start = 0, end = Infinity, step = 1): Tensor {
  const d = sliceDim('slice', x, dim);
  if (!Number.isInteger(step) || step < 1)
    throw shapeError('slice', `step must be a whole number from 1 on, got ${step}`, [x.shape]);
  const n = x.shape[d]!;
  const clamp = (at: number) => Math.min(Math.max(at < 0 ? at + n : at, 0), n);
  if (!Number.isInteger(start) || (end !== Infinity && !Number.isInteger(end))) {
    throw shapeError('slice', `bounds must be whole numbers, got ${start} and ${end}`, [x.shape]);
  }
  const from = clamp(start);
  const length = Math.max(0, Math.ceil((clamp(end) - from) / step));
  return apply(sliceOp, [x], { dim: d, start: from, step, length });
}

function sliceDim(op: string, x: Tensor, dim: number): number {
  if (x.shape.length === 0)
    throw shapeError(op, 'a 0-dim tensor has no dim to take from', [x.shape], 'Use unsqueeze(0) first.');
  return normalizeDim(dim, x.shape.length, op);
}

/** `length` elements from `start` along `dim`; a view. @throws ShapeError where they leave the tensor */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  const d = sliceDim('narrow', x, dim);
  const n = x.shape[d]!;
  const from = start < 0 ? start + n : start;
  if (!Number.isInteger(start) || !Number.isInteger(length) || from < 0 || length < 0 || from + length > n) {
    throw shapeError(
      'narrow',
      `start ${start} and length ${length} leave dim ${dim} of ${formatShape(x.shape)} (size ${n})`,
      [x.shape],
    );
  }
  return apply(sliceOp, [x], { dim: d, start: from, step: 1, length });
}

/** The slice at `index` along `dim`, without that dim; a view. @throws IndexError where index leaves the dim */
export function select(x: Tensor, dim: number, index: number): Tensor {
  const d = sliceDim('select', x, dim);
  const n = x.shape[d]!;
  const at = index < 0 ? index + n : index;
  if (!Number.isInteger(index) || at < 0 || at >= n) {
    throw new IndexError(`index ${index} is out of range for dim ${dim} of ${formatShape(x.shape)} (size ${n})`, {
      op: 'select',
      shapes: [x.shape],
      value: index,
      bound: n,
    });
  }
  return squeeze(apply(sliceOp, [x], { dim: d, start: at, step: 1, length: 1 }), d);
}

/**
 * Views of consecutive pieces along `dim`.
 *
 * @param sizeOrSizes the size of every piece (the last may be smaller), or the sizes, which must add up to the dim
 */
export function split(x: Tensor, sizeOrSizes: number | readonly number[], dim = 0): Tensor[] {
  const d = sliceDim('split', x, dim);
  const n = x.shape[d]!;
  let sizes: readonly number[];
  if (typeof sizeOrSizes === 'number') {
    const piece = sizeOrSizes;
    if (!Number.isInteger(piece) || piece < 0 || (piece === 0 && n > 0)) {
      throw shapeError('split', `a piece needs a whole size from 1 on, got ${piece}`, [x.shape]);
    }
    const count = n === 0 ? 1 : Math.ceil(n / piece);
    sizes = Array.from({ length: count }, (_, i) => Math.min(piece, n - i * piece));
  } else {
    sizes = sizeOrSizes;
    const total = sizes.reduce((sum, s) => sum + s, 0);
    if (total !== n || sizes.some((s) => !Number.isInteger(s) || s < 0)) {
      throw shapeError(
        'split',
        `sizes [${sizes.join(', ')}] must add up to ${n}, dim ${dim} of ${formatShape(x.shape)}`,
        [x.shape],
      );
    }
  }
  let start = 0;
  return sizes.map((length) => {
    const piece = apply(sliceOp, [x], { dim: d, start, step: 1, length });
    start += length;
    return piece;
  });
}

/** At most `chunks` views of equal size along `dim`; the last may be smaller, and there may be fewer, as in PyTorch. */
export function chunk(x: Tensor, chunks: number, dim = 0): Tensor[] {
  const d = sliceDim('chunk', x, dim);
  if (!Number.isInteger(chunks) || chunks < 1)
    throw shapeError('chunk', `needs a whole number of chunks from 1 on, got ${chunks}`, [x.shape]);
  const n = x.shape[d]!;
  if (n === 0) return split(x, new Array<number>(chunks).fill(0), d);
  return split(x, Math.ceil(n / chunks), d);
}

const concatOp = defineOp<{ readonly dim: number }>({
  name: 'concat',
  dtypes: 'promote',
  forward(inputs, { dim }) {
    const first = inputs[0]!;
    let total = 0;
    for (const x of inputs) {
      const fits = x.shape.length === first.shape.length && x.shape.every((n, d) => d === dim || n === first.shape[d]);
      if (!fits) {
        throw shapeError(
          'concat',
          `shapes ${inputs.map((i) => formatShape(i.shape)).join(', ')} differ outside dim ${dim}`,
          inputs.map((i) => i.shape),
        );
      }
      total += x.shape[dim]!;
    }
    const shape = first.shape.map((n, d) => (d === dim ? total : n));
    const out = allocate('concat', first.device, shape, first.dtype);
    let start = 0;
    for (const x of inputs) {
      const length = x.shape[dim]!;
      const w = sliceWindow(out, { dim, start, step: 1, length });
      if (x.numel > 0) copyInto('concat', window(out, w.shape, w.strides, w.offset), x);
      start += length;
    }
    return out;
  },
  grad([g], { params: { dim }, inputShapes }) {
    let start = 0;
    return inputShapes.map((shape) => {
      const length = shape[dim]!;
      const piece = !g ? null : apply(sliceOp, [g], { dim, start, step: 1, length });
      start += length;
      return piece;
    });
  },
});

/**
 * Tensors joined along `dim`. Dtypes meet by PyTorch's promotion.
 *
 * @param tensors at least one, equal in every other dim
 * @throws ShapeError where they are not
 */
export function concat(tensors: readonly Tensor[], dim = 0): Tensor {
  const first = tensors[0];
  if (!first) throw shapeError('concat', 'needs at least one tensor', []);
  return apply(concatOp, tensors, { dim: sliceDim('concat', first, dim) });
}

/** Tensors of one shape joined along a new dim. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  const first = tensors[0];
  if (!first) throw shapeError('stack', 'needs at least one tensor', []);
  for (const x of tensors) {
    if (!sameShape(x.shape, first.shape)) {
      throw shapeError('stack', `shapes must be equal, got ${formatShape(first.shape)} and ${formatShape(x.shape)}`, [
        first.shape,
        x.shape,
      ]);
    }
  }
  const d = normalizeDim(dim, first.shape.length + 1, 'stack');
  return concat(
    tensors.map((x) => unsqueeze(x, d)),
    d,
  );
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
    /** See {@link slice}. */
    slice(dim: number, start?: number, end?: number, step?: number): Tensor;
    /** See {@link narrow}. */
    narrow(dim: number, start: number, length: number): Tensor;
    /** See {@link select}. */
    select(dim: number, index: number): Tensor;
    /** See {@link split}. */
    split(sizeOrSizes: number | readonly number[], dim?: number): Tensor[];
    /** See {@link chunk}. */
    chunk(chunks: number, dim?: number): Tensor[];
  }
}

Tensor.prototype.reshape = function (shape) {
  return reshape(this, shape);
};
Tensor.prototype.view = function (shape) {
  return view(this, shape);
};
Tensor.prototype.flatten = function (startDim, endDim) {
  return flatten(this, startDim, endDim);
};
Tensor.prototype.permute = function (order) {
  return permute(this, order);
};
Tensor.prototype.transpose = function (dim0, dim1) {
  return transpose(this, dim0, dim1);
};
Tensor.prototype.t = function () {
  return t(this);
};
Tensor.prototype.expand = function (shape) {
  return expand(this, shape);
};
Tensor.prototype.broadcastTo = function (shape) {
  return broadcastTo(this, shape);
};
Tensor.prototype.squeeze = function (dims) {
  return squeeze(this, dims);
};
Tensor.prototype.unsqueeze = function (dim) {
  return unsqueeze(this, dim);
};
Tensor.prototype.slice = function (dim, start, end, step) {
  return slice(this, dim, start, end, step);
};
Tensor.prototype.narrow = function (dim, start, length) {
  return narrow(this, dim, start, length);
};
Tensor.prototype.select = function (dim, index) {
  return select(this, dim, index);
};
Tensor.prototype.split = function (sizeOrSizes, dim) {
  return split(this, sizeOrSizes, dim);
};
Tensor.prototype.chunk = function (chunks, dim) {
  return chunk(this, chunks, dim);
};
