import { build, get, getBroadcast, normalDim, ref, type Ref } from './array.js';

export function reshape(x: Ref, shape: readonly number[]): Ref {
  const known = shape.reduce((p, n) => (n === -1 ? p : p * n), 1);
  return ref(
    shape.map((n) => (n === -1 ? x.data.length / known : n)),
    x.data,
  );
}

export function permute(x: Ref, dims: readonly number[]): Ref {
  const order = dims.map((d) => normalDim(d, x.shape.length));
  return build(
    order.map((d) => x.shape[d]!),
    (at) => {
      const from = new Array<number>(order.length);
      order.forEach((d, i) => (from[d] = at[i]!));
      return get(x, from);
    },
  );
}

export function transpose(x: Ref, a: number, b: number): Ref {
  const order = x.shape.map((_, i) => i);
  const [i, j] = [normalDim(a, order.length), normalDim(b, order.length)];
  order[i] = j;
  order[j] = i;
  return permute(x, order);
}

export function expand(x: Ref, shape: readonly number[]): Ref {
  const skip = shape.length - x.shape.length;
  return build(
    shape.map((n, i) => (n === -1 ? x.shape[i - skip]! : n)),
    (at) => getBroadcast(x, at),
  );
}

/** Every `step`-th element of [start, end) along `dim`; negative positions count from the end, both are clamped. */
export function slice(x: Ref, dim: number, start = 0, end = Infinity, step = 1): Ref {
  const d = normalDim(dim, x.shape.length);
  const n = x.shape[d]!;
  const clamp = (i: number) => Math.min(n, Math.max(0, i < 0 ? i + n : i));
  const from = clamp(start);
  const count = Math.max(0, Math.ceil((clamp(end) - from) / step));
  return build(
    x.shape.map((size, i) => (i === d ? count : size)),
    (at) =>
      get(
        x,
        at.map((c, i) => (i === d ? from + c * step : c)),
      ),
  );
}

export function concat(inputs: readonly Ref[], dim: number): Ref {
  const first = inputs[0]!;
  const d = normalDim(dim, first.shape.length);
  const total = inputs.reduce((n, x) => n + x.shape[d]!, 0);
  return build(
    first.shape.map((n, i) => (i === d ? total : n)),
    (at) => {
      let place = at[d]!;
      for (const x of inputs) {
        if (place < x.shape[d]!)
          return get(
            x,
            at.map((c, i) => (i === d ? place : c)),
          );
        place -= x.shape[d]!;
      }
      throw new RangeError('past the end');
    },
  );
}

export function stack(inputs: readonly Ref[], dim: number): Ref {
  const d = dim < 0 ? dim + inputs[0]!.shape.length + 1 : dim;
  return concat(
    inputs.map((x) => ref([...x.shape.slice(0, d), 1, ...x.shape.slice(d)], x.data)),
    d,
  );
}

export function split(x: Ref, sizeOrSizes: number | readonly number[], dim: number): Ref[] {
  const n = x.shape[normalDim(dim, x.shape.length)]!;
  const sizes =
    typeof sizeOrSizes === 'number'
      ? Array.from({ length: Math.ceil(n / sizeOrSizes) }, (_, i) => Math.min(sizeOrSizes, n - i * sizeOrSizes))
      : sizeOrSizes;
  let start = 0;
  return sizes.map((size) => {
    const part = slice(x, dim, start, start + size);
    start += size;
    return part;
  });
}
