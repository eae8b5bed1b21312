import { describe, expect, it } from 'vitest';
import { nn, noGrad, ones, tensor, tidy, zeros, type Tensor } from '../../src/index.js';
import { covers } from '../harness/surface.js';

class Block extends nn.Module {
  ln1 = new nn.LayerNorm(8);
  attn = new nn.MultiheadAttention(8, 2);
  mlp = new nn.Sequential(new nn.Linear(8, 16), new nn.GELU(), new nn.Linear(16, 8, { bias: false }));

  override forward(x: Tensor): Tensor {
    const y = x.add(this.attn.forward(this.ln1.forward(x)));
    return y.add(this.mlp.forward(y));
  }
}

class Net extends nn.Module {
  readonly scale = nn.parameter(ones([8]));
  tok = new nn.Embedding(5, 8);
  layers = new nn.ModuleList([new Block(), new Block()]);
  readonly head = new nn.Linear(8, 5, { bias: false });
  readonly notes = 'fields of other kinds are left alone';

  readonly running_mean: Tensor;

  constructor() {
    super();
    this.running_mean = this.registerBuffer('running_mean', zeros([8]));
    this.registerBuffer('cache', zeros([2]), { persistent: false });
  }

  override forward(index: Tensor): Tensor {
    let x = this.tok.forward(index).mul(this.scale);
    for (const layer of this.layers) x = layer.forward(x);
    return this.head.forward(x);
  }
}

const blockNames = [
  'ln1.weight',
  'ln1.bias',
  'attn.in_proj_weight',
  'attn.in_proj_bias',
  'attn.out_proj.weight',
  'attn.out_proj.bias',
  'mlp.0.weight',
  'mlp.0.bias',
  'mlp.2.weight',
];

describe('names', () => {
  it("are PyTorch's, in PyTorch's order", () => {
    const net = new Net();
    const layers = [0, 1].flatMap((i) => blockNames.map((name) => `layers.${i}.${name}`));
    expect(Object.keys(net.stateDict())).toEqual(['scale', 'running_mean', 'tok.weight', ...layers, 'head.weight']);
    expect(net.namedParameters().map(([name]) => name)).toEqual(['scale', 'tok.weight', ...layers, 'head.weight']);
    expect(net.namedBuffers().map(([name]) => name)).toEqual(['running_mean', 'cache']);
    expect(
      net
        .namedModules()
        .map(([name]) => name)
        .slice(0, 5),
    ).toEqual(['', 'tok', 'layers', 'layers.0', 'layers.0.ln1']);
    expect(net.children()).toEqual([net.tok, net.layers, net.head]);
    const cnn = new nn.Sequential(new nn.Conv2d(1, 4, 3), new nn.ReLU(), new nn.Flatten(), new nn.Linear(4, 2));
    expect(Object.entries(cnn.stateDict()).map(([name, t]) => [name, t.shape])).toEqual([
      ['0.weight', [4, 1, 3, 3]],
      ['0.bias', [4]],
      ['3.weight', [2, 4]],
      ['3.bias', [2]],
    ]);
    for (const name of ['nn.Module', 'nn.ModuleList', 'nn.Sequential']) covers(name);
  });

  it('of a shared parameter: once among the parameters, twice in the state', () => {
    class Tied extends nn.Module {
      a = new nn.Linear(3, 3, { bias: false });
      b = this.a;
      override forward(x: Tensor): Tensor {
        return this.b.forward(this.a.forward(x));
      }
    }
    const tied = new Tied();
    expect(tied.namedParameters().map(([name]) => name)).toEqual(['a.weight']);
    expect(Object.keys(tied.stateDict())).toEqual(['a.weight', 'b.weight']);
    expect(tied.modules()).toHaveLength(2);
  });

  it('of modules in plain arrays and dicts, and of leaves without parameter()', () => {
    class Loose extends nn.Module {
      parts = [new nn.Linear(1, 1), new nn.Linear(1, 1, { bias: false })];
      heads = new nn.ModuleDict({ x: new nn.Linear(1, 2, { bias: false }) });
      w = ones([2]).requiresGrad_();
      constant = ones([2]);
      override forward(x: Tensor): Tensor {
        return x;
      }
    }
    const loose = tidy(() => new Loose());
    expect(Object.keys(loose.stateDict())).toEqual([
      'w',
      'parts.0.weight',
      'parts.0.bias',
      'parts.1.weight',
      'heads.x.weight',
    ]);
    loose.freeze();
    expect(loose.parameters()).toHaveLength(5);
    covers('nn.ModuleDict');
  });
});

