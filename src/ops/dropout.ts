/** Inverted dropout (Srivastava et al. 2014). */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { defineOp } from '../autograd/define.js';
import { defaultGenerator, type Generator } from '../random.js';
import { Tensor } from '../tensor.js';
import { mul } from './arithmetic.js';
import { where } from './compare.js';
import { dense, requireFloat, shapeError, viewAs, method } from './support.js';

const dropoutOp = defineOp<{ readonly p: number; readonly generator: Generator }>({
  name: 'dropout',
  forward([x], { p, generator }, ctx) {
    const { dtype, shape, device, numel } = x!;
    const state = generator.stateOn(device);
    const flat = viewAs(dense(x!), [numel]);
    const out = native.dropout(device, flat, state, { dtype, shape: [numel] }, { dtype: 'bool', shape: [numel] }, p);
    state.storage.bump();
    if (ctx.needsGrad(0)) ctx.save(Tensor.fresh(out.mask, shape, 'bool'));
    return Tensor.fresh(out.y, shape, dtype);
  },
  grad: ([g], { saved: [mask], params: { p } }) => [g ? where(mask!, p < 1 ? mul(g, 1 / (1 - p)) : g, 0) : null],
  backward([g], { saved: [mask], params: { p } }) {
    if (!g) return [null];
    const { dtype, shape, numel } = g;
    const dx = native.dropoutBackward(
      g.device,
      viewAs(dense(g), [numel]),
      viewAs(mask!, [numel]),
      { dtype, shape: [numel] },
      p,
    );
    return [Tensor.fresh(dx, shape, dtype)];
  },
});

export interface DropoutOptions {
  /** the chance of an element to become 0; default 0.5 */
  p?: number;
  /** without training x is returned as it is; default true */
  training?: boolean;
  generator?: Generator;
}

/**
 * Each element 0 with chance p, else x / (1 - p). Element i of a draw is a function of the generator's seed, its offset and
 * i alone, so the mask is the same on every device.
 *
 * @throws ShapeError for p outside [0, 1], DTypeError for integers and bool
 */
export function dropout(
  x: Tensor,
  { p = 0.5, training = true, generator = defaultGenerator }: DropoutOptions = {},
): Tensor {
  requireFloat('dropout', x);
  if (!(p >= 0 && p <= 1)) throw shapeError('dropout', `p must lie in [0, 1], got ${p}`, [x.shape]);
  return training && p > 0 ? apply(dropoutOp, [x], { p, generator }) : x;
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link dropout}. */
    dropout(options?: DropoutOptions): Tensor;
  }
}

Tensor.prototype.dropout = method(dropout);
