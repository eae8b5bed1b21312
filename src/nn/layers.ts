/** Layers with parameters. Layouts, names and default initialisation are PyTorch's. */
import * as native from '../addon.ops.js';
import type { DeviceLike } from '../device.js';
import type { DType } from '../dtype.js';
import { IndexError, ShapeError } from '../errors.js';
import { conv2d } from '../ops/conv.js';
import { zeros } from '../ops/create.js';
import { embedding } from '../ops/embedding.js';
import { linear } from '../ops/matmul.js';
import { layerNorm } from '../ops/norm.js';
import type { Generator } from '../random.js';
import type { Tensor } from '../tensor.js';
import { fans, kaimingUniform_, normal_, ones_, uniform_ } from './init.js';
import { Module } from './module.js';
import { parameter } from './parameter.js';

/** Where and how a layer's parameters are made. */
export interface LayerOptions {
  device?: DeviceLike;
  dtype?: DType;
  /** draws the initial values; default: the default generator */
  generator?: Generator;
}

/** A number for both axes, or [height, width]. */
export type Pair = number | readonly [number, number];

export function pair(value: Pair): readonly [number, number] {
  return typeof value === 'number' ? [value, value] : value;
}

/** Throws unless a size is a whole number of at least `least`. */
export function checkSize(op: string, name: string, value: number, least = 1): void {
  if (!Number.isInteger(value) || value < least) {
    throw new ShapeError(`${name} must be a whole number of at least ${least}, got ${value}.`, { op });
  }
}

/** The bound 1 / sqrt(fanIn) that PyTorch draws biases from. */
function initBias(bias: Tensor, weight: Tensor, generator: Generator | undefined): void {
  const { fanIn } = fans('bias', weight);
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  uniform_(bias, -bound, bound, { generator });
}

export interface LinearOptions extends LayerOptions {
  /** default true */
  bias?: boolean;
}

/** y = x W^T + b for x [..., inFeatures]; weight [outFeatures, inFeatures], bias [outFeatures]. */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { bias = true, device, dtype, generator }: LinearOptions = {},
  ) {
    super();
    checkSize('Linear', 'inFeatures', inFeatures, 0);
    checkSize('Linear', 'outFeatures', outFeatures, 0);
    this.weight = parameter(zeros([outFeatures, inFeatures], { device, dtype }));
    this.bias = bias ? parameter(zeros([outFeatures], { device, dtype })) : null;
    if (inFeatures > 0) kaimingUniform_(this.weight, { a: Math.sqrt(5), generator });
    if (this.bias) initBias(this.bias, this.weight, generator);
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }

  protected override extraRepr(): string {
    return `${this.inFeatures}, ${this.outFeatures}${this.bias ? '' : ', bias: false'}`;
  }
}

export interface Conv2dOptions extends LayerOptions {
  /** default 1 */
  stride?: Pair;
  /** zeros on each side; default 0 */
  padding?: Pair;
  /** default 1 */
  dilation?: Pair;
  /** default 1 */
  groups?: number;
  /** default true */
  bias?: boolean;
}

/** 2-D cross-correlation of x [N, C, H, W]; weight [O, C / groups, KH, KW], bias [O]. */
export class Conv2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: Pair,
    { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true, device, dtype, generator }: Conv2dOptions = {},
  ) {
    super();
    checkSize('Conv2d', 'inChannels', inChannels);
    checkSize('Conv2d', 'outChannels', outChannels);
    checkSize('Conv2d', 'groups', groups);
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new ShapeError(
        `groups ${groups} must divide both ${inChannels} input and ${outChannels} output channels.`,
        {
          op: 'Conv2d',
        },
      );
    }
    this.kernelSize = pair(kernelSize);
    this.stride = pair(stride);
    this.padding = pair(padding);
    this.dilation = pair(dilation);
    this.groups = groups;
    for (const n of this.kernelSize) checkSize('Conv2d', 'kernelSize', n);
    this.weight = parameter(zeros([outChannels, inChannels / groups, ...this.kernelSize], { device, dtype }));
    this.bias = bias ? parameter(zeros([outChannels], { device, dtype })) : null;
    kaimingUniform_(this.weight, { a: Math.sqrt(5), generator });
    if (this.bias) initBias(this.bias, this.weight, generator);
  }

  override forward(x: Tensor): Tensor {
    const { bias, stride, padding, dilation, groups } = this;
    return conv2d(x, this.weight, { bias, stride, padding, dilation, groups });
  }

  protected override extraRepr(): string {
    const { kernelSize, stride, padding } = this;
    const options = { kernelSize, stride, padding };
    const words = Object.entries(options).map(([name, [h, w]]) => `${name}: [${h}, ${w}]`);
    return [this.inChannels, this.outChannels, ...words].join(', ');
  }
}

