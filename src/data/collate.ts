/**
 * Samples stacked into batches: first plain arrays (prepared ahead), then tensors (made when the batch is asked for).
 */
import type { DeviceLike } from '../device.js';
import type { DType } from '../dtype.js';
import { DTypeError, ShapeError } from '../errors.js';
import { tensor } from '../ops/create.js';
import type { Tensor } from '../tensor.js';
import type { ArrayField, FieldArray, FieldValue } from './dataset.js';

/** The tensors of a batch, by the names or places of the sample's fields; each is [B, ...shape of the field]. */
export type Batch<S> = { -readonly [K in keyof S]: Tensor };

/** The dtypes of fields that are not to follow their array: 'int64' for a label given as a plain number, say. */
export type FieldDTypes<S> = S extends readonly unknown[]
  ? { readonly [place: number]: DType }
  : { readonly [K in keyof S]?: DType };

interface HostField {
  key: string;
  data: FieldArray;
  shape: number[];
  dtype: DType;
}

/** A batch in plain arrays, and whether its sample was a tuple. */
export interface HostBatch {
  fields: HostField[];
  positional: boolean;
}

type ArrayType = new (length: number) => FieldArray;

// The array that holds a field of each dtype on its way to the device.
const holders: { readonly [D in DType]?: ArrayType } = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

function arrayDType(data: FieldArray): DType {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Float64Array) return 'float64';
  if (data instanceof BigInt64Array) return 'int64';
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return 'uint8';
  return 'int32';
}

function normalise(
  key: string,
  value: FieldValue | undefined,
): { data: ArrayLike<number | bigint>; shape: readonly number[]; dtype: DType } {
  if (typeof value === 'number') return { data: [value], shape: [], dtype: 'float32' };
  if (typeof value === 'bigint') return { data: [value], shape: [], dtype: 'int64' };
  if (typeof value === 'boolean') return { data: [value ? 1 : 0], shape: [], dtype: 'bool' };
  if (ArrayBuffer.isView(value)) return { data: value, shape: [value.length], dtype: arrayDType(value) };
  if (typeof value === 'object' && ArrayBuffer.isView((value as ArrayField).data)) {
    const { data, shape } = value;
    const size = shape.reduce((product, n) => product * n, 1);
    if (size !== data.length) {
      throw new ShapeError(`field '${key}' has ${data.length} elements but shape [${shape.join(', ')}]`, {
        op: 'DataLoader',
        shapes: [[data.length], [...shape]],
      });
    }
    return { data, shape, dtype: arrayDType(data) };
  }
  throw new DTypeError(
    `field '${key}' is ${value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value}`,
    { op: 'DataLoader', hint: 'A field is a number, bigint, boolean, typed array or { data, shape }.' },
  );
}

/**
 * Stacks fields of equal shape along a new first dim. Throws ShapeError naming the field when a sample differs from the
 * first.
 */
export function collate(
  samples: readonly object[],
  dtypes: { readonly [field: string]: DType | undefined },
): HostBatch {
  const first = samples[0]!;
  const keys = Object.keys(first);
  const fields = keys.map((key): HostField => {
    const model = normalise(key, (first as Record<string, FieldValue>)[key]);
    const size = model.data.length;
    const dtype = dtypes[key] ?? model.dtype;
    const Holder = holders[dtype];
    if (Holder === undefined)
      throw new DTypeError(`field '${key}' cannot be made ${dtype} on the host`, { op: 'DataLoader' });
    const data = new Holder(samples.length * size);
    samples.forEach((sample, row) => {
      const value = normalise(key, (sample as Record<string, FieldValue>)[key]);
      if (value.shape.length !== model.shape.length || value.shape.some((n, d) => n !== model.shape[d])) {
        throw new ShapeError(
          `field '${key}' has shape [${value.shape.join(', ')}] in one sample and [${model.shape.join(', ')}] in another of a batch`,
          {
            op: 'DataLoader',
            shapes: [[...value.shape], [...model.shape]],
            hint: 'Pad or crop in get() or in transform.',
          },
        );
      }
      write(data, row * size, value.data);
    });
    return { key, data, shape: [samples.length, ...model.shape], dtype };
  });
  return { fields, positional: Array.isArray(first) };
}

function write(target: FieldArray, at: number, source: ArrayLike<number | bigint>): void {
  if (target instanceof BigInt64Array) {
    for (let i = 0; i < source.length; i++) target[at + i] = BigInt(source[i]!);
  } else if (source instanceof BigInt64Array) {
    for (let i = 0; i < source.length; i++) target[at + i] = Number(source[i]!);
  } else {
    target.set(source as ArrayLike<number>, at);
  }
}

/** Moves a prepared batch to a device. The tensors belong to the scope of whoever asked for the batch. */
export function upload<S extends object>(batch: HostBatch, device: DeviceLike | undefined): Batch<S> {
  const tensors = batch.fields.map(
    ({ key, data, shape, dtype }) => [key, tensor(data, { shape, dtype, device })] as const,
  );
  const fields = batch.positional ? tensors.map(([, t]) => t) : Object.fromEntries(tensors);
  return fields as unknown as Batch<S>;
}
