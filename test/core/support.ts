/** A handful of ops for tests of the machinery under the op files: made here, so that a fault in an op file does not hide one there. */
import * as native from '../../src/addon.ops.js';
import { apply, applyInPlace, defineOp, Tensor, type OpDefinition } from '../../src/index.js';
import { contiguousStrides, numelOf, type Shape } from '../../src/shape.js';

export function f32(values: readonly number[], shape: Shape = [values.length]): Tensor {
  return Tensor.fromBytes(Float32Array.from(values), shape, 'float32', 'cpu');
}

export function f64(values: readonly number[], shape: Shape = [values.length]): Tensor {
  return Tensor.fromBytes(Float64Array.from(values), shape, 'float64', 'cpu');
}

export function leaf(values: readonly number[], shape?: Shape): Tensor {
  return f32(values, shape).requiresGrad_();
}

export const values = (tensor: Tensor | null): number[] => Array.from(tensor!.dataSync(), Number);

const fresh = (
  op: (device: Tensor['device'], a: Tensor, b: Tensor, y: Tensor, s: number, t: number) => unknown,
  a: Tensor,
  b: Tensor,
): Tensor => {
  const y = Tensor.fresh(native.fill(a.device, { dtype: a.dtype, shape: a.shape }, 0), a.shape, a.dtype);
  op(a.device, a, b, y, 0, 0);
  return y;
};

const addOp = defineOp<null>({
  name: 'add',
  dtypes: 'promote',
  forward([a, b]) {
    const { shape, dtype } = a!;
    return Tensor.fresh(native.add(a!.device, a!, b!, { shape, dtype }, 0, 0), shape, dtype);
  },
  grad([g]) {
    return [g!, g!];
  },
});
export const add = (a: Tensor, b: Tensor): Tensor => apply(addOp, [a, b], null);

const mulOp: OpDefinition<null> = defineOp<null>({
  name: 'mul',
  dtypes: 'promote',
  forward([a, b], _, ctx) {
    ctx.save(a!, b!);
    return fresh(native.mul, a!, b!);
  },
  grad([g], ctx) {
    const [a, b] = ctx.saved as [Tensor, Tensor];
    return [ctx.needsGrad(0) ? mul(g!, b) : null, ctx.needsGrad(1) ? mul(g!, a) : null];
  },
});
/** a * b, same shape. */
export const mul = (a: Tensor, b: Tensor): Tensor => apply(mulOp, [a, b], null);

const expOp: OpDefinition<null> = defineOp<null>({
  name: 'exp',
  forward([x], _, ctx) {
    const { shape, dtype } = x!;
    const y = Tensor.fresh(native.exp(x!.device, x!, { shape, dtype }), shape, dtype);
    ctx.save(y);
    return y;
  },
  grad([g], { saved }) {
    return [mul(g!, saved[0]!)];
  },
  backward([g], { saved }) {
    return [fresh(native.mul, g!, saved[0]!)];
  },
});
/** Saves its output. */
export const exp = (x: Tensor): Tensor => apply(expOp, [x], null);

const expandOp: OpDefinition<{ shape: Shape }> = defineOp<{ shape: Shape }>({
  name: 'expand',
  forward([x], { shape }) {
    return x!.asView(
      shape,
      shape.map(() => 0),
      x!.offset,
    );
  },
  grad([g]) {
    return [sum(g!)];
  },
});
/** A 0-dim tensor as any shape. */
export const expand = (x: Tensor, shape: Shape): Tensor => apply(expandOp, [x], { shape });

const sumOp: OpDefinition<null> = defineOp<null>({
  name: 'sum',
  forward([x]) {
    return Tensor.fresh(native.sum(x!.device, x!, { dtype: x!.dtype, shape: [] }, 0), [], x!.dtype);
  },
  grad([g], { inputShapes }) {
    return [expand(g!, inputShapes[0]!)];
  },
});
/** The sum of all elements, []. */
export const sum = (x: Tensor): Tensor => apply(sumOp, [x], null);

const reshapeOp: OpDefinition<{ shape: Shape }> = defineOp<{ shape: Shape }>({
  name: 'reshape',
  forward([x], { shape }) {
    if (numelOf(shape) !== x!.numel || !x!.isContiguous()) throw new Error('not for this test op');
    return x!.asView(shape, contiguousStrides(shape), x!.offset);
  },
  grad([g], { inputShapes }) {
    const { shape, dtype } = g!;
    const packed = Tensor.fresh(native.copy(g!.device, g!, { shape, dtype }), shape, dtype);
    return [packed.asView(inputShapes[0]!, contiguousStrides(inputShapes[0]!), 0)];
  },
});
/** A contiguous tensor in another shape, sharing memory. */
export const reshape = (x: Tensor, shape: Shape): Tensor => apply(reshapeOp, [x], { shape });

const addInto = defineOp<null>({
  name: 'add_',
  dtypes: 'promote',
  forward([target, b]) {
    native.add(target!.device, target!, b!, target!, 0, 0);
    return target!;
  },
  grad([g]) {
    return [g!, g!];
  },
});
/** target += b */
export const addInPlace = (target: Tensor, b: Tensor): Tensor => applyInPlace(addInto, target, [b], null);
