/**
 * Gradients of a group of parameters in one flat tensor, so that a norm, a clip or an update is one kernel. A parameter's `grad` is
 * a view of its slot for as long as the bucket lives; "no gradient" is a mark on the slot, not a missing buffer.
 */
import * as native from '../addon.ops.js';
import { AutogradError, DeviceError, DTypeError, ShapeError } from '../errors.js';
import { contiguousStrides, formatShape, sameShape } from '../shape.js';
import { keep } from '../scope.js';
import { inner } from '../context.js';
import { Tensor } from '../tensor.js';

/** Elements: slots start at multiples of this, which is a cache line of float32. */
const alignment = 16;

/** Hears which buckets a recording uses. */
export interface BucketObserver {
  /** `emptied`: its marks are about to be forgotten, so what they were does not matter. */
  touched(bucket: GradBucket, emptied: boolean): void;
}
let observer: BucketObserver | null = null;
export function observeBuckets(next: BucketObserver | null): void {
  observer = next;
}

export class GradBucket {
  readonly params: readonly Tensor[];
  /** [total]: all slots, in the order of the parameters; gaps between slots hold zeros */
  readonly flat: Tensor;
  /** first element of each slot */
  readonly offsets: readonly number[];
  private readonly views: readonly Tensor[];
  private readonly flags: Uint8Array;

  /**
   * @param params leaves of one dtype on one device; the bucket takes over where their gradients live
   * @throws DTypeError, DeviceError when they differ; AutogradError for a tensor that is no leaf
   */
  constructor(params: readonly Tensor[]) {
    const first = params[0];
    if (first === undefined) throw new AutogradError('a gradient bucket needs a parameter', { op: 'GradBucket' });
    const offsets: number[] = [];
    let total = 0;
    for (const param of params) {
      param.checkUsable('GradBucket');
      if (param.gradNode !== null) throw new AutogradError('only leaves have gradient buckets', { op: 'GradBucket' });
      if (param.dtype !== first.dtype) {
        throw new DTypeError(`parameters of one bucket have dtypes ${first.dtype} and ${param.dtype}`, {
          op: 'GradBucket',
        });
      }
      if (param.device !== first.device) {
        throw new DeviceError(`parameters of one bucket are on ${first.device} and ${param.device}`, {
          op: 'GradBucket',
        });
      }
      offsets.push(total);
      total += Math.ceil(param.numel / alignment) * alignment;
    }
    this.params = [...params];
    this.offsets = offsets;
    this.flags = new Uint8Array(params.length);
    // Made as if inside an op: neither the scope nor the tape of the caller sees these tensors.
    const start = inner.temporaries.length;
    inner.depth++;
    try {
      const { dtype, device } = first;
      this.flat = Tensor.fresh(native.fill(device, { dtype, shape: [total] }, 0), [total], dtype);
      this.views = params.map((param, i) => this.flat.asView(param.shape, contiguousStrides(param.shape), offsets[i]!));
    } finally {
      inner.depth--;
      inner.temporaries.length = start;
    }
    keep(this.flat);
    params.forEach((param, i) => {
      const meta = param.gradMeta();
      const previous = meta.own === null && meta.bucket?.present(meta.slot) ? meta.bucket.view(meta.slot) : null;
      if (previous !== null && sameShape(previous.shape, param.shape)) this.accumulate(i, previous);
      meta.bucket = this;
      meta.slot = i;
    });
  }

  /** The bucket of a leaf; one of its own when it sits in none. */
  static of(leaf: Tensor): GradBucket {
    return leaf.gradMeta().bucket ?? new GradBucket([leaf]);
  }

  /** The persistent gradient tensor of parameter `i`, whether it holds a gradient or not. */
  view(i: number): Tensor {
    return this.views[i]!;
  }

  /** Whether a gradient has arrived since the bucket was last marked empty. */
  present(i: number): boolean {
    if (observer !== null) observer.touched(this, false);
    return this.flags[i] === 1;
  }

  /** Forgets all gradients without touching memory: the next ones overwrite. */
  markEmpty(): void {
    if (observer !== null) observer.touched(this, true);
    this.flags.fill(0);
    for (const param of this.params) if (param.meta !== null) param.meta.own = null;
  }

  /** Forgets one gradient. */
  clear(i: number): void {
    if (observer !== null) observer.touched(this, false);
    this.flags[i] = 0;
  }

  /** Zero-fills slot `i` unless it holds a gradient, so that norms over `flat` are right. */
  ensureZeroed(i: number): void {
    if (this.present(i)) return;
    const view = this.views[i]!;
    native.fill(view.device, view, 0);
    view.storage.bump();
  }

  /** Adds `g` to slot `i`; the first after markEmpty overwrites. The slot's own view was written in place. */
  accumulate(i: number, g: Tensor): void {
    const view = this.views[i]!;
    if (!sameShape(g.shape, view.shape)) {
      throw new ShapeError(`a gradient of shape ${formatShape(g.shape)} for a tensor of ${formatShape(view.shape)}`, {
        op: 'backward',
        shapes: [g.shape, view.shape],
      });
    }
    if (this.present(i)) native.add(view.device, view, g, view, 0, 0);
    else if (g !== view) native.copy(view.device, g, view);
    this.flags[i] = 1;
    view.storage.bump();
  }

  /** @internal The marks of all slots, for recordings. */
  marks(): Uint8Array {
    return this.flags.slice();
  }

  /** @internal */
  setMarks(marks: Uint8Array): void {
    this.flags.set(marks);
  }

  /** @internal */
  hasMarks(marks: Uint8Array): boolean {
    for (let i = 0; i < marks.length; i++) if (marks[i] !== this.flags[i]) return false;
    return true;
  }

  /** @internal Whether the parameters still keep their gradients here. */
  isCurrent(): boolean {
    return this.params.every((param) => param.meta !== null && param.meta.bucket === this);
  }

  /** @internal Called when the scope of a leaf ends: a bucket of its own goes with it, unless the gradient survives. */
  endWith(leaf: Tensor, survivors: ReadonlySet<Tensor>): void {
    const view = this.views[0]!;
    if (this.params.length !== 1 || this.params[0] !== leaf || view.kept || survivors.has(view)) return;
    view.dispose();
    this.flat.dispose();
  }
}
