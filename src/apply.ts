/**
 * The one door every op passes: checks, dtype promotion, the kernels, the tape. The path is kept free of closures, spreads and
 * maps, since a small op costs well under a microsecond.
 */
import { castOp } from './autograd/basic.js';
import type { ForwardContext, OpDefinition } from './autograd/define.js';
import { edgeOf, GradNode } from './autograd/tape.js';
import { inner, mode, type Mode } from './context.js';
import type { Device } from './device.js';
import { dtypeCategory, isFloating, resultType, type DType } from './dtype.js';
import { AutogradError, DeviceError, DTypeError, InPlaceError } from './errors.js';
import { track, trackNode } from './scope.js';
import { formatShape, hasZeroStride } from './shape.js';
import { disposedError, Tensor } from './tensor.js';

/** The context of a forward that is not recorded: what is not returned goes away. */
const silent: ForwardContext = {
  save() {},
  needsGrad() {
    return false;
  },
};

class Recording implements ForwardContext {
  saved: Tensor[] | null = null;
  private readonly inputs: readonly Tensor[];

  constructor(inputs: readonly Tensor[]) {
    this.inputs = inputs;
  }

  save(...tensors: Tensor[]): void {
    this.saved = this.saved === null ? tensors : this.saved.concat(tensors);
  }

  needsGrad(i: number): boolean {
    return this.inputs[i]!.needsGradient;
  }
}

/** Runs an op with one output. Inputs must be on one device. */
export function apply<P>(op: OpDefinition<P>, inputs: readonly Tensor[], params: P): Tensor {
  const result = dispatch(op as OpDefinition<unknown>, inputs, params);
  return result instanceof Tensor ? result : result[0]!;
}

/** Runs an op with several outputs. */
export function applyMany<P>(op: OpDefinition<P>, inputs: readonly Tensor[], params: P): Tensor[] {
  const result = dispatch(op as OpDefinition<unknown>, inputs, params);
  return result instanceof Tensor ? [result] : result;
}

function dispatch(op: OpDefinition<unknown>, given: readonly Tensor[], params: unknown): Tensor | Tensor[] {
  const count = given.length;
  let wantsGrad = false;
  if (count > 0) {
    const { device } = given[0]!.storage;
    for (let i = 0; i < count; i++) {
      const tensor = given[i]!;
      if (tensor.disposed) throw disposedError(tensor, op.name);
      if (tensor.storage.device !== device) throw mixedDevices(given, op.name);
      if (tensor.needsGradient) wantsGrad = true;
    }
  }
  const current = mode();
  const records =
    wantsGrad && inner.depth === 0 && current.gradEnabled && (op.grad !== undefined || op.backward !== undefined);
  if (records) refuseStaleViews(given, op.name);
  const inputs = op.dtypes === 'none' ? given : unify(given, op.dtypes!);

  const recording = records ? new Recording(inputs) : null;
  const start = inner.temporaries.length;
  const lastId = inner.lastId;
  let result: Tensor | Tensor[];
  inner.depth++;
  try {
    result = op.forward(inputs, params, recording ?? silent);
  } catch (error) {
    inner.depth--;
    discard(start, null);
    throw error;
  }
  inner.depth--;

  if (result instanceof Tensor) {
    // An op that returns its input still gets a tensor of its own: the history of the input is not its to change.
    if (result.id <= lastId) result = alias(result);
    if (recording !== null) record(op, inputs, params, recording, result, null, current);
  } else {
    for (let i = 0; i < result.length; i++) if (result[i]!.id <= lastId) result[i] = alias(result[i]!);
    if (recording !== null) record(op, inputs, params, recording, null, result, current);
  }
  settle(start, result, current);
  if (inputs !== given) disposeCasts(inputs, given);
  return result;
}

/** A second tensor over the same window, owned by the op that is running. */
function alias(tensor: Tensor): Tensor {
  inner.depth++;
  const copy = tensor.asView(tensor.shape, tensor.strides, tensor.offset);
  inner.depth--;
  return copy;
}

/** Outputs go to the scope (or stay with the op around this one); what else the op made goes away. */
function settle(start: number, result: Tensor | Tensor[], current: Mode): void {
  const { temporaries } = inner;
  if (temporaries.length === start + 1 && temporaries[start] === result) {
    if (inner.depth === 0) {
      temporaries.pop();
      track(current.scope, result as Tensor);
    }
    return;
  }
  discard(start, result);
  if (result instanceof Tensor) hand(result, current);
  else for (const tensor of result) hand(tensor, current);
}

