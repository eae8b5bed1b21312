/**
 * warploom's side: `tsx bench/ours.ts CASE...` prints one row of JSON a line, `... --memory CASE` one of memory, `... --turns CASE`
 * the times of a turn for each line of input. Threads come from WARPLOOM_THREADS.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import Benchmark from 'benchmark';
import {
  capture,
  crossEntropy,
  dispose,
  gelu,
  manualSeed,
  nn,
  optim,
  rand,
  randint,
  randn,
  scaledDotProductAttention,
  split,
  tidy,
  type Tensor,
} from '../src/index.js';
import { emptyRow, tinyChain, type CaseName, type Row } from './cases.js';

class Block extends nn.Module {
  readonly ln1: nn.LayerNorm;
  readonly qkv: nn.Linear;
  readonly proj: nn.Linear;
  readonly ln2: nn.LayerNorm;
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;

  constructor(
    readonly d: number,
    readonly heads: number,
  ) {
    super();
    this.ln1 = new nn.LayerNorm(d);
    this.qkv = new nn.Linear(d, 3 * d);
    this.proj = new nn.Linear(d, d);
    this.ln2 = new nn.LayerNorm(d);
    this.fc1 = new nn.Linear(d, 4 * d);
    this.fc2 = new nn.Linear(4 * d, d);
  }

  override forward(x: Tensor): Tensor {
    const [b, t, d] = x.shape as [number, number, number];
    const [q, k, v] = split(this.qkv.forward(this.ln1.forward(x)), d, 2).map((z) =>
      z.reshape([b, t, this.heads, d / this.heads]).transpose(1, 2),
    );
    const mixed = scaledDotProductAttention(q!, k!, v!, { causal: true }).transpose(1, 2).reshape([b, t, d]);
    const y = x.add(this.proj.forward(mixed));
    return y.add(this.fc2.forward(gelu(this.fc1.forward(this.ln2.forward(y)), { approximate: 'tanh' })));
  }
}

class Gpt extends nn.Module {
  readonly tok = new nn.Embedding(256, 128);
  readonly pos = new nn.Embedding(64, 128);
  readonly blocks = new nn.ModuleList([new Block(128, 4), new Block(128, 4)]);
  readonly ln = new nn.LayerNorm(128);
  readonly head = new nn.Linear(128, 256, { bias: false });

  override forward(index: Tensor): Tensor {
    let x = this.tok.forward(index).add(this.pos.weight);
    for (const block of this.blocks) x = block.forward(x);
    return this.head.forward(this.ln.forward(x)).reshape([16 * 64, 256]);
  }
}

type Model = nn.Module & { forward(x: Tensor): Tensor };

/** A step of training: forward, loss, gradients, the optimizer's update. */
function stepOf(model: Model, optimizer: optim.Optimizer): (x: Tensor, y: Tensor) => Tensor {
  return (x, y) => {
    const loss = crossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss.detach();
  };
}

function trainer(model: Model, x: Tensor, y: Tensor): () => Promise<void> {
  const step = stepOf(model, new optim.Adam(model.parameters(), { lr: 1e-3 }));
  return async () => {
    const loss = tidy(() => step(x, y));
    await loss.ready();
    dispose(loss);
  };
}

/** So small a step is all overhead. */
function tinyTrainer(captured: boolean): () => Promise<void> {
  const model = new nn.Sequential(new nn.Linear(4, 32), new nn.ReLU(), new nn.Linear(32, 3));
  const plain = stepOf(model, new optim.AdamW(model.parameters(), { lr: 1e-3 }));
  const step = captured ? capture(plain) : (x: Tensor, y: Tensor) => tidy(() => plain(x, y));
  const [x, y] = [rand([16, 4]), labels([16], 3)];
  return async () => {
    const loss = step(x, y);
    await loss.ready();
    dispose(loss);
  };
}

function product(m: number, k = m, n = m): () => Promise<void> {
  const [a, b] = [randn([m, k]), randn([k, n])];
  return async () => {
    const c = a.matmul(b);
    await c.ready();
    dispose(c);
  };
}

const labels = (shape: number[], classes: number) => randint(0, classes, shape, { dtype: 'int32' });

