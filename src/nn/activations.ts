/** Layers without parameters. */
import { dropout } from '../ops/dropout.js';
import { gelu, relu, sigmoid, tanh } from '../ops/elementwise.js';
import { maxPool2d } from '../ops/pool.js';
import { softmax } from '../ops/softmax.js';
import { flatten } from '../ops/view.js';
import { ShapeError } from '../errors.js';
import type { Generator } from '../random.js';
import type { Tensor } from '../tensor.js';
import { pair, type Pair } from './layers.js';
import { Module } from './module.js';

export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** x Phi(x), or its tanh approximation (Hendrycks and Gimpel 2016). */
export class GELU extends Module {
  readonly approximate: 'none' | 'tanh';

  constructor({ approximate = 'none' }: { approximate?: 'none' | 'tanh' } = {}) {
    super();
    this.approximate = approximate;
  }

  override forward(x: Tensor): Tensor {
    return gelu(x, { approximate: this.approximate });
  }
}

export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return tanh(x);
  }
}

export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return sigmoid(x);
  }
}

/** Softmax along `dim`. */
export class Softmax extends Module {
  constructor(readonly dim: number) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return softmax(x, this.dim);
  }

  protected override extraRepr(): string {
    return `dim: ${this.dim}`;
  }
}

/** In training, zeroes each element with probability p and scales the rest by 1 / (1 - p); in eval, the identity. */
export class Dropout extends Module {
  readonly p: number;
  readonly #generator: Generator | undefined;

  constructor(p = 0.5, { generator }: { generator?: Generator } = {}) {
    super();
    if (!(p >= 0 && p <= 1)) throw new ShapeError(`p must be a probability in [0, 1], got ${p}.`, { op: 'Dropout' });
    this.p = p;
    this.#generator = generator;
  }

  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training, generator: this.#generator });
  }

  protected override extraRepr(): string {
    return `p: ${this.p}`;
  }
}

export interface MaxPool2dOptions {
  /** default: the kernel size */
  stride?: Pair;
  /** default 0 */
  padding?: Pair;
  /** default 1 */
  dilation?: Pair;
}

/** The maximum of each window of x [N, C, H, W]. */
export class MaxPool2d extends Module {
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];

  constructor(kernelSize: Pair, { stride = kernelSize, padding = 0, dilation = 1 }: MaxPool2dOptions = {}) {
    super();
    this.kernelSize = pair(kernelSize);
    this.stride = pair(stride);
    this.padding = pair(padding);
    this.dilation = pair(dilation);
  }

  override forward(x: Tensor): Tensor {
    const { stride, padding, dilation } = this;
    return maxPool2d(x, this.kernelSize, { stride, padding, dilation });
  }

  protected override extraRepr(): string {
    return `[${this.kernelSize.join(', ')}], stride: [${this.stride.join(', ')}]`;
  }
}

/** Joins dims startDim to endDim (both included, negative ones from the end) into one; default all but the first. */
export class Flatten extends Module {
  readonly startDim: number;
  readonly endDim: number;

  constructor(startDim = 1, endDim = -1) {
    super();
    this.startDim = startDim;
    this.endDim = endDim;
  }

  override forward(x: Tensor): Tensor {
    return flatten(x, this.startDim, this.endDim);
  }
}
