/**
 * Datasets: a length and a way to read one sample. Samples are plain objects or tuples of plain values, never tensors.
 */
import { IndexError, ShapeError } from '../errors.js';
import { type SampleContext } from './context.js';

export type FieldArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint8ClampedArray;

/** An array with the sizes of one sample's field. */
export interface ArrayField<A extends FieldArray = FieldArray> {
  readonly data: A;
  readonly shape: readonly number[];
}

/** One field of a sample: a number, a vector, or an array with its shape. */
export type FieldValue = number | bigint | boolean | FieldArray | ArrayField;

/** A sample by field name, or by position. */
export type Sample = { readonly [field: string]: FieldValue } | readonly FieldValue[];

/** What a model learns from. `get` may read lazily and answer with a promise. */
export abstract class Dataset<S extends object = Sample> {
  abstract readonly length: number;

  /** Sample `index` in [0, length). `context` carries the randomness of this epoch's visit, for augmentation. */
  abstract get(index: number, context?: SampleContext): S | Promise<S>;
}

/** Throws IndexError unless `index` is an integer in [0, length). */
export function checkIndex(op: string, index: number, length: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= length) {
    throw new IndexError(`index ${index} is outside [0, ${length})`, { op });
  }
}

type Column = FieldArray | ArrayField;
type Columns = { readonly [field: string]: Column } | readonly Column[];

/** The sample type of a set of columns. */
export type ColumnSample<C> = {
  readonly [K in keyof C]: C[K] extends FieldArray ? ArrayField<C[K]> : C[K] extends ArrayField ? C[K] : never;
};

/** Samples held in memory: one typed array per field, sample after sample. Samples are views, so they cost no copy. */
export class ArrayDataset<C extends Columns> extends Dataset<ColumnSample<C>> {
  override readonly length: number;
  readonly #columns: readonly { key: string; data: FieldArray; shape: readonly number[]; size: number }[];
  readonly #positional: boolean;

  constructor(columns: C) {
    super();
    this.#positional = Array.isArray(columns);
    this.#columns = Object.entries(columns as Record<string, Column>).map(([key, column]) => {
      const field = ArrayBuffer.isView(column) ? { data: column, shape: [] } : column;
      const size = field.shape.reduce((product, n) => product * n, 1);
      return { key, data: field.data, shape: field.shape, size };
    });
    const first = this.#columns[0];
    if (first === undefined) throw new ShapeError('needs at least one field', { op: 'arrayDataset' });
    for (const { key, data, shape, size } of this.#columns) {
      if (size < 1 || data.length % size !== 0) {
        throw new ShapeError(
          `field '${key}' has ${data.length} elements, no multiple of a sample of shape [${shape.join(', ')}]`,
          { op: 'arrayDataset', shapes: [[data.length], [...shape]] },
        );
      }
      if (data.length / size !== first.data.length / first.size) {
        throw new ShapeError(
          `field '${key}' has ${data.length / size} samples, field '${first.key}' has ${first.data.length / first.size}`,
          { op: 'arrayDataset', hint: 'Give each field the shape of one sample: { data, shape: [1, 28, 28] }.' },
        );
      }
    }
    this.length = first.data.length / first.size;
  }

  override get(index: number): ColumnSample<C> {
    checkIndex('ArrayDataset.get', index, this.length);
    const fields = this.#columns.map(({ key, data, shape, size }) => {
      const field: ArrayField = { data: data.subarray(index * size, (index + 1) * size), shape };
      return [key, field] as const;
    });
    const sample = this.#positional ? fields.map(([, field]) => field) : Object.fromEntries(fields);
    return sample as unknown as ColumnSample<C>;
  }
}

/**
 * A dataset over typed arrays. Each field is an array of one number per sample, or `{ data, shape }` with the shape of
 * one sample. Fields have names (`{ image: { data, shape: [1, 28, 28] }, label }`) or places (`[images, labels]`), and
 * samples and batches follow.
 * Throws ShapeError when the fields disagree on the number of samples.
 */
export function arrayDataset<const C extends Columns>(columns: C): ArrayDataset<C> {
  return new ArrayDataset(columns);
}

/** Some samples of another dataset, in a given order. */
export class Subset<S extends object = Sample> extends Dataset<S> {
  constructor(
    readonly dataset: Dataset<S>,
    readonly indices: Int32Array,
  ) {
    super();
    for (const index of indices) checkIndex('Subset', index, dataset.length);
  }

  override get length(): number {
    return this.indices.length;
  }

  override get(index: number, context?: SampleContext): S | Promise<S> {
    checkIndex('Subset.get', index, this.length);
    return this.dataset.get(this.indices[index]!, context);
  }
}
