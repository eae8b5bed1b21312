import { describe, expect, it } from 'vitest';
import { nn, optim, zeros } from '../../src/index.js';
import { covers } from '../harness/surface.js';

const { cosineAnnealing, stepDecay } = optim;
const sgd = (...rates: number[]): optim.SGD =>
  new optim.SGD(rates.map((lr) => ({ params: [nn.parameter(zeros([2]))], lr })));

describe('schedules', () => {
  it('anneals along a cosine and stays at the bottom', () => {
    const rate = (step: number): number => cosineAnnealing(0.4, step, { tMax: 8, etaMin: 0.1 });
    expect(rate(0)).toBe(0.4);
    expect(rate(2)).toBeCloseTo(0.1 + 0.15 * (1 + Math.SQRT1_2), 12);
    expect(rate(4)).toBeCloseTo(0.25, 12);
    expect(rate(8)).toBeCloseTo(0.1, 12);
    expect(rate(20)).toBeCloseTo(0.1, 12);
  });

  it('rises linearly before the cosine', () => {
    const rates = [0, 1, 2, 3, 4, 8].map((step) => cosineAnnealing(1, step, { tMax: 8, warmup: 4 }));
    [0.2, 0.4, 0.6, 0.8, 1, 0].forEach((want, i) => expect(rates[i]).toBeCloseTo(want, 12));
    covers('optim.cosineAnnealing');
  });

  it('decays in steps', () => {
    expect([0, 2, 3, 5, 6].map((step) => stepDecay(8, step, { stepSize: 3, gamma: 0.5 }))).toEqual([8, 8, 4, 4, 2]);
    covers('optim.stepDecay');
  });

  it('scales every group from its own rate, and continues from a saved state', () => {
    const optimizer = sgd(1, 10);
    const schedule = new optim.StepLR(optimizer, { stepSize: 2, gamma: 0.1 });
    for (let i = 0; i < 3; i++) schedule.step();
    expect(optimizer.paramGroups.map(({ lr }) => lr)).toEqual([0.1, 1]);
    const state = JSON.parse(JSON.stringify(schedule.stateDict())) as optim.LRSchedulerState;
    const other = sgd(1, 10);
    const resumed = new optim.StepLR(other, { stepSize: 2, gamma: 0.1 });
    resumed.loadStateDict(state);
    expect(other.paramGroups.map(({ lr }) => lr)).toEqual([0.1, 1]);
    resumed.step();
    expect(other.paramGroups[0]!.lr).toBeCloseTo(0.01, 12);
    expect(() => new optim.StepLR(sgd(1), { stepSize: 2 }).loadStateDict(state)).toThrow(/2 groups, the optimizer 1/);
    for (const name of ['optim.LRScheduler', 'optim.StepLR']) covers(name);
  });

  it('starts the warmup with the first step', () => {
    const optimizer = sgd(1);
    const schedule = new optim.CosineAnnealingLR(optimizer, { tMax: 10, warmup: 3 });
    expect(optimizer.lr).toBe(0.25);
    schedule.step();
    expect(optimizer.lr).toBe(0.5);
    expect(() => new optim.CosineAnnealingLR(optimizer, { tMax: 2, warmup: 3 })).toThrow(/warmup 3 and tMax 2/);
    expect(() => new optim.StepLR(optimizer, { stepSize: 0 })).toThrow(/stepSize/);
    covers('optim.CosineAnnealingLR');
  });
});
