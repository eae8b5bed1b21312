import * as wl from '../../src/index.js';
import type { DType, Tensor } from '../../src/index.js';
import { binaryEdges } from '../harness/edges.js';
import type { Domain } from '../harness/values.js';
import { opCase } from '../opCase.js';
import * as reference from '../reference/elementwise.js';
import type { Ref } from '../reference/array.js';
import * as bounds from '../tolerance.js';

interface Binary {
  readonly run: (a: Tensor, b: Tensor) => Tensor;
  readonly reference: (a: Ref, b: Ref) => Ref;
  readonly domain?: Domain;
  readonly bound?: bounds.Bound;
  readonly outDtype?: (dtype: DType) => DType;
  readonly bool?: boolean;
}

const samples = [
  {
    inputs: [
      [2, 3],
      [2, 3],
    ],
    params: undefined,
  },
  {
    inputs: [
      [2, 1, 3],
      [4, 1],
    ],
    params: undefined,
  },
];

function binary(name: string, { run, reference: wanted, domain, bound, outDtype, bool }: Binary): void {
  opCase<void>({
    name,
    run: ([a, b]) => run(a!, b!),
    reference: ([a, b]) => wanted(a!, b!),
    domain,
    bound: bound ?? bounds.ulps(1),
    outDtype,
    samples: [...samples, { inputs: [[700], [700]], params: undefined }],
    gradientSamples: samples,
    edges: binaryEdges,
    bad: [
      {
        title: 'shapes that do not broadcast',
        call: (device) => run(wl.zeros([2, 3], { device }), wl.zeros([2, 4], { device })),
        error: 'ShapeError',
        says: [/\(2, 3\)/, /\(2, 4\)/],
      },
      ...(name.startsWith('logical')
        ? []
        : [
            {
              title: 'a tensor already disposed',
              call: (device: string) => {
                const x = wl.zeros([2], { device });
                x.dispose();
                return run(wl.zeros([2], { device }), x);
              },
              error: 'DisposedError' as const,
            },
          ]),
      ...(bool === false
        ? [
            {
              title: 'two bool tensors',
              call: (device: string) =>
                run(wl.zeros([2], { device, dtype: 'bool' }), wl.zeros([2], { device, dtype: 'bool' })),
              error: 'DTypeError' as const,
            },
          ]
        : []),
    ],
    sweep: (random) => {
      const shape = random.shape(random.integer(0, 4), 7);
      const thin = shape.map((n) => (random.next() < 0.3 ? 1 : n)).slice(random.integer(0, shape.length));
      return { inputs: random.next() < 0.5 ? [shape, thin] : [thin, shape], params: undefined };
    },
  });
}

const trueDivision = (dtype: DType): DType => (dtype === 'float64' ? 'float64' : 'float32');
const toBool = (): DType => 'bool';

binary('add', { run: wl.add, reference: reference.add });
binary('sub', { run: wl.sub, reference: reference.sub, bool: false });
binary('mul', { run: wl.mul, reference: reference.mul });
binary('div', { run: wl.div, reference: reference.div, outDtype: trueDivision });
binary('minimum', { run: wl.minimum, reference: reference.minimum, bound: bounds.exact });
binary('maximum', { run: wl.maximum, reference: reference.maximum, bound: bounds.exact });

for (const name of ['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const) {
  binary(name, { run: wl[name], reference: reference[name], outDtype: toBool, domain: 'small' });
}
for (const name of ['logicalAnd', 'logicalOr'] as const) {
  binary(name, { run: wl[name], reference: reference[name], outDtype: toBool, domain: 'small' });
}

opCase<void>({
  name: 'logicalNot',
  run: ([x]) => wl.logicalNot(x!),
  reference: ([x]) => reference.logicalNot(x!),
  domain: 'small',
  outDtype: toBool,
  samples: [{ inputs: [[3, 4]], params: undefined }],
  edges: binaryEdges.slice(0, 9).map(({ inputs }) => ({ inputs: [inputs[0]!], params: undefined })),
  bad: [
    {
      title: 'a tensor already disposed',
      call: (device) => {
        const x = wl.zeros([2], { device });
        x.dispose();
        return wl.logicalNot(x);
      },
      error: 'DisposedError',
    },
  ],
});

const mask = (shape: readonly number[]) => ({ shape, dtype: 'bool' as const, domain: 'bool' as const });

opCase<void>({
  name: 'where',
  run: ([c, a, b]) => wl.where(c!, a!, b!),
  reference: ([c, a, b]) => reference.where(c!, a!, b!),
  bound: bounds.exact,
  samples: [
    { inputs: [mask([2, 3]), [2, 3], [2, 3]], params: undefined },
    { inputs: [mask([3, 1]), [4], [2, 1, 1]], params: undefined },
  ],
  edges: binaryEdges.map(({ inputs }) => {
    const [a, b] = inputs as [readonly number[], readonly number[]];
    return { inputs: [mask(a), a, b], params: undefined };
  }),
  bad: [
    {
      title: 'shapes that do not broadcast',
      call: (device) =>
        wl.where(
          wl.zeros([2, 3], { device, dtype: 'bool' }),
          wl.zeros([2, 4], { device }),
          wl.zeros([2, 3], { device }),
        ),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(2, 4\)/],
    },
    {
      title: 'a condition that is not bool',
      call: (device) => wl.where(wl.zeros([2], { device }), wl.zeros([2], { device }), wl.zeros([2], { device })),
      error: 'DTypeError',
    },
  ],
});
