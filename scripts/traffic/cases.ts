/** The ops whose memory traffic is counted: large shapes, and rows of at most 8,192 elements. */
import * as wl from '../../src/index.js';

export interface TrafficCase {
  readonly name: string;
  readonly shape: string;
  /** bytes that any implementation moves between memory and the chip: each operand once */
  readonly compulsory: number;
  /** bound by memory: what it moves may exceed that by a twentieth only */
  readonly bound: boolean;
  /**
   * Data say where elements go in shared memory: of 32 random banks the fullest has 3.5 in the mean, whatever the layout. A sort by a
   * digit does so five times an element, one in a bucket four times, and rows of 64 have too little else to read beside.
   */
  readonly sorts?: boolean;
  /** the kernels that it launches, in order, where that is promised */
  readonly launches?: readonly string[];
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

/** Attention over [B, H, T, d], whose gradient reads q, k, v, y, its own gradient and a number a query. */
const attention = (gradient: boolean, launches: readonly string[]): TrafficCase => {
  const [B, H, T, d] = [2, 4, 512, 64];
  return {
    name: `attention${gradient ? ' backward' : ''}`,
    shape: `[${B}, ${H}, ${T}, ${d}]`,
    compulsory: f32 * B * H * T * ((gradient ? 8 : 4) * d + 1),
    bound: false,
    launches,
    prepare: () => {
      const qkv = [0, 1, 2].map(() => wl.randn([B, H, T, d], { device, requiresGrad: gradient }));
      const run = () => wl.scaledDotProductAttention(qkv[0]!, qkv[1]!, qkv[2]!);
      if (!gradient) return run;
      const [y, g] = [run(), wl.ones([B, H, T, d], { device })];
      return () => wl.grad([y], qkv, { gradOutputs: [g] });
    },
  };
};

/** Rows of C elements, n in all. */
const layerNorm = (C: number): TrafficCase => ({
  name: 'layerNorm',
  shape: `[${n / C}, ${C}]`,
  compulsory: f32 * (2 * n + 2 * C + (2 * n) / C),
  bound: true,
  prepare: () => {
    const x = wl.randn([n / C, C], { device });
    const [weight, bias] = [wl.ones([C], { device }), wl.zeros([C], { device })];
    return () => wl.layerNorm(x, [C], { weight, bias });
  },
});

/** Its gradient; of weight and bias, too, or of x alone. */
const layerNormBackward = (C: number, parameters: boolean): TrafficCase => ({
  name: `layerNorm backward${parameters ? ', all' : ''}`,
  shape: `[${n / C}, ${C}]`,
  compulsory: f32 * (3 * n + (2 * n) / C + (parameters ? 3 * C : 0)),
  bound: true,
  prepare: () => {
    const x = wl.randn([n / C, C], { device, requiresGrad: true });
    const weight = wl.ones([C], { device, requiresGrad: parameters });
    const bias = wl.zeros([C], { device, requiresGrad: parameters });
    const y = wl.layerNorm(x, [C], parameters ? { weight, bias } : {});
    const g = wl.ones(y.shape, { device });
    return () => wl.grad([y], parameters ? [x, weight, bias] : [x], { gradOutputs: [g] });
  },
});

/** The gradient of a table of n elements in rows of D, with as many draws from it as it has rows. */
const embeddingBackward = (D: number): TrafficCase => ({
  name: 'embedding backward',
  shape: `[${n / D}, ${D}], ${n / D} draws`,
  compulsory: f32 * (2 * n + n / D),
  bound: true,
  sorts: true,
  prepare: () => {
    const table = wl.randn([n / D, D], { device, requiresGrad: true });
    const y = wl.embedding(table, wl.randint(0, n / D, [n / D], { device, dtype: 'int32' }));
    const g = wl.ones(y.shape, { device });
    return () => wl.grad([y], [table], { gradOutputs: [g] });
  },
});

/** A linear layer with bias and activation: one launch. */
const linear = (batch: number, I: number, O: number): TrafficCase => ({
  name: 'linear, bias, gelu',
  shape: `[${batch}, ${I}] [${O}, ${I}]`,
  compulsory: f32 * (batch * I + I * O + O + batch * O),
  bound: false,
  launches: ['gemm_f32_nt_128x128'],
  prepare: () => {
    const [x, w, b] = [[batch, I], [O, I], [O]].map((shape) => wl.randn(shape, { device }));
    return () => wl.linear(x!, w!, b!, { activation: 'gelu' });
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
  elementwise('add a column', 2, rows * f32, () => {
    const [a, b] = [grid(), wl.randn([rows, 1], { device })];
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
  ...[512, 4096, 8192].flatMap((C) => [layerNorm(C), layerNormBackward(C, false), layerNormBackward(C, true)]),
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
  ...[64, 256, 1024].map(embeddingBackward),
  {
    // Parameters, gradients and both moments: all but the gradients are written too. A launch of one thread advances the
    // step's scalars first: blocks of one launch could not tell whether they read them before or after.
    ...elementwise('AdamW', 7, 0, adamStep),
    shape: `${n} in 4 parameters`,
    launches: ['optim_advance', 'adam_f32'],
  },
  attention(false, ['attention_f32_64']),
  attention(true, ['attentionDelta_f32', 'attentionQueries_f32_64', 'attentionKeys_f32_64']),
  linear(2048, 512, 1024),
  matmul(1536, 256, 1536),
  matmul(1024, 1024, 1024),
  matmul(4096, 1024, 16),
  matmul(4096, 1024, 32),
  matmul(1, 4096, 4096),
];

/** Those whose name holds the last argument that is no option; all of them without one. */
export function casesNamed(args: readonly string[]): readonly TrafficCase[] {
  const name = args.filter((arg) => !arg.startsWith('--')).at(-1) ?? '';
  return cases.filter((one) => one.name.includes(name));
}
