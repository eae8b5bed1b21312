import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Generator, nn, ones, tensor, type Tensor } from '../../src/index.js';
import { covers } from '../harness/surface.js';

const { init } = nn;
const values = async (t: Tensor): Promise<number[]> => Array.from(await t.data(), Number);
const generator = (seed: number): Generator => new Generator({ seed });

describe('default initialisation', () => {
  it.each([
    ['Linear', (seed: number) => new nn.Linear(400, 50, { generator: generator(seed) }), 1 / 20],
    ['Conv2d', (seed: number) => new nn.Conv2d(32, 64, 5, { groups: 2, generator: generator(seed) }), 1 / 20],
  ] as const)(
    'of %s fills [-1 / sqrt(fanIn), 1 / sqrt(fanIn)) and repeats with its generator',
    async (_, build, bound) => {
      const layer = build(1);
      for (const t of [layer.weight, layer.bias!]) {
        const v = await values(t);
        expect(Math.max(...v.map(Math.abs))).toBeLessThanOrEqual(bound);
        expect(Math.max(...v)).toBeGreaterThan(0.85 * bound);
        expect(Math.min(...v)).toBeLessThan(-0.85 * bound);
      }
      const v = await values(layer.weight);
      expect(Math.sqrt(v.reduce((sum, x) => sum + x * x, 0) / v.length)).toBeCloseTo(bound / Math.sqrt(3), 3);
      expect(await values(build(1).weight)).toEqual(v);
      expect(await values(build(2).weight)).not.toEqual(v);
    },
  );

  it('of Embedding is standard normal with a zero padding row, of LayerNorm one and zero', async () => {
    const table = new nn.Embedding(500, 20, { paddingIdx: -2, generator: generator(1) });
    const v = await values(table.weight);
    expect(v.slice(498 * 20, 499 * 20)).toEqual(new Array(20).fill(0));
    const rest = v.filter((_, i) => Math.floor(i / 20) !== 498);
    expect(rest.reduce((sum, x) => sum + x, 0) / rest.length).toBeCloseTo(0, 1);
    expect(rest.reduce((sum, x) => sum + x * x, 0) / rest.length).toBeCloseTo(1, 1);
    const norm = new nn.LayerNorm([2, 3]);
    expect(await values(norm.weight!)).toEqual(new Array(6).fill(1));
    expect(await values(norm.bias!)).toEqual(new Array(6).fill(0));
    expect(new nn.LayerNorm(4, { elementwiseAffine: false }).parameters()).toEqual([]);
  });
});

