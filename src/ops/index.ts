/** Every op, as functions; importing this installs the methods too. */
export * from './arithmetic.js';
export * from './attention.js';
export * from './compare.js';
export * from './conv.js';
export * from './copy.js';
export * from './create.js';
export * from './dropout.js';
export * from './elementwise.js';
export * from './embedding.js';
export * from './inplace.js';
export * from './loss.js';
export * from './matmul.js';
export * from './norm.js';
export * from './pool.js';
export * from './reduce.js';
export * from './softmax.js';
export * from './view.js';
