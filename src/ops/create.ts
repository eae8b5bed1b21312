/** Tensors from values, constants, ramps and random draws. */
import * as native from '../addon.ops.js';
import type { DeviceLike } from '../device.js';
import { device as findDevice } from '../device.js';
import { checkDType, type DType, isFloating, isDType } from '../dtype.js';
import { checkShape, formatShape, numelOf, type Shape } from '../shape.js';
import { defaultGenerator, type Generator } from '../random.js';
import { Tensor } from '../tensor.js';
import { eq } from './compare.js';
import { cast } from './copy.js';
import { dtypeError, filled, refuseFloat64, refuseHalf, shapeError } from './support.js';
import { unsqueeze } from './view.js';

export interface CreateOptions {
  dtype?: DType;
  /** default: the default device */
  device?: DeviceLike;
  requiresGrad?: boolean;
}

export interface TensorOptions extends CreateOptions {
  /** sizes of the result; default: those of the nested arrays */
  shape?: Shape;
}

export interface RandomOptions extends CreateOptions {
  generator?: Generator;
}

/** Arrays that carry their element type. */
export type TypedSource =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array;

/** A value, a typed array, or values in nested arrays of equal lengths. */
export type TensorData = number | bigint | boolean | TypedSource | readonly TensorData[];

type Value = number | bigint | boolean;

function typedDType(data: TypedSource): DType {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Float64Array) return 'float64';
  if (data instanceof BigInt64Array || data instanceof Uint32Array) return 'int64';
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return 'uint8';
  if (
    data instanceof Int8Array ||
    data instanceof Int16Array ||
    data instanceof Int32Array ||
    data instanceof Uint16Array
  ) {
    return 'int32';
  }
  throw dtypeError(
    'tensor',
    `cannot read a ${(data as object).constructor.name}`,
    'Use a number array or a typed array up to 64 bits.',
  );
}

/** The values of nested arrays in row-major order; `shape` receives the sizes. */
function flattenInto(data: TensorData, depth: number, shape: number[], out: Value[]): void {
  if (!Array.isArray(data) && !ArrayBuffer.isView(data)) {
    if (depth !== shape.length)
      throw shapeError('tensor', `a value stands where an array of ${shape[depth]} should be`, [shape]);
    if (typeof data !== 'number' && typeof data !== 'bigint' && typeof data !== 'boolean') {
      throw dtypeError(
        'tensor',
        `cannot make a tensor of ${data === null ? 'null' : typeof data}`,
        'Give numbers, bigints or booleans.',
      );
    }
    out.push(data);
    return;
  }
  const list = data as ArrayLike<TensorData>;
  if (depth >= shape.length || list.length !== shape[depth]) {
    const message = `nested arrays differ in length: ${list.length} at depth ${depth}, expected ${shape[depth] ?? 'a value'}`;
    throw shapeError('tensor', message, [shape], 'All arrays at one depth need the same length.');
  }
  for (let i = 0; i < list.length; i++) flattenInto(list[i]!, depth + 1, shape, out);
}

function nestedShape(data: TensorData): number[] {
  const shape: number[] = [];
  let at: TensorData | undefined = data;
  while (Array.isArray(at) || ArrayBuffer.isView(at)) {
    const list: ArrayLike<TensorData> = at as unknown as ArrayLike<TensorData>;
    shape.push(list.length);
    at = list[0];
  }
  return shape;
}

/** bool for booleans, int64 where a bigint is, else float32. */
function valuesDType(values: readonly Value[]): DType {
  if (values.length > 0 && values.every((v) => typeof v === 'boolean')) return 'bool';
  return values.some((v) => typeof v === 'bigint') ? 'int64' : 'float32';
}

const integerRange: Partial<Record<DType, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint8: [0, 255],
};

/** A number that an integer dtype holds as it is; PyTorch would cut off a fraction in silence. */
function whole(value: Value, dtype: DType): number {
  const n = Number(value);
  const range = integerRange[dtype];
  if (!Number.isInteger(n) || (range && (n < range[0] || n > range[1]))) {
    throw dtypeError('tensor', `${String(value)} does not fit ${dtype}`, 'Round it first, or choose another dtype.');
  }
  return n;
}

function wholeBig(value: Value): bigint {
  if (typeof value === 'bigint') {
    if (BigInt.asIntN(64, value) !== value) throw dtypeError('tensor', `${value} does not fit int64`);
    return value;
  }
  const n = whole(value, 'int64');
  if (n < -(2 ** 63) || n >= 2 ** 63) throw dtypeError('tensor', `${n} does not fit int64`);
  return BigInt(n);
}

