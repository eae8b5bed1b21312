/** Arithmetic on two operands, broadcast, and its unary companions. JS numbers are weak scalars: they never widen a dtype of their kind. */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { defineOp, type OpDefinition } from '../autograd/define.js';
import { resultTypeWithNumber } from '../dtype.js';
import { Tensor } from '../tensor.js';
import { eq, gt, lt, where } from './compare.js';
import { to } from './copy.js';
import { sumTo } from './reduce.js';
import { type BinaryKernel, dtypeError, filled, type Operand, runBinary, runUnary, method } from './support.js';

/** Which operand is a number; the other ones are the inputs, in order. */
export interface Scalars {
  readonly a: number | null;
  readonly b: number | null;
}
const noScalars: Scalars = { a: null, b: null };

/** The gradients of both operands, in the broadcast shape; each is asked for only where it is wanted. */
interface BinaryRule {
  /** whether the rule reads the operands' values */
  readonly values: 'none' | 'other' | 'both';
  a(g: Tensor, a: Operand, b: Operand): Tensor;
  b(g: Tensor, a: Operand, b: Operand): Tensor;
}

const absent = 0;

function binaryOp(
  name: string,
  kernel: BinaryKernel,
  dtypes: 'promote' | 'float',
  rule: BinaryRule,
): OpDefinition<Scalars> {
  return defineOp<Scalars>({
    name,
    dtypes,
    forward(inputs, params, ctx) {
      const a = params.a === null ? inputs[0]! : null;
      const b = params.b === null ? inputs[inputs.length - 1]! : null;
      if (a === null || b === null) {
        const x = inputs[0]!;
        if (rule.values === 'both' && ctx.needsGrad(0)) ctx.save(x);
        return runBinary(name, kernel, a, b, x.dtype, params.a ?? 0, params.b ?? 0);
      }
      if (rule.values === 'both') {
        if (ctx.needsGrad(0) || ctx.needsGrad(1)) ctx.save(a, b);
      } else if (rule.values === 'other') {
        if (ctx.needsGrad(0)) {
          if (ctx.needsGrad(1)) ctx.save(a, b);
          else ctx.save(b);
        } else if (ctx.needsGrad(1)) {
          ctx.save(a);
        }
      }
      return runBinary(name, kernel, a, b, a.dtype, 0, 0);
    },
    grad([g], ctx) {
      const { params, saved, inputShapes } = ctx;
      if (!g) return inputShapes.map(() => null);
      if (params.a !== null) return [rule.b(g, params.a, saved[0] ?? absent)];
      if (params.b !== null) return [rule.a(g, saved[0] ?? absent, params.b)];
      let a: Operand = absent;
      let b: Operand = absent;
      if (rule.values === 'both') [a, b] = [saved[0]!, saved[1]!];
      else if (rule.values === 'other') {
        if (ctx.needsGrad(1)) a = saved[0]!;
        if (ctx.needsGrad(0)) b = saved[saved.length - 1]!;
      }
      return [
        ctx.needsGrad(0) ? sumTo(rule.a(g, a, b), inputShapes[0]!) : null,
        ctx.needsGrad(1) ? sumTo(rule.b(g, a, b), inputShapes[1]!) : null,
      ];
    },
  });
}

const addOp = binaryOp('add', native.add, 'promote', { values: 'none', a: (g) => g, b: (g) => g });
const subOp = binaryOp('sub', native.sub, 'promote', { values: 'none', a: (g) => g, b: (g) => neg(g) });
const mulOp = binaryOp('mul', native.mul, 'promote', {
  values: 'other',
  a: (g, _, b) => mul(g, b),
  b: (g, a) => mul(g, a),
});
const divOp = binaryOp('div', native.div, 'float', {
  values: 'both',
  a: (g, _, b) => div(g, b),
  b: (g, a, b) => neg(div(mul(g, div(a, b)), b)),
});

/** PyTorch's rule: the winner takes the gradient, equal operands half of it each, and where one is NaN both take all. */
function share(g: Tensor, tie: Tensor, lost: Tensor): Tensor {
  return where(lost, 0, where(tie, mul(g, 0.5), g));
}
const minimumOp = binaryOp('minimum', native.minimum, 'promote', {
  values: 'both',
  a: (g, a, b) => share(g, eq(a, b), gt(a, b)),
  b: (g, a, b) => share(g, eq(a, b), gt(b, a)),
});
const maximumOp = binaryOp('maximum', native.maximum, 'promote', {
  values: 'both',
  a: (g, a, b) => share(g, eq(a, b), lt(a, b)),
  b: (g, a, b) => share(g, eq(a, b), lt(b, a)),
});

/** x in the dtype in which it meets the number: an integer tensor turns to float32 for a number with a fraction. */
function meet(op: string, x: Tensor, scalar: number): Tensor {
  const dtype = resultTypeWithNumber(x.dtype, scalar);
  if (dtype === x.dtype) return x;
  x.checkUsable(op);
  return to(x, dtype);
}

