import * as wl from '../../src/index.js';
import type { DType } from '../../src/index.js';
import { opCase } from '../opCase.js';
import { embedding } from '../reference/embedding.js';
import * as bounds from '../tolerance.js';

interface Params {
  paddingIdx?: number;
}
const sample = (rows: number, width: number, shape: readonly number[], dtype: DType = 'int32') => ({
  inputs: [[rows, width], { shape, dtype, domain: { below: rows } }],
  params: {},
});

opCase<Params>({
  name: 'embedding',
  run: ([weight, index], params) => wl.embedding(weight!, index!, params),
  reference: ([weight, index]) => embedding(weight!, index!),
  bound: bounds.exact,
  samples: [sample(5, 3, [4]), sample(4, 2, [2, 3], 'int64'), sample(3, 2, [7], 'uint8')],
  edges: [
    sample(5, 3, []),
    sample(5, 3, [0]),
    sample(1, 1, [1]),
    sample(31, 33, [31]),
    sample(3, 4097, [2]),
    sample(2, 0, [3]),
  ],
  bad: [
    {
      title: 'an index past the table',
      call: (device) => wl.embedding(wl.zeros([3, 2], { device }), wl.tensor([0, 3], { dtype: 'int32', device })),
      error: 'IndexError',
      says: [/3/],
    },
    {
      title: 'an index below 0',
      call: (device) => wl.embedding(wl.zeros([3, 2], { device }), wl.tensor([-1], { dtype: 'int64', device })),
      error: 'IndexError',
      says: [/-1/],
    },
    {
      title: 'a floating index',
      call: (device) => wl.embedding(wl.zeros([3, 2], { device }), wl.tensor([0, 1], { device })),
      error: 'DTypeError',
      says: [/float32/],
    },
    {
      title: 'a table that is no matrix',
      call: (device) => wl.embedding(wl.zeros([3], { device }), wl.tensor([0], { dtype: 'int32', device })),
      error: 'ShapeError',
      says: [/\(3,?\)/],
    },
  ],
  sweep: (random) => sample(random.integer(1, 40), random.integer(1, 40), random.shape(random.integer(0, 3), 6)),
});