/** The bytes of `values` as `dtype`. */
function encode(values: ArrayLike<Value>, dtype: DType): ArrayBufferView {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values, Number);
    case 'float64':
      return Float64Array.from(values, Number);
    case 'int32':
      return Int32Array.from(values, (v) => whole(v, dtype));
    case 'uint8':
      return Uint8Array.from(values, (v) => whole(v, dtype));
    case 'int64':
      return BigInt64Array.from(values, wholeBig);
    case 'bool':
      // Like PyTorch, NaN is true.
      return Uint8Array.from(values, (v) => (Number(v) === 0 ? 0 : 1));
    default:
      refuseHalf('tensor', dtype);
      throw dtypeError('tensor', `cannot make a tensor of dtype ${String(dtype)}`);
  }
}

const exact: ReadonlyMap<unknown, DType> = new Map<unknown, DType>([
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [Int32Array, 'int32'],
  [BigInt64Array, 'int64'],
  [Uint8Array, 'uint8'],
  [Uint8ClampedArray, 'uint8'],
]);

/**
 * A tensor of values, which are copied. Numbers become float32, booleans bool, bigints int64; a typed array gives its own
 * element type (Int32Array int32, BigInt64Array int64, Uint8Array uint8), unless `dtype` says otherwise.
 *
 * @param data a value, nested arrays, or a typed array
 * @throws ShapeError for arrays of unequal lengths, or where `shape` holds another number of elements; DTypeError for a value that
 *   does not fit the dtype
 */
export function tensor(data: TensorData, options: TensorOptions = {}): Tensor {
  if (options.dtype !== undefined) refuseHalf('tensor', checkDType(options.dtype, 'tensor'));
  let shape: readonly number[];
  let dtype: DType;
  let bytes: ArrayBufferView;
  if (ArrayBuffer.isView(data)) {
    const own = typedDType(data as TypedSource);
    dtype = options.dtype ?? own;
    shape = [(data as TypedSource).length];
    const source: unknown = data;
    if (!(source instanceof Buffer) && exact.get((data as object).constructor) === dtype) bytes = data;
    else bytes = encode(data as unknown as ArrayLike<Value>, dtype);
  } else {
    if (typeof data === 'object' && !Array.isArray(data)) {
      const what = (data as unknown) instanceof Tensor ? 'a Tensor' : data === null ? 'null' : 'an object';
      throw dtypeError(
        'tensor',
        `cannot make a tensor of ${what}`,
        'Give numbers, arrays or a typed array; a Tensor is copied by clone().',
      );
    }
    const sizes = nestedShape(data);
    const values: Value[] = [];
    flattenInto(data, 0, sizes, values);
    shape = sizes;
    dtype = options.dtype ?? valuesDType(values);
    bytes = encode(values, dtype);
  }
  if (options.shape) {
    checkShape(options.shape, 'tensor');
    if (numelOf(options.shape) !== numelOf(shape)) {
      const message = `${numelOf(shape)} values do not fill ${formatShape(options.shape)}, which holds ${numelOf(options.shape)}`;
      throw shapeError('tensor', message, [options.shape]);
    }
    shape = options.shape;
  }
  const device = findDevice(options.device);
  refuseFloat64('tensor', dtype, device);
  return finish(Tensor.fromBytes(bytes, shape, dtype, device), options);
}

function finish(t: Tensor, { requiresGrad }: CreateOptions): Tensor {
  if (requiresGrad) t.requiresGrad = true;
  return t;
}

/** Checks what every creating function takes. */
function prepare(op: string, shape: Shape, dtype: DType, { device: name }: CreateOptions) {
  checkShape(shape, op);
  refuseHalf(op, checkDType(dtype, op));
  const device = findDevice(name);
  refuseFloat64(op, dtype, device);
  return { sizes: [...shape], device };
}

function constant(op: string, shape: Shape, value: number, dtype: DType, options: CreateOptions): Tensor {
  const { sizes, device } = prepare(op, shape, dtype, options);
  return finish(filled(device, sizes, dtype, value), options);
}

/** 0 everywhere; float32 unless told. @param shape sizes, [] for a 0-dim tensor */
export function zeros(shape: Shape, options: CreateOptions = {}): Tensor {
  return constant('zeros', shape, 0, options.dtype ?? 'float32', options);
}

/** 1 everywhere; float32 unless told. */
export function ones(shape: Shape, options: CreateOptions = {}): Tensor {
  return constant('ones', shape, 1, options.dtype ?? 'float32', options);
}

/** One value everywhere: float32 for a number, bool for a boolean, unless told. */
export function full(shape: Shape, value: number | boolean, options: CreateOptions = {}): Tensor {
  return constant(
    'full',
    shape,
    Number(value),
    options.dtype ?? (typeof value === 'boolean' ? 'bool' : 'float32'),
    options,
  );
}

function like(x: Tensor, options: CreateOptions): CreateOptions & { dtype: DType } {
  return { ...options, dtype: options.dtype ?? x.dtype, device: options.device ?? x.device };
}

