/** Multi-head attention (Vaswani et al. 2017). */
import { ShapeError } from '../errors.js';
import { scaledDotProductAttention } from '../ops/attention.js';
import { zeros } from '../ops/create.js';
import { linear } from '../ops/matmul.js';
import { narrow, split } from '../ops/slice.js';
import { reshape, transpose } from '../ops/view.js';
import { type Tensor } from '../tensor.js';
import { xavierUniform_, zeros_ } from './init.js';
import { checkSize, Linear, type LinearOptions } from './layers.js';
import { Module } from './module.js';
import { parameter } from './parameter.js';

export interface MultiheadAttentionOptions extends LinearOptions {
  /** whether tensors are [B, T, E] instead of [T, B, E]; default false, as in PyTorch */
  batchFirst?: boolean;
}

export interface AttentionInputs {
  /** default: the query, which makes it self-attention */
  key?: Tensor;
  /** default: the key */
  value?: Tensor;
  /** each position sees itself and those before; default false */
  causal?: boolean;
  /** broadcast to [B, H, T, S]: bool with true where attention is allowed, or a float to be added to the scores */
  mask?: Tensor;
}

/**
 * Attention of H = numHeads heads over E = embedDim features: query [T, B, E], key and value [S, B, E], result like the
 * query. The projections of query, key and value are stacked in in_proj_weight [3E, E] and in_proj_bias [3E].
 */
export class MultiheadAttention extends Module {
  readonly in_proj_weight: Tensor;
  readonly in_proj_bias: Tensor | null;
  readonly out_proj: Linear;
  readonly batchFirst: boolean;

  constructor(
    readonly embedDim: number,
    readonly numHeads: number,
    { bias = true, batchFirst = false, device, dtype, generator }: MultiheadAttentionOptions = {},
  ) {
    super();
    checkSize('MultiheadAttention', 'embedDim', embedDim);
    checkSize('MultiheadAttention', 'numHeads', numHeads);
    if (embedDim % numHeads !== 0) {
      throw new ShapeError(`embedDim ${embedDim} must be a multiple of numHeads ${numHeads}`, {
        op: 'MultiheadAttention',
      });
    }
    this.batchFirst = batchFirst;
    this.in_proj_weight = parameter(xavierUniform_(zeros([3 * embedDim, embedDim], { device, dtype }), { generator }));
    this.in_proj_bias = bias ? parameter(zeros([3 * embedDim], { device, dtype })) : null;
    this.out_proj = new Linear(embedDim, embedDim, { bias, device, dtype, generator });
    if (this.out_proj.bias) zeros_(this.out_proj.bias);
  }

  override forward(query: Tensor, { key = query, value = key, causal = false, mask }: AttentionInputs = {}): Tensor {
    const { embedDim: E, numHeads: H } = this;
    for (const [name, x] of Object.entries({ query, key, value })) {
      if (x.shape.length !== 3 || x.shape[2] !== E) {
        throw new ShapeError(
          `${name} must be ${this.batchFirst ? '[B, T, E]' : '[T, B, E]'} with E = ${E}, got (${x.shape.join(', ')})`,
          {
            op: 'MultiheadAttention',
            shapes: [x.shape],
          },
        );
      }
    }
    const [q, k, v] = this.#project(query, key, value).map((x) => {
      const [B, T] = x.shape;
      return transpose(reshape(x, [B!, T!, H, E / H]), 1, 2);
    });
    const heads = scaledDotProductAttention(q!, k!, v!, { causal, mask });
    const [B, , T] = heads.shape;
    const joined = this.out_proj.call(reshape(transpose(heads, 1, 2), [B!, T!, E]));
    return this.batchFirst ? joined : transpose(joined, 0, 1);
  }

  /** Projected query, key and value, batch first. */
  #project(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    const { embedDim: E, in_proj_weight: weight, in_proj_bias: bias } = this;
    const batchFirst = (x: Tensor): Tensor => (this.batchFirst ? x : transpose(x, 0, 1));
    if (query === key && key === value) return split(linear(batchFirst(query), weight, bias), E, -1);
    return [query, key, value].map((x, i) =>
      linear(batchFirst(x), narrow(weight, 0, i * E, E), bias && narrow(bias, 0, i * E, E)),
    );
  }

  protected override extraRepr(): string {
    return `${this.embedDim}, ${this.numHeads}`;
  }
}
