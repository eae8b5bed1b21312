/** The few ops that promotion and the gradient engine need themselves: they stand below the op files. */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { isFloating, type DType } from '../dtype.js';
import { Tensor } from '../tensor.js';
import { defineOp, type OpDefinition } from './define.js';

/** Conversion to another dtype; the gradient is converted back. x and the result: any one shape. */
export const castOp: OpDefinition<{ dtype: DType }> = defineOp<{ dtype: DType }>({
  name: 'cast',
  forward([x], { dtype }) {
    return convert(x!, dtype);
  },
  grad([g], { inputDtypes }) {
    const dtype = inputDtypes[0]!;
    return [isFloating(dtype) ? (g!.dtype === dtype ? g! : apply(castOp, [g!], { dtype })) : null];
  },
});

/** A contiguous copy in `dtype`, not recorded. */
export function convert(x: Tensor, dtype: DType): Tensor {
  const { shape } = x;
  return Tensor.fresh(native.copy(x.device, x, { shape, dtype }), shape, dtype);
}

/** The sum of two gradients of one shape and dtype. */
export const addGradientsOp = defineOp<null>({
  name: 'addGradients',
  forward([a, b]) {
    return sumOf(a!, b!);
  },
  grad([g]) {
    return [g!, g!];
  },
});

/** a + b, same shape and dtype, not recorded. */
export function sumOf(a: Tensor, b: Tensor): Tensor {
  const { shape, dtype } = a;
  return Tensor.fresh(native.add(a.device, a, b, { shape, dtype }, 0, 0), shape, dtype);
}

/** A tensor like `x` filled with `value`. */
export function filledLike(x: Tensor, value: number): Tensor {
  const { shape, dtype } = x;
  return Tensor.fresh(native.fill(x.device, { shape, dtype }, value), shape, dtype);
}
