/** The op tests of each family of CUDA kernels: those that must notice when one of its barriers is missing. */
const tests: Readonly<Record<string, readonly string[]>> = {
  attention: ['ops/attention'],
  attention_backward: ['ops/attention'],
  attention_simple: ['ops/attention'],
  conv: ['ops/conv'],
  conv_simple: ['ops/conv'],
  conv_weight: ['ops/conv'],
  conv_weight_direct: ['ops/conv'],
  copy: ['ops/copy', 'ops/view', 'ops/concat', 'ops/sameBits'],
  create: ['ops/create'],
  dropout: ['ops/dropout'],
  elementwise: ['ops/elementwise', 'ops/arithmetic', 'ops/compare'],
  embedding: ['ops/embedding', 'ops/embeddingRows'],
  index_sort: ['ops/embedding', 'ops/embeddingRows'],
  loss: ['ops/loss'],
  matmul: ['ops/matmul'],
  norm: ['ops/norm'],
  optim: ['optim/devices'],
  pool: ['ops/conv'],
  random: ['ops/create', 'ops/dropout'],
  reduce: ['ops/reduce'],
  softmax: ['ops/softmax'],
  where: ['ops/compare', 'ops/sameBits'],
};

/** Families that no op launches, such as the steps up to the fast kernels: native tests run them. */
const nativeTests: Readonly<Record<string, string>> = { matmul_ladder: 'cuda_matmul_kernel_test' };

/** The native test of a family that no op launches. */
export const nativeTestOf = (family: string): string | undefined => nativeTests[family];

/** The test files of a family. Throws for one that is not listed here. */
export function testsOf(family: string): string[] {
  const files = tests[family];
  if (!files) throw new Error(`scripts/mutate/tests.ts does not say which tests run the kernels of ${family}`);
  return files.map((name) => `test/${name}.test.ts`);
}

/** The families that a test file of `test/`, named without its ending, is a test of. */
export const familiesOf = (file: string): string[] =>
  Object.keys(tests).filter((family) => tests[family]!.includes(file));
