/** Tensor: a strided window of device memory, its place in the graph, and the ways its values reach JavaScript. No op is here. */
import { addon, type View } from './addon.js';
import * as native from './addon.ops.js';
import { backward, type BackwardOptions } from './autograd/backward.js';
import { GradBucket } from './autograd/bucket.js';
import { GradMeta, type GradNode, type PostAccumulateHook, type TensorHook } from './autograd/tape.js';
import { inner, mode } from './context.js';
import { device as deviceOf, type Device, type DeviceLike } from './device.js';
import { isFloating, itemSize, typedArrayOf, type DType, type TypedArray, type TypedArrays } from './dtype.js';
import { AutogradError, DisposedError, DTypeError, fromNative, fromRejection, ShapeError } from './errors.js';
import { refuseInCapture, yieldUnderPressure } from './pressure.js';
import { track } from './scope.js';
import { checkShape, contiguousStrides, formatShape, isContiguousLayout, numelOf, type Shape } from './shape.js';
import { Storage } from './storage.js';

declare global {
  // What `using` needs of a library older than esnext; the same words as lib.esnext.disposable.d.ts.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
  }
}

/** Values as nested arrays; a 0-dim tensor gives the value itself. */
export type Nested = number | bigint | boolean | Nested[];

const nothing = new ArrayBuffer(0);

export class Tensor implements View {
  /** @internal counts tensors; larger is younger */
  readonly id: number;
  readonly storage: Storage;
  /** sizes, outermost first */
  readonly shape: Shape;
  /** steps between neighbours of each dim, in elements */
  readonly strides: readonly number[];
  /** first element inside the storage, in elements */
  readonly offset: number;
  readonly dtype: DType;
  /** the op that made it, while that op is recorded */
  gradNode: GradNode | null = null;
  /** @internal which output of `gradNode` */
  outputIndex = 0;
  /** whether dispose() was called */
  disposed = false;
  /** @internal outside every scope */
  kept = false;
  /** @internal made by asView */
  isView = false;
  /** @internal `storage.history` when a view was taken */
  history = 0;
  /** @internal slots of a running backward() that hold this gradient; 0 when the engine does not own it */
  uses = 0;
  /** @internal */
  meta: GradMeta | null = null;
  /** @internal */
  needsGradient = false;
  private readonly gapless: boolean;

  /** @internal Takes a reference on `storage`; the caller tracks the tensor. */
  constructor(
    storage: Storage,
    shape: Shape,
    strides: readonly number[],
    offset: number,
    dtype: DType,
    contiguous: boolean,
  ) {
    this.id = ++inner.lastId;
    this.storage = storage;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.dtype = dtype;
    this.gapless = contiguous;
    storage.refs++;
  }

  /** A contiguous tensor over a fresh storage: how an op wraps its output. */
  static fresh(storage: Storage, shape: Shape, dtype: DType): Tensor {
    const tensor = new Tensor(storage, shape, contiguousStrides(shape), 0, dtype, true);
    own(tensor);
    return tensor;
  }

  /**
   * A tensor of `shape` and `dtype` from its raw little-endian bytes, copied.
   * @throws ShapeError when the number of bytes does not fit
   */
  static fromBytes(bytes: ArrayBufferView, shape: Shape, dtype: DType, device?: DeviceLike): Tensor {
    checkShape(shape, 'tensor');
    const target = deviceOf(device);
    const size = numelOf(shape) * itemSize[dtype];
    if (bytes.byteLength !== size) {
      throw new ShapeError(
        `${bytes.byteLength} bytes do not fill ${formatShape(shape)} of ${dtype}, which takes ${size}`,
        {
          op: 'tensor',
          shapes: [shape],
        },
      );
    }
    const handle = addon().allocate(target.id, size);
    if (handle < 0) throw fromNative(addon().lastError(), 'tensor');
    const storage = new Storage(handle, target, size);
    const tensor = Tensor.fresh(storage, [...shape], dtype);
    if (size > 0 && addon().upload(handle, 0, bytes) !== 0) throw fromNative(addon().lastError(), 'tensor');
    return tensor;
  }

