/** Copies: contiguous ones, conversions between dtypes, moves between devices, and copying in place. */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { castOp } from '../autograd/basic.js';
import { defineOp, type OpDefinition } from '../autograd/define.js';
import { type Device, type DeviceLike, device as findDevice } from '../device.js';
import { checkDType, type DType, isDType } from '../dtype.js';
import { Tensor } from '../tensor.js';
import { dense, refuseFloat64, refuseHalf, runUnary, method } from './support.js';

const cloneOp = defineOp<null>({
  name: 'clone',
  forward: ([x]) => runUnary(native.copy, x!, x!.dtype),
  grad: ([g]) => [g ?? null],
});

/** A copy of its own: contiguous, sharing nothing. Differentiable. */
export function clone(x: Tensor): Tensor {
  return apply(cloneOp, [x], null);
}

/** x itself where it is contiguous, else a contiguous copy. */
export function contiguous(x: Tensor): Tensor {
  x.checkUsable('contiguous');
  return x.isContiguous() ? x : apply(cloneOp, [x], null);
}

/**
 * x in another dtype; x itself where it has it already. Floats turn to integers towards zero, anything but 0 to true.
 * Differentiable between floating dtypes.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  x.checkUsable('cast');
  if (x.dtype === dtype) return x;
  refuseHalf('cast', checkDType(dtype, 'cast'));
  refuseFloat64('cast', dtype, x.device);
  return apply(castOp, [x], { dtype });
}

const moveOp: OpDefinition<{ readonly device: Device }> = defineOp<{ readonly device: Device }>({
  name: 'to',
  forward: ([x], { device }) => Tensor.transferred(dense(x!), device),
  grad: ([g], { device }) => [g ? apply(moveOp, [g], { device }) : null],
});

/** Where and as what a tensor shall be; what is left out stays. */
export interface ToOptions {
  dtype?: DType;
  device?: DeviceLike;
}

/**
 * x in another dtype, on another device, or both; x itself where nothing changes. Differentiable: the gradient returns to
 * where x is.
 *
 * @param target a dtype ('float64'), a device ('cuda', 'cpu'), or both in an object
 */
export function to(x: Tensor, target: DType | DeviceLike | ToOptions): Tensor {
  x.checkUsable('to');
  if (typeof target === 'string' && isDType(target)) return cast(x, target);
  const options: ToOptions = typeof target === 'object' && !('id' in target) ? target : { device: target };
  const dtype = options.dtype ?? x.dtype;
  const device = options.device === undefined ? x.device : findDevice(options.device);
  refuseFloat64('to', dtype, device);
  const move = (y: Tensor): Tensor => (device.id === y.device.id ? y : apply(moveOp, [y], { device }));
  // float64 is made where it can be: on the way from a card behind the move, on the way to one there is none.
  return dtype === 'float64' ? cast(move(x), dtype) : move(cast(x, dtype));
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link clone}. */
    clone(): Tensor;
    /** See {@link contiguous}. */
    contiguous(): Tensor;
    /** See {@link cast}. */
    cast(dtype: DType): Tensor;
    /** See {@link to}. */
    to(target: DType | DeviceLike | ToOptions): Tensor;
  }
}

Tensor.prototype.clone = method(clone);
Tensor.prototype.contiguous = method(contiguous);
Tensor.prototype.cast = method(cast);
Tensor.prototype.to = method(to);
