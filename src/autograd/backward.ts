/**
 * The gradient engine: walks the graph from the outputs down, ops in descending order of their sequence numbers, without
 * recursion. Equal graphs give equal orders, and so equal bits.
 */
import { apply } from '../apply.js';
import { inner, mode, runInSync } from '../context.js';
import { AutogradError, DTypeError, ShapeError } from '../errors.js';
import { track } from '../scope.js';
import { formatShape, sameShape } from '../shape.js';
import * as native from '../addon.ops.js';
import type { Tensor } from '../tensor.js';
import { addGradientsOp, filledLike, sumOf } from './basic.js';
import { GradBucket } from './bucket.js';
import { edgeOf, type GradientPlaces, type GradMeta, type GradNode } from './tape.js';

export interface BackwardOptions {
  /** the gradient of the tensor itself, of its shape; a tensor with one element takes 1 */
  gradient?: Tensor;
  /** keep the graph for another backward(); the default is `createGraph` */
  retainGraph?: boolean;
  /** record the gradients themselves, for higher derivatives */
  createGraph?: boolean;
  /** only these get a gradient; the default is every leaf */
  inputs?: readonly Tensor[];
}

export interface GradOptions {
  /** gradients of the outputs, in their order */
  gradOutputs?: readonly (Tensor | null)[];
  createGraph?: boolean;
  retainGraph?: boolean;
  /** null for an input that the outputs do not depend on, instead of an error */
  allowUnused?: boolean;
}

/**
 * Adds the gradient of `tensor` to the `grad` of every leaf behind it.
 * @throws AutogradError when nothing is recorded behind it, or the graph was freed; InPlaceError when a saved value was changed;
 * ShapeError for a gradient of another shape
 */
export function backward(tensor: Tensor, options: BackwardOptions = {}): void {
  const { gradient, createGraph = false, retainGraph = createGraph, inputs } = options;
  const roots = [rootOf(tensor, gradient ?? null, 'backward')];
  const targets = inputs === undefined ? null : inputs.map((input) => targetOf(input, 'backward'));
  new Engine(roots, targets, { accumulate: true, createGraph, retainGraph }).run();
}

/**
 * The gradients of `outputs` (summed) for each of `inputs`, without touching any `grad`.
 * @throws AutogradError when an input is not used and `allowUnused` is not set
 */
export function grad<A extends boolean = false>(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions & { allowUnused?: A } = {},
): (A extends true ? Tensor | null : Tensor)[] {
  const { gradOutputs, createGraph = false, retainGraph = createGraph, allowUnused = false } = options;
  const from = Array.isArray(outputs) ? (outputs as readonly Tensor[]) : [outputs as Tensor];
  const to = Array.isArray(inputs) ? (inputs as readonly Tensor[]) : [inputs as Tensor];
  const roots = from.map((output, i) => rootOf(output, gradOutputs?.[i] ?? null, 'grad'));
  const targets = to.map((input) => targetOf(input, 'grad'));
  const found = new Engine(roots, targets, { accumulate: false, createGraph, retainGraph }).run();
  if (!allowUnused) {
    const missing = found.indexOf(null);
    if (missing >= 0) {
      throw new AutogradError(`input ${missing} was not used to compute the outputs`, {
        op: 'grad',
        shapes: [to[missing]!.shape],
        hint: 'Pass allowUnused: true to get null for it.',
      });
    }
  }
  return found as (A extends true ? Tensor | null : Tensor)[];
}

interface Edge {
  node: GradNode;
  index: number;
}

interface Root extends Edge {
  tensor: Tensor;
  gradient: Tensor | null;
}

interface Target extends Edge {
  tensor: Tensor;
}

function rootOf(tensor: Tensor, gradient: Tensor | null, op: string): Root {
  tensor.checkUsable(op);
  const node = edgeOf(tensor);
  if (node === null) {
    throw new AutogradError('the tensor has no gradient history', {
      op,
      shapes: [tensor.shape],
      hint: 'Something behind it must have requiresGrad, and be used outside noGrad().',
    });
  }
  if (gradient === null) {
    if (tensor.numel !== 1) {
      throw new AutogradError(`a tensor of shape ${formatShape(tensor.shape)} needs a gradient to start from`, {
        op,
        shapes: [tensor.shape],
        hint: 'Reduce it to one element, or pass one of its shape.',
      });
    }
  } else {
    gradient.checkUsable(op);
    if (!sameShape(gradient.shape, tensor.shape)) {
      throw new ShapeError(`the gradient ${formatShape(gradient.shape)} does not fit ${formatShape(tensor.shape)}`, {
        op,
        shapes: [gradient.shape, tensor.shape],
      });
    }
    if (gradient.dtype !== tensor.dtype) {
      throw new DTypeError(`the gradient is ${gradient.dtype}, the tensor ${tensor.dtype}`, { op });
    }
  }
  return { node, index: tensor.outputIndex, tensor, gradient };
}

