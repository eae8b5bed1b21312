/** Early stopping: watches one figure an epoch, remembers the weights of the best one, and says when to give up. */
import { WarploomError } from '../errors.js';
import type { EpochRecord } from './history.js';

export interface EarlyStoppingOptions {
  /** epochs without improvement before the run ends; default 3 */
  patience?: number;
  /** how much better counts as better; default 0 */
  minDelta?: number;
  /** the figure of the epoch record to watch; default `valLoss`, or `loss` without validation */
  monitor?: string;
  /** whether low or high is good; by default low, but high for names ending in `accuracy` */
  mode?: 'min' | 'max';
  /** at the end the model gets the best epoch's weights back; default true */
  restoreBest?: boolean;
}

/** What a checkpoint keeps of it. */
export interface EarlyStoppingState {
  /** null before the first epoch: JSON has no infinity */
  best: number | null;
  bestEpoch: number | null;
  /** epochs since the best one */
  waited: number;
}

export class EarlyStopping {
  readonly monitor: string;
  readonly mode: 'min' | 'max';
  readonly restoreBest: boolean;
  private readonly patience: number;
  private readonly minDelta: number;
  state: EarlyStoppingState = { best: null, bestEpoch: null, waited: 0 };

  constructor(options: EarlyStoppingOptions, hasValidation: boolean) {
    this.monitor = options.monitor ?? (hasValidation ? 'valLoss' : 'loss');
    this.mode = options.mode ?? (/accuracy$/i.test(this.monitor) ? 'max' : 'min');
    this.restoreBest = options.restoreBest ?? true;
    this.patience = options.patience ?? 3;
    this.minDelta = options.minDelta ?? 0;
    if (!Number.isInteger(this.patience) || this.patience < 0) {
      throw new WarploomError(`patience must be a whole number of epochs from 0, got ${this.patience}`, { op: 'fit' });
    }
    if (!(this.minDelta >= 0))
      throw new WarploomError(`minDelta must be 0 or more, got ${this.minDelta}`, { op: 'fit' });
  }

  /**
   * Takes an epoch's record in.
   * @returns true when it is the best so far; NaN never is
   * @throws WarploomError when the record lacks the watched figure
   */
  observe(record: EpochRecord): boolean {
    const value = record[this.monitor];
    if (value === undefined) {
      throw new WarploomError(`earlyStopping watches '${this.monitor}', which the epoch's record does not have`, {
        op: 'fit',
        hint: `It has ${Object.keys(record).join(', ')}.`,
      });
    }
    const { best } = this.state;
    const gain = best === null ? Infinity : this.mode === 'min' ? best - value : value - best;
    if (!Number.isNaN(value) && gain > this.minDelta) {
      this.state = { best: value, bestEpoch: record.epoch, waited: 0 };
      return true;
    }
    this.state = { ...this.state, waited: this.state.waited + 1 };
    return false;
  }

  /** Whether patience has run out. */
  get exhausted(): boolean {
    return this.state.waited > 0 && this.state.waited >= this.patience;
  }
}
