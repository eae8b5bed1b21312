/** The shapes at which kernels go wrong, for each kind of op. */
import type { Sample } from './sample.js';

/** Empty, 0-dim, size 1, and rows around a vector's and a block's width. */
export const edgeShapes: readonly (readonly number[])[] = [
  [],
  [0],
  [3, 0],
  [1],
  [1, 1],
  [31],
  [3, 33],
  [2, 4097],
  [2, 3, 5],
];

export const unaryEdges: readonly Sample<void>[] = edgeShapes.map((shape) => ({ inputs: [shape], params: undefined }));

/** Equal shapes, and every way of broadcasting against them. */
export const binaryEdges: readonly Sample<void>[] = [
  ...edgeShapes.map((shape) => ({ inputs: [shape, shape], params: undefined })),
  ...(
    [
      [[], [5]],
      [
        [3, 1],
        [1, 4],
      ],
      [[4097], []],
      [
        [2, 1, 5],
        [3, 1],
      ],
      [[0], [1]],
      [
        [33, 3],
        [33, 1],
      ],
    ] as const
  ).map((inputs) => ({ inputs, params: undefined })),
];
