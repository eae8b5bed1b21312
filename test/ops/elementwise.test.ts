import * as wl from '../../src/index.js';
import type { Tensor } from '../../src/index.js';
import { unaryEdges } from '../harness/edges.js';
import type { Domain, Random } from '../harness/values.js';
import { opCase } from '../opCase.js';
import * as reference from '../reference/elementwise.js';
import type { Ref } from '../reference/array.js';
import * as bounds from '../tolerance.js';

interface Unary {
  readonly run: (x: Tensor) => Tensor;
  readonly reference: (x: Ref) => Ref;
  readonly domain?: Domain;
  readonly bound?: bounds.Bound;
}

const samples = [
  { inputs: [[2, 3]], params: undefined },
  { inputs: [[17]], params: undefined },
];
/** Values from end to end of what the op takes, for the value column. */
const wide = {
  inputs: [{ shape: [11], data: [-88, -20, -6.5, -1, -1e-3, 1e-20, 1e-3, 0.5, 1, 6.5, 60] }],
  params: undefined,
};
const widePositive = { inputs: [{ shape: [7], data: [1e-30, 1e-3, 0.5, 1, 1.0000001, 2e5, 1e30] }], params: undefined };

function unary(name: string, { run, reference: wanted, domain, bound }: Unary): void {
  opCase<void>({
    name,
    run: ([x]) => run(x!),
    reference: ([x]) => wanted(x!),
    domain,
    bound,
    samples: [...samples, domain === 'positive' ? widePositive : wide],
    gradientSamples: samples,
    edges: unaryEdges,
    bad: [
      {
        title: 'a tensor already disposed',
        call: (device) => {
          const x = wl.zeros([2, 3], { device });
          x.dispose();
          return run(x);
        },
        error: 'DisposedError',
      },
      ...(signed.has(name)
        ? [
            {
              title: 'a bool tensor',
              call: (device: string) => run(wl.zeros([2, 3], { device, dtype: 'bool' })),
              error: 'DTypeError' as const,
            },
          ]
        : []),
    ],
    sweep: (random: Random) => ({ inputs: [random.shape(random.integer(0, 4), 9)], params: undefined }),
  });
}

const signed = new Set(['neg', 'abs', 'sign']);

unary('exp', { run: wl.exp, reference: reference.exp });
unary('log', { run: wl.log, reference: reference.log, domain: 'positive' });
unary('sqrt', { run: wl.sqrt, reference: reference.sqrt, domain: 'positive' });
unary('square', { run: wl.square, reference: (x) => reference.mul(x, x) });
unary('tanh', { run: wl.tanh, reference: reference.tanh });
unary('sigmoid', { run: wl.sigmoid, reference: reference.sigmoid });
unary('erf', { run: wl.erf, reference: reference.erf });
unary('relu', { run: wl.relu, reference: reference.relu });
unary('neg', { run: wl.neg, reference: reference.neg, bound: bounds.exact });
unary('abs', { run: wl.abs, reference: reference.abs, bound: bounds.exact });
unary('sign', { run: wl.sign, reference: reference.sign, bound: bounds.exact });

interface GeluParams {
  approximate: 'none' | 'tanh';
}
const modes = ['none', 'tanh'] as const;
const gelu = (shape: readonly number[]) => modes.map((approximate) => ({ inputs: [shape], params: { approximate } }));

opCase<GeluParams>({
  name: 'gelu',
  run: ([x], params) => wl.gelu(x!, params),
  reference: ([x], { approximate }) => (approximate === 'tanh' ? reference.geluTanh(x!) : reference.gelu(x!)),
  samples: [
    ...gelu([2, 5]),
    ...modes.map((approximate) => ({
      inputs: [{ shape: [9], data: [-12, -5, -3, -1, -1e-4, 1e-4, 1, 3, 20] }],
      params: { approximate },
    })),
  ],
  bound: bounds.gelu,
  gradientSamples: gelu([2, 5]),
  edges: unaryEdges.flatMap(({ inputs }) => modes.map((approximate) => ({ inputs, params: { approximate } }))),
  bad: [
    {
      title: 'an approximation that does not exist',
      call: (device) => wl.gelu(wl.zeros([2], { device }), { approximate: 'fast' as 'tanh' }),
      error: 'NotSupportedError',
      says: [/fast/],
    },
  ],
  sweep: (random) => ({ inputs: [random.shape(2, 40)], params: { approximate: random.pick(modes) } }),
});
