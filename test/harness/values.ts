/** Inputs for op tests: seeded values, dtypes, and the memory layouts that a kernel must not notice. */
import { tensor, type DType, type Tensor } from '../../src/index.js';
import { numel, ref, stridesOf, type Ref } from '../reference/array.js';

/** A small seeded generator (mulberry32): tests must not draw from the generator they test. */
export class Random {
  private state: number;
  constructor(readonly seed: number) {
    this.state = seed >>> 0;
  }
  /** Uniform in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  /** An integer in [low, high]. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }
  pick<T>(items: readonly T[]): T {
    return items[this.integer(0, items.length - 1)]!;
  }
  /** A shape of `rank` dims of at most `most` elements each. */
  shape(rank: number, most = 6): number[] {
    return Array.from({ length: rank }, () => this.integer(1, most));
  }
}

/** A seed that depends on names only, so that one test's draws do not move when another is added. */
export function seedOf(...names: string[]): number {
  let hash = 2166136261 ^ Number(process.env['WARPLOOM_TEST_SEED'] ?? 0);
  for (const char of names.join('/')) hash = Math.imul(hash ^ char.charCodeAt(0), 16777619);
  return hash >>> 0;
}

/**
 * What random elements look like. `normal`: both signs, away from zero, where many ops have a kink. `positive`: [0.1, 4).
 * `distinct`: no two closer than 0.05, for maxima. `small`: integers -3..3, so that ties are frequent. `bool`: 0 and 1.
 * `{ below: n }`: indices.
 */
export type Domain = 'normal' | 'positive' | 'distinct' | 'small' | 'bool' | { readonly below: number };

/** One operand: values given, or a shape to fill. `dtype` fixes it (indices, masks); else the dtype under test is used. */
export interface Operand {
  readonly shape: readonly number[];
  readonly data?: readonly number[];
  readonly dtype?: DType;
  readonly domain?: Domain;
}
export type Input = Operand | readonly number[];

export const operand = (input: Input): Operand => ('shape' in input ? input : { shape: input });

export function fill(shape: readonly number[], domain: Domain, random: Random): Ref {
  const n = numel(shape);
  if (domain === 'distinct') {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = random.integer(0, i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return ref(
      shape,
      order.map((k) => (k - n / 2) * 0.05 + 0.0125 + random.next() * 0.01),
    );
  }
  const draw = (): number => {
    if (domain === 'positive') return 0.1 + random.next() * 3.9;
    if (domain === 'small') return random.integer(-3, 3);
    if (domain === 'bool') return random.integer(0, 1);
    if (typeof domain === 'object') return random.integer(0, domain.below - 1);
    const v = 0.06 + random.next() * 1.9;
    return random.next() < 0.5 ? -v : v;
  };
  return ref(shape, Array.from({ length: n }, draw));
}

const integers: readonly string[] = ['int32', 'int64', 'uint8', 'bool'];
export const isFloat = (dtype: string): boolean => !integers.includes(dtype);

/** The values as the dtype holds them: the reference starts from exactly what the op was given. */
export function roundTo(x: Ref, dtype: DType): Ref {
  const round: (v: number) => number =
    dtype === 'float32'
      ? Math.fround
      : dtype === 'bool'
        ? (v) => (v === 0 ? 0 : 1)
        : dtype === 'uint8'
          ? (v) => Math.abs(Math.trunc(v)) & 255
          : isFloat(dtype)
            ? (v) => v
            : (v) => Math.trunc(v) + 0; // an integer has no -0
  return { shape: x.shape, data: x.data.map(round) };
}

/** How the elements of an operand lie in memory. */
export type Layout = 'contiguous' | 'offset' | 'transposed' | 'strided' | 'expanded';
export const layouts: readonly Layout[] = ['contiguous', 'offset', 'transposed', 'strided', 'expanded'];

export function typedArray(
  data: Float64Array,
  dtype: DType,
): Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array {
  if (dtype === 'float64') return Float64Array.from(data);
  if (dtype === 'int32') return Int32Array.from(data);
  if (dtype === 'int64') return BigInt64Array.from(data, (v) => BigInt(v));
  if (dtype === 'uint8' || dtype === 'bool') return Uint8Array.from(data);
  return Float32Array.from(data);
}

export interface Placed {
  readonly tensor: Tensor;
  /** the values the tensor shows: those given, except where an expanded layout repeats the first slice */
  readonly ref: Ref;
}

/** Puts values on a device in a layout. */
export function place(values: Ref, dtype: DType, device: string, layout: Layout = 'contiguous'): Placed {
  const given = roundTo(values, dtype);
  const { shape } = given;
  const make = (data: Float64Array, of: readonly number[]) =>
    tensor(typedArray(data, dtype), { shape: of, dtype, device });
  const strides = stridesOf(shape);
  const n = given.data.length;
  if (layout === 'offset') {
    const buffer = new Float64Array(n + 1).fill(1);
    buffer.set(given.data, 1);
    return { tensor: make(buffer, [n + 1]).asView([...shape], strides, 1), ref: given };
  }
  if (layout === 'transposed' && shape.length >= 2) {
    // Memory holds the dims in reverse order.
    const reversed = stridesOf([...shape].reverse()).reverse();
    const buffer = new Float64Array(n);
    scatter(given, reversed, 0, buffer);
    return { tensor: make(buffer, [n]).asView([...shape], reversed, 0), ref: given };
  }
  if (layout === 'strided') {
    const spread = strides.map((s) => 3 * s);
    const buffer = new Float64Array(3 * n + 1).fill(1);
    scatter(given, spread, 1, buffer);
    return { tensor: make(buffer, [3 * n + 1]).asView([...shape], spread, 1), ref: given };
  }
  if (layout === 'expanded' && shape.length > 0 && shape[0]! > 1) {
    const row = given.data.slice(0, n / shape[0]!);
    const repeated = new Float64Array(n);
    for (let i = 0; i < n; i++) repeated[i] = row[i % row.length]!;
    const view = make(row, [row.length]).asView([...shape], [0, ...strides.slice(1)], 0);
    return { tensor: view, ref: { shape, data: repeated } };
  }
  return { tensor: make(given.data, shape), ref: given };
}

function scatter(from: Ref, strides: readonly number[], offset: number, to: Float64Array): void {
  const at = new Array<number>(from.shape.length).fill(0);
  for (let i = 0; i < from.data.length; i++) {
    to[at.reduce((p, c, d) => p + c * strides[d]!, offset)] = from.data[i]!;
    for (let d = at.length - 1; d >= 0; d--) {
      if (++at[d]! < from.shape[d]!) break;
      at[d] = 0;
    }
  }
}

/** The values of a tensor, as float64. */
export async function read(t: Tensor): Promise<Ref> {
  const data: ArrayLike<number | bigint> = await t.data();
  return ref(t.shape, Array.from(data, Number));
}
