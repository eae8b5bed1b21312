import * as wl from '../../src/index.js';
import type { Tensor } from '../../src/index.js';
import { edgeShapes } from '../harness/edges.js';
import type { Bad, Sample } from '../harness/sample.js';
import { opCase } from '../opCase.js';
import type { Ref } from '../reference/array.js';
import * as reference from '../reference/movement.js';
import * as bounds from '../tolerance.js';

interface Movement<P> {
  readonly name: string;
  readonly run: (x: Tensor, params: P) => Tensor | Tensor[];
  readonly reference: (x: Ref, params: P) => Ref | Ref[];
  readonly samples: readonly (readonly [readonly number[], P])[];
  readonly edges: readonly (readonly [readonly number[], P])[];
  readonly bad: readonly Bad[];
  /** the op that errors name, where one is made of another */
  readonly errorName?: string;
}

/** A movement copies or re-labels elements: exact. */
function movement<P>({ name, run, reference: wanted, samples, edges, bad, errorName }: Movement<P>): void {
  const expand = (list: Movement<P>['samples']): Sample<P>[] =>
    list.map(([shape, params]) => ({ inputs: [shape], params }));
  opCase<P>({
    name,
    errorName,
    run: ([x], params) => run(x!, params),
    reference: ([x], params) => wanted(x!, params),
    bound: bounds.exact,
    samples: expand(samples),
    edges: expand(edges),
    bad,
  });
}

const same = edgeShapes.map((shape) => [shape, undefined] as const);
/** A view of disposed memory: an op that returns its input as it is would not notice a contiguous one. */
const ofDisposed = (run: (x: Tensor) => unknown): Bad => ({
  title: 'a tensor already disposed',
  call: (device) => {
    const x = wl.transpose(wl.zeros([2, 3], { device }), 0, 1);
    x.dispose();
    return run(x);
  },
  error: 'DisposedError',
});

const copy = (x: Ref): Ref => x;
for (const name of ['clone', 'contiguous'] as const) {
  movement<void>({
    name,
    run: (x) =>
      name === 'contiguous' ? wl.contiguous(wl.transpose(wl.contiguous(wl.transpose(x, 0, -1)), 0, -1)) : wl.clone(x),
    reference: copy,
    samples: [
      [[2, 3], undefined],
      [[4, 1, 5], undefined],
    ],
    edges: same,
    bad: [ofDisposed(wl[name])],
  });
}

movement<{ shape: number[] }>({
  name: 'reshape',
  run: (x, { shape }) => wl.reshape(x, shape),
  reference: (x, { shape }) => reference.reshape(x, shape),
  samples: [
    [[2, 6], { shape: [3, 4] }],
    [[2, 3, 4], { shape: [-1, 2] }],
    [[1], { shape: [] }],
  ],
  edges: [
    [[0], { shape: [0, 3] }],
    [[], { shape: [1, 1] }],
    [[2, 4097], { shape: [4097, 2] }],
    [[3, 33], { shape: [-1] }],
  ],
  bad: [
    {
      title: 'another number of elements',
      call: (device) => wl.reshape(wl.zeros([2, 3], { device }), [4, 2]),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(4, 2\)/],
    },
    {
      title: 'two unknown sizes',
      call: (device) => wl.reshape(wl.zeros([2, 3], { device }), [-1, -1]),
      error: 'ShapeError',
    },
  ],
});

movement<{ shape: number[] }>({
  name: 'view',
  run: (x, { shape }) => wl.view(x.isContiguous() ? x : wl.contiguous(x), shape),
  reference: (x, { shape }) => reference.reshape(x, shape),
  samples: [
    [[2, 6], { shape: [3, 4] }],
    [[2, 3, 4], { shape: [-1, 2] }],
  ],
  edges: [
    [[0], { shape: [0, 3] }],
    [[], { shape: [1, 1] }],
    [[2, 4097], { shape: [4097, 2] }],
  ],
  bad: [
    {
      title: 'a layout that no view has',
      call: (device) => wl.view(wl.transpose(wl.zeros([2, 3], { device }), 0, 1), [6]),
      error: 'ShapeError',
      says: [/\(3, 2\)/],
    },
  ],
});

movement<{ from: number; to: number }>({
  name: 'flatten',
  run: (x, { from, to }) => wl.flatten(x, from, to),
  reference: (x, { from, to }) => {
    const [a, b] = [from < 0 ? from + x.shape.length : from, to < 0 ? to + x.shape.length : to];
    const middle = x.shape.slice(a, b + 1).reduce((p, n) => p * n, 1);
    return reference.reshape(x, [...x.shape.slice(0, a), middle, ...x.shape.slice(b + 1)]);
  },
  samples: [
    [[2, 3, 4], { from: 0, to: -1 }],
    [[2, 3, 4], { from: 1, to: -1 }],
    [[2, 3, 4], { from: 0, to: 1 }],
  ],
  edges: [
    [[31], { from: 0, to: -1 }],
    [[0, 3], { from: 0, to: -1 }],
    [[3, 33, 2], { from: 1, to: 2 }],
  ],
  bad: [
    {
      title: 'dims in the wrong order',
      call: (device) => wl.flatten(wl.zeros([2, 3, 4], { device }), 2, 1),
      error: 'ShapeError',
      says: [/\(2, 3, 4\)/],
    },
  ],
});