export interface LayerNormOptions extends Omit<LayerOptions, 'generator'> {
  /** added to the variance; default 1e-5 */
  eps?: number;
  /** whether there is a weight, and with `bias` a bias; default true */
  elementwiseAffine?: boolean;
  /** default true */
  bias?: boolean;
}

/** Normalises over the last dims `normalizedShape`; weight and bias have that shape. */
export class LayerNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;

  constructor(
    normalizedShape: number | readonly number[],
    { eps = 1e-5, elementwiseAffine = true, bias = true, device, dtype }: LayerNormOptions = {},
  ) {
    super();
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : [...normalizedShape];
    for (const n of this.normalizedShape) checkSize('LayerNorm', 'normalizedShape', n);
    this.eps = eps;
    this.weight = elementwiseAffine ? parameter(ones_(zeros(this.normalizedShape, { device, dtype }))) : null;
    this.bias = elementwiseAffine && bias ? parameter(zeros(this.normalizedShape, { device, dtype })) : null;
  }

  override forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this;
    return layerNorm(x, this.normalizedShape, { weight, bias, eps });
  }

  protected override extraRepr(): string {
    return `[${this.normalizedShape.join(', ')}], eps: ${this.eps}`;
  }
}

export interface EmbeddingOptions extends LayerOptions {
  /** the row that starts at zero and gets no gradient; negative counts from the end */
  paddingIdx?: number;
}

/**
 * Rows of a table by index: weight [numEmbeddings, embeddingDim]; an index of any shape S gives [...S, embeddingDim].
 */
export class Embedding extends Module {
  readonly weight: Tensor;
  readonly paddingIdx: number | undefined;

  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    { paddingIdx, device, dtype, generator }: EmbeddingOptions = {},
  ) {
    super();
    checkSize('Embedding', 'numEmbeddings', numEmbeddings);
    checkSize('Embedding', 'embeddingDim', embeddingDim);
    if (
      paddingIdx !== undefined &&
      (!Number.isInteger(paddingIdx) || paddingIdx < -numEmbeddings || paddingIdx >= numEmbeddings)
    ) {
      throw new IndexError(`paddingIdx ${paddingIdx} is outside [${-numEmbeddings}, ${numEmbeddings})`, {
        op: 'Embedding',
      });
    }
    this.paddingIdx = paddingIdx !== undefined && paddingIdx < 0 ? paddingIdx + numEmbeddings : paddingIdx;
    this.weight = parameter(normal_(zeros([numEmbeddings, embeddingDim], { device, dtype }), 0, 1, { generator }));
    if (this.paddingIdx !== undefined) {
      const { device: where, storage, dtype: type } = this.weight;
      const row = { storage, dtype: type, offset: this.paddingIdx * embeddingDim, shape: [embeddingDim], strides: [1] };
      native.fill(where, row, 0);
    }
  }

  override forward(index: Tensor): Tensor {
    return embedding(this.weight, index, { paddingIdx: this.paddingIdx });
  }

  protected override extraRepr(): string {
    const padding = this.paddingIdx === undefined ? '' : `, paddingIdx: ${this.paddingIdx}`;
    return `${this.numEmbeddings}, ${this.embeddingDim}${padding}`;
  }
}
