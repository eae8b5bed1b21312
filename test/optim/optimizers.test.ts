import { describe, expect, it } from 'vitest';
import { nn, optim, tensor, type DType, type Tensor } from '../../src/index.js';
import { adamStep, clip, noise, particle, sgdStep, type AdamRule, type Particle, type SgdRule } from './particle.js';
import { covers } from '../harness/surface.js';

/** Sizes around the vector width and the bucket's alignment. */
const SHAPES = [[3], [16], [5, 7], [], [33]];
const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

function make(
  dtype: DType = 'float64',
  shapes: readonly (readonly number[])[] = SHAPES,
): { params: Tensor[]; particles: Particle[] } {
  const values = shapes.map((shape, i) => noise(size(shape), i + 1));
  const params = shapes.map((shape, i) => nn.parameter(tensor(new Float64Array(values[i]!), { shape, dtype })));
  return { params, particles: values.map(particle) };
}

function setGrads(params: readonly Tensor[], grads: readonly (readonly number[] | null)[]): void {
  params.forEach((p, i) => {
    const g = grads[i]!;
    p.grad = g && tensor(new Float64Array(g), { shape: p.shape, dtype: p.dtype });
  });
}

async function compare(params: readonly Tensor[], particles: readonly Particle[], tolerance = 1e-12): Promise<void> {
  for (const [i, p] of params.entries()) {
    const values = await p.data();
    particles[i]!.p.forEach((want, k) =>
      expect(Math.abs(Number(values[k]) - want)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(want))),
    );
  }
}

const gradsOf = (shapes: readonly (readonly number[])[], step: number): number[][] =>
  shapes.map((shape, i) => noise(size(shape), 100 * step + i));

const sgdRules: [string, SgdRule][] = [
  ['plain', { lr: 0.1 }],
  ['momentum', { lr: 0.1, momentum: 0.9 }],
  ['dampening', { lr: 0.1, momentum: 0.9, dampening: 0.3 }],
  ['nesterov', { lr: 0.1, momentum: 0.9, nesterov: true }],
  ['weight decay', { lr: 0.1, momentum: 0.9, weightDecay: 0.05 }],
  ['maximize', { lr: 0.1, weightDecay: 0.05, maximize: true }],
];

const adamRules: [string, AdamRule][] = [
  ['Adam', { lr: 0.01 }],
  ['Adam with L2', { lr: 0.01, weightDecay: 0.1 }],
  ['Adam with its own betas and eps', { lr: 0.01, betas: [0.8, 0.95], eps: 1e-3 }],
  ['Adam maximizing', { lr: 0.01, weightDecay: 0.1, maximize: true }],
  ['AdamW', { lr: 0.01, weightDecay: 0.1, decoupled: true }],
];

function adam(
  params: optim.OptimizerInput<optim.AdamOptions>,
  { decoupled, ...rule }: AdamRule,
): optim.Adam | optim.AdamW {
  return decoupled ? new optim.AdamW(params, rule) : new optim.Adam(params, rule);
}

describe.each(['float64', 'float32'] as const)('updates in %s', (dtype) => {
  const tolerance = dtype === 'float64' ? 1e-12 : 2e-6;

  it.each(sgdRules)('SGD: %s', async (_, rule) => {
    const { params, particles } = make(dtype);
    const optimizer = new optim.SGD(params, rule);
    for (let step = 0; step < 5; step++) {
      const grads = gradsOf(SHAPES, step);
      setGrads(params, grads);
      optimizer.step();
      optimizer.zeroGrad();
      particles.forEach((x, i) => sgdStep(x, grads[i]!, rule));
    }
    await compare(params, particles, tolerance);
    covers('optim.SGD');
  });

  it.each(adamRules)('%s', async (_, rule) => {
    const { params, particles } = make(dtype);
    const optimizer = adam(params, rule);
    for (let step = 0; step < 5; step++) {
      const grads = gradsOf(SHAPES, step);
      setGrads(params, grads);
      optimizer.step();
      particles.forEach((x, i) => adamStep(x, grads[i]!, rule));
    }
    await compare(params, particles, tolerance);
    for (const name of ['optim.Adam', 'optim.AdamW']) covers(name);
  });
});