movement<{ dims: number[] }>({
  name: 'permute',
  run: (x, { dims }) => wl.permute(x, dims),
  reference: (x, { dims }) => reference.permute(x, dims),
  samples: [
    [[2, 3, 4], { dims: [2, 0, 1] }],
    [[2, 3], { dims: [-1, 0] }],
    [[2, 1, 3, 4], { dims: [3, 1, 0, 2] }],
  ],
  edges: [
    [[], { dims: [] }],
    [[0, 3], { dims: [1, 0] }],
    [[31], { dims: [0] }],
    [[2, 4097], { dims: [1, 0] }],
    [[33, 1, 3], { dims: [2, 1, 0] }],
  ],
  bad: [
    {
      title: 'a dim twice',
      call: (device) => wl.permute(wl.zeros([2, 3], { device }), [0, 0]),
      error: 'ShapeError',
      says: [/\(2, 3\)/],
    },
  ],
});

movement<{ a: number; b: number }>({
  name: 'transpose',
  run: (x, { a, b }) => wl.transpose(x, a, b),
  reference: (x, { a, b }) => reference.transpose(x, a, b),
  samples: [
    [[2, 3], { a: 0, b: 1 }],
    [[2, 3, 4], { a: -1, b: 0 }],
  ],
  edges: [
    [[0, 3], { a: 0, b: 1 }],
    [[2, 4097], { a: 0, b: 1 }],
    [[1, 33], { a: 1, b: 0 }],
  ],
  bad: [
    {
      title: 'a dim out of range',
      call: (device) => wl.transpose(wl.zeros([2, 3], { device }), 0, 2),
      error: 'IndexError',
      says: [/dim/],
    },
  ],
});

movement<void>({
  name: 't',
  run: (x) => wl.t(x),
  reference: (x) => (x.shape.length === 2 ? reference.permute(x, [1, 0]) : x),
  samples: [
    [[2, 3], undefined],
    [[4], undefined],
  ],
  edges: [
    [[], undefined],
    [[0, 3], undefined],
    [[33, 31], undefined],
  ],
  bad: [
    {
      title: 'three dims',
      call: (device) => wl.t(wl.zeros([2, 3, 4], { device })),
      error: 'ShapeError',
      says: [/\(2, 3, 4\)/],
    },
  ],
});

for (const name of ['expand', 'broadcastTo'] as const) {
  movement<{ shape: number[] }>({
    name,
    errorName: 'expand',
    run: (x, { shape }) => wl[name](x, shape),
    reference: (x, { shape }) => reference.expand(x, shape),
    samples: [
      [[2, 1], { shape: [2, 3] }],
      [[3], { shape: [2, 4, 3] }],
      [[1, 3, 1], { shape: [2, 3, 2] }],
    ],
    edges: [
      [[], { shape: [31] }],
      [[1], { shape: [0] }],
      [[1, 33], { shape: [3, 33] }],
      [[2, 1], { shape: [2, 4097] }],
    ],
    bad: [
      {
        title: 'a size that is neither equal nor 1',
        call: (device) => wl[name](wl.zeros([2, 3], { device }), [4, 3]),
        error: 'ShapeError',
        says: [/\(2, 3\)/, /\(4, 3\)/],
      },
    ],
  });
}

movement<{ dims?: number | number[] }>({
  name: 'squeeze',
  run: (x, { dims }) => wl.squeeze(x, dims),
  reference: (x, { dims }) => {
    const named =
      dims === undefined ? x.shape.map((_, i) => i) : [dims].flat().map((d) => (d < 0 ? d + x.shape.length : d));
    return reference.reshape(
      x,
      x.shape.filter((n, i) => n !== 1 || !named.includes(i)),
    );
  },
  samples: [
    [[2, 1, 3], {}],
    [[1, 2, 1], { dims: 0 }],
    [[1, 2, 1], { dims: [0, -1] }],
    [[2, 3], { dims: 0 }],
  ],
  edges: [
    [[1], {}],
    [[1, 1], {}],
    [[0, 1], {}],
    [[1, 4097], { dims: 0 }],
  ],
  bad: [
    {
      title: 'a dim out of range',
      call: (device) => wl.squeeze(wl.zeros([2, 1], { device }), 2),
      error: 'IndexError',
      says: [/dim/],
    },
  ],
});