function hand(tensor: Tensor, current: Mode): void {
  if (inner.depth > 0) inner.temporaries.push(tensor);
  else track(current.scope, tensor);
}

/** Disposes the temporaries from `start` on, except outputs and kept tensors. */
function discard(start: number, result: Tensor | Tensor[] | null): void {
  const { temporaries } = inner;
  for (let i = temporaries.length - 1; i >= start; i--) {
    const tensor = temporaries[i]!;
    if (tensor.kept || tensor === result || (Array.isArray(result) && result.includes(tensor))) continue;
    tensor.dispose();
  }
  temporaries.length = start;
}

function disposeCasts(inputs: readonly Tensor[], given: readonly Tensor[]): void {
  for (let i = 0; i < inputs.length; i++) if (inputs[i] !== given[i]) inputs[i]!.dispose();
}

/** Brings inputs to one dtype; returns the list itself when they agree. */
function unify(inputs: readonly Tensor[], how: 'promote' | 'float' | 'none'): readonly Tensor[] {
  const count = inputs.length;
  if (count === 0) return inputs;
  const first = inputs[0]!.dtype;
  let same = true;
  for (let i = 1; i < count; i++) if (inputs[i]!.dtype !== first) same = false;
  if (same && (how === 'promote' || isFloating(first))) return inputs;
  const common = same ? first : resultType(inputs);
  const target: DType = how === 'float' && !isFloating(common) ? 'float32' : common;
  return inputs.map((tensor) => (tensor.dtype === target ? tensor : apply(castOp, [tensor], { dtype: target })));
}

/** Puts a recorded op on the tape. Exactly one of `single` and `several` is given. */
function record(
  op: OpDefinition<unknown>,
  inputs: readonly Tensor[],
  params: unknown,
  recording: Recording,
  single: Tensor | null,
  several: Tensor[] | null,
  current: Mode,
): GradNode {
  const node = makeNode(op, inputs, params);
  if (single !== null) {
    attach(single, node, 0);
  } else {
    node.outputs = several!.length;
    for (let i = 0; i < several!.length; i++) attach(several![i]!, node, i);
  }
  if (recording.saved !== null) {
    node.keepSaved(recording.saved.map(savedCopy));
    trackNode(current.scope, node);
  }
  return node;
}

/** Lists that most nodes share: equal dtypes by number of inputs, and first outputs only. */
const equalDtypes = new Map<DType, (readonly DType[])[]>();
const firstOutputs: (readonly number[])[] = [];

function sharedDtypes(dtype: DType, count: number): readonly DType[] {
  let byCount = equalDtypes.get(dtype);
  if (byCount === undefined) equalDtypes.set(dtype, (byCount = []));
  return (byCount[count] ??= Object.freeze(new Array<DType>(count).fill(dtype)));
}

function makeNode(op: OpDefinition<unknown>, inputs: readonly Tensor[], params: unknown): GradNode {
  const count = inputs.length;
  const next: (GradNode | null)[] = [];
  const shapes: (readonly number[])[] = [];
  const { dtype } = inputs[0]!;
  let equal = true;
  let first = true;
  for (let i = 0; i < count; i++) {
    const input = inputs[i]!;
    next.push(input.needsGradient ? edgeOf(input) : null);
    shapes.push(input.shape);
    if (input.dtype !== dtype) equal = false;
    if (input.outputIndex !== 0) first = false;
  }
  const dtypes = equal ? sharedDtypes(dtype, count) : inputs.map((input) => input.dtype);
  const nextIndex = first
    ? (firstOutputs[count] ??= Object.freeze(new Array<number>(count).fill(0)))
    : inputs.map((input) => input.outputIndex);
  return new GradNode(op, null, params, inputs[0]!.storage.device, next, nextIndex, shapes, dtypes);
}

function attach(output: Tensor, node: GradNode, index: number): void {
  // Indices and masks have no gradient, whatever their op.
  if (!isFloating(output.dtype)) return;
  output.gradNode = node;
  output.outputIndex = index;
  output.needsGradient = true;
}

/**
 * A saved value is a tensor of its own, in nobody's scope: the node holds a reference on the storage, so that disposing the
 * original leaves the gradient intact, and its place in the graph, so that a second derivative finds it.
 */
