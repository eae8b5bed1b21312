/** The graph that gradients walk: one node per recorded op, one per leaf. */
import { inner } from '../context.js';
import type { DType } from '../dtype.js';
import type { Device } from '../device.js';
import { AutogradError, DisposedError, InPlaceError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import type { GradBucket } from './bucket.js';
import type { BackwardContext, OpDefinition } from './define.js';

/** Sees the gradient of a tensor when it is complete; what it returns, if anything, takes its place. */
export type TensorHook = (gradient: Tensor) => Tensor | void;
/** Runs after a leaf's `grad` has been added to. */
export type PostAccumulateHook = (leaf: Tensor) => void;

/** What only few tensors have: a gradient and those who wait for it. */
export class GradMeta {
  /** where a leaf's gradient lives */
  bucket: GradBucket | null = null;
  slot = 0;
  /** a gradient that has a graph itself (createGraph), or that of a non-leaf (retainGrad) */
  own: Tensor | null = null;
  retain = false;
  accumulator: GradNode | null = null;
  hooks: TensorHook[] = [];
  postHooks: PostAccumulateHook[] = [];
}

const none: readonly never[] = Object.freeze([]);

/** Knows where gradients may be written: the engine, while a node's gradient function runs. */
export interface GradientPlaces {
  placeOf(node: GradNode, input: number): Tensor | null;
}

export class GradNode implements BackwardContext<unknown> {
  /** null for a leaf */
  readonly op: OpDefinition<unknown> | null;
  readonly leaf: Tensor | null;
  readonly params: unknown;
  readonly device: Device;
  /** a later op has a higher number; backward goes down */
  readonly sequence: number;
  /** per input: the node its gradient flows to, and which output of it; null where none is wanted */
  next: readonly (GradNode | null)[];
  readonly nextIndex: readonly number[];
  readonly inputShapes: readonly (readonly number[])[];
  readonly inputDtypes: readonly DType[];
  saved: readonly Tensor[] = none;
  private versions: readonly number[] = none;
  outputs = 1;
  /** per output: hooks and retainGrad */
  watchers: (GradMeta | null)[] | null = null;
  private freedBy: 'backward' | 'tidy' | null = null;

  constructor(
    op: OpDefinition<unknown> | null,
    leaf: Tensor | null,
    params: unknown,
    device: Device,
    next: readonly (GradNode | null)[],
    nextIndex: readonly number[],
    inputShapes: readonly (readonly number[])[],
    inputDtypes: readonly DType[],
  ) {
    this.op = op;
    this.leaf = leaf;
    this.params = params;
    this.device = device;
    this.sequence = ++inner.lastNode;
    this.next = next;
    this.nextIndex = nextIndex;
    this.inputShapes = inputShapes;
    this.inputDtypes = inputDtypes;
  }

  /** set by the engine while this node's fused gradient runs */
  places: GradientPlaces | null = null;

  needsGrad(i: number): boolean {
    return this.next[i] !== null;
  }

  into(i: number): Tensor | null {
    return this.places === null ? null : this.places.placeOf(this, i);
  }

  get name(): string {
    return this.op === null ? 'leaf' : this.op.name;
  }

  get freed(): boolean {
    return this.freedBy !== null;
  }

  /** Takes values over; each is a reference on its storage. */
  keepSaved(saved: readonly Tensor[]): void {
    const versions = new Array<number>(saved.length);
    for (let i = 0; i < saved.length; i++) {
      const { storage } = saved[i]!;
      storage.retain();
      versions[i] = storage.version;
    }
    this.saved = saved;
    this.versions = versions;
  }

  /**
   * Throws unless the gradient can still be computed.
   * @throws AutogradError after an earlier backward, InPlaceError when a saved value was overwritten, DisposedError
   */
  check(): void {
    if (this.freedBy === 'backward') {
      throw new AutogradError('the graph was freed by an earlier backward()', {
        op: this.name,
        hint: 'Pass retainGraph: true to the first backward(), or compute the loss again.',
      });
    }
    if (this.freedBy === 'tidy') {
      throw new AutogradError('the graph was freed at the end of the tidy() that recorded it', {
        op: this.name,
        hint: 'Call backward() inside the tidy(), or return the loss from it.',
      });
    }
    for (let i = 0; i < this.saved.length; i++) {
      const { storage, shape } = this.saved[i]!;
      if (storage.released) {
        throw new DisposedError('a value saved for the gradient was disposed', { op: this.name, shapes: [shape] });
      }
      if (storage.version !== this.versions[i]) {
        throw new InPlaceError(
          `a value saved for the gradient was changed in place: it is at version ${storage.version}, saved at ${this.versions[i]}`,
          { op: this.name, shapes: [shape], hint: 'Use the op without the trailing underscore, or write to a copy.' },
        );
      }
    }
  }

  /** Lets go of saved values and of the rest of the graph. */
  release(by: 'backward' | 'tidy'): void {
    if (this.freedBy !== null || this.op === null) return;
    this.freedBy = by;
    const { saved } = this;
    this.saved = none;
    this.versions = none;
    this.next = none;
    for (const tensor of saved) tensor.storage.drop();
  }

  /** The record of output `index` for hooks and retainGrad. */
  watch(index: number, meta: GradMeta): void {
    this.watchers ??= new Array<GradMeta | null>(this.outputs).fill(null);
    this.watchers[index] = meta;
  }
}

/** Where the gradient of `tensor` flows: its op, or its own accumulator for a leaf; null when it wants none. */
export function edgeOf(tensor: Tensor): GradNode | null {
  if (tensor.gradNode !== null) return tensor.gradNode;
  return tensor.requiresGrad ? accumulatorOf(tensor) : null;
}

function accumulatorOf(leaf: Tensor): GradNode {
  const meta = leaf.gradMeta();
  return (meta.accumulator ??= new GradNode(null, leaf, null, leaf.device, none, none, none, none));
}
