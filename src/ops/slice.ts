/** Windows along one dim, which are views, and what joins them again, which copies. */
import { apply, applyMany } from '../apply.js';
import { type BackwardContext, defineOp, type OpDefinition } from '../autograd/define.js';
import { IndexError } from '../errors.js';
import { contiguousStrides, formatShape, normalizeDim, numelOf, sameShape, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { allocate, copyInto, filled, shapeError, view as window, method } from './support.js';
import { squeeze, unsqueeze } from './view.js';

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

interface SplitParams {
  readonly dim: number;
  /** of the pieces along dim */
  readonly sizes: Shape;
}

const splitOp = defineOp<SplitParams>({
  name: 'split',
  forward([x], { dim, sizes }) {
    let start = 0;
    return sizes.map((length) => {
      const { shape, strides, offset } = sliceWindow(x!, { dim, start, step: 1, length });
      start += length;
      return x!.asView(shape, strides, offset);
    });
  },
  grad: (gs, context) => [joined(gs, context)],
  backward: (gs, context) => [rejoined(gs, context.params, context.inputShapes[0]!) ?? joined(gs, context)],
});

/** The gradients of all pieces side by side, with zeros where none came. */
function joined(gs: readonly (Tensor | null)[], ctx: BackwardContext<SplitParams>): Tensor {
  const { params, inputShapes, inputDtypes, device } = ctx;
  const pieces = gs.map((g, i) => g ?? filled(device, pieceShape(inputShapes[0]!, params, i), inputDtypes[0]!, 0));
  return concat(pieces, params.dim);
}

const pieceShape = (shape: Shape, { dim, sizes }: SplitParams, i: number): Shape =>
  shape.map((n, d) => (d === dim ? sizes[i]! : n));

/** The pieces as one tensor where they lie in memory as split would cut them, as attention's gradients do; else null. */
function rejoined(pieces: readonly (Tensor | null)[], { dim, sizes }: SplitParams, shape: Shape): Tensor | null {
  const first = pieces[0];
  if (!first) return null;
  const strides = contiguousStrides(shape);
  let { offset } = first;
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i];
    if (!piece || piece.storage !== first.storage || piece.offset !== offset) return null;
    if (piece.shape.some((n, d) => n > 1 && piece.strides[d] !== strides[d])) return null;
    offset += sizes[i]! * strides[dim]!;
  }
  return first.asView(shape, strides, first.offset);
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
  return applyMany(splitOp, [x], { dim: d, sizes });
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

Tensor.prototype.slice = method(slice);
Tensor.prototype.narrow = method(narrow);
Tensor.prototype.select = method(select);
Tensor.prototype.split = method(split);
Tensor.prototype.chunk = method(chunk);
