/** Writes into an existing tensor: their names end in `_`, and they return the tensor. */
import * as native from '../addon.ops.js';
import type { View } from '../addon.js';
import { applyInPlace } from '../apply.js';
import { defineOp, type OpDefinition } from '../autograd/define.js';
import { dtypeCategory, isFloating, resultTypeWithNumber } from '../dtype.js';
import { collapseDims, expandStrides, formatShape, sameShape, type Shape } from '../shape.js';
import { defaultGenerator, type Generator } from '../random.js';
import { Tensor } from '../tensor.js';
import { div, mul, neg } from './arithmetic.js';
import { cast } from './copy.js';
import { sumTo } from './reduce.js';
import {
  type BinaryKernel,
  copyInto,
  dtypeError,
  type Operand,
  runUnary,
  shapeError,
  view,
  viewAs,
} from './support.js';

interface InPlaceParams {
  /** the operand where it is a number */
  readonly scalar: number | null;
}

/** Throws unless `shape` broadcasts to the target, whose own shape an in-place op cannot change. */
function checkFits(op: string, target: Shape, shape: Shape): void {
  const lead = target.length - shape.length;
  if (lead >= 0 && shape.every((n, d) => n === 1 || n === target[lead + d])) return;
  const message = `the target is ${formatShape(target)}, the operand ${formatShape(shape)}, which does not broadcast to it`;
  throw shapeError(op, message, [target, shape], 'An in-place op keeps the shape of its target.');
}

/** The operand, or a copy of it where it is another window of the memory that is about to be written. */
function apart(target: Tensor, x: Tensor): Tensor {
  const shared = x.storage === target.storage;
  const same = x.offset === target.offset && sameShape(x.shape, target.shape) && sameShape(x.strides, target.strides);
  return shared && !same ? runUnary(native.copy, x, x.dtype) : x;
}

/** target = kernel(target, x). */
function update(op: string, kernel: BinaryKernel, target: Tensor, x: Tensor | null, scalar: number): void {
  let operand: View | null = null;
  let strides: readonly (readonly number[])[] = [target.strides];
  if (x) {
    checkFits(op, target.shape, x.shape);
    operand = apart(target, x);
    strides = [target.strides, expandStrides(operand.shape, operand.strides, target.shape, op)];
  }
  const c = collapseDims(target.shape, strides);
  const t = view(target, c.shape, c.strides[0]!);
  kernel(target.device, t, operand && view(operand, c.shape, c.strides[1]!), t, 0, scalar);
}

/** A copy of what is about to be overwritten, at its place in the graph: the gradient of the other operand needs it. */
function remember(x: Tensor): Tensor {
  const copy = runUnary(native.copy, x, x.dtype);
  copy.gradNode = x.gradNode;
  copy.outputIndex = x.outputIndex;
  copy.needsGradient = x.gradNode !== null;
  return copy;
}

const addOp = defineOp<InPlaceParams>({
  name: 'add_',
  dtypes: 'promote',
  forward([target, x], { scalar }) {
    update('add_', native.add, target!, x ?? null, scalar ?? 0);
    return target!;
  },
  grad: ([g], { inputShapes }) => (g && inputShapes.length > 1 ? [g, sumTo(g, inputShapes[1]!)] : [g ?? null]),
});

const subOp = defineOp<InPlaceParams>({
  name: 'sub_',
  dtypes: 'promote',
  forward([target, x], { scalar }) {
    update('sub_', native.sub, target!, x ?? null, scalar ?? 0);
    return target!;
  },
  grad: ([g], { inputShapes }) => (g && inputShapes.length > 1 ? [g, neg(sumTo(g, inputShapes[1]!))] : [g ?? null]),
});

const mulOp = defineOp<InPlaceParams>({
  name: 'mul_',
  dtypes: 'promote',
  forward([target, x], { scalar }, ctx) {
    if (x && (ctx.needsGrad(0) || ctx.needsGrad(1))) {
      const saved = [x.storage === target!.storage ? remember(x) : x];
      if (ctx.needsGrad(1)) saved.push(remember(target!));
      ctx.save(...saved);
    }
    update('mul_', native.mul, target!, x ?? null, scalar ?? 0);
    return target!;
  },
  grad([g], { saved: [x, before], params: { scalar }, inputShapes }) {
    if (!g) return inputShapes.map(() => null);
    if (!x) return [mul(g, scalar!)];
    return [mul(g, x), before ? sumTo(mul(g, before), inputShapes[1]!) : null];
  },
});

const divOp = defineOp<InPlaceParams>({
  name: 'div_',
  dtypes: 'promote',
  forward([target, x], { scalar }, ctx) {
    if (x && (ctx.needsGrad(0) || ctx.needsGrad(1))) {
      const saved = [x.storage === target!.storage ? remember(x) : x];
      if (ctx.needsGrad(1)) saved.push(remember(target!));
      ctx.save(...saved);
    }
    update('div_', native.div, target!, x ?? null, scalar ?? 1);
    return target!;
  },
  grad([g], { saved: [x, before], params: { scalar }, inputShapes }) {
    if (!g) return inputShapes.map(() => null);
    if (!x) return [div(g, scalar!)];
    return [div(g, x), before ? sumTo(neg(div(mul(g, div(before, x)), x)), inputShapes[1]!) : null];
  },
});

