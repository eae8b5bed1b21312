import * as wl from '../../src/index.js';
import { opCase } from '../opCase.js';
import * as reference from '../reference/movement.js';
import * as bounds from '../tolerance.js';

interface Joining {
  dim: number;
}

opCase<Joining>({
  name: 'concat',
  run: (inputs, { dim }) => wl.concat(inputs, dim),
  reference: (inputs, { dim }) => reference.concat(inputs, dim),
  bound: bounds.exact,
  samples: [
    {
      inputs: [
        [2, 3],
        [1, 3],
      ],
      params: { dim: 0 },
    },
    {
      inputs: [
        [2, 3],
        [2, 1],
        [2, 4],
      ],
      params: { dim: -1 },
    },
    { inputs: [[5]], params: { dim: 0 } },
  ],
  edges: [
    { inputs: [[0], [3]], params: { dim: 0 } },
    { inputs: [[1], [33]], params: { dim: 0 } },
    {
      inputs: [
        [3, 31],
        [3, 33],
      ],
      params: { dim: 1 },
    },
    {
      inputs: [
        [2, 4097],
        [1, 4097],
      ],
      params: { dim: 0 },
    },
    {
      inputs: [
        [2, 0],
        [2, 3],
      ],
      params: { dim: 1 },
    },
  ],
  bad: [
    {
      title: 'sizes that differ beside the dim',
      call: (device) => wl.concat([wl.zeros([2, 3], { device }), wl.zeros([2, 4], { device })], 0),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(2, 4\)/],
    },
    { title: 'no tensors', call: () => wl.concat([], 0), error: 'ShapeError' },
  ],
});

opCase<Joining>({
  name: 'stack',
  run: (inputs, { dim }) => wl.stack(inputs, dim),
  reference: (inputs, { dim }) => reference.stack(inputs, dim),
  bound: bounds.exact,
  samples: [
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
      params: { dim: 0 },
    },
    {
      inputs: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      params: { dim: -1 },
    },
  ],
  edges: [
    { inputs: [[], []], params: { dim: 0 } },
    { inputs: [[0], [0]], params: { dim: 1 } },
    { inputs: [[33], [33]], params: { dim: 1 } },
  ],
  bad: [
    {
      title: 'sizes that differ',
      call: (device) => wl.stack([wl.zeros([2, 3], { device }), wl.zeros([2, 4], { device })], 0),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(2, 4\)/],
    },
  ],
});
