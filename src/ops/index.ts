/** Every op, as functions; importing this installs the methods too. */
export { abs, add, div, maximum, minimum, mul, neg, sign, sub } from './arithmetic.js';
export * from './attention.js';
export * from './compare.js';
export { conv2d, type Conv2dOptions, type Pair } from './conv.js';
export * from './copy.js';
export * from './create.js';
export * from './dropout.js';
export { erf, exp, gelu, log, relu, sigmoid, sqrt, square, tanh, type GeluOptions } from './elementwise.js';
export * from './embedding.js';
export * from './inplace.js';
export * from './loss.js';
export * from './matmul.js';
export * from './norm.js';
export * from './pool.js';
export { argmax, argmin, max, mean, min, sum, type ReduceOptions } from './reduce.js';
export { logSoftmax, softmax } from './softmax.js';
export type { Dims, Operand } from './support.js';
export * from './view.js';
