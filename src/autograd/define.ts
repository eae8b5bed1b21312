/** What an op is: how it computes, and two ways to its gradient. Also the door for custom ops. */
import type { DType } from '../dtype.js';
import type { Device } from '../device.js';
import type { Tensor } from '../tensor.js';

/** What `forward` may ask and keep. */
export interface ForwardContext {
  /**
   * Keeps tensors (inputs, outputs, or others made in this forward) for the gradient. Their versions are checked when it runs.
   * Call it once; does nothing when no gradient is recorded.
   */
  save(...tensors: Tensor[]): void;
  /** Whether the gradient of input `i` will be asked for. */
  needsGrad(i: number): boolean;
}

/** What a gradient function sees of its forward. */
export interface BackwardContext<P> {
  /** as given to `save`, in that order */
  readonly saved: readonly Tensor[];
  readonly params: P;
  readonly inputShapes: readonly (readonly number[])[];
  readonly inputDtypes: readonly DType[];
  readonly device: Device;
  /** Whether input `i` wants a gradient; for the others null may be returned. */
  needsGrad(i: number): boolean;
  /**
   * @internal Where `backward` may write the whole gradient of input `i` (contiguous, of the input's shape) and return this very
   * tensor: the place in its leaf's bucket, which spares a copy. Null where the gradient is wanted as a fresh tensor.
   */
  into?(i: number): Tensor | null;
}

/**
 * An op. Tensors made inside `forward` and `backward` that are neither returned nor saved are disposed when the function returns:
 * call keep() on one that must live longer. The gradients returned have the shapes and dtypes of the inputs.
 */
export interface OpDefinition<P> {
  readonly name: string;
  /**
   * How input dtypes are brought together before forward: 'promote' (PyTorch's table), 'float' (promote, and integers and bool
   * become float32), 'none' (the default: as they are).
   */
  readonly dtypes?: 'promote' | 'float' | 'none';
  /** Checks shapes and dtypes (ShapeError and DTypeError name the op), runs kernels, returns fresh tensors. Never recorded. */
  forward(inputs: readonly Tensor[], params: P, ctx: ForwardContext): Tensor | Tensor[];
  /** The gradient composed of recorded ops: used with createGraph, and always where there is no fused `backward`. */
  grad?(g: readonly (Tensor | null)[], ctx: BackwardContext<P>): (Tensor | null)[];
  /** The fused gradient: runs kernels directly, never recorded. */
  backward?(g: readonly (Tensor | null)[], ctx: BackwardContext<P>): (Tensor | null)[];
}

/** Declares an op for apply(). One gradient per input; `g` has one entry per output, null where nothing flowed. */
export function defineOp<P>(definition: OpDefinition<P>): OpDefinition<P> {
  const { name, dtypes, forward, grad, backward } = definition;
  // One hidden class for all ops keeps the call in apply() monomorphic.
  return { name, dtypes: dtypes ?? 'none', forward, grad, backward };
}
