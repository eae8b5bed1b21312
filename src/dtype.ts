/** Element types: their codes on the native side, sizes, host arrays, and PyTorch's promotion as a frozen table. */
import { DTypeError } from './errors.js';

export type DType = 'float32' | 'float64' | 'int32' | 'int64' | 'uint8' | 'bool' | 'bfloat16' | 'float16';

/** The host arrays that data() gives. Half types are widened. */
export interface TypedArrays {
  float32: Float32Array;
  float64: Float64Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  bool: Uint8Array;
  bfloat16: Float32Array;
  float16: Float32Array;
}
export type TypedArray = TypedArrays[DType];

/** The codes of native/engine/view.h. */
export const dtypeCode: Readonly<Record<DType, number>> = Object.freeze({
  float32: 0,
  float64: 1,
  int32: 2,
  int64: 3,
  uint8: 4,
  bool: 5,
  bfloat16: 6,
  float16: 7,
});

export const dtypes: readonly DType[] = Object.freeze(Object.keys(dtypeCode) as DType[]);

/** Bytes of one element. */
export const itemSize: Readonly<Record<DType, number>> = Object.freeze({
  float32: 4,
  float64: 8,
  int32: 4,
  int64: 8,
  uint8: 1,
  bool: 1,
  bfloat16: 2,
  float16: 2,
});

export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(dtypeCode, value);
}

export function isFloating(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'bfloat16' || dtype === 'float16';
}

/** bool 0, integers 1, floating 2: what a 0-dim tensor must exceed to widen a tensor with dims. */
export function dtypeCategory(dtype: DType): number {
  return isFloating(dtype) ? 2 : dtype === 'bool' ? 0 : 1;
}

/** @throws DTypeError when `dtype` is not one of the eight. */
export function checkDType(dtype: unknown, op: string): DType {
  if (isDType(dtype)) return dtype;
  throw new DTypeError(`unknown dtype ${String(dtype)}`, { op, hint: `Known are ${dtypes.join(', ')}.` });
}

// Columns in the order of the rows. Source: PyTorch's c10::promoteTypes, without the types that do not exist here.
const order = ['bool', 'uint8', 'int32', 'int64', 'float16', 'bfloat16', 'float32', 'float64'] as const;
const rows: Readonly<Record<DType, readonly DType[]>> = {
  bool: ['bool', 'uint8', 'int32', 'int64', 'float16', 'bfloat16', 'float32', 'float64'],
  uint8: ['uint8', 'uint8', 'int32', 'int64', 'float16', 'bfloat16', 'float32', 'float64'],
  int32: ['int32', 'int32', 'int32', 'int64', 'float16', 'bfloat16', 'float32', 'float64'],
  int64: ['int64', 'int64', 'int64', 'int64', 'float16', 'bfloat16', 'float32', 'float64'],
  float16: ['float16', 'float16', 'float16', 'float16', 'float16', 'float32', 'float32', 'float64'],
  bfloat16: ['bfloat16', 'bfloat16', 'bfloat16', 'bfloat16', 'float32', 'bfloat16', 'float32', 'float64'],
  float32: ['float32', 'float32', 'float32', 'float32', 'float32', 'float32', 'float32', 'float64'],
  float64: ['float64', 'float64', 'float64', 'float64', 'float64', 'float64', 'float64', 'float64'],
};

/** The promotion table: `promotionTable[a][b]` is the dtype of an op on a and b, both with dims. */
export const promotionTable: Readonly<Record<DType, Readonly<Record<DType, DType>>>> = Object.freeze(
  Object.fromEntries(
    dtypes.map((a) => [a, Object.freeze(Object.fromEntries(order.map((b, i) => [b, rows[a][i]!])))]),
  ) as Record<DType, Record<DType, DType>>,
);

export function promoteTypes(a: DType, b: DType): DType {
  return a === b ? a : promotionTable[a][b];
}

/**
 * The dtype of an op on tensors: those with dims decide; a 0-dim tensor counts only when its category (bool, integer,
 * floating) is higher than theirs. PyTorch's `result_type`.
 */
export function resultType(tensors: readonly { readonly dtype: DType; readonly shape: readonly number[] }[]): DType {
  let withDims: DType | null = null;
  let scalars: DType | null = null;
  for (const { dtype, shape } of tensors) {
    if (shape.length > 0) withDims = withDims === null ? dtype : promoteTypes(withDims, dtype);
    else scalars = scalars === null ? dtype : promoteTypes(scalars, dtype);
  }
  if (withDims === null) return scalars ?? 'float32';
  if (scalars === null || dtypeCategory(scalars) <= dtypeCategory(withDims)) return withDims;
  return promoteTypes(withDims, scalars);
}

/**
 * The dtype of a tensor and a JavaScript number: the tensor's own, unless the number has a fraction and the tensor none, which
 * gives float32; a boolean tensor and a whole number give int64 in PyTorch and int32 here, as index results do.
 */
export function resultTypeWithNumber(dtype: DType, value: number): DType {
  if (isFloating(dtype)) return dtype;
  if (!Number.isInteger(value)) return 'float32';
  return dtype === 'bool' ? 'int64' : dtype;
}

/** Float32Array of the bits of half-precision numbers. */
function widen(bits: Uint16Array, dtype: 'bfloat16' | 'float16'): Float32Array {
  const out = new Float32Array(bits.length);
  if (dtype === 'bfloat16') {
    const words = new Uint32Array(out.buffer);
    for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
    return out;
  }
  for (let i = 0; i < bits.length; i++) {
    const h = bits[i]!;
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    const magnitude =
      exponent === 31
        ? fraction === 0
          ? Infinity
          : NaN
        : exponent === 0
          ? fraction * 2 ** -24
          : (1 + fraction / 1024) * 2 ** (exponent - 15);
    out[i] = h & 0x8000 ? -magnitude : magnitude;
  }
  return out;
}

/** The host array over the raw bytes of a contiguous tensor (half types: a widened copy). */
export function typedArrayOf<D extends DType>(dtype: D, buffer: ArrayBuffer): TypedArrays[D];
export function typedArrayOf(dtype: DType, buffer: ArrayBuffer): TypedArray {
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
    case 'int32':
      return new Int32Array(buffer);
    case 'int64':
      return new BigInt64Array(buffer);
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer);
    default:
      return widen(new Uint16Array(buffer), dtype);
  }
}
