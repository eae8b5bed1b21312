/** Arithmetic on shapes and strides. Nothing here touches memory. Strides count elements. */
import { IndexError, ShapeError } from './errors.js';

export type Shape = readonly number[];

/** Most dims a tensor may have (native/engine/view.h). */
export const maxRank = 8;

export function numelOf(shape: Shape): number {
  let n = 1;
  for (let i = 0; i < shape.length; i++) n *= shape[i]!;
  return n;
}

export function formatShape(shape: Shape): string {
  return `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  const rank = a.length;
  if (rank !== b.length) return false;
  for (let i = 0; i < rank; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * Throws unless `shape` is a list of at most 8 whole numbers >= 0 whose product stays below 2^53.
 * @throws ShapeError
 */
export function checkShape(shape: Shape, op: string): void {
  if (!Array.isArray(shape)) throw new ShapeError(`a shape is an array of numbers, not ${typeof shape}`, { op });
  if (shape.length > maxRank) {
    throw new ShapeError(`shape ${formatShape(shape)} has ${shape.length} dims`, {
      op,
      shapes: [shape],
      hint: `The most is ${maxRank}.`,
    });
  }
  let n = 1;
  let largest = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new ShapeError(`shape ${formatShape(shape)} has the size ${size}`, {
        op,
        shapes: [shape],
        hint: 'Sizes are whole numbers from 0.',
      });
    }
    n *= size;
    // An empty tensor may not hide an absurd size either: strides are products of the other sizes.
    largest *= Math.max(size, 1);
  }
  if (n * 8 > Number.MAX_SAFE_INTEGER || largest * 8 > Number.MAX_SAFE_INTEGER) {
    throw new ShapeError(`shape ${formatShape(shape)} has too many elements`, { op, shapes: [shape] });
  }
}

/** Row-major strides. */
export function contiguousStrides(shape: Shape): number[] {
  const rank = shape.length;
  if (rank === 1) return [1];
  const strides = new Array<number>(rank);
  let step = 1;
  for (let i = rank - 1; i >= 0; i--) {
    strides[i] = step;
    step *= Math.max(shape[i]!, 1);
  }
  return strides;
}

/** Whether elements lie side by side in row-major order; sizes of 1 and empty tensors do not care about strides. */
export function isContiguousLayout(shape: Shape, strides: Shape): boolean {
  let step = 1;
  let contiguous = true;
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i]!;
    if (size === 0) return true;
    if (size !== 1) {
      if (strides[i] !== step) contiguous = false;
      step *= size;
    }
  }
  return contiguous;
}

/** Whether two elements may share memory: a stride of 0 under a size above 1. */
export function hasZeroStride(shape: Shape, strides: Shape): boolean {
  let shared = false;
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === 0) return false;
    if (strides[i] === 0 && shape[i]! > 1) shared = true;
  }
  return shared;
}

/**
 * A dim in [0, rank); negative ones count from the end. A 0-dim tensor has the dims 0 and -1, as in PyTorch.
 * @throws IndexError
 */
export function normalizeDim(dim: number, rank: number, op: string): number {
  const span = rank === 0 ? 1 : rank;
  if (!Number.isInteger(dim) || dim < -span || dim >= span) {
    throw new IndexError(`dim ${dim} is outside [${-span}, ${span - 1}] of a tensor with ${rank} dims`, {
      op,
      value: dim,
      bound: span,
    });
  }
  return dim < 0 ? dim + span : dim;
}

/**
 * Ascending distinct dims; undefined, null or an empty list means all of them.
 * @throws IndexError for a dim outside, ShapeError for one named twice
 */
export function normalizeDims(dims: number | readonly number[] | null | undefined, rank: number, op: string): number[] {
  if (dims === undefined || dims === null) return Array.from({ length: rank }, (_, i) => i);
  if (typeof dims === 'number') return rank === 0 ? (normalizeDim(dims, 0, op), []) : [normalizeDim(dims, rank, op)];
  if (dims.length === 0) return Array.from({ length: rank }, (_, i) => i);
  const list = dims.map((dim) => normalizeDim(dim, rank, op)).sort((a, b) => a - b);
  for (let i = 1; i < list.length; i++) {
    if (list[i] === list[i - 1]) throw new ShapeError(`dim ${list[i]} is named twice`, { op });
  }
  return rank === 0 ? [] : list;
}

/**
 * The shape that all broadcast to: aligned at the end, sizes equal or 1.
 * @throws ShapeError naming both shapes
 */
export function broadcastShape(a: Shape, b: Shape, op: string): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 0; i < rank; i++) {
    const x = i < rank - a.length ? 1 : a[i - rank + a.length]!;
    const y = i < rank - b.length ? 1 : b[i - rank + b.length]!;
    if (x !== y && x !== 1 && y !== 1) {
      throw new ShapeError(`shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast: ${x} against ${y}`, {
        op,
        shapes: [a, b],
        hint: 'Sizes, aligned at the last dim, must be equal or 1.',
      });
    }
    out[i] = x === 1 ? y : x;
  }
  return out;
}

export function broadcastShapes(shapes: readonly Shape[], op: string): Shape {
  let out: Shape = shapes[0] ?? [];
  for (let i = 1; i < shapes.length; i++) out = broadcastShape(out, shapes[i]!, op);
  return out;
}

/**
 * Strides that read (shape, strides) as `target`: 0 along every broadcast dim. -1 sizes in `target` must be resolved.
 * @throws ShapeError when `shape` does not expand to `target`
 */
export function expandStrides(shape: Shape, strides: Shape, target: Shape, op: string): readonly number[] {
  if (sameShape(shape, target)) return strides;
  const lead = target.length - shape.length;
  const out = new Array<number>(target.length).fill(0);
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === target[lead + i]) out[lead + i] = strides[i]!;
    else if (shape[i] !== 1 || lead < 0) throw expandError(shape, target, op);
  }
  if (lead < 0) throw expandError(shape, target, op);
  return out;
}

function expandError(shape: Shape, target: Shape, op: string): ShapeError {
  return new ShapeError(`shape ${formatShape(shape)} does not expand to ${formatShape(target)}`, {
    op,
    shapes: [shape, target],
    hint: 'Only dims of size 1 and new leading dims can be expanded.',
  });
}

/** The dims of a `target` gradient that must be summed to give the gradient of a tensor of `shape` broadcast to it. */
export function broadcastDims(shape: Shape, target: Shape): number[] {
  const lead = target.length - shape.length;
  const dims: number[] = [];
  for (let i = 0; i < target.length; i++) {
    if (i < lead || (shape[i - lead] === 1 && target[i] !== 1)) dims.push(i);
  }
  return dims;
}

/**
 * Replaces one -1 by the size that keeps the number of elements.
 * @throws ShapeError
 */
export function inferShape(wanted: Shape, shape: Shape, op: string): number[] {
  const n = numelOf(shape);
  const out = [...wanted];
  const hole = out.indexOf(-1);
  if (hole >= 0) {
    out[hole] = 1;
    checkShape(out, op);
    const rest = numelOf(out);
    if (rest === 0 || n % rest !== 0) throw reshapeError(shape, wanted, op);
    out[hole] = n / rest;
  } else {
    checkShape(out, op);
  }
  if (numelOf(out) !== n) throw reshapeError(shape, wanted, op);
  return out;
}

function reshapeError(shape: Shape, wanted: Shape, op: string): ShapeError {
  return new ShapeError(
    `shape ${formatShape(shape)} has ${numelOf(shape)} elements and cannot become ${formatShape(wanted)}`,
    { op, shapes: [shape, wanted] },
  );
}

/** Strides that show (shape, strides) as `target` without a copy, or null where that is impossible. Equal element counts. */
export function reshapeStrides(shape: Shape, strides: Shape, target: Shape): number[] | null {
  const n = numelOf(target);
  if (n === 0 || isContiguousLayout(shape, strides)) return contiguousStrides(target);
  const out = new Array<number>(target.length);
  // Walk from the last dim: each run of source dims that lie side by side must be filled exactly by target dims.
  let view = target.length - 1;
  let base = strides[strides.length - 1] ?? 1;
  let run = 1;
  let filled = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    run *= shape[i]!;
    const ends = i === 0 || (shape[i - 1] !== 1 && strides[i - 1] !== run * base);
    if (!ends) continue;
    while (view >= 0 && (filled < run || target[view] === 1)) {
      out[view] = filled * base;
      filled *= target[view]!;
      view--;
    }
    if (filled !== run) return null;
    if (i > 0) {
      base = strides[i - 1]!;
      run = 1;
      filled = 1;
    }
  }
  return view === -1 ? out : null;
}

/**
 * Merges neighbouring dims that every operand walks evenly, so kernels see as few dims as possible. Returns the shorter shape
 * and one list of strides per operand.
 */
export function collapseDims(shape: Shape, operands: readonly Shape[]): { shape: number[]; strides: number[][] } {
  const sizes: number[] = [];
  const strides: number[][] = operands.map(() => []);
  for (let i = 0; i < shape.length; i++) {
    const size = shape[i]!;
    if (size === 1) continue;
    const last = sizes.length - 1;
    if (last >= 0 && operands.every((s, k) => strides[k]![last] === s[i]! * size)) {
      sizes[last] = sizes[last]! * size;
      for (let k = 0; k < operands.length; k++) strides[k]![last] = operands[k]![i]!;
    } else {
      sizes.push(size);
      for (let k = 0; k < operands.length; k++) strides[k]!.push(operands[k]![i]!);
    }
  }
  return { shape: sizes, strides };
}