/** Applies a binary op to tensors or numbers, at least one of them a tensor. */
export function applyBinary(op: OpDefinition<Scalars>, a: Operand, b: Operand): Tensor {
  if (typeof b !== 'number') {
    if (typeof a !== 'number') return apply(op, [a, b], noScalars);
    return apply(op, [meet(op.name, b, a)], { a, b: null });
  }
  if (typeof a === 'number')
    throw dtypeError(op.name, 'needs a tensor; both operands are numbers.', 'Wrap one: tensor(2).');
  return apply(op, [meet(op.name, a, b)], { a: null, b });
}

/**
 * a + b, broadcast. Dtypes meet by PyTorch's promotion; bool + bool is a logical or.
 *
 * @param a any shape that broadcasts with b, or a number
 * @param options.alpha multiplies b first; default 1
 * @throws ShapeError where the shapes do not broadcast
 */
export function add(a: Operand, b: Operand, options?: { alpha?: number }): Tensor {
  const alpha = options?.alpha ?? 1;
  return applyBinary(addOp, a, alpha === 1 ? b : mulAny(b, alpha));
}

/** a - b, broadcast. @throws DTypeError for bool operands: use logical functions */
export function sub(a: Operand, b: Operand, options?: { alpha?: number }): Tensor {
  const alpha = options?.alpha ?? 1;
  refuseBool('sub', a, b);
  return applyBinary(subOp, a, alpha === 1 ? b : mulAny(b, alpha));
}

function mulAny(x: Operand, factor: number): Operand {
  return typeof x === 'number' ? x * factor : mul(x, factor);
}

/** a b, element by element, broadcast. */
export function mul(a: Operand, b: Operand): Tensor {
  return applyBinary(mulOp, a, b);
}

/** a / b, true division: integers give float32. x / 0 is infinite or NaN, as IEEE 754 says. */
export function div(a: Operand, b: Operand): Tensor {
  return applyBinary(divOp, a, b);
}

/** The smaller of a and b, NaN where either is. Equal operands share the gradient evenly. */
export function minimum(a: Operand, b: Operand): Tensor {
  return applyBinary(minimumOp, a, b);
}

/** The larger of a and b, NaN where either is. Equal operands share the gradient evenly. */
export function maximum(a: Operand, b: Operand): Tensor {
  return applyBinary(maximumOp, a, b);
}

function refuseBool(op: string, ...operands: readonly Operand[]): void {
  if (operands.every((x) => typeof x !== 'number' && x.dtype === 'bool')) {
    throw dtypeError(op, 'is not defined for bool tensors.', 'Use logicalNot, logicalAnd or ne, or cast to int32.');
  }
}

const negOp = defineOp<null>({
  name: 'neg',
  forward: ([x]) => runUnary(native.neg, x!, x!.dtype),
  grad: ([g]) => [g ? neg(g) : null],
});

/** -x. @throws DTypeError for bool */
export function neg(x: Tensor): Tensor {
  refuseBool('neg', x);
  return apply(negOp, [x], null);
}

const absOp = defineOp<null>({
  name: 'abs',
  forward([x], _, ctx) {
    if (ctx.needsGrad(0)) ctx.save(x!);
    return runUnary(native.abs, x!, x!.dtype);
  },
  grad: ([g], { saved: [x] }) => [g ? mul(g, sign(x!)) : null],
});

/** |x|; its gradient at 0 is 0. @throws DTypeError for bool */
export function abs(x: Tensor): Tensor {
  refuseBool('abs', x);
  return apply(absOp, [x], null);
}

const signOp = defineOp<null>({
  name: 'sign',
  forward: ([x]) => runUnary(native.sign, x!, x!.dtype),
  grad: ([g]) => [g ? filled(g.device, g.shape, g.dtype, 0) : null],
});

/** -1, 0 or 1 by the sign of x, in its dtype; NaN stays NaN (PyTorch gives 0 there). Its gradient is 0. @throws DTypeError for bool */
export function sign(x: Tensor): Tensor {
  refuseBool('sign', x);
  return apply(signOp, [x], null);
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link add}. */
    add(other: Operand, options?: { alpha?: number }): Tensor;
    /** See {@link sub}. */
    sub(other: Operand, options?: { alpha?: number }): Tensor;
    /** See {@link mul}. */
    mul(other: Operand): Tensor;
    /** See {@link div}. */
    div(other: Operand): Tensor;
    /** See {@link minimum}. */
    minimum(other: Operand): Tensor;
    /** See {@link maximum}. */
    maximum(other: Operand): Tensor;
    /** See {@link neg}. */
    neg(): Tensor;
    /** See {@link abs}. */
    abs(): Tensor;
    /** See {@link sign}. */
    sign(): Tensor;
  }
}

Tensor.prototype.add = method(add);
Tensor.prototype.sub = method(sub);
Tensor.prototype.mul = method(mul);
Tensor.prototype.div = method(div);
Tensor.prototype.minimum = method(minimum);
Tensor.prototype.maximum = method(maximum);
Tensor.prototype.neg = method(neg);
Tensor.prototype.abs = method(abs);
Tensor.prototype.sign = method(sign);
