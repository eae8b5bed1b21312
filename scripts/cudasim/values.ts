/** The arguments of a launch as the command line writes them, and their bytes. */

/** A mistake on the command line; the message says which option and what it takes. */
export class UsageError extends Error {}

/** Floating-point formats that JavaScript has no array for: bits of exponent and of fraction. */
const halves = { f16: { exponent: 5, fraction: 10 }, bf16: { exponent: 8, fraction: 7 } } as const;
type Half = keyof typeof halves;

/** The bits of `x`, rounded to nearest even. */
export function toHalf(x: number, format: Half): number {
  const { exponent, fraction } = halves[format];
  const bias = 2 ** (exponent - 1) - 1;
  const sign = (x < 0 || Object.is(x, -0) ? 1 : 0) << (exponent + fraction);
  const infinity = (2 ** exponent - 1) << fraction;
  if (Number.isNaN(x)) return infinity | (1 << (fraction - 1));
  const size = Math.abs(x);
  if (size === 0) return sign;
  if (size >= 2 ** (bias + 1)) return sign | infinity;
  const power = Math.max(Math.floor(Math.log2(size)), 1 - bias);
  // The distance of neighbours at this power. A carry runs into the exponent, and that is the right number.
  const scaled = size / 2 ** (power - fraction);
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const rounded = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
  return sign | (rounded + (power + bias - 1) * 2 ** fraction);
}

export function fromHalf(bits: number, format: Half): number {
  const { exponent, fraction } = halves[format];
  const bias = 2 ** (exponent - 1) - 1;
  const sign = bits >> (exponent + fraction) ? -1 : 1;
  const power = (bits >> fraction) & (2 ** exponent - 1);
  const tail = bits & (2 ** fraction - 1);
  if (power === 2 ** exponent - 1) return tail ? NaN : sign * Infinity;
  return sign * (power === 0 ? tail : tail + 2 ** fraction) * 2 ** (Math.max(power, 1) - bias - fraction);
}

interface Kind {
  readonly bytes: number;
  readonly real: boolean;
  write(view: DataView, at: number, value: number | bigint): void;
  read(view: DataView, at: number): number | bigint;
}

const half = (format: Half): Kind => ({
  bytes: 2,
  real: true,
  write: (view, at, value) => view.setUint16(at, toHalf(Number(value), format), true),
  read: (view, at) => fromHalf(view.getUint16(at, true), format),
});

/** Element types, little endian as on the device. */
export const kinds: Readonly<Record<string, Kind>> = {
  f32: {
    bytes: 4,
    real: true,
    write: (view, at, value) => view.setFloat32(at, Number(value), true),
    read: (view, at) => view.getFloat32(at, true),
  },
  f64: {
    bytes: 8,
    real: true,
    write: (view, at, value) => view.setFloat64(at, Number(value), true),
    read: (view, at) => view.getFloat64(at, true),
  },
  f16: half('f16'),
  bf16: half('bf16'),
  i32: {
    bytes: 4,
    real: false,
    write: (view, at, value) => view.setInt32(at, Number(value), true),
    read: (view, at) => view.getInt32(at, true),
  },
  i64: {
    bytes: 8,
    real: false,
    write: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
    read: (view, at) => view.getBigInt64(at, true),
  },
  u8: {
    bytes: 1,
    real: false,
    write: (view, at, value) => view.setUint8(at, Number(value)),
    read: (view, at) => view.getUint8(at),
  },
  u32: {
    bytes: 4,
    real: false,
    write: (view, at, value) => view.setUint32(at, Number(value), true),
    read: (view, at) => view.getUint32(at, true),
  },
  u64: {
    bytes: 8,
    real: false,
    write: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
    read: (view, at) => view.getBigUint64(at, true),
  },
};
const bufferKinds = ['f32', 'f64', 'f16', 'bf16', 'i32', 'i64', 'u8'];
const scalarKinds = ['i32', 'i64', 'u32', 'u64', 'f32', 'f64'];
const fills = ['randn', 'uniform', 'zeros', 'ones', 'arange', 'uninit'] as const;
type Fill = (typeof fills)[number];

export interface BufferArgument {
  readonly buffer: true;
  readonly kind: string;
  readonly count: number;
  readonly fill: Fill;
  readonly seed: number;
}
export interface ScalarArgument {
  readonly buffer: false;
  readonly kind: string;
  readonly value: number | bigint;
}
export type Argument = BufferArgument | ScalarArgument;

export const bytesOf = (argument: Argument): number =>
  kinds[argument.kind]!.bytes * (argument.buffer ? argument.count : 1);

