/**
 * What the op files share: dims, broadcasting, collapsed views for kernels, and the errors in one wording. Functions here run
 * kernels or compute shapes; none of them is recorded.
 */
import * as native from '../addon.ops.js';
import { addon, type OutSpec, type View } from '../addon.js';
import type { BackwardContext } from '../autograd/define.js';
import type { Device } from '../device.js';
import { type DType, itemSize } from '../dtype.js';
import { DTypeError, fromNative, NotSupportedError, ShapeError } from '../errors.js';
import {
  broadcastShape,
  collapseDims,
  contiguousStrides,
  expandStrides,
  numelOf,
  sameShape,
  type Shape,
} from '../shape.js';
import { Storage } from '../storage.js';
import { Tensor } from '../tensor.js';

/** One dim or several; negative ones count from the end. */
export type Dims = number | readonly number[];

/** A tensor operand or a JS number. */
export type Operand = Tensor | number;

/** A function whose first argument is a tensor, as a method of tensors. */
export function method<Rest extends unknown[], Result>(fn: (x: Tensor, ...rest: Rest) => Result) {
  return function (this: Tensor, ...rest: Rest): Result {
    return fn(this, ...rest);
  };
}

export function shapeError(op: string, message: string, shapes: readonly Shape[], hint?: string): ShapeError {
  return new ShapeError(message, { op, shapes, hint });
}

export function dtypeError(op: string, message: string, hint?: string): DTypeError {
  return new DTypeError(message, { op, hint });
}

/** Throws where a half type would reach a kernel: they are declared, and not computed with yet. */
export function refuseHalf(op: string, dtype: DType): void {
  if (dtype === 'float16' || dtype === 'bfloat16') {
    throw new NotSupportedError(`${dtype} tensors are not supported`, { op, hint: 'Use float32.' });
  }
}

/** Throws where float64 would reach a card: most run it at a small fraction of float32's rate, and no kernel here takes it. */
export function refuseFloat64(op: string, dtype: DType, { type, name }: Device): void {
  if (dtype === 'float64' && type === 'cuda') {
    throw new NotSupportedError(`device ${name} computes no float64`, {
      op,
      hint: "Use float32, or keep these tensors on device 'cpu'.",
    });
  }
}

/** Throws unless every tensor is float32 or float64. */
export function requireFloat(op: string, ...tensors: readonly Tensor[]): void {
  for (const { dtype } of tensors) {
    if (dtype === 'float32' || dtype === 'float64') continue;
    refuseHalf(op, dtype);
    throw dtypeError(op, `needs float32 or float64, got ${dtype}`, "Cast first, for example x.to('float32').");
  }
}

/** Throws unless the tensor holds indices: int32, int64 or uint8. */
export function requireIndex(op: string, what: string, { dtype }: Tensor): void {
  if (dtype === 'int32' || dtype === 'int64' || dtype === 'uint8') return;
  throw dtypeError(op, `${what} must be int32, int64 or uint8, got ${dtype}`, "Cast it, for example x.to('int32').");
}

export function view(x: View, shape: Shape, strides: Shape, offset = x.offset): View {
  return { storage: x.storage, dtype: x.dtype, offset, shape, strides };
}

/** A contiguous tensor as the sizes `shape` (same number of elements). */
export function viewAs(x: View, shape: Shape): View {
  return view(x, shape, contiguousStrides(shape));
}

/** The one stride that walks dims [from, to) of a view as a single dim, or null where there is none. */
export function foldedStride(x: View, from: number, to: number): number | null {
  const { shape, strides } = collapseDims(x.shape.slice(from, to), [x.strides.slice(from, to)]);
  if (shape.length === 0) return 0;
  return shape.length === 1 ? strides[0]![0]! : null;
}

export type UnaryKernel = (device: Device, x: View, y: OutSpec | View) => Storage;
export type BinaryKernel = (
  device: Device,
  a: View | null,
  b: View | null,
  y: OutSpec | View,
  aScalar: number,
  bScalar: number,
) => Storage;

