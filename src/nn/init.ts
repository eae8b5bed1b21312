/**
 * Initialisers. Each writes its tensor in place (not recorded, whatever requires a gradient) and returns it; random
 * ones draw from `generator`, by default the default generator. Sources: Glorot and Bengio 2010 (xavier), He et al.
 * 2015 (kaiming).
 */
import * as native from '../addon.ops.js';
import { InPlaceError, ShapeError } from '../errors.js';
import { copyInto } from '../ops/support.js';
import { defaultGenerator, type Generator } from '../random.js';
import { Tensor } from '../tensor.js';

export interface RandomInit {
  generator?: Generator;
}

export type Nonlinearity = 'linear' | 'conv2d' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu';

export interface KaimingOptions extends RandomInit {
  /** the negative slope of a leaky relu; default 0 */
  a?: number;
  /** 'fanIn' keeps the variance of the forward pass, 'fanOut' of the backward pass; default 'fanIn' */
  mode?: 'fanIn' | 'fanOut';
  /** default 'leakyRelu' */
  nonlinearity?: Nonlinearity;
}

type Draw = typeof native.uniform;

function draw(
  op: string,
  kernel: Draw,
  t: Tensor,
  a: number,
  b: number,
  { generator = defaultGenerator }: RandomInit,
): Tensor {
  writable(op, t);
  if (t.numel === 0) return t;
  const state = generator.stateOn(t.device);
  if (t.isContiguous()) {
    kernel(t.device, state, t, a, b);
  } else {
    const drawn = Tensor.fresh(kernel(t.device, state, { dtype: t.dtype, shape: t.shape }, a, b), t.shape, t.dtype);
    copyInto(op, t, drawn);
    drawn.dispose();
  }
  t.storage.bump();
  return t;
}

/** A view that repeats elements has no value of its own to write. */
function writable(op: string, t: Tensor): void {
  if (t.strides.some((stride, d) => stride === 0 && t.shape[d]! > 1)) {
    throw new InPlaceError(`cannot write a tensor of shape (${t.shape.join(', ')}) that repeats elements.`, {
      op,
      shapes: [t.shape],
      hint: 'Make it contiguous first.',
    });
  }
}

export function constant_(t: Tensor, value: number): Tensor {
  writable('constant_', t);
  native.fill(t.device, t, value);
  t.storage.bump();
  return t;
}

export function zeros_(t: Tensor): Tensor {
  return constant_(t, 0);
}

export function ones_(t: Tensor): Tensor {
  return constant_(t, 1);
}

/** Uniform in [a, b); default [0, 1). */
export function uniform_(t: Tensor, a = 0, b = 1, options: RandomInit = {}): Tensor {
  return draw('uniform_', native.uniform, t, a, b, options);
}

/** Normal with the given mean and standard deviation; default 0 and 1. */
export function normal_(t: Tensor, mean = 0, std = 1, options: RandomInit = {}): Tensor {
  return draw('normal_', native.normal, t, mean, std, options);
}

/**
 * The number of inputs and outputs of one unit of a weight [O, I, ...kernel]. Throws ShapeError below two dims.
 */
export function fans(op: string, t: Tensor): { fanIn: number; fanOut: number } {
  const [out, inn, ...kernel] = t.shape;
  if (out === undefined || inn === undefined) {
    throw new ShapeError(`needs a weight of at least two dims, got shape (${t.shape.join(', ')}).`, {
      op,
      shapes: [t.shape],
    });
  }
  const field = kernel.reduce((product, n) => product * n, 1);
  return { fanIn: inn * field, fanOut: out * field };
}

/** PyTorch's recommended gain of a nonlinearity; `param` is the slope of a leaky relu (default 0.01). */
export function gain(nonlinearity: Nonlinearity, param = 0.01): number {
  switch (nonlinearity) {
    case 'tanh':
      return 5 / 3;
    case 'relu':
      return Math.SQRT2;
    case 'leakyRelu':
      return Math.sqrt(2 / (1 + param * param));
    case 'selu':
      return 3 / 4;
    default:
      return 1;
  }
}

function kaimingStd(
  op: string,
  t: Tensor,
  { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu' }: KaimingOptions,
): number {
  return gain(nonlinearity, a) / Math.sqrt(fans(op, t)[mode]);
}

function xavierStd(op: string, t: Tensor, factor: number): number {
  const { fanIn, fanOut } = fans(op, t);
  return factor * Math.sqrt(2 / (fanIn + fanOut));
}

/** Uniform in [-b, b) with b = gain sqrt(3 / fan). */
export function kaimingUniform_(t: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd('kaimingUniform_', t, options);
  return uniform_(t, -bound, bound, options);
}

/** Normal with mean 0 and deviation gain / sqrt(fan). */
export function kaimingNormal_(t: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(t, 0, kaimingStd('kaimingNormal_', t, options), options);
}

/** Uniform in [-b, b) with b = gain sqrt(6 / (fanIn + fanOut)). */
export function xavierUniform_(t: Tensor, options: RandomInit & { gain?: number } = {}): Tensor {
  const bound = Math.sqrt(3) * xavierStd('xavierUniform_', t, options.gain ?? 1);
  return uniform_(t, -bound, bound, options);
}

/** Normal with mean 0 and deviation gain sqrt(2 / (fanIn + fanOut)). */
export function xavierNormal_(t: Tensor, options: RandomInit & { gain?: number } = {}): Tensor {
  return normal_(t, 0, xavierStd('xavierNormal_', t, options.gain ?? 1), options);
}