  /** @internal A contiguous copy of a contiguous tensor on another device; nobody waits for it. */
  static transferred(source: Tensor, target: Device): Tensor {
    const size = source.numel * itemSize[source.dtype];
    const handle = addon().allocate(target.id, size);
    if (handle < 0) throw fromNative(addon().lastError(), 'to');
    const tensor = Tensor.fresh(new Storage(handle, target, size), [...source.shape], source.dtype);
    if (size > 0 && addon().transfer(source.storage.handle, source.offset * itemSize[source.dtype], handle) !== 0) {
      throw fromNative(addon().lastError(), 'to');
    }
    return tensor;
  }

  get device(): Device {
    return this.storage.device;
  }

  /** number of elements */
  get numel(): number {
    return numelOf(this.shape);
  }

  /** number of dims */
  get rank(): number {
    return this.shape.length;
  }

  /** counts writes to the memory; shared by all views of it */
  get version(): number {
    return this.storage.version;
  }

  /** no recorded op made it */
  get isLeaf(): boolean {
    return this.gradNode === null;
  }

  isContiguous(): boolean {
    return this.gapless;
  }

  /** whether gradients flow to or through it */
  get requiresGrad(): boolean {
    return this.needsGradient;
  }

  /**
   * For leaves.
   * @throws AutogradError on the result of a recorded op, DTypeError on integers and bool
   */
  set requiresGrad(value: boolean) {
    if (value === this.needsGradient) return;
    if (this.gradNode !== null) {
      throw new AutogradError('requiresGrad can be changed on leaves only', {
        hint: 'Use detach() for a tensor without history.',
      });
    }
    if (value && !isFloating(this.dtype)) {
      throw new DTypeError(`only floating tensors have gradients, not ${this.dtype}`, { op: 'requiresGrad' });
    }
    this.needsGradient = value;
  }

  /** The same, to be chained. */
  requiresGrad_(value = true): this {
    this.requiresGrad = value;
    return this;
  }

  /**
   * The gradient, or null. For a leaf a persistent view of its bucket: later backward() calls add to it. For another tensor,
   * what retainGrad() asked for.
   */
  get grad(): Tensor | null {
    const { meta } = this;
    if (meta === null) return null;
    if (meta.own !== null && !meta.own.disposed) return meta.own;
    return meta.bucket !== null && meta.bucket.present(meta.slot) ? meta.bucket.view(meta.slot) : null;
  }

  /** null forgets the gradient; a tensor is copied in. */
  set grad(value: Tensor | null) {
    const meta = this.gradMeta();
    meta.own = null;
    meta.bucket?.clear(meta.slot);
    if (value !== null) GradBucket.of(this).accumulate(meta.slot, value);
  }

  /** @internal */
  gradMeta(): GradMeta {
    return (this.meta ??= new GradMeta());
  }

  /** The same memory without history: nothing flows back through it. */
  detach(): Tensor {
    this.checkUsable('detach');
    const tensor = new Tensor(this.storage, this.shape, this.strides, this.offset, this.dtype, this.gapless);
    own(tensor);
    return tensor;
  }

  /** @internal Another window of the same memory; shares the version. Sizes are the caller's care. */
  asView(shape: Shape, strides: readonly number[], offset: number): Tensor {
    const tensor = new Tensor(this.storage, shape, strides, offset, this.dtype, isContiguousLayout(shape, strides));
    tensor.isView = true;
    tensor.history = this.storage.history;
    own(tensor);
    return tensor;
  }

  /** @internal Another tensor over fresh memory that nobody has named yet: not a view. Sizes are the caller's care. */
  withStrides(shape: Shape, strides: readonly number[], offset: number): Tensor {
    const tensor = new Tensor(this.storage, shape, strides, offset, this.dtype, isContiguousLayout(shape, strides));
    own(tensor);
    return tensor;
  }

  /** @internal Points this tensor at the memory of `other`, which it shares from then on (Module.to keeps identities). */
  setData(other: Tensor): void {
    this.checkUsable('setData');
    other.checkUsable('setData');
    const self = this as unknown as {
      -readonly [K in 'storage' | 'shape' | 'strides' | 'offset' | 'dtype']: Tensor[K];
    } & {
      gapless: boolean;
    };
    const previous = this.storage;
    other.storage.retain();
    self.storage = other.storage;
    self.shape = other.shape;
    self.strides = other.strides;
    self.offset = other.offset;
    self.dtype = other.dtype;
    self.gapless = other.gapless;
    if (this.kept) {
      this.storage.adopt();
      this.storage.exempt();
    }
    previous.drop();
    // A gradient elsewhere or of another dtype is of no use any more, and the accumulator knows the old device.
    if (this.meta !== null) {
      this.meta.bucket = null;
      this.meta.own = null;
      this.meta.accumulator = null;
    }
  }

