/** Programs of a user: each trains two steps of a small model and prints `loss A -> B`. */
const body = (numberType: string): string => `
const model = new nn.Sequential(new nn.Linear(2, 8), new nn.ReLU(), new nn.Linear(8, 2));
const optimizer = new optim.AdamW(model.parameters(), { lr: 0.05 });
const x = tensor([0, 0, 0, 1, 1, 0, 1, 1], { shape: [4, 2] });
const y = tensor(new Int32Array([0, 1, 1, 0]));
async function step()${numberType} {
  const loss = tidy(() => {
    const value = crossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    value.backward();
    optimizer.step();
    return value.detach();
  });
  const value = Number(await loss.item());
  loss.dispose();
  return value;
}
async function main() {
  const first = await step();
  const second = await step();
  if (!(second < first)) throw new Error('the loss did not fall: ' + first + ' ' + second);
  console.log('loss ' + first.toFixed(4) + ' -> ' + second.toFixed(4));
}
`;

const names = '{ crossEntropy, nn, optim, tensor, tidy }';

export const consumers = {
  'esm.mjs': `import ${names} from 'warploom';\n${body('')}await main();\n`,
  'common.cjs': `const ${names} = require('warploom');\n${body('')}main();\n`,
  'typed.mts': `import ${names} from 'warploom';\nimport type { Tensor } from 'warploom';\ndeclare const console: { log(text: string): void };\n${body(': Promise<number>')}
const shape: readonly number[] = (x satisfies Tensor).shape;
if (shape.length !== 2) throw new Error('shape');
await main();\n`,
} as const;

/** No types but the package's own and the language's: none of Node's, none of the DOM's. */
export const tsconfig = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2022'],
    types: [],
    strict: true,
    skipLibCheck: false,
    declaration: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
  },
  files: ['typed.mts'],
};
