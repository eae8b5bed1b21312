/**
 * Learning-rate schedules: pure functions of the step (an epoch or an update, as the caller counts), and the objects
 * that apply them.
 */
import { WarploomError } from '../errors.js';
import type { Optimizer } from './optimizer.js';

export interface CosineOptions {
  /** steps from the highest rate to the lowest, warmup included */
  tMax: number;
  /** the lowest rate; default 0 */
  etaMin?: number;
  /** steps of linear rise to the full rate before the cosine; default 0 */
  warmup?: number;
}

/**
 * Cosine annealing (Loshchilov and Hutter 2017): etaMin + (base - etaMin) (1 + cos(pi t)) / 2, where t runs from 0 to 1
 * between the end of the warmup and tMax and stays 1 behind it. During the warmup, step s has the rate base (s + 1) /
 * (warmup + 1).
 */
export function cosineAnnealing(base: number, step: number, { tMax, etaMin = 0, warmup = 0 }: CosineOptions): number {
  if (step < warmup) return (base * (step + 1)) / (warmup + 1);
  const t = Math.min(1, (step - warmup) / Math.max(1, tMax - warmup));
  return etaMin + ((base - etaMin) * (1 + Math.cos(Math.PI * t))) / 2;
}

export interface StepDecayOptions {
  /** steps at one rate */
  stepSize: number;
  /** what the rate is multiplied by then; default 0.1 */
  gamma?: number;
}

/** base gamma^floor(step / stepSize). */
export function stepDecay(base: number, step: number, { stepSize, gamma = 0.1 }: StepDecayOptions): number {
  return base * gamma ** Math.floor(step / stepSize);
}

/** Where a schedule stands. Plain JSON. */
export interface LRSchedulerState {
  lastStep: number;
  baseLrs: number[];
}

/** Sets the rate of each group to `rate(its initial rate, step)`: at once for step 0, then at every `step()`. */
export abstract class LRScheduler {
  readonly #optimizer: Optimizer;
  #baseLrs: number[];
  #lastStep = 0;

  constructor(optimizer: Optimizer) {
    this.#optimizer = optimizer;
    this.#baseLrs = optimizer.paramGroups.map(({ initialLr }) => initialLr);
  }

  /** The rate of a group that began with `base`. Called from `step`, never from this constructor. */
  abstract rate(base: number, step: number): number;

  get lastStep(): number {
    return this.#lastStep;
  }

  /** Moves on by one step, or to a given one. */
  step(to = this.#lastStep + 1): void {
    if (!Number.isInteger(to) || to < 0)
      throw new WarploomError(`a step is a whole number from 0 on, got ${to}`, { op: 'LRScheduler' });
    this.#lastStep = to;
    this.apply();
  }

  /** The rates now in force, one per group. */
  rates(): number[] {
    return this.#baseLrs.map((base) => this.rate(base, this.#lastStep));
  }

  protected apply(): void {
    const rates = this.rates();
    this.#optimizer.paramGroups.forEach((group, k) => {
      group.lr = rates[k] ?? group.lr;
    });
  }

  stateDict(): LRSchedulerState {
    return { lastStep: this.#lastStep, baseLrs: [...this.#baseLrs] };
  }

  /** Throws WarploomError when the state is of another number of groups. */
  loadStateDict({ lastStep, baseLrs }: LRSchedulerState): void {
    if (baseLrs.length !== this.#baseLrs.length) {
      throw new WarploomError(`the state has ${baseLrs.length} groups, the optimizer ${this.#baseLrs.length}`, {
        op: 'LRScheduler',
      });
    }
    this.#baseLrs = [...baseLrs];
    this.step(lastStep);
  }
}

export class CosineAnnealingLR extends LRScheduler {
  readonly options: Readonly<CosineOptions>;

  constructor(optimizer: Optimizer, options: CosineOptions) {
    super(optimizer);
    if (!(options.tMax > 0) || !((options.warmup ?? 0) >= 0) || (options.warmup ?? 0) > options.tMax) {
      throw new WarploomError(`needs 0 <= warmup <= tMax, got warmup ${options.warmup ?? 0} and tMax ${options.tMax}`, {
        op: 'CosineAnnealingLR',
      });
    }
    this.options = options;
    this.apply();
  }

  override rate(base: number, step: number): number {
    return cosineAnnealing(base, step, this.options);
  }
}

export class StepLR extends LRScheduler {
  readonly options: Readonly<StepDecayOptions>;

  constructor(optimizer: Optimizer, options: StepDecayOptions) {
    super(optimizer);
    if (!(options.stepSize > 0))
      throw new WarploomError(`stepSize must be positive, got ${options.stepSize}`, { op: 'StepLR' });
    this.options = options;
    this.apply();
  }

  override rate(base: number, step: number): number {
    return stepDecay(base, step, this.options);
  }
}
