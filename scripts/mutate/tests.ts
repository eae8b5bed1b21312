/** The op tests of each family of CUDA kernels: those that must notice when one of its barriers is missing. */
const tests: Readonly<Record<string, readonly string[]>> = {
  conv: ['conv'],
  copy: ['copy', 'view', 'concat', 'sameBits'],
  create: ['create'],
  dropout: ['dropout'],
  elementwise: ['elementwise', 'arithmetic', 'compare'],
  embedding: ['embedding'],
  index_sort: ['embedding', 'embeddingRows'],
  loss: ['loss'],
  matmul: ['matmul'],
  matmul_ladder: ['matmul'],
  norm: ['norm'],
  optim: [],
  pool: ['conv'],
  random: ['create', 'dropout'],
  reduce: ['reduce'],
  softmax: ['softmax'],
  where: ['compare', 'sameBits'],
};

/** The test files of a family. Throws for one that is not listed here. */
export function testsOf(family: string): string[] {
  const files = tests[family];
  if (!files) throw new Error(`scripts/mutate/tests.ts does not say which tests run the kernels of ${family}`);
  return files.map((name) => `test/ops/${name}.test.ts`);
}