function targetOf(tensor: Tensor, op: string): Target {
  tensor.checkUsable(op);
  const node = edgeOf(tensor);
  if (node === null) {
    throw new AutogradError('an input does not require a gradient', {
      op,
      shapes: [tensor.shape],
      hint: 'Set requiresGrad on it before it is used.',
    });
  }
  return { node, index: tensor.outputIndex, tensor };
}

/** What the engine knows of a node while it runs. */
class Work {
  readonly slots: (Tensor | null)[];
  /** edges into a leaf that have not been walked yet */
  pending = 0;
  /** whether anything asked for lies behind it */
  needed = true;

  constructor(outputs: number) {
    this.slots = new Array<Tensor | null>(outputs).fill(null);
  }
}

interface EngineOptions {
  accumulate: boolean;
  createGraph: boolean;
  retainGraph: boolean;
}

class Engine implements GradientPlaces {
  private readonly work = new Map<GradNode, Work>();
  private readonly order: GradNode[] = [];
  private readonly results: (Tensor | null)[];
  private readonly roots: readonly Root[];
  private readonly targets: readonly Target[] | null;
  private readonly options: EngineOptions;

  constructor(roots: readonly Root[], targets: readonly Target[] | null, options: EngineOptions) {
    this.roots = roots;
    this.targets = targets;
    this.options = options;
    this.results = targets === null ? [] : targets.map(() => null);
  }

  run(): (Tensor | null)[] {
    const { scope } = mode();
    const { createGraph } = this.options;
    // A gradient function of an op may run an engine itself: its tensors belong to the tape, not to that op.
    const depth = inner.depth;
    inner.depth = 0;
    try {
      return runInSync({ scope, gradEnabled: createGraph }, () => this.walk());
    } finally {
      inner.depth = depth;
    }
  }

  private walk(): (Tensor | null)[] {
    this.discover();
    if (this.targets !== null) this.prune(this.targets);
    try {
      for (const root of this.roots) {
        this.arrive(root.node, root.index, root.gradient ?? this.one(root.tensor));
      }
      for (const root of this.roots) this.leafEdgeDone(root.node);
      for (const node of this.order) {
        const work = this.work.get(node)!;
        if (!work.needed) continue;
        this.process(node, work);
      }
    } finally {
      for (const { slots } of this.work.values()) for (const g of slots) if (g !== null) letGo(g);
    }
    return this.results;
  }

