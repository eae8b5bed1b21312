/** The cases that every peer runs, and what each must at least compute or move. */

export const caseNames = [
  'peak',
  'matmul_512',
  'matmul_1024',
  'add_1e7',
  'tiny_add',
  'mlp_step',
  'cnn_step',
  'gpt_step',
  'tiny_mlp',
  'tiny_mlp_captured',
] as const;
export type CaseName = (typeof caseNames)[number];

/** One measurement, as `--json` writes it. `error` says why a peer has no time for a case; times are then 0. */
export interface Row {
  peer: string;
  case: CaseName;
  threads: number;
  dtype: 'float32';
  median_ms: number;
  min_ms: number;
  reps: number;
  error?: string;
  /** the most memory that steps take beyond what the import left, in 1e6 bytes: what the process held at its highest, less that */
  peak_mb?: number;
  /** of the peak: the best rates, of float32 fma in 1e9 operations a second and of memory in 1e9 bytes a second */
  gflops?: number;
  gbytes?: number;
  /** of the peak on several threads: nanoseconds of a cache line from one processor to another and back */
  trip_ns?: number;
}

/** A row without times. */
export const emptyRow = (peer: string, name: CaseName, threads: number): Row => ({
  peer,
  case: name,
  threads,
  dtype: 'float32',
  median_ms: 0,
  min_ms: 0,
  reps: 0,
});

export interface Work {
  /** floating-point operations, a fused multiply-add being two */
  flops: number;
  /** bytes that must cross between memory and the processor */
  bytes: number;
}

/** Multiplications of a forward pass, its gradients by weights, and those by inputs (none for the first layer). */
const trained = (layers: number[], first: number): number => {
  const forward = 2 * layers.reduce((sum, macs) => sum + macs, 0);
  return 3 * forward - 2 * first;
};

const mlp = [784 * 512, 512 * 256, 256 * 10].map((macs) => 128 * macs);
const cnn = [28 * 28 * 16 * 9, 14 * 14 * 32 * 16 * 9, 32 * 7 * 7 * 10].map((macs) => 64 * macs);
const tokens = 16 * 64;
// Per layer 12 d^2 multiplications a token in the four products, and two of T x d a token in attention; then the head.
const gpt = [2 * tokens * 12 * 128 * 128, 2 * tokens * 2 * 64 * 128, tokens * 128 * 256];

/** What a case costs at the very least: only the matrix products are counted, and only arrays too large for any cache. */
export const work: Readonly<Record<CaseName, Work>> = {
  peak: { flops: 0, bytes: 0 },
  matmul_512: { flops: 2 * 512 ** 3, bytes: 0 },
  matmul_1024: { flops: 2 * 1024 ** 3, bytes: 0 },
  add_1e7: { flops: 1e7, bytes: 3 * 4 * 1e7 },
  tiny_add: { flops: 0, bytes: 0 },
  mlp_step: { flops: trained(mlp, mlp[0]!), bytes: 0 },
  cnn_step: { flops: trained(cnn, cnn[0]!), bytes: 0 },
  gpt_step: { flops: trained(gpt, 0), bytes: 0 },
  tiny_mlp: { flops: 0, bytes: 0 },
  tiny_mlp_captured: { flops: 0, bytes: 0 },
};

/** What ours over PyTorch's time is meant to be at most, on one thread and on two. */
export const goals: Readonly<Partial<Record<CaseName, readonly [number, number]>>> = {
  matmul_512: [0.83, 0.86],
  matmul_1024: [0.83, 0.86],
  add_1e7: [0.4, 0.4],
  mlp_step: [0.6, 0.6],
  cnn_step: [0.5, 0.5],
  gpt_step: [0.5, 0.5],
  tiny_mlp: [0.25, 0.25],
  tiny_mlp_captured: [0.1, 0.1],
};

/** Adds in one chain of `tiny_add`; its time is that of one add. */
export const tinyChain = 1000;