  /** Keeps the gradient of a tensor that is not a leaf in `grad`. */
  retainGrad(): this {
    if (!this.needsGradient) {
      throw new AutogradError('this tensor has no gradient to retain', {
        op: 'retainGrad',
        hint: 'Its inputs need requiresGrad.',
      });
    }
    if (this.gradNode !== null) {
      const meta = this.gradMeta();
      meta.retain = true;
      this.gradNode.watch(this.outputIndex, meta);
    }
    return this;
  }

  /**
   * Calls `hook` with the complete gradient of this tensor, before it flows on; a tensor that it returns takes its place.
   * Returns a function that removes the hook.
   */
  registerHook(hook: TensorHook): () => void {
    if (!this.needsGradient) {
      throw new AutogradError('a hook needs a tensor that requires a gradient', { op: 'registerHook' });
    }
    const meta = this.gradMeta();
    meta.hooks = [...meta.hooks, hook];
    this.gradNode?.watch(this.outputIndex, meta);
    return () => {
      meta.hooks = meta.hooks.filter((other) => other !== hook);
    };
  }

  /** Calls `hook` with this leaf each time its `grad` has been added to. Returns a function that removes the hook. */
  registerPostAccumulateGradHook(hook: PostAccumulateHook): () => void {
    if (!this.needsGradient || this.gradNode !== null) {
      throw new AutogradError('a post-accumulate hook needs a leaf that requires a gradient', {
        op: 'registerPostAccumulateGradHook',
      });
    }
    const meta = this.gradMeta();
    meta.postHooks = [...meta.postHooks, hook];
    return () => {
      meta.postHooks = meta.postHooks.filter((other) => other !== hook);
    };
  }

  /** Adds the gradients of this tensor to the `grad` of every leaf behind it; see backward(). */
  backward(options?: BackwardOptions): void {
    backward(this, options);
  }

  /** @internal */
  checkUsable(op: string): void {
    if (this.disposed || this.storage.released) throw disposedError(this, op);
  }

  /**
   * The values, row by row, once all work behind them is done. The buffer is a copy. Half types give a Float32Array, int64 a
   * BigInt64Array, bool a Uint8Array. With a dtype the result is typed, and DTypeError is thrown when it is not this one.
   */
  async data<D extends DType>(dtype: D): Promise<TypedArrays[D]>;
  async data(): Promise<TypedArray>;
  async data(dtype?: DType): Promise<TypedArray> {
    this.checkDType(dtype, 'data');
    return typedArrayOf(this.dtype, await this.read('data'));
  }

  /** As data(), but blocks this thread until the values are there. */
  dataSync<D extends DType>(dtype: D): TypedArrays[D];
  dataSync(): TypedArray;
  dataSync(dtype?: DType): TypedArray {
    this.checkDType(dtype, 'dataSync');
    return typedArrayOf(this.dtype, this.readSync('dataSync'));
  }

