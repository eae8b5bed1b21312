/** What a training run tells about itself: one record an epoch, and how it ended. Plain JSON throughout. */

/** One epoch's figures. Metrics stand under their own name for training, under `val` + Name for validation. */
export interface EpochRecord {
  /** counts from 1 */
  epoch: number;
  /** mean loss over the training samples, each batch seen before its own step */
  loss: number;
  /** mean loss over the validation samples after the epoch */
  valLoss?: number;
  /** the first parameter group's rate in the epoch's last step */
  learningRate: number;
  /** steps taken since the start of the run */
  steps: number;
  seconds: number;
  accuracy?: number;
  valAccuracy?: number;
  [metric: string]: number | undefined;
}

/** Why a run ended: all epochs done, early stopping, or the caller's signal. */
export type StopReason = 'finished' | 'early' | 'aborted';

export interface History {
  epochs: EpochRecord[];
  stopped: StopReason;
  /** the epoch (from 1) whose monitored figure was best; null without early stopping */
  bestEpoch: number | null;
  steps: number;
  /** time in training and validation, interrupted runs included */
  seconds: number;
}

export interface StepEvent {
  readonly type: 'step';
  /** counts from 1 */
  readonly epoch: number;
  /** counts from 1 within the epoch */
  readonly step: number;
  readonly stepsPerEpoch: number;
  /** steps taken since the start of the run */
  readonly totalSteps: number;
}

export type EpochEvent = { readonly type: 'epoch' } & Readonly<EpochRecord>;

export type FitEvent = StepEvent | EpochEvent;

/** Hooks into a run; each is awaited. The model may be read in them, and changed under `noGrad`. */
export interface Callback {
  onTrainStart?(): void | Promise<void>;
  /** @param epoch counts from 1 */
  onEpochStart?(epoch: number): void | Promise<void>;
  onStep?(event: StepEvent): void | Promise<void>;
  onEpochEnd?(event: EpochEvent): void | Promise<void>;
  onTrainEnd?(history: History): void | Promise<void>;
}

/** `valLoss` from `loss`. */
export function validationName(metric: string): string {
  return `val${metric.charAt(0).toUpperCase()}${metric.slice(1)}`;
}
