import { describe, expect, it } from 'vitest';
import {
  capture,
  crossEntropy,
  Generator,
  memory,
  nn,
  optim,
  randn,
  tensor,
  tidy,
  type Tensor,
} from '../../src/index.js';
import { noise } from './particle.js';

const kinds: [string, (model: nn.Module) => optim.SGD | optim.Adam][] = [
  ['SGD', (model) => new optim.SGD(model.namedParameters(), { lr: 0.1, momentum: 0.9, dampening: 0.2 })],
  ['Adam', (model) => new optim.Adam(model.namedParameters(), { lr: 0.01 })],
  ['AdamW', (model) => new optim.AdamW(model.namedParameters(), { lr: 0.01, clipGradNorm: 0.5 })],
];

const net = (): nn.Sequential => {
  const generator = new Generator({ seed: 3 });
  return new nn.Sequential(new nn.Linear(6, 9, { generator }), new nn.Tanh(), new nn.Linear(9, 4, { generator }));
};

function batch(step: number): [Tensor, Tensor] {
  const x = tensor(Float32Array.from(noise(5 * 6, step)), { shape: [5, 6] });
  return [x, tensor(Int32Array.from(noise(5, step), (v) => Math.floor(2 * (v + 1))))];
}

function trainStep(model: nn.Sequential, optimizer: optim.Optimizer, x: Tensor, y: Tensor): Tensor {
  const loss = crossEntropy(model.forward(x), y);
  loss.backward();
  optimizer.step();
  optimizer.zeroGrad();
  return loss;
}

async function weights(model: nn.Module): Promise<number[]> {
  const values = await Promise.all(model.parameters().map((p) => p.data('float32')));
  return values.flatMap((v) => [...v]);
}

describe.each(kinds)('state of %s', (_, build) => {
  it('continues bit for bit in another optimizer', async () => {
    const first = net();
    const a = build(first);
    for (let i = 0; i < 3; i++) tidy(() => void trainStep(first, a, ...batch(i)));
    const saved = await a.stateDict();
    const modelState = Object.fromEntries(
      await Promise.all(
        Object.entries(first.stateDict()).map(
          async ([name, t]) => [name, tensor(await t.data('float32'), { shape: t.shape })] as const,
        ),
      ),
    );
    a.lr = a.lr / 2;
    const half = a.lr;
    for (let i = 3; i < 6; i++) tidy(() => void trainStep(first, a, ...batch(i)));

    const second = net();
    second.loadStateDict(modelState);
    const b = build(second);
    b.lr = 7;
    b.loadStateDict({ tensors: saved.tensors, meta: JSON.parse(JSON.stringify(saved.meta)) as optim.OptimizerMeta });
    expect(b.lr).toBe(2 * half);
    b.lr = half;
    for (let i = 3; i < 6; i++) tidy(() => void trainStep(second, b, ...batch(i)));
    expect(await weights(second)).toEqual(await weights(first));
  });

  it('is named by parameter and refuses another model', async () => {
    const model = net();
    const optimizer = build(model);
    trainStep(model, optimizer, ...batch(0));
    const state = await optimizer.stateDict();
    const moments = optimizer.name === 'SGD' ? ['momentum_buffer'] : ['exp_avg', 'exp_avg_sq'];
    const names = ['0.weight', '0.bias', '2.weight', '2.bias'];
    expect(Object.keys(state.tensors)).toEqual(names.flatMap((name) => moments.map((moment) => `${name}.${moment}`)));
    expect(state.tensors[`0.weight.${moments[0]!}`]!.shape).toEqual([9, 6]);
    expect(() => build(new nn.Linear(6, 9)).loadStateDict(state)).toThrow(/holds \[0.weight/);
    const { [`2.bias.${moments[0]!}`]: gone, ...rest } = state.tensors;
    expect(gone).toBeDefined();
    expect(() => optimizer.loadStateDict({ ...state, tensors: rest })).toThrow(/lacks 2.bias/);
    const wrong = { ...state.tensors, [`2.bias.${moments[0]!}`]: randn([5]) };
    expect(() => optimizer.loadStateDict({ ...state, tensors: wrong })).toThrow(/shape \(5\), the parameter \(4\)/);
  });

  it('steps in capture as it does eagerly, bit for bit, through changes of the rate', async () => {
    const [eager, captured] = [net(), net()];
    const a = build(eager);
    const b = build(captured);
    const step = capture((x: Tensor, y: Tensor) => trainStep(captured, b, x, y));
    for (let i = 0; i < 6; i++) {
      const [x, y] = batch(i);
      if (i === 4) a.lr = b.lr = 0.003;
      const [want, got] = [trainStep(eager, a, x, y), step(x, y)];
      expect(await got.data('float32')).toEqual(await want.data('float32'));
    }
    expect(await weights(captured)).toEqual(await weights(eager));
    const [stateA, stateB] = [await a.stateDict(), await b.stateDict()];
    expect(stateB.meta).toEqual(stateA.meta);
    expect(stateA.meta.clocks[0]!.state[0]).toBe(6);
  });
});

describe('recorded steps', () => {
  it('leave parameters without a gradient out, and ask for an eager step when they join', async () => {
    const run = async (
      wrap: <A extends unknown[], R>(fn: (...args: A) => R) => (...args: A) => R,
    ): Promise<number[]> => {
      const [used, late] = [nn.parameter(tensor([1, 2])), nn.parameter(tensor([3]))];
      const optimizer = new optim.Adam([used, late], { lr: 0.1, clipGradNorm: 1 });
      const step = wrap((x: Tensor, both: boolean) => {
        const y = used.mul(x);
        (both ? y.mul(late) : y).sum().backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
      const x = tensor([0.5, -2]);
      for (let i = 0; i < 3; i++) step(x, false);
      if (wrap === (capture as unknown)) {
        expect(() => step(x, true)).toThrow(/gradient has changed since the last step/);
        optimizer.zeroGrad();
      }
      const [a, b] = await Promise.all([used.data('float32'), late.data('float32')]);
      return [...a, ...b];
    };
    expect(await run(capture)).toEqual(await run((fn) => fn));
  });

  it('refuse a change of the rate inside', () => {
    const model = net();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    const step = capture((x: Tensor) => {
      optimizer.lr *= 0.5;
      return x.mul(2);
    });
    const [x] = batch(0);
    expect(() => {
      step(x);
      step(x);
    }).toThrow(/learning rate cannot change inside/);
  });
});

describe('memory', () => {
  it('stays flat over steps, eager and recorded', async () => {
    const model = net();
    const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01, clipGradNorm: 1 });
    const [x, y] = batch(0);
    const step = capture((a: Tensor, b: Tensor) => trainStep(model, optimizer, a, b));
    const active = async (): Promise<number> => {
      await x.ready();
      return memory().active;
    };
    for (const body of [() => trainStep(model, optimizer, x, y), () => step(x, y)]) {
      const once = (): void => tidy(() => void body());
      for (let i = 0; i < 3; i++) once();
      const before = await active();
      for (let i = 0; i < 200; i++) once();
      expect(await active()).toBe(before);
    }
  });
});