describe('groups', () => {
  it('have options and rates of their own, and more can be added', async () => {
    const { params, particles } = make();
    const optimizer = new optim.SGD(
      [
        { params: params.slice(0, 2), lr: 0.5 },
        { params: params.slice(2, 4), weightDecay: 0.1 },
      ],
      { lr: 0.1, momentum: 0.9 },
    );
    optimizer.addParamGroup({ params: params.slice(4), momentum: 0.5 });
    const rules: SgdRule[] = [0.5, 0.5, 0.1, 0.1, 0.1].map((lr, i) => ({
      lr,
      momentum: i === 4 ? 0.5 : 0.9,
      weightDecay: i === 2 || i === 3 ? 0.1 : 0,
    }));
    for (let step = 0; step < 3; step++) {
      if (step === 2) optimizer.paramGroups[0]!.lr = rules[0]!.lr = rules[1]!.lr = 0.05;
      const grads = gradsOf(SHAPES, step);
      setGrads(params, grads);
      optimizer.step();
      particles.forEach((x, i) => sgdStep(x, grads[i]!, rules[i]!));
    }
    await compare(params, particles);
    for (const name of ['optim.Optimizer', 'optim.ParamGroup']) covers(name);
  });

  it('mix dtypes', async () => {
    const a = make('float32');
    const b = make('float64');
    const optimizer = new optim.AdamW([...a.params, ...b.params], { lr: 0.01, clipGradNorm: 1 });
    const grads = gradsOf(SHAPES, 1);
    setGrads(a.params, grads);
    setGrads(b.params, grads);
    optimizer.step();
    const { grads: clipped } = clip([...grads, ...grads], 1);
    [...a.particles, ...b.particles].forEach((x, i) =>
      adamStep(x, clipped[i]!, { lr: 0.01, weightDecay: 0.01, decoupled: true }),
    );
    await compare([...a.params, ...b.params], [...a.particles, ...b.particles], 2e-6);
  });

  it('take more parameters than one native call does', async () => {
    const shapes = Array.from({ length: 300 }, (_, i) => [1 + (i % 5)]);
    const { params, particles } = make('float64', shapes);
    const optimizer = new optim.Adam(params, { lr: 0.01 });
    const grads = gradsOf(shapes, 1);
    setGrads(params, grads);
    optimizer.step();
    particles.forEach((x, i) => adamStep(x, grads[i]!, { lr: 0.01 }));
    await compare(params, particles);
  });

  it('refuse what cannot be stepped', () => {
    const { params } = make();
    expect(() => new optim.SGD([params[0]!, params[1]!, params[0]!])).toThrow(/parameter '2' is listed twice/);
    expect(() => new optim.SGD([{ params: [params[0]!] }, { params: [params[0]!] }])).toThrow(/listed twice/);
    expect(() => new optim.Adam([])).toThrow(/without parameters/);
    expect(() => new optim.Adam([params[2]!.t()])).toThrow(/result of an op/);
    expect(() => new optim.Adam([tensor([1, 2], { dtype: 'int32' })])).toThrow(/is int32/);
    expect(() => new optim.Adam([params[2]!.detach().t()])).toThrow(/not contiguous/);
    expect(() => new optim.SGD(params, { lr: -1 })).toThrow(/lr must be a number of at least 0, got -1/);
    expect(() => new optim.SGD(params, { nesterov: true })).toThrow(/nesterov needs a momentum/);
    const plain = new optim.SGD(params);
    plain.paramGroups[0]!.options.momentum = 0.9;
    setGrads(params, gradsOf(SHAPES, 1));
    expect(() => plain.step()).toThrow(/momentum came after/);
    expect(() => new optim.Adam(params, { betas: [0.9, 1] })).toThrow(/betas must lie in \[0, 1\)/);
  });

  it('notice parameters that moved or found a new optimizer', () => {
    const { params } = make();
    const model = new nn.Linear(2, 2);
    const optimizer = new optim.SGD(model.parameters());
    model.to('float64');
    expect(() => optimizer.step()).toThrow(/was float32 on cpu and is now float64/);
    const first = new optim.SGD(params);
    const second = new optim.SGD(params);
    setGrads(params, gradsOf(SHAPES, 1));
    expect(() => first.step()).toThrow(/belong to another optimizer/);
    second.step();
  });
});