  /** Finds every node behind the roots, and orders the ops. */
  private discover(): void {
    const stack: GradNode[] = [];
    const visit = (node: GradNode): void => {
      let work = this.work.get(node);
      if (work === undefined) {
        work = new Work(node.outputs);
        this.work.set(node, work);
        if (node.op !== null) {
          this.order.push(node);
          stack.push(node);
        }
      }
      if (node.op === null) work.pending++;
    };
    for (const root of this.roots) visit(root.node);
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node.freed) node.check();
      for (const next of node.next) if (next !== null) visit(next);
    }
    this.order.sort((a, b) => b.sequence - a.sequence);
  }

  /** Marks what does not lead to a target: it is not computed. */
  private prune(targets: readonly Target[]): void {
    for (const work of this.work.values()) work.needed = false;
    for (const { node } of targets) {
      const work = this.work.get(node);
      if (work !== undefined) work.needed = true;
    }
    for (let i = this.order.length - 1; i >= 0; i--) {
      const node = this.order[i]!;
      const work = this.work.get(node)!;
      for (const next of node.next) if (next !== null && this.work.get(next)!.needed) work.needed = true;
    }
  }

  /** A gradient comes in at output `index` of `node`. */
  private arrive(node: GradNode, index: number, g: Tensor): void {
    const work = this.work.get(node)!;
    if (!work.needed) return letGo(g);
    const present = work.slots[index]!;
    work.slots[index] = present === null ? g : this.add(present, g);
  }

  private add(a: Tensor, b: Tensor): Tensor {
    if (this.options.createGraph) return apply(addGradientsOp, [a, b], null);
    // Nobody else knows `a`: the sum takes its place.
    if (a.uses === 1 && a !== b && a.storage.refs === 1 && a.isContiguous()) {
      native.add(a.device, a, b, a, 0, 0);
      letGo(b);
      return a;
    }
    const sum = this.owned(() => sumOf(a, b));
    letGo(a);
    letGo(b);
    return sum;
  }

  /** Where a gradient starts. With createGraph gradients may be named later, so none belongs to the engine. */
  private one(tensor: Tensor): Tensor {
    return this.options.createGraph ? filledLike(tensor, 1) : this.owned(() => filledLike(tensor, 1));
  }

  /** Makes a tensor that the engine alone owns. */
  private owned(make: () => Tensor): Tensor {
    const start = inner.temporaries.length;
    inner.depth++;
    try {
      const tensor = make();
      tensor.uses = 1;
      return tensor;
    } finally {
      inner.depth--;
      inner.temporaries.length = start;
    }
  }

  private process(node: GradNode, work: Work): void {
    const { slots } = work;
    this.watch(node, slots);
    this.capture(node, slots);
    let any = false;
    for (const g of slots) if (g !== null) any = true;
    // A target's own op runs only when more lies behind it.
    const further = node.next.some((next) => next !== null && this.work.get(next)!.needed);
    const { next, nextIndex } = node;
    if (any && further) {
      node.check();
      const gradients = this.options.createGraph ? this.composed(node, slots) : this.fused(node, slots);
      for (let i = 0; i < next.length; i++) {
        const to = next[i]!;
        const g = gradients[i] ?? null;
        if (g === null) continue;
        if (to === null) letGo(g);
        else this.arrive(to, nextIndex[i]!, g);
      }
    }
    for (let i = 0; i < slots.length; i++) {
      const g = slots[i]!;
      slots[i] = null;
      if (g !== null) letGo(g);
    }
    for (const to of next) if (to !== null) this.leafEdgeDone(to);
    if (!this.options.retainGraph && further) node.release('backward');
  }

  /** The gradient by kernels. What the op made and did not return goes away at once. */
  private fused(node: GradNode, slots: readonly (Tensor | null)[]): (Tensor | null)[] {
    const op = node.op!;
    const { temporaries } = inner;
    const start = temporaries.length;
    const lastId = inner.lastId;
    let results: (Tensor | null)[] | null = null;
    inner.depth++;
    if (this.options.accumulate) node.places = this;
    try {
      const gradients = (op.backward ?? op.grad)!.call(op, slots, node);
      checkGradients(node, gradients);
      results = gradients;
    } finally {
      node.places = null;
      inner.depth--;
      if (results !== null) {
        // One use per place a gradient goes to; inputs of the op that it passed on count again.
        for (const g of results) if (g && !g.kept && (g.id > lastId || g.uses > 0)) g.uses++;
      }
      for (let i = start; i < temporaries.length; i++) {
        const tensor = temporaries[i]!;
        if (tensor.uses === 0 && !tensor.kept) tensor.dispose();
      }
      temporaries.length = start;
    }
    return results;
  }

  /**
   * The place in its bucket of the leaf behind input `input` of the running node, where its whole gradient is what this node gives:
   * no other op adds to it, no hook sees it first, the bucket holds none yet, and the op reads nothing of that bucket.
   */
  placeOf(node: GradNode, input: number): Tensor | null {
    const to = node.next[input]!;
    if (to === null || to.op !== null) return null;
    const work = this.work.get(to)!;
    const { meta } = to.leaf!;
    if (!work.needed || work.pending !== 1 || work.slots[0] !== null || meta === null || meta.hooks.length > 0)
      return null;
    const { bucket, slot } = meta;
    if (bucket === null || bucket.present(slot)) return null;
    const place = bucket.view(slot);
    const reads = (tensor: Tensor | null): boolean => tensor !== null && tensor.storage === place.storage;
    if (node.saved.some(reads) || this.work.get(node)!.slots.some(reads)) return null;
    return place.dtype === node.inputDtypes[input] && sameShape(place.shape, node.inputShapes[input]!) ? place : null;
  }

  /** The gradient by recorded ops. */
  private composed(node: GradNode, slots: readonly (Tensor | null)[]): (Tensor | null)[] {
    const op = node.op!;
    if (op.grad === undefined) {
      throw new AutogradError('this op has no second derivative', { op: op.name, hint: 'Leave createGraph out.' });
    }
    const results = op.grad(slots, node);
    checkGradients(node, results);
    return results;
  }

  /** Hooks and retainGrad of the tensors that `node` made. */
  private watch(node: GradNode, slots: (Tensor | null)[]): void {
    const { watchers } = node;
    if (watchers === null) return;
    for (let i = 0; i < slots.length; i++) {
      const meta = watchers[i];
      if (!meta || slots[i] === null) continue;
      slots[i] = this.runHooks(meta, slots[i]!, node.name);
      if (meta.retain) {
        const g = this.expose(slots[i]!);
        meta.own = meta.own === null ? g : this.expose(this.add(meta.own, g));
      }
    }
  }

  private runHooks(meta: GradMeta, gradient: Tensor, op: string): Tensor {
    let g = gradient;
    for (const hook of meta.hooks) {
      g = this.expose(g);
      const replaced = hook(g);
      if (replaced === undefined) continue;
      if (!sameShape(replaced.shape, g.shape) || replaced.dtype !== g.dtype) {
        throw new ShapeError('a hook must return a gradient of the same shape and dtype', {
          op,
          shapes: [replaced.shape, g.shape],
        });
      }
      g = replaced;
    }
    return g;
  }

  /** From here on JavaScript can name the tensor: the engine does not dispose it. */
  private expose(g: Tensor): Tensor {
    if (g.uses > 0) {
      g.uses = 0;
      track(mode().scope, g);
    }
    return g;
  }

  private capture(node: GradNode, slots: readonly (Tensor | null)[]): void {
    if (this.targets === null) return;
    this.targets.forEach((target, i) => {
      if (target.node !== node) return;
      const g = slots[target.index] ?? null;
      if (g === null) return;
      this.results[i] = this.expose(g);
      // backward({ inputs }) with a tensor that is no leaf: its gradient is retained.
      if (this.options.accumulate && node.op !== null) target.tensor.gradMeta().own = this.results[i]!;
    });
  }

  /** One edge into a leaf has been walked; after the last its gradient is complete. */
  private leafEdgeDone(node: GradNode): void {
    if (node.op !== null) return;
    const work = this.work.get(node)!;
    if (--work.pending > 0) return;
    const leaf = node.leaf!;
    let g = work.slots[0]!;
    if (g === null || !work.needed) return;
    const { meta } = leaf;
    if (meta !== null && meta.hooks.length > 0) {
      g = this.runHooks(meta, g, 'leaf');
      work.slots[0] = g;
    }
    if (this.options.accumulate) this.accumulate(leaf, g);
    else this.capture(node, work.slots);
    work.slots[0] = null;
    letGo(g);
  }

  private accumulate(leaf: Tensor, g: Tensor): void {
    const bucket = GradBucket.of(leaf);
    const meta = leaf.gradMeta();
    if (this.options.createGraph) {
      const before = leaf.grad;
      meta.own = before === null ? this.expose(g) : apply(addGradientsOp, [before, g], null);
    } else {
      meta.own = null;
    }
    bucket.accumulate(meta.slot, g);
    for (const hook of meta.postHooks) hook(leaf);
  }
}

/** Gives up one use of a gradient that the engine owns. */
function letGo(g: Tensor): void {
  if (g.uses > 0 && --g.uses === 0) g.dispose();
}

function checkGradients(node: GradNode, gradients: readonly (Tensor | null)[]): void {
  const { inputShapes, inputDtypes, next } = node;
  for (let i = 0; i < next.length; i++) {
    const g = gradients[i];
    if (g === null || g === undefined || next[i] === null) continue;
    if (!sameShape(g.shape, inputShapes[i]!) || g.dtype !== inputDtypes[i]) {
      throw new AutogradError(
        `the gradient of input ${i} is ${formatShape(g.shape)} ${g.dtype} instead of ` +
          `${formatShape(inputShapes[i]!)} ${inputDtypes[i]}`,
        { op: node.name, shapes: [g.shape, inputShapes[i]!] },
      );
    }
  }
}