/** x as the operand of an elementwise kernel that writes a contiguous output of the same sizes. */
function elementwiseView(x: Tensor): View {
  const { shape, strides } = x;
  if (shape.length === 1) return x;
  if (x.isContiguous()) return view(x, [x.numel], [1]);
  const c = collapseDims(shape, [strides]);
  return view(x, c.shape, c.strides[0]!);
}

/** y = kernel(x) for a strided x, in a fresh contiguous tensor. */
export function runUnary(kernel: UnaryKernel, x: Tensor, dtype: DType): Tensor {
  const v = elementwiseView(x);
  return Tensor.fresh(kernel(x.device, v, { dtype, shape: v.shape }), x.shape, dtype);
}

/** y = kernel(a, b) broadcast, in a fresh contiguous tensor; an absent operand is its scalar. */
export function runBinary(
  op: string,
  kernel: BinaryKernel,
  a: Tensor | null,
  b: Tensor | null,
  dtype: DType,
  aScalar: number,
  bScalar: number,
): Tensor {
  if (a === null || b === null) {
    const x = (a ?? b)!;
    const v = elementwiseView(x);
    const y = kernel(x.device, a && v, b && v, { dtype, shape: v.shape }, aScalar, bScalar);
    return Tensor.fresh(y, x.shape, dtype);
  }
  if (sameShape(a.shape, b.shape) && a.isContiguous() && b.isContiguous()) {
    const va = elementwiseView(a);
    return Tensor.fresh(kernel(a.device, va, elementwiseView(b), { dtype, shape: va.shape }, 0, 0), a.shape, dtype);
  }
  const shape = broadcastShape(a.shape, b.shape, op);
  const c = collapseDims(shape, [
    expandStrides(a.shape, a.strides, shape, op),
    expandStrides(b.shape, b.strides, shape, op),
  ]);
  const va = view(a, c.shape, c.strides[0]!);
  const vb = view(b, c.shape, c.strides[1]!);
  return Tensor.fresh(kernel(a.device, va, vb, { dtype, shape: c.shape }, 0, 0), shape, dtype);
}

/** Copies (and converts) x into the strided view `target` of the same sizes. */
export function copyInto(op: string, target: View, x: Tensor): void {
  const c = collapseDims(target.shape, [expandStrides(x.shape, x.strides, target.shape, op), target.strides]);
  native.copy(x.device, view(x, c.shape, c.strides[0]!), view(target, c.shape, c.strides[1]!));
}

/** x itself where it is contiguous, else a contiguous copy; for kernels that want no strides. Not recorded. */
export function dense(x: Tensor): Tensor {
  return x.isContiguous() ? x : runUnary(native.copy, x, x.dtype);
}

/** Where a fused gradient function has a kernel write the gradient of input `i`: in its leaf's bucket at once, or in fresh memory. */
export function gradientOut(ctx: BackwardContext<unknown>, i: number): Tensor | OutSpec {
  return ctx.into?.(i) ?? { dtype: ctx.inputDtypes[i]!, shape: ctx.inputShapes[i]! };
}

/** The gradient that a kernel has written to `out`. */
export function gradientOf(out: Tensor | OutSpec, storage: Storage): Tensor {
  return out instanceof Tensor ? out : Tensor.fresh(storage, out.shape, out.dtype);
}

/** A fresh tensor filled with one value. Not recorded. */
export function filled(device: Device, shape: Shape, dtype: DType, value: number): Tensor {
  return Tensor.fresh(native.fill(device, { dtype, shape: [numelOf(shape)] }, value), shape, dtype);
}

/** A contiguous tensor whose elements are still to be written. Not recorded. */
export function allocate(op: string, device: Device, shape: Shape, dtype: DType): Tensor {
  const bytes = numelOf(shape) * itemSize[dtype];
  const handle = addon().allocate(device.id, bytes);
  if (handle < 0) throw fromNative(addon().lastError(), op);
  return Tensor.fresh(new Storage(handle, device, bytes), shape, dtype);
}