describe('parameters without a gradient', () => {
  it.each([
    ['SGD', (i: Tensor[]) => new optim.SGD(i, { lr: 0.1, momentum: 0.9, dampening: 0.5, weightDecay: 0.1 })],
    ['Adam', (i: Tensor[]) => new optim.Adam(i, { lr: 0.1, weightDecay: 0.1 })],
  ] as const)('stay as they are and do not age: %s', async (name, build) => {
    const { params, particles } = make();
    const optimizer = build(params);
    // Which parameters have a gradient at each step: some first late, some with gaps, one never.
    const present = ['11000', '01100', '11100', '00000', '11110', '01000', '11110'];
    for (const [step, mask] of present.entries()) {
      const grads = gradsOf(SHAPES, step).map((g, i) => (mask[i] === '1' ? g : null));
      optimizer.zeroGrad();
      setGrads(params, grads);
      optimizer.step();
      particles.forEach((x, i) => {
        const g = grads[i];
        if (!g) return;
        if (name === 'SGD') sgdStep(x, g, { lr: 0.1, momentum: 0.9, dampening: 0.5, weightDecay: 0.1 });
        else adamStep(x, g, { lr: 0.1, weightDecay: 0.1 });
      });
    }
    await compare(params, particles);
    const { meta } = await optimizer.stateDict();
    const steps = new Map(meta.clocks.flatMap(({ state, params: names }) => names.map((n) => [n, state[0]] as const)));
    expect([0, 1, 2, 3, 4].map((i) => steps.get(String(i)))).toEqual([4, 6, 4, 2, undefined]);
  });
});

describe('clipping', () => {
  it.each([0.5, 1e6])('as part of the step, by the norm of all gradients (max %d)', async (maxNorm) => {
    const { params, particles } = make();
    const optimizer = new optim.SGD([{ params: params.slice(0, 2) }, { params: params.slice(2), lr: 0.3 }], {
      lr: 0.1,
      momentum: 0.9,
      clipGradNorm: maxNorm,
    });
    for (let step = 0; step < 3; step++) {
      // The last parameter has a gradient at first, which must not linger in later norms.
      const grads = gradsOf(SHAPES, step).map((g, i) => (i === 4 && step > 0 ? null : g));
      optimizer.zeroGrad();
      setGrads(params, grads);
      optimizer.step();
      const { grads: clipped } = clip(
        grads.filter((g) => g !== null),
        maxNorm,
      );
      clipped.forEach((g, i) => sgdStep(particles[i]!, g, { lr: i < 2 ? 0.1 : 0.3, momentum: 0.9 }));
    }
    // The factor is a float32 on its way to the update.
    await compare(params, particles, maxNorm > 1e3 ? 1e-12 : 1e-6);
  });

  it('leaves the gradients alone; a step may name its own bound', async () => {
    const { params, particles } = make();
    const optimizer = new optim.SGD(params, { lr: 0.1 });
    const grads = gradsOf(SHAPES, 1);
    setGrads(params, grads);
    optimizer.step({ clipGradNorm: 0.25 });
    expect([...(await params[0]!.grad!.data('float64'))]).toEqual(grads[0]);
    clip(grads, 0.25).grads.forEach((g, i) => sgdStep(particles[i]!, g, { lr: 0.1 }));
    await compare(params, particles, 1e-6);
  });

  it('in place: clipGradNorm_ scales and returns the norm before', async () => {
    const a = make('float32');
    const b = make('float64', [[4, 4], [2]]);
    const grads = [...gradsOf(SHAPES, 1), noise(16, 50), noise(2, 51)];
    const params = [...a.params, ...b.params];
    setGrads(params, grads);
    params.push(nn.parameter(tensor([1, 2])));
    const norm = optim.clipGradNorm_(params, 0.7);
    const want = clip(grads, 0.7);
    expect(await norm.item()).toBeCloseTo(want.norm, 5);
    for (const [i, g] of want.grads.entries()) {
      const values = await params[i]!.grad!.data();
      g.forEach((value, k) => expect(Number(values[k])).toBeCloseTo(value, 6));
    }
    expect(params.at(-1)!.grad).toBeNull();
    expect(() => optim.clipGradNorm_(params, -1)).toThrow(/at least 0/);
    covers('optim.clipGradNorm_');
  });
});

describe('versions', () => {
  it('are bumped by a step, so that backward notices changed weights', () => {
    const w = nn.parameter(tensor([1, 2]));
    const optimizer = new optim.SGD([w], { lr: 0.1 });
    const loss = w.mul(w).sum();
    w.grad = tensor([1, 1]);
    const { version } = w;
    optimizer.step();
    expect(w.version).toBe(version + 1);
    expect(() => loss.backward()).toThrow(/version/);
  });
});
