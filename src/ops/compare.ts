/** Comparisons, logic and selection. Their results are bool; `where` alone has a gradient. */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { defineOp, type OpDefinition } from '../autograd/define.js';
import { resultTypeWithNumber, promoteTypes } from '../dtype.js';
import { Tensor } from '../tensor.js';
import { applyBinary, type Scalars } from './arithmetic.js';
import { to } from './copy.js';
import { sumTo } from './reduce.js';
import { broadcastShape, collapseDims, expandStrides } from '../shape.js';
import { type BinaryKernel, dtypeError, type Operand, runBinary, runUnary, view, method } from './support.js';

function comparison(name: string, kernel: BinaryKernel): OpDefinition<Scalars> {
  return defineOp<Scalars>({
    name,
    dtypes: 'promote',
    forward(inputs, { a, b }) {
      const x = a === null ? inputs[0]! : null;
      const y = b === null ? inputs[inputs.length - 1]! : null;
      return runBinary(name, kernel, x, y, 'bool', a ?? 0, b ?? 0);
    },
  });
}

const eqOp = comparison('eq', native.eq);
const neOp = comparison('ne', native.ne);
const ltOp = comparison('lt', native.lt);
const leOp = comparison('le', native.le);
const gtOp = comparison('gt', native.gt);
const geOp = comparison('ge', native.ge);
const andOp = comparison('logicalAnd', native.logicalAnd);
const orOp = comparison('logicalOr', native.logicalOr);

/** a == b, broadcast; bool. NaN equals nothing. @throws ShapeError where the shapes do not broadcast */
export function eq(a: Operand, b: Operand): Tensor {
  return applyBinary(eqOp, a, b);
}

/** a != b, broadcast; bool. NaN differs from everything. */
export function ne(a: Operand, b: Operand): Tensor {
  return applyBinary(neOp, a, b);
}

/** a < b, broadcast; bool. */
export function lt(a: Operand, b: Operand): Tensor {
  return applyBinary(ltOp, a, b);
}

/** a <= b, broadcast; bool. */
export function le(a: Operand, b: Operand): Tensor {
  return applyBinary(leOp, a, b);
}

/** a > b, broadcast; bool. */
export function gt(a: Operand, b: Operand): Tensor {
  return applyBinary(gtOp, a, b);
}

/** a >= b, broadcast; bool. */
export function ge(a: Operand, b: Operand): Tensor {
  return applyBinary(geOp, a, b);
}

function truth(op: string, x: Tensor): Tensor {
  x.checkUsable(op);
  return to(x, 'bool');
}

/** Whether a and b are both true (not 0; NaN is true), broadcast; bool. */
export function logicalAnd(a: Tensor, b: Tensor): Tensor {
  return applyBinary(andOp, truth('logicalAnd', a), truth('logicalAnd', b));
}

/** Whether a or b is true (not 0; NaN is true), broadcast; bool. */
export function logicalOr(a: Tensor, b: Tensor): Tensor {
  return applyBinary(orOp, truth('logicalOr', a), truth('logicalOr', b));
}

const notOp = defineOp<null>({
  name: 'logicalNot',
  forward: ([x]) => runUnary(native.logicalNot, x!, 'bool'),
});

/** Whether x is 0 (or false); bool. */
export function logicalNot(x: Tensor): Tensor {
  return apply(notOp, [truth('logicalNot', x)], null);
}

const whereOp = defineOp<Scalars>({
  name: 'where',
  dtypes: 'none',
  forward(inputs, params, ctx) {
    const cond = inputs[0]!;
    const a = params.a === null ? inputs[1]! : null;
    const b = params.b === null ? inputs[inputs.length - 1]! : null;
    const dtype = inputs[1]!.dtype;
    let shape = cond.shape;
    for (const x of [a, b]) if (x) shape = broadcastShape(shape, x.shape, 'where');
    const strides = [cond, a, b].map((x) =>
      x ? expandStrides(x.shape, x.strides, shape, 'where') : shape.map(() => 0),
    );
    const c = collapseDims(shape, strides);
    const [vc, va, vb] = [cond, a, b].map((x, i) => x && view(x, c.shape, c.strides[i]!));
    for (let i = 1; i < inputs.length; i++) {
      if (ctx.needsGrad(i)) {
        ctx.save(cond);
        break;
      }
    }
    const out = native.where(cond.device, vc!, va!, vb!, { dtype, shape: c.shape }, params.a ?? 0, params.b ?? 0);
    return Tensor.fresh(out, shape, dtype);
  },
  grad([g], ctx) {
    const {
      params,
      saved: [cond],
      inputShapes,
    } = ctx;
    const grads: (Tensor | null)[] = [null];
    if (params.a === null) grads.push(g && ctx.needsGrad(1) ? sumTo(where(cond!, g, 0), inputShapes[1]!) : null);
    if (params.b === null) {
      const i = inputShapes.length - 1;
      grads.push(g && ctx.needsGrad(i) ? sumTo(where(cond!, 0, g), inputShapes[i]!) : null);
    }
    return grads;
  },
});

/**
 * a where `cond` holds, else b; all three broadcast. The gradient of the side not taken is 0, never NaN.
 *
 * @param cond bool
 * @param a a tensor or a number; dtypes of a and b meet by PyTorch's promotion
 * @throws DTypeError where cond is not bool, or both a and b are numbers
 */
export function where(cond: Tensor, a: Operand, b: Operand): Tensor {
  for (const x of [cond, a, b]) if (typeof x !== 'number') x.checkUsable('where');
  if (cond.dtype !== 'bool') {
    throw dtypeError('where', `cond must be bool, got ${cond.dtype}`, 'Compare first, for example x.ne(0).');
  }
  if (typeof a === 'number') {
    if (typeof b === 'number') throw dtypeError('where', 'both sides are numbers.', 'Wrap one: tensor(0).');
    return apply(whereOp, [cond, to(b, resultTypeWithNumber(b.dtype, a))], { a, b: null });
  }
  if (typeof b === 'number') return apply(whereOp, [cond, to(a, resultTypeWithNumber(a.dtype, b))], { a: null, b });
  const dtype = promoteTypes(a.dtype, b.dtype);
  return apply(whereOp, [cond, to(a, dtype), to(b, dtype)], { a: null, b: null });
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link eq}. */
    eq(other: Operand): Tensor;
    /** See {@link ne}. */
    ne(other: Operand): Tensor;
    /** See {@link lt}. */
    lt(other: Operand): Tensor;
    /** See {@link le}. */
    le(other: Operand): Tensor;
    /** See {@link gt}. */
    gt(other: Operand): Tensor;
    /** See {@link ge}. */
    ge(other: Operand): Tensor;
    /** See {@link logicalAnd}. */
    logicalAnd(other: Tensor): Tensor;
    /** See {@link logicalOr}. */
    logicalOr(other: Tensor): Tensor;
    /** See {@link logicalNot}. */
    logicalNot(): Tensor;
    /** This tensor where `cond` holds, else `other`. See {@link where}. */
    where(cond: Tensor, other: Operand): Tensor;
  }
}

Tensor.prototype.eq = method(eq);
Tensor.prototype.ne = method(ne);
Tensor.prototype.lt = method(lt);
Tensor.prototype.le = method(le);
Tensor.prototype.gt = method(gt);
Tensor.prototype.ge = method(ge);
Tensor.prototype.logicalAnd = method(logicalAnd);
Tensor.prototype.logicalOr = method(logicalOr);
Tensor.prototype.logicalNot = method(logicalNot);
Tensor.prototype.where = function (cond, other) {
  return where(cond, this, other);
};