describe('init', () => {
  const std = (v: number[]): number => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0) / v.length);
  const relu = Math.SQRT2;
  it.each([
    [
      'kaimingUniform_',
      (t: Tensor) => init.kaimingUniform_(t, { nonlinearity: 'relu', generator: generator(1) }),
      relu / Math.sqrt(60 * 9),
      true,
    ],
    [
      'kaimingUniform_ fanOut',
      (t: Tensor) => init.kaimingUniform_(t, { mode: 'fanOut', a: 1, generator: generator(1) }),
      1 / Math.sqrt(40 * 9),
      true,
    ],
    [
      'kaimingNormal_',
      (t: Tensor) => init.kaimingNormal_(t, { generator: generator(1) }),
      relu / Math.sqrt(60 * 9),
      false,
    ],
    [
      'xavierUniform_',
      (t: Tensor) => init.xavierUniform_(t, { gain: 2, generator: generator(1) }),
      2 * Math.sqrt(2 / (100 * 9)),
      true,
    ],
    [
      'xavierNormal_',
      (t: Tensor) => init.xavierNormal_(t, { generator: generator(1) }),
      Math.sqrt(2 / (100 * 9)),
      false,
    ],
    ['uniform_', (t: Tensor) => init.uniform_(t, -3, 3, { generator: generator(1) }), Math.sqrt(3), true],
    ['normal_', (t: Tensor) => init.normal_(t, 0, 0.5, { generator: generator(1) }), 0.5, false],
  ] as const)('%s has the deviation it promises', async (_, fill, want, uniform) => {
    const t = ones([40, 60, 3, 3]);
    const { version } = t;
    expect(fill(t)).toBe(t);
    expect(t.version).toBeGreaterThan(version);
    const v = await values(t);
    expect(std(v) / want).toBeGreaterThan(0.98);
    expect(std(v) / want).toBeLessThan(1.02);
    const top = Math.max(...v.map(Math.abs)) / want;
    if (uniform) expect(top).toBeLessThanOrEqual(Math.sqrt(3) + 1e-6);
    else expect(top).toBeGreaterThan(3);
  });

  it('gives the gains of PyTorch', () => {
    expect([init.gain('linear'), init.gain('tanh'), init.gain('relu'), init.gain('selu')]).toEqual([
      1,
      5 / 3,
      Math.SQRT2,
      0.75,
    ]);
    expect(init.gain('leakyRelu', 0.2)).toBeCloseTo(Math.sqrt(2 / 1.04), 12);
  });

  it('writes views, repeats with its seed, and refuses what it cannot write', async () => {
    const t = ones([4, 3]);
    init.uniform_(t.t().narrow(0, 1, 1), 5, 6, { generator: generator(2) });
    const v = await values(t);
    expect(v.filter((_, i) => i % 3 !== 1)).toEqual(new Array(8).fill(1));
    expect(v.filter((x, i) => i % 3 === 1 && x >= 5 && x < 6)).toHaveLength(4);
    init.zeros_(t);
    expect(await values(t)).toEqual(new Array(12).fill(0));
    expect(() => init.zeros_(ones([1]).expand([4]))).toThrow(/repeats elements/);
    expect(() => init.xavierUniform_(ones([4]))).toThrow(/at least two dims/);
    covers('nn.init');
  });
});

describe('layers', () => {
  it('compute their op with their options', async () => {
    const x = tensor(
      Float32Array.from({ length: 2 * 2 * 5 * 5 }, (_, i) => Math.sin(i)),
      { shape: [2, 2, 5, 5] },
    );
    const conv = new nn.Conv2d(2, 4, [3, 1], { stride: [2, 1], padding: [1, 0], dilation: 1, groups: 2 });
    const { weight, bias } = conv;
    const y = conv.forward(x);
    expect(y.shape).toEqual([2, 4, 3, 5]);
    // One output by hand: sample 1, channel 2 (of the second group), row 0 (its first tap is padding), column 3.
    const [w, b, v] = [await values(weight), await values(bias!), await values(x)];
    const at = (n: number, c: number, h: number, q: number): number => v[((n * 2 + c) * 5 + h) * 5 + q]!;
    const want = w[2 * 3 + 1]! * at(1, 1, 0, 3) + w[2 * 3 + 2]! * at(1, 1, 1, 3) + b[2]!;
    expect((await values(y))[((1 * 4 + 2) * 3 + 0) * 5 + 3]).toBeCloseTo(want, 5);
    expect(new nn.MaxPool2d(2).forward(x).shape).toEqual([2, 2, 2, 2]);
    expect(new nn.MaxPool2d(3, { stride: 1, padding: 1 }).forward(x).shape).toEqual([2, 2, 5, 5]);
    expect(new nn.Flatten().forward(x).shape).toEqual([2, 50]);
    expect(new nn.Flatten(0, 1).forward(x).shape).toEqual([4, 5, 5]);
    expect(new nn.Linear(5, 3, { bias: false }).forward(x).shape).toEqual([2, 2, 5, 3]);
    expect(new nn.LayerNorm([5, 5]).forward(x).shape).toEqual(x.shape);
    expect(new nn.Embedding(4, 6).forward(tensor([[0, 3]], { dtype: 'int32' })).shape).toEqual([1, 2, 6]);
    for (const name of ['nn.Conv2d', 'nn.Embedding', 'nn.Flatten', 'nn.LayerNorm', 'nn.Linear', 'nn.MaxPool2d'])
      covers(name);
  });

  it('activations are their functions', async () => {
    const x = tensor([-1, 0, 2]);
    expect(await values(new nn.ReLU().forward(x))).toEqual([0, 0, 2]);
    (await values(new nn.Tanh().forward(x))).forEach((v, i) => expect(v).toBeCloseTo(Math.tanh([-1, 0, 2][i]!), 6));
    (await values(new nn.Sigmoid().forward(x))).forEach((v, i) =>
      expect(v).toBeCloseTo(1 / (1 + Math.exp(-[-1, 0, 2][i]!)), 6),
    );
    expect((await values(new nn.GELU().forward(x)))[0]).toBeCloseTo(-0.15865526, 6);
    expect((await values(new nn.GELU({ approximate: 'tanh' }).forward(x)))[0]).toBeCloseTo(-0.15880801, 6);
    expect((await values(new nn.Softmax(0).forward(x))).reduce((sum, v) => sum + v, 0)).toBeCloseTo(1, 6);
    for (const name of ['nn.GELU', 'nn.ReLU', 'nn.Sigmoid', 'nn.Softmax', 'nn.Tanh']) covers(name);
  });

  it('dropout draws from its own generator', async () => {
    const x = ones([256]);
    const draw = (seed: number): Promise<number[]> =>
      values(new nn.Dropout(0.25, { generator: generator(seed) }).forward(x));
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
    expect(new Set(await draw(1))).toEqual(new Set([0, Math.fround(4 / 3)]));
    covers('nn.Dropout');
  });

  it('refuse sizes that make no sense', () => {
    expect(() => new nn.Linear(2.5, 1)).toThrow(/inFeatures must be a whole number/);
    expect(() => new nn.Conv2d(4, 6, 3, { groups: 4 })).toThrow(/groups 4 must divide/);
    expect(() => new nn.Conv2d(1, 1, 0)).toThrow(/kernelSize/);
    expect(() => new nn.Dropout(1.5)).toThrow(/probability/);
    expect(() => new nn.Embedding(3, 2, { paddingIdx: 3 })).toThrow(/paddingIdx 3 is outside/);
    expect(() => new nn.MultiheadAttention(6, 4)).toThrow(/multiple of numHeads/);
    expect(() => new nn.ModuleList([]).forward()).toThrow(/computes nothing/);
    expect(() => new nn.Sequential().at(0)).toThrow(/out of range/);
  });
});

