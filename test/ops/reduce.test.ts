import * as wl from '../../src/index.js';
import type { Tensor } from '../../src/index.js';
import type { Domain, Random } from '../harness/values.js';
import { opCase } from '../opCase.js';
import type { Ref } from '../reference/array.js';
import * as reference from '../reference/reduce.js';
import * as bounds from '../tolerance.js';

interface Params {
  dim?: number | number[];
  keepDim?: boolean;
}

const sample = (shape: readonly number[], dim?: number | number[], keepDim?: boolean) => ({
  inputs: [shape],
  params: { dim, keepDim },
});

const samples = [sample([2, 3]), sample([2, 3, 4], 1), sample([2, 3, 4], [0, -1], true), sample([5, 7], 0)];
const full = [
  sample([]),
  sample([1]),
  sample([1, 1], 0),
  sample([31]),
  sample([3, 33], 1),
  sample([2, 4097], 1),
  sample([4097, 2], 0),
  sample([3, 5, 129], [0, 2]),
  sample([37, 5, 132], [0, 2]),
];
const empty = [sample([0]), sample([3, 0], 1), sample([0, 3], 1)];
const long = [sample([70_001]), sample([257, 513], 0)];

interface Reduction {
  readonly run: (x: Tensor, dim: Params['dim'], options: { keepDim?: boolean }) => Tensor;
  readonly reference: (x: Ref, dim: Params['dim'], keepDim?: boolean) => Ref;
  readonly bound: bounds.Bound;
  readonly domain?: Domain;
  /** whether a reduction of nothing has a value */
  readonly ofNothing: boolean;
}

function reduction(name: string, { run, reference: wanted, bound, domain, ofNothing }: Reduction): void {
  opCase<Params>({
    name,
    run: ([x], { dim, keepDim }) => run(x!, dim, { keepDim }),
    reference: ([x], { dim, keepDim }) => wanted(x!, dim, keepDim),
    bound,
    domain,
    samples: [...samples, ...long],
    gradientSamples: samples,
    edges: ofNothing ? [...full, ...empty] : full,
    bad: [
      {
        title: 'a dim out of range',
        call: (device) => run(wl.zeros([2, 3], { device }), 2, {}),
        error: 'IndexError',
        says: [/dim/],
      },
      {
        title: 'a dim named twice',
        call: (device) => run(wl.zeros([2, 3], { device }), [0, -2], {}),
        error: 'ShapeError',
        says: [/twice/, /\(2, 3\)/],
      },
      ...(ofNothing
        ? []
        : [
            {
              title: 'an empty dim',
              call: (device: string) => run(wl.zeros([2, 0], { device }), 1, {}),
              error: 'ShapeError' as const,
              says: [/\(2, 0\)/],
            },
          ]),
    ],
    sweep: (random: Random) => {
      const shape = random.shape(random.integer(1, 4), 13);
      const dims = shape.map((_, i) => i).filter(() => random.next() < 0.5);
      return sample(shape, dims.length > 0 ? dims : undefined, random.next() < 0.5);
    },
  });
}

reduction('sum', { run: wl.sum, reference: reference.sum, bound: bounds.sum, ofNothing: true });
reduction('mean', { run: wl.mean, reference: reference.mean, bound: bounds.mean, ofNothing: true });
reduction('max', { run: wl.max, reference: reference.max, bound: bounds.exact, domain: 'distinct', ofNothing: false });
reduction('min', { run: wl.min, reference: reference.min, bound: bounds.exact, domain: 'distinct', ofNothing: false });

interface ArgParams {
  dim?: number;
  keepDim?: boolean;
}
const argSample = (shape: readonly number[], dim?: number, keepDim?: boolean, domain: Domain = 'small') => ({
  inputs: [{ shape, domain }],
  params: { dim, keepDim },
});

for (const name of ['argmax', 'argmin'] as const) {
  opCase<ArgParams>({
    name,
    run: ([x], { dim, keepDim }) => wl[name](x!, dim, { keepDim }),
    reference: ([x], { dim, keepDim }) => reference[name](x!, dim, keepDim),
    outDtype: () => 'int32',
    samples: [
      argSample([2, 3]),
      argSample([2, 3, 4], 1),
      argSample([2, 9, 4], 1, true),
      argSample([5, 70], 0),
      argSample([4, 90], -1, false, 'normal'),
    ],
    edges: [
      argSample([]),
      argSample([1], 0),
      argSample([31]),
      argSample([3, 33], 1),
      argSample([2, 4097], 1),
      argSample([4097, 2], 0),
      argSample([0, 3], 1),
    ],
    bad: [
      {
        title: 'a dim out of range',
        call: (device) => wl[name](wl.zeros([2, 3], { device }), -3),
        error: 'IndexError',
        says: [/dim/],
      },
      {
        title: 'an empty dim',
        call: (device) => wl[name](wl.zeros([2, 0], { device }), 1),
        error: 'ShapeError',
        says: [/\(2, 0\)/],
      },
    ],
    sweep: (random) => {
      const shape = random.shape(random.integer(1, 4), 9);
      return argSample(
        shape,
        random.next() < 0.3 ? undefined : random.integer(0, shape.length - 1),
        random.next() < 0.5,
      );
    },
  });
}