movement<{ dim: number }>({
  name: 'unsqueeze',
  run: (x, { dim }) => wl.unsqueeze(x, dim),
  reference: (x, { dim }) => {
    const d = dim < 0 ? dim + x.shape.length + 1 : dim;
    return reference.reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
  },
  samples: [
    [[2, 3], { dim: 0 }],
    [[2, 3], { dim: 1 }],
    [[2, 3], { dim: -1 }],
  ],
  edges: [
    [[], { dim: 0 }],
    [[0], { dim: 1 }],
    [[31], { dim: -1 }],
  ],
  bad: [
    {
      title: 'a dim out of range',
      call: (device) => wl.unsqueeze(wl.zeros([2, 3], { device }), 4),
      error: 'IndexError',
      says: [/dim/],
    },
  ],
});

movement<{ dim: number; start?: number; end?: number; step?: number }>({
  name: 'slice',
  run: (x, { dim, start, end, step }) => wl.slice(x, dim, start, end, step),
  reference: (x, { dim, start, end, step }) => reference.slice(x, dim, start, end, step),
  samples: [
    [[5, 3], { dim: 0, start: 1, end: 4 }],
    [[2, 7], { dim: -1, start: -5, step: 2 }],
    [[4], { dim: 0, start: 2, end: 100 }],
  ],
  edges: [
    [[33], { dim: 0, start: 1 }],
    [[3, 4097], { dim: 1, start: 1, step: 3 }],
    [[3, 31], { dim: 0, start: 2, end: 2 }],
    [[0, 3], { dim: 0, start: 1 }],
  ],
  bad: [
    {
      title: 'a step of 0',
      call: (device) => wl.slice(wl.zeros([2, 3], { device }), 0, 0, 2, 0),
      error: 'ShapeError',
      says: [/step/],
    },
    {
      title: 'a 0-dim tensor',
      call: (device) => wl.slice(wl.zeros([], { device }), 0),
      error: 'ShapeError',
    },
  ],
});

movement<{ dim: number; start: number; length: number }>({
  name: 'narrow',
  run: (x, { dim, start, length }) => wl.narrow(x, dim, start, length),
  reference: (x, { dim, start, length }) => reference.slice(x, dim, start, start + length),
  samples: [
    [[5, 3], { dim: 0, start: 1, length: 3 }],
    [[2, 7], { dim: 1, start: 4, length: 3 }],
  ],
  edges: [
    [[33], { dim: 0, start: 1, length: 31 }],
    [[3, 4], { dim: 1, start: 4, length: 0 }],
  ],
  bad: [
    {
      title: 'more than there is',
      call: (device) => wl.narrow(wl.zeros([2, 3], { device }), 1, 1, 3),
      error: 'ShapeError',
      says: [/\(2, 3\)/],
    },
  ],
});

movement<{ dim: number; index: number }>({
  name: 'select',
  run: (x, { dim, index }) => wl.select(x, dim, index),
  reference: (x, { dim, index }) => {
    const d = dim < 0 ? dim + x.shape.length : dim;
    const at = index < 0 ? index + x.shape[d]! : index;
    const part = reference.slice(x, d, at, at + 1);
    return reference.reshape(
      part,
      part.shape.filter((_, i) => i !== d),
    );
  },
  samples: [
    [[5, 3], { dim: 0, index: 1 }],
    [[2, 7], { dim: -1, index: -1 }],
  ],
  edges: [
    [[31], { dim: 0, index: 30 }],
    [[33, 0], { dim: 0, index: 2 }],
  ],
  bad: [
    {
      title: 'an index past the end',
      call: (device) => wl.select(wl.zeros([2, 3], { device }), 1, 3),
      error: 'IndexError',
      says: [/3/, /\(2, 3\)/],
    },
  ],
});

movement<{ sizes: number | number[]; dim: number }>({
  name: 'split',
  run: (x, { sizes, dim }) => wl.split(x, sizes, dim),
  reference: (x, { sizes, dim }) => reference.split(x, sizes, dim),
  samples: [
    [[5, 2], { sizes: 2, dim: 0 }],
    [[2, 6], { sizes: [1, 2, 3], dim: -1 }],
  ],
  edges: [
    [[33], { sizes: 32, dim: 0 }],
    [[3, 4], { sizes: [0, 4], dim: 1 }],
  ],
  bad: [
    {
      title: 'sizes that do not add up',
      call: (device) => wl.split(wl.zeros([2, 3], { device }), [1, 1], 1),
      error: 'ShapeError',
      says: [/\(2, 3\)/],
    },
  ],
});

movement<{ chunks: number; dim: number }>({
  name: 'chunk',
  run: (x, { chunks, dim }) => wl.chunk(x, chunks, dim),
  reference: (x, { chunks, dim }) => reference.split(x, Math.ceil(x.shape[dim]! / chunks), dim),
  samples: [
    [[6, 2], { chunks: 3, dim: 0 }],
    [[2, 7], { chunks: 3, dim: 1 }],
  ],
  edges: [
    [[33], { chunks: 2, dim: 0 }],
    [[1], { chunks: 4, dim: 0 }],
  ],
  bad: [
    {
      title: 'no chunks',
      call: (device) => wl.chunk(wl.zeros([2, 3], { device }), 0),
      error: 'ShapeError',
      says: [/0/],
    },
  ],
});
