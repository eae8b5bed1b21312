/**
 * Figures of classification, kept as counts on the host: a batch adds its (truth, prediction) pairs, and every figure is
 * derived from the confusion matrix, so they can never disagree with each other.
 */
import { ShapeError } from '../errors.js';

/** One class's figures; a ratio whose denominator is zero is 0, as in scikit-learn. */
export interface ClassFigures {
  readonly label: number;
  /** of what was called this class, the share that is */
  readonly precision: number;
  /** of what is this class, the share that was called so */
  readonly recall: number;
  /** harmonic mean of both */
  readonly f1: number;
  /** samples of this class */
  readonly support: number;
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Counts of (true class, predicted class) pairs, with the figures that follow from them. */
export class ConfusionMatrix {
  readonly classes: number;
  /** row-major [classes, classes]: rows are true classes, columns predicted ones */
  readonly counts: Float64Array;

  constructor(classes: number) {
    if (!Number.isInteger(classes) || classes < 1) {
      throw new ShapeError(`the number of classes must be a positive integer, got ${classes}`, {
        op: 'ConfusionMatrix',
      });
    }
    this.classes = classes;
    this.counts = new Float64Array(classes * classes);
  }

  /**
   * Adds one batch.
   * @param truth N class indices
   * @param predicted N class indices
   * @throws ShapeError when the lengths differ or an index is not a class
   */
  add(truth: ArrayLike<number>, predicted: ArrayLike<number>): void {
    if (truth.length !== predicted.length) {
      throw new ShapeError(`${truth.length} true classes, but ${predicted.length} predicted ones`, {
        op: 'ConfusionMatrix.add',
        shapes: [[truth.length], [predicted.length]],
      });
    }
    for (let i = 0; i < truth.length; i++) {
      const row = this.checked(truth[i]!, i, 'true');
      const column = this.checked(predicted[i]!, i, 'predicted');
      this.counts[row * this.classes + column]! += 1;
    }
  }

  /**
   * Adds one batch whose answers are the largest of `classes` scores each; of equal scores the first counts.
   * @param truth N class indices
   * @param scores [N, classes] row-major
   */
  addLogits(truth: ArrayLike<number>, scores: ArrayLike<number>): void {
    const { classes } = this;
    if (scores.length !== truth.length * classes) {
      throw new ShapeError(
        `${truth.length} true classes of ${classes} need ${truth.length * classes} scores, got ${scores.length}`,
        {
          op: 'ConfusionMatrix.addLogits',
          shapes: [[truth.length], [scores.length]],
        },
      );
    }
    const predicted = Int32Array.from({ length: truth.length }, (_, row) => {
      let best = 0;
      for (let c = 1; c < classes; c++) if (scores[row * classes + c]! > scores[row * classes + best]!) best = c;
      return best;
    });
    this.add(truth, predicted);
  }

  private checked(label: number, at: number, kind: string): number {
    if (Number.isInteger(label) && label >= 0 && label < this.classes) return label;
    throw new ShapeError(`the ${kind} class ${label} of sample ${at} is not in 0..${this.classes - 1}`, {
      op: 'ConfusionMatrix.add',
    });
  }

  at(truth: number, predicted: number): number {
    return this.counts[truth * this.classes + predicted] ?? 0;
  }

  get total(): number {
    return this.counts.reduce((sum, n) => sum + n, 0);
  }

  /** Share of samples on the diagonal; 0 when there are none. */
  get accuracy(): number {
    let right = 0;
    for (let c = 0; c < this.classes; c++) right += this.at(c, c);
    return ratio(right, this.total);
  }

  /** Precision, recall, F1 and support of every class, in class order. */
  perClass(): ClassFigures[] {
    return Array.from({ length: this.classes }, (_, label) => {
      let support = 0;
      let called = 0;
      for (let other = 0; other < this.classes; other++) {
        support += this.at(label, other);
        called += this.at(other, label);
      }
      const right = this.at(label, label);
      const precision = ratio(right, called);
      const recall = ratio(right, support);
      return { label, precision, recall, f1: ratio(2 * precision * recall, precision + recall), support };
    });
  }

  /** Unweighted means over the classes. */
  macro(): { precision: number; recall: number; f1: number } {
    const figures = this.perClass();
    const mean = (of: (f: ClassFigures) => number): number => figures.reduce((sum, f) => sum + of(f), 0) / this.classes;
    return { precision: mean((f) => f.precision), recall: mean((f) => f.recall), f1: mean((f) => f.f1) };
  }

  /** Rows of counts, for JSON and printing. */
  rows(): number[][] {
    return Array.from({ length: this.classes }, (_, row) =>
      Array.from(this.counts.subarray(row * this.classes, (row + 1) * this.classes)),
    );
  }
}
