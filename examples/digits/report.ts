/** What the digits run shows on its page. */
import { renderReport, type ConfusionMatrix, type History, type ReportMistake } from '../../src/index.js';
import { CLASSES, PIXELS, SIDE, type Digits } from './data.js';

/** Softmax of one row of logits, in float64. */
function probabilities(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const weights = Array.from(logits, (x) => Math.exp(x - top));
  const sum = weights.reduce((total, w) => total + w, 0);
  return weights.map((w) => w / sum);
}

/** The wrong answers among [N, 10] logits, the most certain first. `indices` say which digit each row is. */
export function mostWrong(
  digits: Digits,
  indices: ArrayLike<number>,
  logits: Float32Array,
  count: number,
): ReportMistake[] {
  const mistakes: ReportMistake[] = [];
  for (let i = 0; i < indices.length; i++) {
    const shares = probabilities(logits.subarray(i * CLASSES, (i + 1) * CLASSES));
    const predicted = shares.indexOf(Math.max(...shares));
    const at = indices[i]!;
    const truth = digits.labels[at]!;
    if (predicted === truth) continue;
    mistakes.push({
      pixels: digits.images.subarray(at * PIXELS, (at + 1) * PIXELS),
      width: SIDE,
      height: SIDE,
      truth: String(truth),
      predicted: String(predicted),
      confidence: shares[predicted]!,
    });
  }
  return mistakes.sort((a, b) => b.confidence - a.confidence).slice(0, count);
}

export interface DigitsResult {
  history: History;
  confusion: ConfusionMatrix;
  mistakes: readonly ReportMistake[];
  settings: Readonly<Record<string, string | number | boolean>>;
  samples: { train: number; validation: number; test: number };
}

export function digitsReport({ history, confusion, mistakes, settings, samples }: DigitsResult): string {
  const { epochs, bestEpoch } = history;
  const x = epochs.map(({ epoch }) => epoch);
  const curve = (label: string, name: string) => ({ label, values: epochs.map((record) => record[name] ?? null) });
  const mark = bestEpoch === null ? {} : { mark: { x: bestEpoch, label: 'best' } };
  const ended = { finished: 'all epochs done', early: 'stopped early', aborted: 'interrupted' }[history.stopped];
  return renderReport({
    title: 'Handwritten digits',
    subtitle:
      `A small convolutional net, trained on ${samples.train} images, chosen on ${samples.validation}, ` +
      `tested on ${samples.test}; ${ended}${bestEpoch === null ? '' : `, weights of epoch ${bestEpoch}`}.`,
    figures: [
      { label: 'test accuracy', value: `${(confusion.accuracy * 100).toFixed(2)} %` },
      { label: `wrong of ${confusion.total}`, value: String(Math.round(confusion.total * (1 - confusion.accuracy))) },
      { label: 'epochs', value: String(epochs.length) },
      { label: 'seconds of training', value: history.seconds.toFixed(1) },
    ],
    charts: [
      {
        title: 'Loss',
        x,
        xLabel: 'epoch',
        curves: [curve('training', 'loss'), curve('validation', 'valLoss')],
        ...mark,
      },
      {
        title: 'Accuracy',
        x,
        xLabel: 'epoch',
        curves: [curve('training', 'accuracy'), curve('validation', 'valAccuracy')],
        ...mark,
      },
    ],
    confusion,
    mistakes,
    settings,
  });
}
