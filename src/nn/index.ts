export {
  Dropout,
  Flatten,
  GELU,
  MaxPool2d,
  ReLU,
  Sigmoid,
  Softmax,
  Tanh,
  type MaxPool2dOptions,
} from './activations.js';
export { MultiheadAttention, type AttentionInputs, type MultiheadAttentionOptions } from './attention.js';
export { ModuleDict, ModuleList, Sequential } from './containers.js';
export * as init from './init.js';
export {
  Conv2d,
  Embedding,
  LayerNorm,
  Linear,
  type Conv2dOptions,
  type EmbeddingOptions,
  type LayerNormOptions,
  type LayerOptions,
  type LinearOptions,
  type Pair,
} from './layers.js';
export {
  Module,
  type ForwardHook,
  type ForwardPreHook,
  type Layer,
  type LoadResult,
  type StateDict,
  type ToOptions,
} from './module.js';
export { parameter } from './parameter.js';