const programs: Record<Exclude<CaseName, 'peak'>, () => () => Promise<void>> = {
  matmul_512: () => product(512),
  matmul_1024: () => product(1024),
  add_1e7: () => {
    const [a, b] = [rand([1e7]), rand([1e7])];
    return async () => {
      const c = a.add(b);
      await c.ready();
      dispose(c);
    };
  },
  tiny_add: () => {
    const [a, b] = [rand([8]), rand([8])];
    return async () => {
      const sum = tidy(() => {
        let x = a;
        for (let i = 0; i < tinyChain; i++) x = x.add(b);
        return x;
      });
      await sum.ready();
      dispose(sum);
    };
  },
  mlp_step: () =>
    trainer(
      new nn.Sequential(
        new nn.Linear(784, 512),
        new nn.ReLU(),
        new nn.Linear(512, 256),
        new nn.ReLU(),
        new nn.Linear(256, 10),
      ),
      rand([128, 784]),
      labels([128], 10),
    ),
  cnn_step: () =>
    trainer(
      new nn.Sequential(
        new nn.Conv2d(1, 16, 3, { padding: 1 }),
        new nn.ReLU(),
        new nn.MaxPool2d(2),
        new nn.Conv2d(16, 32, 3, { padding: 1 }),
        new nn.ReLU(),
        new nn.MaxPool2d(2),
        new nn.Flatten(),
        new nn.Linear(32 * 7 * 7, 10),
      ),
      rand([64, 1, 28, 28]),
      labels([64], 10),
    ),
  gpt_step: () => trainer(new Gpt(), labels([16, 64], 256), labels([16 * 64], 256)),
  tiny_mlp: () => tinyTrainer(false),
  tiny_mlp_captured: () => tinyTrainer(true),
};

/** Runs one program under Benchmark.js, after a warm-up, and takes median and minimum of its samples. */
async function measure(name: Exclude<CaseName, 'peak'>): Promise<Row> {
  const threads = Number(process.env['WARPLOOM_THREADS']);
  manualSeed(1);
  const program = programs[name]();
  for (let i = 0; i < 3; i++) await program();
  const samples = await new Promise<number[]>((resolve, reject) => {
    new Benchmark(name, {
      defer: true,
      minSamples: 15,
      maxTime: 1.5,
      fn: (deferred: { resolve(): void }) => void program().then(() => deferred.resolve(), reject),
      onComplete(this: Benchmark) {
        resolve([...this.stats.sample].sort((a, b) => a - b));
      },
    }).run({ async: true });
  });
  const unit = 1000 / (name === 'tiny_add' ? tinyChain : 1);
  return {
    peer: 'warploom',
    case: name,
    threads,
    dtype: 'float32',
    median_ms: samples[samples.length >> 1]! * unit,
    min_ms: samples[0]! * unit,
    reps: samples.length,
  };
}

/** As `VmRSS` or `VmHWM` of this process, in 1e6 bytes. */
const status = (key: string): number =>
  (Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024) / 1e6;

/** One case a process: what its steps take at most beyond what the import left. */
async function memoryOf(name: Exclude<CaseName, 'peak'>): Promise<Row> {
  const imported = status('VmRSS');
  const program = programs[name]();
  for (let i = 0; i < 20; i++) await program();
  const threads = Number(process.env['WARPLOOM_THREADS']);
  return { ...emptyRow('warploom', name, threads), peak_mb: status('VmHWM') - imported };
}

/** Runs a case, or the product of two matrices MxK and KxN, whenever told for how many milliseconds; answers with its times. */
async function takeTurns(name: string): Promise<void> {
  const shape = /^(\d+)x(\d+)x(\d+)$/.exec(name)?.slice(1).map(Number);
  const program = shape ? product(...(shape as [number, number, number])) : programs[name as keyof typeof programs]();
  for await (const line of createInterface({ input: process.stdin })) {
    // A turn's first runs wake the threads and bring back what others have pushed out of the caches.
    for (let i = 0; i < 3; i++) await program();
    const times: number[] = [];
    let from = performance.now();
    for (const end = from + Number(line); from < end;) {
      await program();
      const to = performance.now();
      times.push(to - from);
      from = to;
    }
    console.log(JSON.stringify(times));
  }
}

const asked = process.argv.slice(2);
if (asked[0] === '--turns') await takeTurns(asked[1]!);
else {
  const memory = asked[0] === '--memory';
  for (const name of (memory ? asked.slice(1) : asked) as Exclude<CaseName, 'peak'>[])
    console.log(JSON.stringify(await (memory ? memoryOf(name) : measure(name))));
}
