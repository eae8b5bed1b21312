/** Running a model over a dataset without training it: mean loss and metrics, or the outputs themselves. */
import { noGrad } from '../autograd/gradMode.js';
import { DataLoader } from '../data/loader.js';
import type { Batch } from '../data/collate.js';
import type { Dataset } from '../data/dataset.js';
import type { DeviceLike } from '../device.js';
import { ShapeError } from '../errors.js';
import type { Layer } from '../nn/module.js';
import { argmax } from '../ops/reduce.js';
import { eq } from '../ops/compare.js';
import { cast } from '../ops/copy.js';
import { dispose, keep, tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { DeviceSums } from './sums.js';

/** The mean loss of a batch, a 0-dim tensor, from the model's output and the target. */
export type LossFunction = (output: Tensor, target: Tensor) => Tensor;

/** A figure that is a mean over samples. */
export interface Metric {
  readonly name: string;
  /** The sum of the figure over the batch's samples: a 0-dim tensor, computed without gradient. */
  sum(output: Tensor, target: Tensor): Tensor;
}

/** Share of samples whose largest output along dim 1 is the target's class: output [N, C, ...], target [N, ...] of class indices. */
export function accuracy(): Metric {
  return {
    name: 'accuracy',
    sum(output, target) {
      if (output.rank < 1 + Math.min(1, target.rank) || output.shape[0] !== target.shape[0]) {
        throw new ShapeError(
          `outputs of shape (${output.shape.join(', ')}) and targets of shape (${target.shape.join(', ')})`,
          {
            op: 'accuracy',
            shapes: [output.shape, target.shape],
            hint: 'Outputs are (N, C), targets (N) class indices.',
          },
        );
      }
      return cast(eq(argmax(output, 1), target), 'float32').sum();
    },
  };
}

/** A metric, or the name of one that is built in. */
export type MetricLike = Metric | 'accuracy';

export function resolveMetrics(metrics: readonly MetricLike[] | undefined): Metric[] {
  return (metrics ?? []).map((metric) => (metric === 'accuracy' ? accuracy() : metric));
}

/** What of a batch goes into the model and what the loss compares with. */
export interface BatchParts {
  readonly input: Tensor;
  readonly target: Tensor;
}

export type SelectParts<S> = (batch: Batch<S>) => BatchParts;

/** By default a sample's first field is the input and its second one the target. */
export function firstTwoFields<S extends object>(batch: Batch<S>): BatchParts {
  const [input, target] = Object.values(batch) as (Tensor | undefined)[];
  if (input === undefined || target === undefined) {
    throw new ShapeError('a sample needs two fields, the input and the target', {
      op: 'fit',
      hint: 'Pass select: (batch) => ({ input, target }) for samples of another make.',
    });
  }
  return { input, target };
}

export interface RunOptions<S extends object> {
  /** samples in a batch; default 256 */
  batchSize?: number;
  /** where batches go; default the default device */
  device?: DeviceLike;
  /** picks input and target; default: the sample's first and second field */
  select?: SelectParts<S>;
}

export interface EvaluateOptions<S extends object> extends RunOptions<S> {
  loss?: LossFunction;
  metrics?: readonly MetricLike[];
}

/** `body` once a batch, without gradient and in evaluation mode; at most two batches are in flight. */
async function overBatches<S extends object>(
  model: Layer,
  data: Dataset<S> | DataLoader<S>,
  options: RunOptions<S>,
  body: (output: Tensor, target: Tensor, size: number) => Promise<void>,
): Promise<void> {
  const loader =
    data instanceof DataLoader
      ? data
      : new DataLoader(data, { batchSize: options.batchSize ?? 256, device: options.device });
  const select = options.select ?? firstTwoFields<S>;
  const training = model.training;
  model.eval();
  try {
    let before: Promise<void> | undefined;
    for await (const batch of loader) {
      const { input, target } = select(batch);
      const output = noGrad(() => tidy(() => keep(model.call(input))));
      const done = body(output, target, input.shape[0] ?? 1).finally(() => dispose([batch, output]));
      // awaited one batch later; a failure must not count as unhandled until then
      done.catch(() => undefined);
      await before;
      before = done;
    }
    await before;
  } finally {
    model.train(training);
  }
}

/**
 * The mean loss and metrics of a model over a dataset, under their names.
 * @returns for instance `{ loss: 0.07, accuracy: 0.978 }`; NaN for an empty dataset
 */
export async function evaluate<S extends object>(
  model: Layer,
  data: Dataset<S> | DataLoader<S>,
  options: EvaluateOptions<S>,
): Promise<Record<string, number>> {
  const metrics = resolveMetrics(options.metrics);
  const sums = new DeviceSums();
  const { loss } = options;
  try {
    await overBatches(model, data, options, async (output, target, size) => {
      noGrad(() =>
        tidy(() => {
          if (loss) sums.add('loss', loss(output, target), size);
          for (const metric of metrics) sums.add(metric.name, metric.sum(output, target), 1);
        }),
      );
      sums.samples += size;
      await output.ready();
    });
    const names = [...(loss ? ['loss'] : []), ...metrics.map((metric) => metric.name)];
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await sums.mean(name)] as const)));
  } finally {
    sums.clear();
  }
}

/** A model's outputs for a whole dataset, on the host. */
export interface Predictions {
  /** row-major values of `shape` */
  outputs: Float32Array;
  /** [N, ...shape of one output] */
  shape: number[];
}

/**
 * The outputs of a model for every sample, in the dataset's order.
 * @throws DTypeError when the model's output is not float32
 */
export async function predict<S extends object>(
  model: Layer,
  data: Dataset<S>,
  options: RunOptions<S> = {},
): Promise<Predictions> {
  const parts: Promise<Float32Array>[] = [];
  let inner: readonly number[] = [];
  await overBatches(model, data, options, async (output) => {
    inner = output.shape.slice(1);
    const part = output.data('float32');
    parts.push(part);
    await part;
  });
  const outputs = new Float32Array(data.length * inner.reduce((size, n) => size * n, 1));
  let at = 0;
  for (const part of await Promise.all(parts)) {
    outputs.set(part, at);
    at += part.length;
  }
  return { outputs, shape: [data.length, ...inner] };
}
