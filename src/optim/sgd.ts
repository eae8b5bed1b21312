/** Stochastic gradient descent. */
import * as native from '../addon.ops.js';
import { WarploomError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { checkRate, type ActiveCohort, type BaseOptions, type ParamGroup, type Shard } from './group.js';
import { Optimizer, type OptimizerInput } from './optimizer.js';

export interface SGDOptions extends BaseOptions {
  /** default 0 */
  momentum: number;
  /** the part of a gradient that does not enter the momentum buffer, from the second step on; default 0 */
  dampening: number;
  /** Nesterov's look-ahead, as Sutskever et al. 2013 write it; default false */
  nesterov: boolean;
}

/**
 * PyTorch's SGD: d = g + weightDecay p; buf = momentum buf + (1 - dampening) d, at the first step buf = d; p -= lr buf,
 * with `nesterov` p -= lr (d + momentum buf).
 */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: OptimizerInput<SGDOptions>, options: Partial<SGDOptions> & { clipGradNorm?: number } = {}) {
    const {
      lr = 1e-3,
      momentum = 0,
      dampening = 0,
      weightDecay = 0,
      nesterov = false,
      maximize = false,
      clipGradNorm,
    } = options;
    const groups = [...(params as Iterable<{ momentum?: number }>)];
    const usesMomentum = momentum !== 0 || groups.some((group) => 'params' in group && (group.momentum ?? 0) !== 0);
    super(
      'SGD',
      groups as unknown as OptimizerInput<SGDOptions>,
      { lr, momentum, dampening, weightDecay, nesterov, maximize },
      usesMomentum ? ['momentum_buffer'] : [],
      clipGradNorm,
    );
  }

  protected override checkOptions({ lr, momentum, dampening, weightDecay, nesterov }: SGDOptions): void {
    checkRate('SGD', 'lr', lr);
    checkRate('SGD', 'momentum', momentum);
    checkRate('SGD', 'weightDecay', weightDecay);
    if (nesterov && (momentum <= 0 || dampening !== 0)) {
      throw new WarploomError('nesterov needs a momentum and no dampening', { op: 'SGD' });
    }
  }

  protected override update(
    { options }: ParamGroup<SGDOptions>,
    shard: Shard,
    cohort: ActiveCohort,
    factor: Tensor | null,
  ): void {
    const { momentum, dampening, weightDecay, nesterov, maximize } = options;
    const { flat } = shard.bucket;
    const buffer = momentum === 0 ? null : shard.moments.get('momentum_buffer');
    if (buffer === undefined) {
      throw new WarploomError('a momentum came after an optimizer was built without one', {
        op: 'SGD',
        hint: 'Give a momentum to the constructor; it may change later.',
      });
    }
    for (const segments of cohort.segments) {
      native.sgd(
        flat.device,
        segments,
        flat,
        buffer,
        cohort.state,
        factor,
        momentum,
        dampening,
        weightDecay,
        nesterov,
        maximize,
      );
    }
  }
}