/** 0 everywhere, of the shape, dtype and device of x. */
export function zerosLike(x: Tensor, options: CreateOptions = {}): Tensor {
  return zeros(x.shape, like(x, options));
}

/** 1 everywhere, of the shape, dtype and device of x. */
export function onesLike(x: Tensor, options: CreateOptions = {}): Tensor {
  return ones(x.shape, like(x, options));
}

/** One value everywhere, of the shape, dtype and device of x. */
export function fullLike(x: Tensor, value: number | boolean, options: CreateOptions = {}): Tensor {
  return full(x.shape, value, like(x, options));
}

/**
 * start, start + step, ... before end; `arange(end)` starts at 0. int32 where all three are whole numbers, else float32, unless
 * told.
 *
 * @throws ShapeError for a step of 0 or one that leads away from end
 */
export function arange(end: number, options?: CreateOptions): Tensor;
export function arange(start: number, end: number, options?: CreateOptions): Tensor;
export function arange(start: number, end: number, step: number, options?: CreateOptions): Tensor;
export function arange(first: number, ...rest: (number | CreateOptions | undefined)[]): Tensor {
  const numbers = [first, ...rest.filter((r): r is number => typeof r === 'number')];
  const options = rest.find((r): r is CreateOptions => typeof r === 'object') ?? {};
  const [start, end, step] = numbers.length === 1 ? [0, first, 1] : [first, numbers[1]!, numbers[2] ?? 1];
  const count = Math.ceil((end - start) / step);
  if (!Number.isFinite(count) || count < 0) {
    throw shapeError('arange', `no range leads from ${start} to ${end} in steps of ${step}`, []);
  }
  const natural = [start, end, step].every(Number.isInteger) ? 'int32' : 'float32';
  const dtype = options.dtype ?? natural;
  const { sizes: shape, device } = prepare('arange', [count], dtype, options);
  return finish(Tensor.fresh(native.arange(device, { dtype, shape }, start, step), shape, dtype), options);
}

/** 1 on the diagonal of [n, m], else 0. @param m default n */
export function eye(n: number, m: number = n, options: CreateOptions = {}): Tensor {
  prepare('eye', [n, m], options.dtype ?? 'float32', options);
  const { device } = options;
  const diagonal = eq(unsqueeze(arange(n, { dtype: 'int32', device }), 1), arange(m, { dtype: 'int32', device }));
  return finish(cast(diagonal, options.dtype ?? 'float32'), options);
}

type DrawKernel = typeof native.uniform;

function drawn(
  op: string,
  kernel: DrawKernel,
  shape: Shape,
  a: number,
  b: number,
  dtype: DType,
  options: RandomOptions,
): Tensor {
  const { sizes, device } = prepare(op, shape, dtype, options);
  const state = (options.generator ?? defaultGenerator).stateOn(device);
  const storage = kernel(device, state, { dtype, shape: [numelOf(sizes)] }, a, b);
  state.storage.bump();
  return finish(Tensor.fresh(storage, sizes, dtype), options);
}

function floatDType(op: string, options: CreateOptions): DType {
  const dtype = options.dtype ?? 'float32';
  if (isDType(dtype) && !isFloating(dtype))
    throw dtypeError(op, `draws floating numbers, not ${dtype}`, 'Use randint.');
  return dtype;
}

/**
 * Uniform in [0, 1): element i is a function of the generator's seed, its offset and i alone (Philox 4x32-10), the same on every
 * device.
 */
export function rand(shape: Shape, options: RandomOptions = {}): Tensor {
  return drawn('rand', native.uniform, shape, 0, 1, floatDType('rand', options), options);
}

/** Normal with mean 0 and deviation 1, by Box and Muller's transform of the generator's words. */
export function randn(shape: Shape, options: RandomOptions = {}): Tensor {
  return drawn('randn', native.normal, shape, 0, 1, floatDType('randn', options), options);
}

/** Whole numbers in [low, high), int32 unless told. @throws ShapeError unless low < high */
export function randint(low: number, high: number, shape: Shape, options: RandomOptions = {}): Tensor {
  if (!Number.isInteger(low) || !Number.isInteger(high) || low >= high) {
    throw shapeError('randint', `needs whole numbers low < high, got ${low} and ${high}`, []);
  }
  return drawn('randint', native.randint, shape, low, high, options.dtype ?? 'int32', options);
}

/** 1 with chance p, else 0; float32 unless told. @throws ShapeError for p outside [0, 1] */
export function bernoulli(shape: Shape, p: number, options: RandomOptions = {}): Tensor {
  if (!(p >= 0 && p <= 1)) throw shapeError('bernoulli', `p must lie in [0, 1], got ${p}`, []);
  return drawn('bernoulli', native.bernoulli, shape, p, 0, options.dtype ?? 'float32', options);
}
