/** One training run: the loop behind `fit`, and what a checkpoint must hold to continue it. */
import { capture, type CapturedFunction } from '../capture.js';
import { noGrad } from '../autograd/gradMode.js';
import { runIn } from '../context.js';
import { DataLoader, type DataLoaderState } from '../data/loader.js';
import { FormatError } from '../errors.js';
import type { Layer, StateDict } from '../nn/module.js';
import type { OptimizerMeta } from '../optim/optimizer.js';
import type { LRSchedulerState } from '../optim/schedules.js';
import { clone } from '../ops/copy.js';
import { defaultGenerator, type Generator } from '../random.js';
import { dispose, keep, tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import {
  clearCheckpoints,
  latestCheckpoint,
  loadCheckpoint,
  prepareCheckpoints,
  saveCheckpoint,
  underPrefix,
  withPrefix,
} from './checkpoint.js';
import { EarlyStopping, type EarlyStoppingState } from './earlyStopping.js';
import { evaluate, firstTwoFields, resolveMetrics, type Metric } from './evaluate.js';
import type { FitOptions } from './fit.js';
import { validationName, type EpochRecord, type History, type StepEvent, type StopReason } from './history.js';
import { openProgress, type Progress } from './progress.js';
import type { Watchers } from './run.js';
import { DeviceSums } from './sums.js';

/** The plain part of a checkpoint. */
interface RunState {
  /** what must agree for the order of samples to be the same */
  plan: { samples: number; batchSize: number; seed: number };
  loader: DataLoaderState;
  /** epochs done, and the figures of each */
  epochs: EpochRecord[];
  steps: number;
  seconds: number;
  /** seconds and samples of the epoch in progress */
  epochSeconds: number;
  epochSamples: number;
  earlyStopping: EarlyStoppingState | null;
  schedule: LRSchedulerState | null;
  optimizer: OptimizerMeta;
  /** each generator's words as decimal text: JSON has no 64-bit integers */
  generators: string[][];
  /** set once the run has ended by itself */
  ended: StopReason | null;
}

export class Trainer<S extends object> {
  private readonly loader: DataLoader<S>;
  private readonly metrics: Metric[];
  private readonly generators: readonly Generator[];
  private readonly stopping: EarlyStopping | null;
  private readonly sums = new DeviceSums();
  private readonly captured: CapturedFunction<[Tensor, Tensor], Tensor[]> | null;
  private progress!: Progress;

  private epochs: EpochRecord[] = [];
  private steps = 0;
  private seconds = 0;
  private epochSeconds = 0;
  private ended: StopReason | null = null;
  private best: StateDict | null = null;

  constructor(
    private readonly model: Layer,
    private readonly options: FitOptions<S>,
    private readonly watchers: Watchers,
  ) {
    const { train, batchSize = 32, seed = 0, earlyStopping } = options;
    if (options.device !== undefined) model.to({ device: options.device });
    const device = model.parameters()[0]?.device;
    this.loader =
      train instanceof DataLoader ? train : new DataLoader(train, { batchSize, shuffle: true, seed, device });
    this.metrics = resolveMetrics(options.metrics);
    this.generators = [defaultGenerator, ...(options.generators ?? [])];
    this.stopping = earlyStopping ? new EarlyStopping(earlyStopping, options.validation !== undefined) : null;
    this.captured = options.capture ? capture((input: Tensor, target: Tensor) => this.trainStep(input, target)) : null;
  }

  /** Runs to the end outside the caller's scopes and modes: what a step makes is given back here. */
  run(): Promise<History> {
    return runIn({ scope: null, gradEnabled: true }, () => this.train());
  }

  private async train(): Promise<History> {
    const { options } = this;
    try {
      await this.openCheckpoints();
      this.progress = await openProgress(options.progress, options.epochs);
      for (const callback of options.callbacks ?? []) await callback.onTrainStart?.();
      while (this.ended === null) {
        if (this.epochs.length >= options.epochs) this.ended = 'finished';
        else if (!(await this.runEpoch())) break;
      }
      const history = await this.finish();
      for (const callback of options.callbacks ?? []) await callback.onTrainEnd?.(history);
      return history;
    } finally {
      this.progress?.stop();
      this.sums.clear();
      this.captured?.dispose();
      dispose(this.best);
    }
  }

  /** One update from one batch; the loss and the metrics' sums are the caller's to dispose. */
  private step(input: Tensor, target: Tensor): Tensor[] {
    return this.captured ? this.captured(input, target) : tidy(() => this.trainStep(input, target).map((t) => keep(t)));
  }

  private trainStep(input: Tensor, target: Tensor): Tensor[] {
    const { loss: lossOf, optimizer } = this.options;
    const output = this.model.call(input);
    const loss = lossOf(output, target);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return noGrad(() => [loss.detach(), ...this.metrics.map((metric) => metric.sum(output.detach(), target))]);
  }

  /** One epoch, or the rest of one. False when it was cut short. */
  private async runEpoch(): Promise<boolean> {
    const { options, loader, sums } = this;
    const epoch = this.epochs.length + 1;
    const select = options.select ?? firstTwoFields<S>;
    const stepsPerEpoch = loader.length;
    let done = Math.ceil(loader.state.position / loader.batchSize);
    if (done === 0) for (const callback of options.callbacks ?? []) await callback.onEpochStart?.(epoch);
    this.model.train();
    this.progress.startEpoch(epoch, stepsPerEpoch, done);
    const started = performance.now();
    const before = this.epochSeconds;
    let pending: Promise<void> | undefined;
    for await (const batch of loader) {
      const { input, target } = select(batch);
      const results = this.step(input, target);
      const size = input.shape[0] ?? 1;
      sums.add('loss', results[0]!, size);
      this.metrics.forEach((metric, i) => sums.add(metric.name, results[i + 1]!, 1));
      sums.samples += size;
      // the step before is awaited while this one runs: failures surface, the event loop turns, the queue stays short
      const ready = results[0]!.ready();
      ready.catch(() => undefined);
      dispose([batch, results]);
      if (options.scheduleEvery === 'step') options.schedule?.step();
      this.steps++;
      done++;
      await pending;
      pending = ready;
      this.epochSeconds = before + (performance.now() - started) / 1000;
      this.progress.step(done, () => sums.mean('loss'));
      await this.announceStep({ type: 'step', epoch, step: done, stepsPerEpoch, totalSteps: this.steps });
      if (this.interrupted) {
        await this.save();
        return false;
      }
      if (options.checkpoint?.every !== undefined && this.steps % options.checkpoint.every === 0) await this.save();
    }
    await this.closeEpoch(epoch, before, started);
    return !this.interrupted;
  }

  private get interrupted(): boolean {
    return this.options.signal?.aborted === true || this.watchers.left;
  }

  private async announceStep(event: StepEvent): Promise<void> {
    for (const callback of this.options.callbacks ?? []) await callback.onStep?.(event);
    if (this.watchers.watched) await this.watchers.emit(event);
  }

  private async closeEpoch(epoch: number, secondsBefore: number, started: number): Promise<void> {
    const { options, sums } = this;
    const { validation, loss, batchSize, device, select } = options;
    const record: EpochRecord = {
      epoch,
      loss: await sums.mean('loss'),
      learningRate: options.optimizer.lr,
      steps: this.steps,
      seconds: 0,
    };
    for (const { name } of this.metrics) record[name] = await sums.mean(name);
    if (validation) {
      const figures = await evaluate(this.model, validation, {
        loss,
        metrics: this.metrics,
        batchSize,
        device,
        select,
      });
      for (const [name, value] of Object.entries(figures)) record[validationName(name)] = value;
    }
    if (options.scheduleEvery !== 'step') options.schedule?.step();
    record.seconds = secondsBefore + (performance.now() - started) / 1000;
    this.seconds += record.seconds;
    this.epochSeconds = 0;
    this.epochs.push(record);
    sums.clear();
    this.progress.stop();
    if (this.stopping?.observe(record) && this.stopping.restoreBest) this.rememberBest();
    if (this.stopping?.exhausted) this.ended = 'early';
    else if (epoch >= options.epochs) this.ended = 'finished';
    const event = Object.assign({ type: 'epoch' as const }, record);
    for (const callback of options.callbacks ?? []) await callback.onEpochEnd?.(event);
    if (this.watchers.watched) await this.watchers.emit(event);
    await this.save();
  }

  private rememberBest(): void {
    const previous = this.best;
    this.best = tidy(() =>
      Object.fromEntries(Object.entries(this.model.stateDict()).map(([name, tensor]) => [name, keep(clone(tensor))])),
    );
    dispose(previous);
  }

  private async finish(): Promise<History> {
    const { stopping } = this;
    if (this.ended !== null && this.best !== null) this.model.loadStateDict(this.best);
    return {
      epochs: this.epochs,
      stopped: this.ended ?? 'aborted',
      bestEpoch: stopping?.state.bestEpoch ?? null,
      steps: this.steps,
      seconds: this.seconds + this.epochSeconds,
    };
  }

  private async openCheckpoints(): Promise<void> {
    const { checkpoint, resume } = this.options;
    if (checkpoint) await prepareCheckpoints(checkpoint.dir);
    const path =
      typeof resume === 'string' ? resume : resume && checkpoint ? await latestCheckpoint(checkpoint.dir) : null;
    if (path !== null) await this.restore(path);
    else if (checkpoint) await clearCheckpoints(checkpoint.dir);
  }

  private get plan(): RunState['plan'] {
    return { samples: this.loader.dataset.length, batchSize: this.loader.batchSize, seed: this.options.seed ?? 0 };
  }

  private async save(): Promise<void> {
    const { checkpoint, optimizer, schedule } = this.options;
    if (!checkpoint) return;
    const generators = await Promise.all(this.generators.map((generator) => generator.getState()));
    await tidy(async () => {
      const { tensors: moments, meta } = await optimizer.stateDict();
      const state: RunState = {
        plan: this.plan,
        loader: this.loader.state,
        epochs: this.epochs,
        steps: this.steps,
        seconds: this.seconds,
        epochSeconds: this.epochSeconds,
        epochSamples: this.sums.samples,
        earlyStopping: this.stopping?.state ?? null,
        schedule: schedule?.stateDict() ?? null,
        optimizer: meta,
        generators: generators.map((words) => words.map(String)),
        ended: this.ended,
      };
      const tensors = {
        ...withPrefix(this.model.stateDict(), 'model'),
        ...withPrefix(moments, 'optimizer'),
        ...withPrefix(this.best ?? {}, 'best'),
        ...withPrefix(this.sums.tensors(), 'sums'),
      };
      await saveCheckpoint(checkpoint.dir, this.steps, tensors, state, { keep: checkpoint.keep });
    });
  }

  private async restore(path: string): Promise<void> {
    const { optimizer, schedule } = this.options;
    const { tensors, state } = await loadCheckpoint<RunState>(path);
    const { plan } = this;
    for (const key of ['samples', 'batchSize', 'seed'] as const) {
      if (state.plan[key] !== plan[key]) {
        throw new FormatError(`${path}: was written with ${key} ${state.plan[key]}, this run has ${plan[key]}`, {
          op: 'fit',
          hint: 'Resume with the same data, batch size and seed, or start anew.',
        });
      }
    }
    if (state.generators.length !== this.generators.length) {
      throw new FormatError(
        `${path}: holds ${state.generators.length} generators, this run has ${this.generators.length}`,
        {
          op: 'fit',
          hint: 'Pass the same generators as in the first run.',
        },
      );
    }
    this.model.loadStateDict(underPrefix(tensors, 'model'));
    optimizer.loadStateDict({ meta: state.optimizer, tensors: underPrefix(tensors, 'optimizer') });
    if (state.schedule) schedule?.loadStateDict(state.schedule);
    for (const [i, generator] of this.generators.entries()) generator.setState(state.generators[i]!.map(BigInt));
    this.loader.loadState(state.loader);
    this.epochs = state.epochs;
    this.steps = state.steps;
    this.seconds = state.seconds;
    this.epochSeconds = state.epochSeconds;
    this.ended = state.ended;
    if (this.stopping && state.earlyStopping) this.stopping.state = state.earlyStopping;
    const best = underPrefix(tensors, 'best');
    if (Object.keys(best).length > 0) this.best = best;
    const sums = underPrefix(tensors, 'sums');
    this.sums.load(sums, state.epochSamples);
    const inUse = new Set([...Object.values(best), ...Object.values(sums)]);
    for (const tensor of Object.values(tensors)) if (!inUse.has(tensor)) tensor.dispose();
  }
}