  /** The raw little-endian bytes in row-major order. */
  async bytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.read('bytes'));
  }

  /**
   * The value of a tensor with one element; a bigint for int64, else a number.
   * @throws ShapeError when there is not exactly one
   */
  async item(): Promise<number | bigint> {
    if (this.numel !== 1) {
      throw new ShapeError(`item() is for tensors with one element, this one is ${formatShape(this.shape)}`, {
        op: 'item',
        shapes: [this.shape],
      });
    }
    return typedArrayOf(this.dtype, await this.read('item'))[0]!;
  }

  /** Resolves when the values have been computed; rejects with the error of the work behind them. */
  async ready(): Promise<void> {
    this.checkUsable('ready');
    refuseInCapture('ready');
    try {
      // Reading nothing waits for everything queued so far, and fails as reading the values would.
      const done = addon().read(this.storage.handle, 0, nothing);
      if (done !== undefined) await done;
    } catch (reason) {
      throw fromRejection(reason, 'ready');
    }
    const turns = yieldUnderPressure();
    if (turns !== undefined) await turns;
  }

  /** The values as nested arrays. Blocks until they are there. */
  tolist(): Nested {
    const values = typedArrayOf(this.dtype, this.readSync('tolist'));
    const value = (i: number): Nested => (this.dtype === 'bool' ? values[i] !== 0 : values[i]!);
    const nest = (dim: number, start: number): Nested => {
      if (dim === this.rank) return value(start);
      const step = numelOf(this.shape.slice(dim + 1));
      return Array.from({ length: this.shape[dim]! }, (_, i) => nest(dim + 1, start + i * step));
    };
    return nest(0, 0);
  }

  /** The values as text, shortened in the middle of long dims. Blocks until they are there; console.log does not. */
  toString(): string {
    return `tensor(${formatValues(this.tolist(), 7)}, ${this.description()})`;
  }

  /** @internal */
  description(): string {
    return `shape=[${this.shape.join(', ')}], dtype=${this.dtype}, device=${this.device.name}`;
  }

  /** Gives the memory back once no view of it is left. Using the tensor afterwards throws DisposedError. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.storage.drop();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private checkDType(wanted: DType | undefined, op: string): void {
    if (wanted !== undefined && wanted !== this.dtype) {
      throw new DTypeError(`the tensor is ${this.dtype}, not ${wanted}`, {
        op,
        hint: `Convert with to({ dtype: '${wanted}' }), or ask for '${this.dtype}'.`,
      });
    }
  }

  /** The tensor itself, or a contiguous copy that the caller disposes. */
  private packed(): Tensor {
    if (this.gapless) return this;
    const { shape, dtype } = this;
    return new Tensor(
      native.copy(this.device, this, { shape, dtype }),
      shape,
      contiguousStrides(shape),
      0,
      dtype,
      true,
    );
  }

  private async read(op: string): Promise<ArrayBuffer> {
    this.checkUsable(op);
    refuseInCapture(op);
    const size = itemSize[this.dtype];
    const buffer = new ArrayBuffer(this.numel * size);
    const source = this.packed();
    try {
      const done = addon().read(source.storage.handle, source.offset * size, buffer);
      if (source !== this) source.dispose();
      await done;
    } catch (reason) {
      throw fromRejection(reason, op);
    }
    const turns = yieldUnderPressure();
    if (turns !== undefined) await turns;
    return buffer;
  }

  private readSync(op: string): ArrayBuffer {
    this.checkUsable(op);
    refuseInCapture(op);
    const size = itemSize[this.dtype];
    const buffer = new ArrayBuffer(this.numel * size);
    const source = this.packed();
    const status = addon().readSync(source.storage.handle, source.offset * size, buffer);
    if (source !== this) source.dispose();
    if (status !== 0) throw fromNative(addon().lastError(), op);
    return buffer;
  }
}

// console.log must never wait for a device.
Object.defineProperty(Tensor.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: Tensor): string {
    const state = this.disposed ? ', disposed' : this.requiresGrad ? ', requiresGrad' : '';
    return `Tensor(${this.description()}${state})`;
  },
});

/** Hands a new tensor to who cleans up: the op that is running, the scope, or the garbage collector. */
function own(tensor: Tensor): void {
  if (inner.depth > 0) inner.temporaries.push(tensor);
  else track(mode().scope, tensor);
}

export function disposedError(tensor: Tensor, op: string): DisposedError {
  return new DisposedError(`the tensor ${formatShape(tensor.shape)} ${tensor.dtype} has been disposed`, {
    op,
    shapes: [tensor.shape],
    hint: 'Return it from its tidy(), or keep() it.',
  });
}

function formatValues(values: Nested, edge: number): string {
  if (!Array.isArray(values)) {
    return typeof values === 'number' && !Number.isInteger(values)
      ? String(Number(values.toPrecision(6)))
      : String(values);
  }
  const shown =
    values.length <= 2 * edge
      ? values.map((v) => formatValues(v, edge))
      : [
          ...values.slice(0, edge).map((v) => formatValues(v, edge)),
          '...',
          ...values.slice(-edge).map((v) => formatValues(v, edge)),
        ];
  return `[${shown.join(', ')}]`;
}