interface Frozen {
  shape: number[];
  values: number[];
}
interface FrozenAttention {
  embedDim: number;
  numHeads: number;
  state: Record<string, Frozen>;
  query: Frozen;
  memory: Frozen;
  self: { output: Frozen; gradient: Frozen };
  causal: { output: Frozen; gradient: Frozen };
  cross: { output: Frozen; gradient: Frozen };
}

describe("MultiheadAttention against PyTorch's", () => {
  const frozen = JSON.parse(
    readFileSync(new URL('../frozen/multiheadAttention.json', import.meta.url), 'utf8'),
  ) as FrozenAttention;
  const load = ({ shape, values: v }: Frozen): Tensor => tensor(new Float64Array(v), { shape });

  it.each([
    ['self', false],
    ['self', true],
    ['causal', false],
    ['cross', false],
    ['cross', true],
  ] as const)('%s, batchFirst %s', async (kind, batchFirst) => {
    const module = new nn.MultiheadAttention(frozen.embedDim, frozen.numHeads, { batchFirst, dtype: 'float64' });
    module.loadStateDict(Object.fromEntries(Object.entries(frozen.state).map(([name, t]) => [name, load(t)])));
    const place = (t: Tensor): Tensor => (batchFirst ? t.transpose(0, 1) : t);
    const query = place(load(frozen.query));
    const key = kind === 'cross' ? place(load(frozen.memory)) : query;
    const y = place(module.forward(query, { key, causal: kind === 'causal' }));
    expect(y.shape).toEqual(frozen[kind].output.shape);
    y.mul(y).sum().backward();
    (await values(y)).forEach((v, i) => expect(v).toBeCloseTo(frozen[kind].output.values[i]!, 10));
    (await values(module.in_proj_weight.grad!)).forEach((v, i) =>
      expect(v).toBeCloseTo(frozen[kind].gradient.values[i]!, 9),
    );
    covers('nn.MultiheadAttention');
  });
});
