/** Trains the frozen models for ten steps on the default device and prints the losses as JSON: `frozenSteps.ts ISA [capture]`. */
import { readFileSync } from 'node:fs';
import * as wl from '../../src/index.js';
import { nn, optim, type Tensor } from '../../src/index.js';

const frozen = (name: string) => new URL(`../frozen/${name}`, import.meta.url);

class Attention extends nn.Module {
  readonly qkv: nn.Linear;
  readonly proj: nn.Linear;

  constructor(
    readonly width: number,
    readonly heads: number,
  ) {
    super();
    this.qkv = new nn.Linear(width, 3 * width);
    this.proj = new nn.Linear(width, width);
  }

  override forward(x: Tensor): Tensor {
    const [b, t, d] = x.shape as [number, number, number];
    const heads = this.qkv
      .forward(x)
      .split(d, 2)
      .map((z) => z.reshape([b, t, this.heads, d / this.heads]).transpose(1, 2));
    const [q, k, v] = heads as [Tensor, Tensor, Tensor];
    const mixed = wl.scaledDotProductAttention(q, k, v, { causal: true });
    return this.proj.forward(mixed.transpose(1, 2).reshape([b, t, d]));
  }
}

class Block extends nn.Module {
  readonly ln1: nn.LayerNorm;
  readonly attn: Attention;
  readonly ln2: nn.LayerNorm;
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;

  constructor(width: number, heads: number) {
    super();
    this.ln1 = new nn.LayerNorm(width);
    this.attn = new Attention(width, heads);
    this.ln2 = new nn.LayerNorm(width);
    this.fc1 = new nn.Linear(width, 4 * width);
    this.fc2 = new nn.Linear(4 * width, width);
  }

  override forward(x: Tensor): Tensor {
    const y = x.add(this.attn.forward(this.ln1.forward(x)));
    return y.add(this.fc2.forward(this.fc1.forward(this.ln2.forward(y)).gelu({ approximate: 'tanh' })));
  }
}

class Transformer extends nn.Module {
  readonly tok = new nn.Embedding(31, 32);
  readonly pos = new nn.Embedding(12, 32);
  readonly blocks = new nn.ModuleList([new Block(32, 4), new Block(32, 4)]);
  readonly ln = new nn.LayerNorm(32);
  readonly head = new nn.Linear(32, 31, { bias: false });

  override forward(index: Tensor): Tensor {
    let x = this.tok.forward(index).add(this.pos.forward(wl.arange(12, { dtype: 'int32' })));
    for (const block of this.blocks) x = block.forward(x);
    return this.head.forward(this.ln.forward(x));
  }
}

const models = {
  mlp: () => {
    const model = new nn.Sequential(
      new nn.Linear(49, 64),
      new nn.ReLU(),
      new nn.Linear(64, 33),
      new nn.Tanh(),
      new nn.Linear(33, 10),
    );
    const options = { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 1e-3 };
    return { model, optimizer: new optim.SGD(model.parameters(), options) };
  },
  cnn: () => {
    const model = new nn.Sequential(
      new nn.Conv2d(1, 6, 3, { padding: 1 }),
      new nn.ReLU(),
      new nn.MaxPool2d(2),
      new nn.Conv2d(6, 8, 5, { padding: 2 }),
      new nn.ReLU(),
      new nn.MaxPool2d(2),
      new nn.Flatten(),
      new nn.Linear(8 * 3 * 3, 10),
    );
    return { model, optimizer: new optim.Adam(model.parameters(), { lr: 2e-3 }) };
  },
  transformer: () => {
    const model = new Transformer();
    return { model, optimizer: new optim.AdamW(model.parameters(), { lr: 1e-3, weightDecay: 0.1 }) };
  },
};

async function losses(name: keyof typeof models, captured: boolean): Promise<number[]> {
  const {
    'batch.x': xs,
    'batch.y': ys,
    ...weights
  } = await wl.loadSafetensors(readFileSync(frozen(`steps_${name}.safetensors`)), { device: wl.defaultDevice() });
  const { model, optimizer } = models[name]();
  model.loadStateDict(weights);
  const eager = (x: Tensor, y: Tensor): Tensor => {
    const out = model.forward(x);
    const loss = wl.crossEntropy(out.reshape([-1, out.shape.at(-1)!]), y.reshape([-1]));
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  const step = captured ? wl.capture(eager) : eager;
  const result: number[] = [];
  for (let i = 0; i < xs!.shape[0]!; i++) {
    result.push(Number(await wl.tidy(() => step(xs!.select(0, i).contiguous(), ys!.select(0, i).contiguous()).item())));
  }
  return result;
}

const [isa, how] = process.argv.slice(2);
wl.configureCpu({ isa: isa as 'baseline' });
const report: Record<string, number[]> = {};
for (const name of Object.keys(models) as (keyof typeof models)[]) report[name] = await losses(name, how === 'capture');
process.stdout.write(JSON.stringify(report));