/** The smallest and largest value of an integer kind. */
function range(kind: string): [bigint, bigint] {
  const bits = BigInt(kinds[kind]!.bytes * 8);
  return kind.startsWith('u') ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
}

function parseScalar(text: string, kind: string, written: string): ScalarArgument {
  if (!scalarKinds.includes(kind)) {
    throw new UsageError(`--arg ${text}: a scalar is ${scalarKinds.join('=, ')}=, not '${kind}='`);
  }
  if (kinds[kind]!.real) {
    const value = Number(written);
    if (written.trim() === '' || (Number.isNaN(value) && written !== 'NaN')) {
      throw new UsageError(`--arg ${text}: '${written}' is not a number`);
    }
    return { buffer: false, kind, value };
  }
  if (!/^-?(\d+|0x[0-9a-f]+)$/i.test(written))
    throw new UsageError(`--arg ${text}: '${written}' is not a whole number`);
  const value = written.startsWith('-') ? -BigInt(written.slice(1)) : BigInt(written);
  const [least, most] = range(kind);
  if (value < least || value > most) throw new UsageError(`--arg ${text}: ${kind} reaches from ${least} to ${most}`);
  return { buffer: false, kind, value };
}

/** @throws UsageError */
export function parseArgument(text: string): Argument {
  const equals = /^(\w+)=(.*)$/.exec(text);
  if (equals) return parseScalar(text, equals[1]!, equals[2]!);
  const [kind = '', count = '', fill = '', seed, ...more] = text.split(':');
  const form = 'a buffer is KIND:N:FILL[:SEED], a scalar KIND=VALUE';
  if (!bufferKinds.includes(kind)) {
    throw new UsageError(`--arg ${text}: ${form}; KIND of a buffer is ${bufferKinds.join(', ')}, not '${kind}'`);
  }
  if (!/^[1-9]\d*$/.test(count))
    throw new UsageError(`--arg ${text}: ${form}; N is a whole number from 1, not '${count}'`);
  if (!(fills as readonly string[]).includes(fill)) {
    throw new UsageError(`--arg ${text}: ${form}; FILL is ${fills.join(', ')}, not '${fill}'`);
  }
  if (more.length > 0 || (seed !== undefined && !/^\d+$/.test(seed))) {
    throw new UsageError(`--arg ${text}: ${form}; SEED is a whole number`);
  }
  if (fill === 'randn' && !kinds[kind]!.real) {
    throw new UsageError(`--arg ${text}: randn is for floating point; use uniform (whole numbers from 0 to 99)`);
  }
  return { buffer: true, kind, count: Number(count), fill: fill as Fill, seed: Number(seed ?? 0) };
}

/** Numbers in [0, 1) from a seed: splitmix32, the same on every machine. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** The bytes that a buffer starts with; null for one that stays as allocated. Whole numbers of `arange` wrap. */
export function initialBytes({ kind, count, fill, seed }: BufferArgument): Buffer | null {
  if (fill === 'uninit') return null;
  const { bytes, real, write } = kinds[kind]!;
  const next = generator(seed);
  const valueAt: Record<Exclude<Fill, 'uninit'>, (i: number) => number> = {
    zeros: () => 0,
    ones: () => 1,
    arange: (i) => i,
    uniform: () => (real ? next() : Math.floor(next() * 100)),
    // Box and Muller; 1 - x keeps the logarithm finite.
    randn: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  };
  const data = Buffer.alloc(bytes * count);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let i = 0; i < count; i++) write(view, i * bytes, valueAt[fill](i));
  return data;
}

/** The bytes of a scalar as hexadecimal digits. */
export function scalarHex({ kind, value }: ScalarArgument): string {
  const data = Buffer.alloc(kinds[kind]!.bytes);
  kinds[kind]!.write(new DataView(data.buffer, data.byteOffset, data.byteLength), 0, value);
  return data.toString('hex');
}

export interface Summary {
  readonly first: readonly (number | bigint)[];
  /** of the values that are numbers; null where there is none */
  readonly min: number | bigint | null;
  readonly max: number | bigint | null;
  readonly nan: number;
}

export function summarise(kind: string, data: Buffer): Summary {
  const { bytes, read } = kinds[kind]!;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const first: (number | bigint)[] = [];
  let min: number | bigint | null = null;
  let max: number | bigint | null = null;
  let nan = 0;
  for (let at = 0; at < data.length; at += bytes) {
    const value = read(view, at);
    if (first.length < 8) first.push(value);
    if (Number.isNaN(value)) {
      nan++;
      continue;
    }
    if (min === null || value < min) min = value;
    if (max === null || value > max) max = value;
  }
  return { first, min, max, nan };
}
