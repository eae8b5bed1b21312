/** The ops whose memory traffic is counted: large shapes, and rows of at most 8,192 elements. */
import * as wl from '../../src/index.js';

export interface TrafficCase {
  readonly name: string;
  readonly shape: string;
  /** bytes that any implementation moves between memory and the chip: each operand once */
  readonly compulsory: number;
  /** bound by memory: what it moves may exceed that by a twentieth only */
  readonly bound: boolean;
  /** Makes the operands, and gives what shall be counted. */
  prepare(): () => unknown;
}

const device = 'cuda';
const n = 4 << 20;
const [rows, columns] = [1024, 4096];
const f32 = 4;

const grid = (requiresGrad = false) => wl.randn([rows, columns], { device, requiresGrad });

/** `operands` float32 tensors of [rows, columns], and some bytes more. */
const elementwise = (name: string, operands: number, extra: number, prepare: () => () => unknown): TrafficCase => ({
  name,
  shape: `[${rows}, ${columns}]`,
  compulsory: operands * n * f32 + extra,
  bound: true,
  prepare,
});

/** The gradient of an op alone: the forward pass is done before the counting begins. */
function backward(run: (x: wl.Tensor) => wl.Tensor): () => () => unknown {
  return () => {
    const x = grid(true);
    const y = run(x);
    const g = y.numel === 1 ? undefined : wl.ones(y.shape, { device });
    return () => wl.grad([y], [x], g ? { gradOutputs: [g] } : {});
  };
}

const targets = () => wl.randint(0, columns, [rows], { device, dtype: 'int32' });

function adamStep(): () => unknown {
  const parameters = [1 << 21, 1 << 20, 1 << 19, 1 << 19].map((k) => wl.nn.parameter(wl.randn([k], { device })));
  const optimizer = new wl.optim.AdamW(parameters, { lr: 1e-3 });
  const step = () => optimizer.step();
  const loss = parameters.map((p) => p.mul(p).sum()).reduce((a, b) => a.add(b));
  loss.backward();
  step();
  return step;
}

const matmul = (m: number, k: number, columnsOfB: number): TrafficCase => ({
  name: 'matmul',
  shape: `[${m}, ${k}] [${k}, ${columnsOfB}]`,
  compulsory: f32 * (m * k + k * columnsOfB + m * columnsOfB),
  bound: false,
  prepare: () => {
    const a = wl.randn([m, k], { device });
    const b = wl.randn([k, columnsOfB], { device });
    return () => wl.matmul(a, b);
  },
});

export const cases: readonly TrafficCase[] = [
  elementwise('add', 3, 0, () => {
    const [a, b] = [grid(), grid()];
    return () => a.add(b);
  }),
  elementwise('add a row', 2, columns * f32, () => {
    const [a, b] = [grid(), wl.randn([columns], { device })];
    return () => a.add(b);
  }),
  elementwise('gelu', 2, 0, () => {
    const a = grid();
    return () => a.gelu();
  }),
  elementwise('copy of the transposed', 2, 0, () => {
    const a = grid().transpose(0, 1);
    return () => a.contiguous();
  }),
  elementwise('where', 3, n, () => {
    const [a, b] = [grid(), grid()];
    const c = wl.lt(a, b);
    return () => wl.where(c, a, b);
  }),
  elementwise('dropout', 2, n, () => {
    const a = grid();
    return () => wl.dropout(a);
  }),
  elementwise('normal', 1, 0, () => () => grid()),
  elementwise('sum of all', 1, f32, () => {
    const a = grid();
    return () => a.sum();
  }),
  elementwise('sum of rows', 1, rows * f32, () => {
    const a = grid();
    return () => a.sum(1);
  }),
  elementwise('sum of columns', 1, columns * f32, () => {
    const a = grid();
    return () => a.sum(0);
  }),
  elementwise('softmax', 2, 0, () => {
    const a = grid();
    return () => wl.softmax(a, 1);
  }),
  elementwise(
    'softmax backward',
    3,
    0,
    backward((x) => wl.softmax(x, 1)),
  ),
  elementwise('layerNorm', 2, 2 * columns * f32 + 2 * rows * f32, () => {
    const [a, w, b] = [grid(), wl.ones([columns], { device }), wl.zeros([columns], { device })];
    return () => wl.layerNorm(a, [columns], { weight: w, bias: b });
  }),
  elementwise(
    'layerNorm backward',
    3,
    2 * rows * f32,
    backward((x) => wl.layerNorm(x, [columns])),
  ),
  elementwise('crossEntropy', 1, 2 * rows * f32, () => {
    const [a, t] = [grid(), targets()];
    return () => wl.crossEntropy(a, t);
  }),
  elementwise('crossEntropy backward', 2, 2 * rows * f32, () => {
    const t = targets();
    return backward((x) => wl.crossEntropy(x, t))();
  }),
  elementwise('embedding', 2, rows * f32, () => {
    const [w, i] = [grid(), wl.arange(0, rows, { device, dtype: 'int32' })];
    return () => wl.embedding(w, i);
  }),
  // Parameters, gradients and both moments: all but the gradients are written too.
  { ...elementwise('AdamW', 7, 0, adamStep), shape: `${n} parameters` },
  matmul(1024, 1024, 1024),
  matmul(4096, 1024, 16),
  matmul(4096, 1024, 32),
  matmul(1, 4096, 4096),
];