describe('state dicts', () => {
  it('carry all values over, converting dtypes', async () => {
    const [a, b] = [new Net(), new Net()];
    a.layers.at(1).ln1.weight!.requiresGrad = false;
    noGrad(() => nn.init.constant_(a.running_mean, 3));
    b.to('float64');
    expect(b.loadStateDict(a.stateDict())).toEqual({ missing: [], unexpected: [] });
    for (const [name, t] of Object.entries(b.stateDict())) {
      expect(t.dtype).toBe('float64');
      expect([...(await t.data())]).toEqual([...(await a.stateDict()[name]!.data())]);
    }
    expect([...(await b.running_mean.data())]).toEqual(new Array(8).fill(3));
  });

  it('refuse other names and shapes without writing anything', async () => {
    const net = new nn.Sequential(new nn.Linear(2, 3), new nn.Linear(3, 1));
    const before = [...(await net.stateDict()['0.weight']!.data())];
    const state = { ...net.stateDict(), '0.weight': zeros([3, 2]), '1.weight': zeros([1, 4]) };
    expect(() => net.loadStateDict(state)).toThrow(/1\.weight is \(1, 3\), given \(1, 4\)/);
    const { '1.bias': bias, ...rest } = net.stateDict();
    expect(() => net.loadStateDict({ ...rest, extra: bias! })).toThrow(/Missing: 1\.bias\. Unexpected: extra/);
    expect([...(await net.stateDict()['0.weight']!.data())]).toEqual(before);
    expect(net.loadStateDict({ ...rest, extra: bias! }, { strict: false })).toEqual({
      missing: ['1.bias'],
      unexpected: ['extra'],
    });
  });

  it('bump versions, so that backward notices loaded weights', () => {
    const layer = new nn.Linear(2, 2);
    const x = tensor([[1, 2]]).requiresGrad_();
    const loss = layer.forward(x).sum();
    layer.loadStateDict(new nn.Linear(2, 2).stateDict());
    expect(() => loss.backward()).toThrow(/version/);
  });
});

describe('freeze', () => {
  it('stops gradients of a part and keeps it in the state', () => {
    const net = new nn.Sequential(new nn.Linear(2, 3), new nn.Tanh(), new nn.Linear(3, 1));
    const first = net.at(0).freeze();
    net
      .forward(tensor([[1, 2]]))
      .sum()
      .backward();
    expect(first.parameters().map((p) => p.grad)).toEqual([null, null]);
    expect(
      net
        .at(2)
        .parameters()
        .every((p) => p.grad !== null),
    ).toBe(true);
    expect(Object.keys(net.stateDict())).toHaveLength(4);
    net.zeroGrad();
    first.unfreeze();
    net
      .forward(tensor([[1, 2]]))
      .sum()
      .backward();
    expect(net.parameters().every((p) => p.grad !== null)).toBe(true);
    net.zeroGrad();
    expect(net.parameters().every((p) => p.grad === null)).toBe(true);
  });
});

describe('to', () => {
  it('keeps the identity of parameters and buffers and leaves integers alone', async () => {
    const net = new Net();
    const steps = net.registerBuffer('steps', tensor([1, 2], { dtype: 'int32' }));
    const before = net.parameters();
    const values = [...(await before[0]!.data())];
    expect(net.to('float64')).toBe(net);
    expect(net.parameters()).toEqual(before);
    expect(
      net.parameters().every((p, i) => p === before[i] && p.dtype === 'float64' && p.requiresGrad && p.isLeaf),
    ).toBe(true);
    expect([...(await before[0]!.data('float64'))]).toEqual(values);
    expect(steps.dtype).toBe('int32');
    expect(net.buffers()[0]!.dtype).toBe('float64');
    net.to({ dtype: 'float32', device: 'cpu' });
    expect(before[0]!.dtype).toBe('float32');
    const { storage } = before[0]!;
    net.to('cpu');
    expect(before[0]!.storage).toBe(storage);
    net
      .forward(tensor([[0, 4, 2]], { dtype: 'int32' }).t())
      .sum()
      .backward();
    expect(before[0]!.grad!.dtype).toBe('float32');
  });

  it('survives the scope in which it moves', async () => {
    const layer = tidy(() => new nn.Linear(2, 2));
    tidy(() => void layer.to('float64'));
    expect([...(await layer.weight.data('float64'))]).toHaveLength(4);
    covers('nn.parameter');
  });
});

describe('modes and hooks', () => {
  it('train and eval reach every module', async () => {
    const net = new nn.Sequential(new nn.Dropout(0.5), new nn.Sequential(new nn.Dropout(0.9)));
    const x = ones([64]);
    expect(net.modules().every((m) => m.training)).toBe(true);
    expect([...(await net.forward(x).data())].filter((v) => v === 0).length).toBeGreaterThan(40);
    net.eval();
    expect(net.modules().some((m) => m.training)).toBe(false);
    expect([...(await net.forward(x).data())]).toEqual(new Array(64).fill(1));
    net.train();
    expect(net.modules().every((m) => m.training)).toBe(true);
  });

  it('hooks see and may replace what goes in and comes out', async () => {
    const net = new nn.Sequential(new nn.Flatten(0), new nn.ReLU());
    const seen: unknown[] = [];
    const removeFirst = net.at(1).registerForwardPreHook((_, [x]) => [(x as Tensor).neg()]);
    const removeSecond = net.at(1).registerForwardHook((module, _, y) => {
      seen.push(module);
      return (y as Tensor).mul(10);
    });
    expect([...(await net.forward(tensor([[1, -2]])).data())]).toEqual([0, 20]);
    removeFirst();
    removeSecond();
    expect([...(await net.forward(tensor([[1, -2]])).data())]).toEqual([1, 0]);
    expect(seen).toEqual([net.at(1)]);
  });

  it('apply visits the innermost first', () => {
    const names: string[] = [];
    new nn.Sequential(new nn.ReLU(), new nn.Sequential(new nn.Tanh())).apply((m) => names.push(m.constructor.name));
    expect(names).toEqual(['ReLU', 'Tanh', 'Sequential', 'Sequential']);
  });

  it('prints as a tree', () => {
    const net = new nn.Sequential(new nn.Linear(2, 3), new nn.Sequential(new nn.Dropout(0.1)));
    expect(String(net)).toBe('Sequential(\n  (0): Linear(2, 3)\n  (1): Sequential(\n    (0): Dropout(p: 0.1)\n  )\n)');
  });
});
