/**
 * Plain arrays for the references: a shape and its elements in row-major order, as float64. Nothing here or in the other files
 * of this folder imports anything of the project, so a reference can only agree with an op by being right.
 */
export interface Ref {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export function numel(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * Math.max(1, shape[i + 1]!);
  return strides;
}

export function zeros(shape: readonly number[]): Ref {
  return { shape: [...shape], data: new Float64Array(numel(shape)) };
}

export function scalar(value: number): Ref {
  return { shape: [], data: Float64Array.of(value) };
}

export function ref(shape: readonly number[], data: ArrayLike<number>): Ref {
  if (data.length !== numel(shape)) throw new RangeError(`[${shape.join(', ')}] does not hold ${data.length} elements`);
  return { shape: [...shape], data: Float64Array.from(data) };
}

/** The coordinates of flat position `flat`. */
export function coordinates(flat: number, shape: readonly number[]): number[] {
  const at = new Array<number>(shape.length);
  for (let i = shape.length - 1; i >= 0; i--) {
    at[i] = flat % shape[i]!;
    flat = Math.floor(flat / shape[i]!);
  }
  return at;
}

export function flatIndex(at: readonly number[], shape: readonly number[]): number {
  let flat = 0;
  for (let i = 0; i < shape.length; i++) flat = flat * shape[i]! + at[i]!;
  return flat;
}

/** A fresh array whose element at each place is `value(place)`. */
export function build(shape: readonly number[], value: (at: number[]) => number): Ref {
  const out = zeros(shape);
  for (let i = 0; i < out.data.length; i++) out.data[i] = value(coordinates(i, shape));
  return out;
}

export function get(x: Ref, at: readonly number[]): number {
  return x.data[flatIndex(at, x.shape)]!;
}

/** The common shape of broadcasting: aligned at the last dim, a size of 1 gives way. */
export function broadcastShape(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    let size = 1;
    for (const shape of shapes) {
      const n = shape[i - rank + shape.length];
      if (n === undefined || n === 1) continue;
      if (size !== 1 && size !== n) throw new RangeError(`shapes ${JSON.stringify(shapes)} do not broadcast`);
      size = n;
    }
    return size;
  });
}

/** The element of `x` that stands at `at` of a shape that `x` broadcasts to. */
export function getBroadcast(x: Ref, at: readonly number[]): number {
  const skip = at.length - x.shape.length;
  let flat = 0;
  for (let i = 0; i < x.shape.length; i++) flat = flat * x.shape[i]! + (x.shape[i] === 1 ? 0 : at[i + skip]!);
  return x.data[flat]!;
}

/** Applies `f` elementwise with broadcasting. */
export function zip(f: (...values: number[]) => number, ...inputs: Ref[]): Ref {
  return build(broadcastShape(...inputs.map((x) => x.shape)), (at) => f(...inputs.map((x) => getBroadcast(x, at))));
}

export function normalDim(dim: number, rank: number): number {
  return dim < 0 ? dim + rank : dim;
}

/** Which dims a reduction runs over: none named means all. */
export function normalDims(dim: number | readonly number[] | undefined, rank: number): number[] {
  if (dim === undefined) return Array.from({ length: rank }, (_, i) => i);
  const dims = typeof dim === 'number' ? [dim] : dim;
  return dims.map((d) => normalDim(d, rank)).sort((a, b) => a - b);
}
