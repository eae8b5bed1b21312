/** Sums over batches that stay on the device: an epoch's loss is read once at its end, and no step waits for it. */
import { add } from '../ops/arithmetic.js';
import { keep, tidy } from '../scope.js';
import { noGrad } from '../autograd/gradMode.js';
import type { Tensor } from '../tensor.js';

/** Named running sums of scalars. Each is a 0-dim tensor outside every scope, replaced by the next. */
export class DeviceSums {
  private readonly totals = new Map<string, Tensor>();
  /** samples behind the sums */
  samples = 0;

  /** Adds `value` (a scalar) times `weight`. */
  add(name: string, value: Tensor, weight: number): void {
    const before = this.totals.get(name);
    const after = noGrad(() =>
      tidy(() => {
        const scaled = value.detach().mul(weight);
        return keep(before ? add(before, scaled) : scaled);
      }),
    );
    this.totals.set(name, after);
    before?.dispose();
  }

  /** The mean of a sum over the samples so far; NaN before the first. */
  async mean(name: string): Promise<number> {
    const total = this.totals.get(name);
    return total === undefined ? NaN : Number(await total.item()) / this.samples;
  }

  /** The sums themselves, for a checkpoint; they belong to this object. */
  tensors(): Record<string, Tensor> {
    return Object.fromEntries(this.totals);
  }

  /** Takes sums over from a checkpoint; they belong to this object from now on. */
  load(tensors: Readonly<Record<string, Tensor>>, samples: number): void {
    this.clear();
    for (const [name, tensor] of Object.entries(tensors)) this.totals.set(name, keep(tensor));
    this.samples = samples;
  }

  /** Back to no samples; gives the memory back. */
  clear(): void {
    for (const total of this.totals.values()) total.dispose();
    this.totals.clear();
    this.samples = 0;
  }
}
