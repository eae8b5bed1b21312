/** Batches of a dataset: ordered by seed and epoch, prepared ahead, resumable at any batch. */
import type { DeviceLike } from '../device.js';
import { FormatError, ShapeError } from '../errors.js';
import { collate, upload, type Batch, type FieldDTypes, type HostBatch } from './collate.js';
import { epochOrder, SampleContext } from './context.js';
import type { Dataset } from './dataset.js';

export interface DataLoaderOptions<S extends object> {
  /** samples in a batch; default 1 */
  batchSize?: number;
  /** a new order every epoch, from (seed, epoch); default false: the dataset's own order */
  shuffle?: boolean;
  /** of the order and of augmentation; default 0 */
  seed?: number;
  /** leaves out a last batch smaller than batchSize; default false */
  dropLast?: boolean;
  /** where the batches go; default the default device */
  device?: DeviceLike;
  /** dtypes of fields that are not to follow their array */
  dtypes?: FieldDTypes<S>;
  /** changes a sample on its way into a batch; draws from `context.random` repeat for the same (seed, epoch, index) */
  transform?: (sample: S, context: SampleContext) => S | Promise<S>;
  /** batches prepared ahead, on the host, while the caller works on the last one; default 1 */
  prefetch?: number;
}

/** Where a loader stands: after `position` samples of epoch `epoch`. Plain JSON. */
export interface DataLoaderState {
  epoch: number;
  position: number;
}

/**
 * Iterates a dataset in batches, one epoch per `for await`. A finished epoch moves `state` to the next; leaving the
 * loop early goes back to the start of the same epoch. `state` read inside the loop counts the batch just delivered as
 * done, and `loadState` with it continues behind that batch, in this process or another.
 *
 * Batch tensors belong to the scope of the code that iterates: outside `tidy`, dispose of them (or let them be
 * collected).
 */
export class DataLoader<S extends object> implements AsyncIterable<Batch<S>> {
  readonly batchSize: number;
  readonly dataset: Dataset<S>;
  readonly #options: DataLoaderOptions<S>;
  readonly #prefetch: number;
  #epoch = 0;
  #position = 0;
  /** Counts iterations begun: an iterator that is no longer the latest leaves the state alone. */
  #iteration = 0;

  constructor(dataset: Dataset<S>, options: DataLoaderOptions<S> = {}) {
    this.dataset = dataset;
    this.#options = options;
    this.batchSize = options.batchSize ?? 1;
    this.#prefetch = options.prefetch ?? 1;
    if (!Number.isInteger(this.batchSize) || this.batchSize < 1) {
      throw new ShapeError(`batchSize must be a positive integer, got ${this.batchSize}`, { op: 'DataLoader' });
    }
    if (!Number.isInteger(this.#prefetch) || this.#prefetch < 0) {
      throw new ShapeError(`prefetch must be an integer of at least 0, got ${this.#prefetch}`, { op: 'DataLoader' });
    }
  }

  /** Batches in an epoch. */
  get length(): number {
    const exact = this.dataset.length / this.batchSize;
    return this.#options.dropLast ? Math.floor(exact) : Math.ceil(exact);
  }

  get state(): DataLoaderState {
    return { epoch: this.#epoch, position: this.#position };
  }

  /**
   * Continues from a state of this dataset, batch size and seed. Throws FormatError on anything else than such a state.
   */
  loadState(state: DataLoaderState): void {
    const { epoch, position } = state;
    if (
      !Number.isInteger(epoch) ||
      epoch < 0 ||
      !Number.isInteger(position) ||
      position < 0 ||
      position > this.dataset.length
    ) {
      throw new FormatError(`no state of this loader: epoch ${epoch}, position ${position} of ${this.dataset.length}`, {
        op: 'DataLoader.loadState',
      });
    }
    this.#iteration++;
    this.#epoch = epoch;
    this.#position = position;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Batch<S>> {
    const iteration = ++this.#iteration;
    const epoch = this.#epoch;
    const { shuffle, seed = 0, device, dropLast } = this.#options;
    const n = this.dataset.length;
    const order = shuffle ? epochOrder(n, seed, epoch) : null;
    const end = dropLast ? n - (n % this.batchSize) : n;
    let asked = this.#position;
    let done = false;

    const ahead: Promise<{ batch: HostBatch; position: number }>[] = [];
    const fillAhead = (depth: number, later: boolean): void => {
      while (ahead.length < depth && asked < end) {
        const from = asked;
        asked = Math.min(from + this.batchSize, end);
        const indices = Array.from({ length: asked - from }, (_, i) => order?.[from + i] ?? from + i);
        const prepared = this.#prepare(indices, epoch, asked, later);
        // A batch that nobody comes to fetch must not end the process; whoever does come gets the error.
        prepared.catch(() => undefined);
        ahead.push(prepared);
      }
    };

    const finish = (state: DataLoaderState): void => {
      done = true;
      ahead.length = 0;
      if (iteration !== this.#iteration) return;
      this.#epoch = state.epoch;
      this.#position = state.position;
    };

    return {
      next: async (): Promise<IteratorResult<Batch<S>>> => {
        if (done) return { done: true, value: undefined };
        fillAhead(1, false);
        const first = ahead.shift();
        if (first === undefined) {
          finish({ epoch: epoch + 1, position: 0 });
          return { done: true, value: undefined };
        }
        const { batch, position } = await first;
        fillAhead(this.#prefetch, true);
        const value = upload<S>(batch, device);
        if (iteration === this.#iteration) this.#position = position;
        return { done: false, value };
      },
      return: (): Promise<IteratorResult<Batch<S>>> => {
        if (!done) finish({ epoch, position: 0 });
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  async #prepare(
    indices: readonly number[],
    epoch: number,
    position: number,
    later: boolean,
  ): Promise<{ batch: HostBatch; position: number }> {
    // A batch prepared ahead waits for the caller to queue its work on the one before.
    if (later) await new Promise((resolve) => setImmediate(resolve));
    const { seed = 0, transform, dtypes = {} } = this.#options;
    const samples = await Promise.all(
      indices.map(async (index) => {
        const context = new SampleContext(seed, epoch, index);
        const sample = await this.dataset.get(index, context);
        return transform ? transform(sample, context) : sample;
      }),
    );
    return { batch: collate(samples, dtypes as { readonly [field: string]: undefined }), position };
  }
}
