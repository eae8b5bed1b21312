/** `fit`: the training loop, from batches to history. */
import type { DataLoader } from '../data/loader.js';
import type { Dataset, Sample } from '../data/dataset.js';
import type { DeviceLike } from '../device.js';
import { WarploomError } from '../errors.js';
import type { Layer } from '../nn/module.js';
import type { Optimizer } from '../optim/optimizer.js';
import type { LRScheduler } from '../optim/schedules.js';
import type { Generator } from '../random.js';
import type { EarlyStoppingOptions } from './earlyStopping.js';
import type { LossFunction, MetricLike, SelectParts } from './evaluate.js';
import type { Callback } from './history.js';
import { FitRun } from './run.js';
import { Trainer } from './trainer.js';

export interface CheckpointOptions {
  /** the folder of the files; made where missing */
  dir: string;
  /** steps between checkpoints; one is written at the end of every epoch in any case */
  every?: number;
  /** how many of the newest files stay; default 3 */
  keep?: number;
}

/** What `fit` asks of an optimizer. */
export type FitOptimizer = Pick<Optimizer, 'lr' | 'step' | 'zeroGrad' | 'stateDict' | 'loadStateDict'>;

export interface FitOptions<S extends object = Sample> {
  /** samples (then shuffled by `seed` and batched), or a loader of your own */
  train: Dataset<S> | DataLoader<S>;
  /** evaluated after every epoch */
  validation?: Dataset<S> | DataLoader<S>;
  /** the mean loss of a batch */
  loss: LossFunction;
  /** over the model's parameters */
  optimizer: FitOptimizer;
  /** changes the optimizer's rates, after every step or every epoch as `scheduleEvery` says */
  schedule?: LRScheduler;
  /** default 'epoch' */
  scheduleEvery?: 'step' | 'epoch';
  epochs: number;
  /** default 32; a loader has its own */
  batchSize?: number;
  /** orders the samples; default 0. Dropout draws from the default generator: see `manualSeed` */
  seed?: number;
  /** means over samples, for training and validation */
  metrics?: readonly MetricLike[];
  earlyStopping?: EarlyStoppingOptions;
  callbacks?: readonly Callback[];
  /**
   * an AbortSignal: ends the run after the current step, with a checkpoint where they are written; the promise resolves with
   * `stopped: 'aborted'`
   */
  signal?: { readonly aborted: boolean };
  /** a progress bar, drawn only where standard error is a terminal; default true */
  progress?: boolean;
  checkpoint?: CheckpointOptions;
  /** continues from the newest checkpoint of `checkpoint.dir` (from the start where there is none), or from the file named */
  resume?: boolean | string;
  /** moves the model first; default: batches go to where the model is */
  device?: DeviceLike;
  /** records a step once per batch size and replays it: the same results with less JavaScript in between; default false */
  capture?: boolean;
  /** picks input and target from a batch; default: the sample's first and second field */
  select?: SelectParts<S>;
  /** generators whose state a checkpoint must hold, beside the default one */
  generators?: readonly Generator[];
}

function requireCount(name: string, value: number | undefined): void {
  if (value !== undefined && (!Number.isInteger(value) || value < 1)) {
    throw new WarploomError(`${name} must be a positive whole number, got ${value}`, { op: 'fit' });
  }
}

/**
 * Trains a model. Memory is flat: what a step makes, the step gives back; losses are summed on the device and read once an epoch.
 *
 * ```ts
 * const history = await fit(model, { train, validation, loss: crossEntropy, optimizer, epochs: 8, batchSize: 64 });
 * for await (const event of fit(model, options)) if (event.type === 'epoch') console.log(event.epoch, event.valLoss);
 * ```
 *
 * With one seed, build and instruction set the weights come out the same to the bit: for any number of threads, with or without
 * `capture`, and when the run was killed and resumed from a checkpoint.
 *
 * @returns a promise of the history that can also be iterated, event by event; leaving that loop ends the run
 * @throws WarploomError at once for options that make no sense; later, through the promise, whatever model, loss, data or callbacks
 *   throw, FormatError for a checkpoint that does not belong to this run
 */
export function fit<S extends object = Sample>(model: Layer, options: FitOptions<S>): FitRun {
  requireCount('epochs', options.epochs);
  requireCount('batchSize', options.batchSize);
  requireCount('checkpoint.every', options.checkpoint?.every);
  requireCount('checkpoint.keep', options.checkpoint?.keep);
  if (options.epochs === undefined) throw new WarploomError('epochs is missing', { op: 'fit' });
  if (options.resume === true && !options.checkpoint) {
    throw new WarploomError('resume: true needs checkpoint.dir to look in', {
      op: 'fit',
      hint: 'Or name the file to resume from.',
    });
  }
  return new FitRun((watchers) => new Trainer(model, options, watchers).run());
}