function applyArithmetic(op: OpDefinition<InPlaceParams>, target: Tensor, x: Operand, divides: boolean): Tensor {
  if (divides && !isFloating(target.dtype)) {
    throw dtypeError(
      op.name,
      `a quotient is floating and cannot be written into ${target.dtype}`,
      'Use div, which gives float32.',
    );
  }
  if (typeof x !== 'number') return applyInPlace(op, target, [x], { scalar: null });
  if (dtypeCategory(resultTypeWithNumber(target.dtype, x)) > dtypeCategory(target.dtype)) {
    throw dtypeError(
      op.name,
      `the result with ${x} does not fit ${target.dtype}`,
      'Use the op without the trailing underscore.',
    );
  }
  return applyInPlace(op, target, [], { scalar: x });
}

const fillOp = defineOp<{ readonly value: number }>({
  name: 'fill_',
  forward([target], { value }) {
    const c = collapseDims(target!.shape, [target!.strides]);
    native.fill(target!.device, view(target!, c.shape, c.strides[0]!), value);
    return target!;
  },
  grad: () => [null],
});

const copyOp = defineOp<null>({
  name: 'copy_',
  forward([target, source]) {
    checkFits('copy_', target!.shape, source!.shape);
    copyInto('copy_', target!, apart(target!, source!));
    return target!;
  },
  grad([g], { inputShapes, inputDtypes }) {
    if (!g || !isFloating(inputDtypes[1]!)) return [null, null];
    return [null, cast(sumTo(g, inputShapes[1]!), inputDtypes[1]!)];
  },
});

interface DrawParams {
  readonly a: number;
  readonly b: number;
  readonly generator: Generator;
}

function drawOp(name: string, kernel: typeof native.uniform): OpDefinition<DrawParams> {
  return defineOp<DrawParams>({
    name,
    forward([target], { a, b, generator }) {
      const t = target!;
      const state = generator.stateOn(t.device);
      const flat = [t.numel];
      if (t.isContiguous()) {
        kernel(t.device, state, viewAs(t, flat), a, b);
      } else {
        copyInto(
          name,
          t,
          Tensor.fresh(kernel(t.device, state, { dtype: t.dtype, shape: flat }, a, b), t.shape, t.dtype),
        );
      }
      state.storage.bump();
      return t;
    },
    grad: () => [null],
  });
}

const uniformOp = drawOp('uniform_', native.uniform);
const normalOp = drawOp('normal_', native.normal);

function draw(
  op: OpDefinition<DrawParams>,
  target: Tensor,
  a: number,
  b: number,
  generator: Generator = defaultGenerator,
): Tensor {
  if (!isFloating(target.dtype))
    throw dtypeError(op.name, `draws floating numbers, the target is ${target.dtype}`, 'Use randint.');
  return applyInPlace(op, target, [], { a, b, generator });
}

export interface DrawOptions {
  generator?: Generator;
}

declare module '../tensor.js' {
  interface Tensor {
    /** Adds `other`, broadcast, in place. @throws InPlaceError for a leaf that requires a gradient, outside noGrad() */
    add_(other: Operand): Tensor;
    /** Subtracts `other`, broadcast, in place. */
    sub_(other: Operand): Tensor;
    /** Multiplies by `other`, broadcast, in place. */
    mul_(other: Operand): Tensor;
    /** Divides by `other`, broadcast, in place. @throws DTypeError for integers */
    div_(other: Operand): Tensor;
    /** Writes 0 everywhere. */
    zero_(): Tensor;
    /** Writes one value everywhere. */
    fill_(value: number): Tensor;
    /** Copies `source`, broadcast and converted, into this tensor. The gradient flows to source. */
    copy_(source: Tensor): Tensor;
    /** Draws each element from [low, high); default [0, 1). */
    uniform_(low?: number, high?: number, options?: DrawOptions): Tensor;
    /** Draws each element from the normal distribution; default mean 0, deviation 1. */
    normal_(mean?: number, std?: number, options?: DrawOptions): Tensor;
  }
}

Tensor.prototype.add_ = function (other) {
  return applyArithmetic(addOp, this, other, false);
};
Tensor.prototype.sub_ = function (other) {
  return applyArithmetic(subOp, this, other, false);
};
Tensor.prototype.mul_ = function (other) {
  return applyArithmetic(mulOp, this, other, false);
};
Tensor.prototype.div_ = function (other) {
  return applyArithmetic(divOp, this, other, true);
};
Tensor.prototype.zero_ = function () {
  return applyInPlace(fillOp, this, [], { value: 0 });
};
Tensor.prototype.fill_ = function (value) {
  return applyInPlace(fillOp, this, [], { value });
};
Tensor.prototype.copy_ = function (source) {
  return applyInPlace(copyOp, this, [source], null);
};
Tensor.prototype.uniform_ = function (low = 0, high = 1, options) {
  return draw(uniformOp, this, low, high, options?.generator);
};
Tensor.prototype.normal_ = function (mean = 0, std = 1, options) {
  return draw(normalOp, this, mean, std, options?.generator);
};
