/** Functions of one tensor, element by element, each with its gradient beside it. */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { defineOp, type OpDefinition } from '../autograd/define.js';
import { NotSupportedError } from '../errors.js';
import { Tensor } from '../tensor.js';
import { add, div, mul, sub } from './arithmetic.js';
import { le, where } from './compare.js';
import {
  type BinaryKernel,
  dtypeError,
  requireFloat,
  runBinary,
  runUnary,
  type UnaryKernel,
  method,
} from './support.js';

interface UnaryRule {
  /** what the gradient reads: the input x or the output y */
  readonly save: 'x' | 'y';
  /** the gradient, composed of recorded ops; s is what was saved */
  grad(g: Tensor, s: Tensor): Tensor;
  /** the kernel of (g, s), where there is one */
  readonly fused?: BinaryKernel;
  readonly dtypes?: 'float' | 'none';
}

function unaryOp(name: string, kernel: UnaryKernel, rule: UnaryRule): OpDefinition<null> {
  const { fused } = rule;
  return defineOp<null>({
    name,
    dtypes: rule.dtypes ?? 'float',
    forward([x], _, ctx) {
      const y = runUnary(kernel, x!, x!.dtype);
      if (ctx.needsGrad(0)) ctx.save(rule.save === 'x' ? x! : y);
      return y;
    },
    grad: ([g], { saved: [s] }) => [g ? rule.grad(g, s!) : null],
    ...(fused && {
      backward: ([g], { saved: [s] }) => [g ? runBinary(`${name} backward`, fused, g, s!, s!.dtype, 0, 0) : null],
    }),
  });
}

const expOp = unaryOp('exp', native.exp, { save: 'y', grad: (g, y) => mul(g, y) });
const logOp = unaryOp('log', native.log, { save: 'x', grad: (g, x) => div(g, x) });
const sqrtOp = unaryOp('sqrt', native.sqrt, { save: 'y', grad: (g, y) => div(g, mul(y, 2)) });
const squareOp = defineOp<null>({
  name: 'square',
  forward([x], _, ctx) {
    if (ctx.needsGrad(0)) ctx.save(x!);
    return runBinary('square', native.mul, x!, x!, x!.dtype, 0, 0);
  },
  grad: ([g], { saved: [x] }) => [g ? mul(g, mul(x!, 2)) : null],
});
const tanhOp = unaryOp('tanh', native.tanh, {
  save: 'y',
  grad: (g, y) => mul(g, sub(1, mul(y, y))),
  fused: native.tanhBackward,
});
const sigmoidOp = unaryOp('sigmoid', native.sigmoid, {
  save: 'y',
  grad: (g, y) => mul(g, mul(y, sub(1, y))),
  fused: native.sigmoidBackward,
});
const erfOp = unaryOp('erf', native.erf, {
  save: 'x',
  grad: (g, x) => mul(mul(g, 2 / Math.sqrt(Math.PI)), exp(mul(mul(x, x), -1))),
});
const reluOp = unaryOp('relu', native.relu, {
  save: 'y',
  dtypes: 'none',
  grad: (g, y) => reluGrad(g, y),
  fused: native.reluBackward,
});
const geluOp = unaryOp('gelu', native.gelu, { save: 'x', grad: (g, x) => geluGrad(g, x), fused: native.geluBackward });
const geluTanhOp = unaryOp('gelu', native.geluTanh, {
  save: 'x',
  grad: (g, x) => geluTanhGrad(g, x),
  fused: native.geluTanhBackward,
});

/** The gradient of relu from its output: 0 at and below 0; NaN passes the gradient on, as in PyTorch. */
export function reluGrad(g: Tensor, y: Tensor): Tensor {
  return where(le(y, 0), 0, g);
}

/** d/dx x Phi(x) = Phi(x) + x phi(x), with the normal distribution function Phi and its density phi. */
export function geluGrad(g: Tensor, x: Tensor): Tensor {
  const distribution = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return mul(g, add(distribution, mul(x, density)));
}

/** d/dx x (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3). */
export function geluTanhGrad(g: Tensor, x: Tensor): Tensor {
  const k = Math.sqrt(2 / Math.PI);
  const xx = mul(x, x);
  const t = tanh(mul(x, add(mul(xx, k * 0.044715), k)));
  const du = add(mul(xx, 3 * k * 0.044715), k);
  const slope = mul(mul(x, sub(1, mul(t, t))), du);
  return mul(mul(g, 0.5), add(add(t, 1), slope));
}

/** e^x. Integers become float32, in this function as in all below unless they say otherwise. */
export function exp(x: Tensor): Tensor {
  return apply(expOp, [x], null);
}

/** The natural logarithm: -Infinity at 0, NaN below. */
export function log(x: Tensor): Tensor {
  return apply(logOp, [x], null);
}

/** The square root, correctly rounded; NaN below 0. */
export function sqrt(x: Tensor): Tensor {
  return apply(sqrtOp, [x], null);
}

/** x x. Integers stay integers. */
export function square(x: Tensor): Tensor {
  return apply(squareOp, [x], null);
}

/** The hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return apply(tanhOp, [x], null);
}

/** 1 / (1 + e^-x). */
export function sigmoid(x: Tensor): Tensor {
  return apply(sigmoidOp, [x], null);
}

/** The error function 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x. */
export function erf(x: Tensor): Tensor {
  return apply(erfOp, [x], null);
}

/** max(x, 0); the gradient at 0 is 0, NaN stays NaN. Integers stay integers. @throws DTypeError for bool */
export function relu(x: Tensor): Tensor {
  if (x.dtype === 'bool') throw dtypeError('relu', 'is not defined for bool tensors.', 'Cast first.');
  return apply(reluOp, [x], null);
}

export interface GeluOptions {
  /** 'none': by the error function; 'tanh': by Hendrycks and Gimpel's approximation. Default 'none'. */
  approximate?: 'none' | 'tanh';
}

/**
 * x Phi(x), with the standard normal distribution function Phi (Hendrycks and Gimpel 2016).
 *
 * @throws DTypeError for integers and bool
 */
export function gelu(x: Tensor, { approximate = 'none' }: GeluOptions = {}): Tensor {
  requireFloat('gelu', x);
  if (approximate !== 'none' && approximate !== 'tanh') {
    throw new NotSupportedError(`approximate must be 'none' or 'tanh', got ${String(approximate)}`, { op: 'gelu' });
  }
  return apply(approximate === 'tanh' ? geluTanhOp : geluOp, [x], null);
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link exp}. */
    exp(): Tensor;
    /** See {@link log}. */
    log(): Tensor;
    /** See {@link sqrt}. */
    sqrt(): Tensor;
    /** See {@link square}. */
    square(): Tensor;
    /** See {@link tanh}. */
    tanh(): Tensor;
    /** See {@link sigmoid}. */
    sigmoid(): Tensor;
    /** See {@link erf}. */
    erf(): Tensor;
    /** See {@link relu}. */
    relu(): Tensor;
    /** See {@link gelu}. */
    gelu(options?: GeluOptions): Tensor;
  }
}

Tensor.prototype.exp = method(exp);
Tensor.prototype.log = method(log);
Tensor.prototype.sqrt = method(sqrt);
Tensor.prototype.square = method(square);
Tensor.prototype.tanh = method(tanh);
Tensor.prototype.sigmoid = method(sigmoid);
Tensor.prototype.erf = method(erf);
Tensor.prototype.relu = method(relu);
Tensor.prototype.gelu = method(gelu);