function savedCopy(tensor: Tensor): Tensor {
  const copy = new Tensor(
    tensor.storage,
    tensor.shape,
    tensor.strides,
    tensor.offset,
    tensor.dtype,
    tensor.isContiguous(),
  );
  copy.storage.refs--; // keepSaved counts the reference
  copy.gradNode = tensor.needsGradient ? edgeOf(tensor) : null;
  copy.outputIndex = tensor.outputIndex;
  copy.needsGradient = tensor.needsGradient;
  return copy;
}

/**
 * Runs an op that writes into `target`: its forward gets [target, ...inputs], writes and returns target. A saved `target` means
 * its new value. Inputs are converted to the dtype of the target.
 * @throws InPlaceError for a leaf that requires a gradient, or a target whose elements share memory; AutogradError for a view of a
 * tensor with history; DTypeError when the result would not fit the target's dtype
 */
export function applyInPlace<P>(op: OpDefinition<P>, target: Tensor, inputs: readonly Tensor[], params: P): Tensor {
  const all = [target, ...inputs];
  let wantsGrad = false;
  for (const tensor of all) {
    tensor.checkUsable(op.name);
    if (tensor.storage.device !== target.storage.device) throw mixedDevices(all, op.name);
    if (tensor.needsGradient) wantsGrad = true;
  }
  const current = mode();
  const records = wantsGrad && inner.depth === 0 && current.gradEnabled;
  checkTarget(target, records, op.name);
  if (records) {
    refuseStaleViews(all, op.name);
    if (op.grad === undefined && op.backward === undefined) {
      throw new AutogradError('this op has no gradient', { op: op.name, hint: 'Call it inside noGrad().' });
    }
  }
  const common = resultType(all);
  if (op.dtypes !== 'none' && dtypeCategory(common) > dtypeCategory(target.dtype)) {
    throw new DTypeError(`a result of ${common} cannot be written into ${target.dtype}`, { op: op.name });
  }
  const operands =
    op.dtypes === 'none'
      ? all
      : all.map((t) => (t.dtype === target.dtype ? t : apply(castOp, [t], { dtype: target.dtype })));

  const recording = records ? new Recording(operands) : null;
  const start = inner.temporaries.length;
  inner.depth++;
  try {
    op.forward(operands, params, recording ?? silent);
  } catch (error) {
    inner.depth--;
    discard(start, null);
    throw error;
  }
  inner.depth--;
  target.storage.bump();
  if (recording !== null) {
    const { storage } = target;
    const node = makeNode(op as OpDefinition<unknown>, operands, params);
    storage.history++;
    target.history = storage.history;
    if (target.meta?.retain) node.watch(0, target.meta);
    attach(target, node, 0);
    if (recording.saved !== null) {
      node.keepSaved(recording.saved.map(savedCopy));
      trackNode(current.scope, node);
    }
  }
  discard(start, null);
  disposeCasts(operands, all);
  return target;
}

function checkTarget(target: Tensor, records: boolean, op: string): void {
  if (hasZeroStride(target.shape, target.strides)) {
    throw new InPlaceError(
      `an expanded tensor ${formatShape(target.shape)} cannot be written: its elements share memory`,
      {
        op,
        shapes: [target.shape],
        hint: 'Call contiguous() first.',
      },
    );
  }
  if (target.needsGradient && target.gradNode === null && inner.depth === 0 && mode().gradEnabled) {
    throw new InPlaceError('a leaf that requires a gradient cannot be written while gradients are recorded', {
      op,
      shapes: [target.shape],
      hint: 'Write inside noGrad(), or to a copy.',
    });
  }
  if (records && target.isView) {
    throw new AutogradError('a view cannot be written while gradients are recorded', {
      op,
      shapes: [target.shape],
      hint: 'Write to the whole tensor, build the result with where() or concat(), or write inside noGrad().',
    });
  }
}

/** A view taken before its base was written with a recorded op still has the history of the old values. */
function refuseStaleViews(inputs: readonly Tensor[], op: string): void {
  for (let i = 0; i < inputs.length; i++) {
    const tensor = inputs[i]!;
    if (tensor.isView && tensor.history !== tensor.storage.history) {
      throw new AutogradError('the tensor is a view whose base was changed in place since', {
        op,
        shapes: [tensor.shape],
        hint: 'Take the view again after the change.',
      });
    }
  }
}

function mixedDevices(inputs: readonly Tensor[], op: string): DeviceError {
  const devices: Device[] = [...new Set(inputs.map((tensor) => tensor.device))];
  return new DeviceError(`tensors are on different devices: ${devices.map((d) => d.name).join(' and ')}`, {
    op,
    shapes: inputs.map((tensor) => tensor.shape),
    hint: 'Move one with to({ device }).',
  });
}
