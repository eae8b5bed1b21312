// PyTorch's single-tensor optimizer loops, written out element by element in float64. Each function changes `param` and `state`
// in place; calling it once per step with that step's gradient reproduces a run.

export interface SgdOptions {
  lr: number;
  momentum?: number;
  dampening?: number;
  weightDecay?: number;
  nesterov?: boolean;
  maximize?: boolean;
}

export interface SgdState {
  /** Momentum, like the parameter; absent before the first step. */
  buf?: Float64Array;
}

/** One step of SGD. param and grad have the same length. */
export function sgdStep(param: Float64Array, grad: Float64Array, state: SgdState, options: SgdOptions): void {
  const { lr, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false, maximize = false } = options;
  const first = state.buf === undefined;
  const buf = (state.buf ??= new Float64Array(param.length));
  for (let i = 0; i < param.length; i++) {
    let d = maximize ? -grad[i]! : grad[i]!;
    d += weightDecay * param[i]!;
    if (momentum !== 0) {
      buf[i] = first ? d : momentum * buf[i]! + (1 - dampening) * d;
      d = nesterov ? d + momentum * buf[i]! : buf[i]!;
    }
    param[i]! -= lr * d;
  }
}

export interface AdamOptions {
  lr: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
  /** True for AdamW: the parameter shrinks by lr * weightDecay instead of weightDecay * param joining the gradient. */
  decoupled?: boolean;
  maximize?: boolean;
}

export interface AdamState {
  step: number;
  m: Float64Array;
  v: Float64Array;
}

/** The state before the first step, for a parameter of `length` elements. */
export function adamState(length: number): AdamState {
  return { step: 0, m: new Float64Array(length), v: new Float64Array(length) };
}

/** One step of Adam or AdamW. param and grad have the same length. */
export function adamStep(param: Float64Array, grad: Float64Array, state: AdamState, options: AdamOptions): void {
  const { lr, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, decoupled = false, maximize = false } = options;
  const [beta1, beta2] = betas;
  state.step += 1;
  const correction1 = 1 - beta1 ** state.step;
  const correction2 = 1 - beta2 ** state.step;
  for (let i = 0; i < param.length; i++) {
    let g = maximize ? -grad[i]! : grad[i]!;
    if (decoupled) param[i]! *= 1 - lr * weightDecay;
    else g += weightDecay * param[i]!;
    state.m[i] = beta1 * state.m[i]! + (1 - beta1) * g;
    state.v[i] = beta2 * state.v[i]! + (1 - beta2) * g * g;
    param[i]! -= ((lr / correction1) * state.m[i]!) / (Math.sqrt(state.v[i]!) / Math.sqrt(correction2) + eps);
  }
}

/** The Euclidean norm of all gradients together. */
export function gradNorm(grads: readonly Float64Array[]): number {
  let sum = 0;
  for (const grad of grads) for (const value of grad) sum += value * value;
  return Math.sqrt(sum);
}

/** What PyTorch's clip_grad_norm_ multiplies every gradient by: min(1, maxNorm / (norm + 1e-6)), NaN for a NaN norm. */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
