/** Every mutant, with the tests that must notice it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSurface } from '../../test/harness/surface.js';
import { root } from '../support/runner.js';
import type { Mutant } from './plugin.js';

export interface Bite {
  readonly name: string;
  readonly mutant: Mutant;
  /** test files, and the beginning of the names of the tests to run */
  readonly files: readonly string[];
  readonly pattern: string;
  /** a rule that the op may not have: not reaching it is no failure */
  readonly optional?: boolean;
}

/** Native ops whose tests go by another name. */
const tests: Record<string, { files: string[]; pattern: string }> = {
  copy: { files: ['test/ops/copy.test.ts'], pattern: '' },
  geluTanh: { files: ['test/ops/elementwise.test.ts'], pattern: '^gelu ' },
  fill: { files: ['test/ops/create.test.ts'], pattern: '' },
  arange: { files: ['test/ops/create.test.ts'], pattern: '' },
  uniform: { files: ['test/ops/create.test.ts'], pattern: '' },
  normal: { files: ['test/ops/create.test.ts'], pattern: '' },
  bernoulli: { files: ['test/ops/create.test.ts'], pattern: '' },
  randint: { files: ['test/ops/create.test.ts'], pattern: '' },
  mse: { files: ['test/ops/loss.test.ts'], pattern: '^mseLoss ' },
  attention: { files: ['test/ops/attention.test.ts'], pattern: '^scaledDotProductAttention ' },
  maxPool2dGather: { files: ['test/ops/conv.test.ts'], pattern: '^maxPool2d ' },
};
const inOptim = { files: ['test/optim'], pattern: '' };
for (const name of ['optimAdvance', 'sgd', 'adam', 'sumSquares', 'clipFactor']) tests[name] = inOptim;

const families: Record<string, readonly string[]> = {
  elementwise: ['exp', 'log', 'sqrt', 'square', 'tanh', 'sigmoid', 'erf', 'relu', 'gelu', 'neg', 'abs', 'sign'],
  arithmetic: 'add sub mul div minimum maximum eq ne lt le gt ge logicalAnd logicalOr logicalNot where'.split(' '),
  reduce: ['sum', 'mean', 'max', 'min', 'argmax', 'argmin'],
  view: 'clone contiguous reshape view flatten permute transpose t expand broadcastTo squeeze unsqueeze slice narrow select split chunk'.split(
    ' ',
  ),
  concat: ['concat', 'stack'],
  matmul: ['matmul', 'linear'],
  conv: ['conv2d', 'maxPool2d'],
  softmax: ['softmax', 'logSoftmax'],
  norm: ['layerNorm'],
  loss: ['crossEntropy', 'mseLoss'],
  embedding: ['embedding'],
  dropout: ['dropout'],
  attention: ['scaledDotProductAttention'],
};

function testsOf(op: string): { files: readonly string[]; pattern: string } {
  const known = tests[op];
  if (known) return known;
  const name = op.replace(/Backward.*$/, '');
  if (tests[name]) return tests[name];
  const family = Object.entries(families).find(([, ops]) => ops.includes(name));
  if (!family) throw new Error(`no tests are known for ${op}`);
  return { files: [`test/ops/${family[0]}.test.ts`], pattern: `^${name} ` };
}

/** Ops that write into operands and allocate nothing: they are broken by not running. */
const inPlace = new Set(['optimAdvance', 'sgd', 'adam']);
const indices = new Set(['argmax', 'argmin']);

function kernels(): Bite[] {
  const text = readFileSync(join(root, 'native', 'engine', 'ops.def'), 'utf8');
  const ops = [...text.matchAll(/^WL_OP(?:_SCRATCH)?\((\w+), /gm)].map((m) => m[1]!);
  return ops.flatMap((op) => {
    const hows = inPlace.has(op)
      ? (['skip'] as const)
      : indices.has(op)
        ? (['shift', 'tail'] as const)
        : (['negate', 'tail'] as const);
    return hows.map((how): Bite => ({
      name: `kernel ${op}: ${how}`,
      mutant: { kind: 'kernel', op, how },
      ...testsOf(op),
    }));
  });
}

function gradients(): Bite[] {
  const ops = [...readSurface().values()].filter((row) => {
    const claim = row.claims.gradient;
    // The gradient of sign is zero: negated or doubled it is the same.
    return claim && !('reason' in claim) && claim[0] !== '*' && row.name !== 'sign';
  });
  return ops.flatMap(({ name: op }) =>
    (['grad', 'backward'] as const).flatMap((rule) =>
      (['negate', 'double'] as const).map((how): Bite => ({
        name: `gradient ${op}.${rule}: ${how}`,
        mutant: { kind: 'gradient', op, rule, how },
        ...testsOf(op),
        optional: true,
      })),
    ),
  );
}

/** A wrong axis and shapes off by one, in the lines that many ops share. */
function shared(): Bite[] {
  const axis: Mutant = {
    kind: 'text',
    file: 'src/shape.ts',
    find: 'return dim < 0 ? dim + span : dim;',
    replace: 'return span - 1 - (dim < 0 ? dim + span : dim);',
  };
  const ops =
    'sum mean max min argmax argmin softmax logSoftmax transpose unsqueeze slice narrow select split chunk concat flatten'.split(
      ' ',
    );
  // stack brings its dim into range twice over, where that mutant would undo itself.
  const stack: Mutant = {
    kind: 'text',
    file: 'src/ops/slice.ts',
    find: 'tensors.map((x) => unsqueeze(x, d)),',
    replace: 'tensors.map((x) => unsqueeze(x, first.shape.length - d)),',
  };
  return [
    ...ops.map((op) => ({ name: `wrong axis: ${op}`, mutant: axis, ...testsOf(op) })),
    { name: 'wrong axis: stack', mutant: stack, ...testsOf('stack') },
  ];
}

export const allMutants = (): Bite[] => [...kernels(), ...gradients(), ...shared()];
