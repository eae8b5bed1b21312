/** Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019). */
import * as native from '../addon.ops.js';
import { WarploomError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { checkRate, type ActiveCohort, type BaseOptions, type ParamGroup, type Shard } from './group.js';
import { Optimizer, type OptimizerInput } from './optimizer.js';

export interface AdamOptions extends BaseOptions {
  /** decay of the running mean of gradients and of their squares; default [0.9, 0.999] */
  betas: readonly [number, number];
  /** added to the root of the second moment; default 1e-8 */
  eps: number;
}

abstract class AdamBase extends Optimizer<AdamOptions> {
  readonly #decoupled: boolean;

  protected constructor(
    op: string,
    decoupled: boolean,
    params: OptimizerInput<AdamOptions>,
    defaultDecay: number,
    options: Partial<AdamOptions> & { clipGradNorm?: number },
  ) {
    const {
      lr = 1e-3,
      betas = [0.9, 0.999],
      eps = 1e-8,
      weightDecay = defaultDecay,
      maximize = false,
      clipGradNorm,
    } = options;
    super(op, params, { lr, betas, eps, weightDecay, maximize }, ['exp_avg', 'exp_avg_sq'], clipGradNorm);
    this.#decoupled = decoupled;
  }

  protected override checkOptions({ lr, betas, eps, weightDecay }: AdamOptions): void {
    const op = this.name;
    checkRate(op, 'lr', lr);
    checkRate(op, 'eps', eps);
    checkRate(op, 'weightDecay', weightDecay);
    if (!betas.every((beta) => beta >= 0 && beta < 1)) {
      throw new WarploomError(`betas must lie in [0, 1), got ${betas.join(', ')}`, { op });
    }
  }

  protected override betas({ options }: ParamGroup<AdamOptions>): readonly [number, number] {
    return options.betas;
  }

  protected override update(
    { options }: ParamGroup<AdamOptions>,
    shard: Shard,
    cohort: ActiveCohort,
    factor: Tensor | null,
  ): void {
    const { betas, eps, weightDecay, maximize } = options;
    const { flat } = shard.bucket;
    const m = shard.moments.get('exp_avg')!;
    const v = shard.moments.get('exp_avg_sq')!;
    for (const segments of cohort.segments) {
      native.adam(
        flat.device,
        segments,
        flat,
        m,
        v,
        cohort.state,
        factor,
        betas[0],
        betas[1],
        eps,
        weightDecay,
        this.#decoupled,
        maximize,
      );
    }
  }
}

/** Adam; weight decay joins the gradient (L2). */
export class Adam extends AdamBase {
  constructor(params: OptimizerInput<AdamOptions>, options: Partial<AdamOptions> & { clipGradNorm?: number } = {}) {
    super('Adam', false, params, 0, options);
  }
}

/** AdamW: weight decay shrinks the parameter itself, by lr weightDecay a step; default 0.01. */
export class AdamW extends AdamBase {
  constructor(params: OptimizerInput<AdamOptions>, options: Partial<AdamOptions> & { clipGradNorm?: number } = {}) {
    super('AdamW', true, params, 0.01, options);
  }
}
