/** Compares gradients with central differences. */
import { typedArrayOf } from '../dtype.js';
import { AutogradError, DTypeError } from '../errors.js';
import { philox } from '../random.js';
import { tidy } from '../scope.js';
import { Tensor } from '../tensor.js';
import { grad } from './backward.js';
import { noGrad } from './gradMode.js';

export interface GradcheckOptions {
  /** half the distance of the two evaluations; the default is 1e-6, for the second order 1e-5 */
  eps?: number;
  /** relative bound; the default is 1e-4, for the second order 1e-3 */
  rtol?: number;
  /** absolute bound; the default is 1e-6 */
  atol?: number;
  /** 2 checks the gradient of the gradient; the default is 1 */
  order?: 1 | 2;
}

type Check = (...inputs: Tensor[]) => Tensor | Tensor[];

const asList = (value: Tensor | Tensor[]): Tensor[] => (Array.isArray(value) ? value : [value]);

/** Fixed weights in [-1, 1): a weighted sum of all outputs makes one check cover every one of them. */
function weights(n: number, stream: number): Float64Array {
  return Float64Array.from(philox(0x5eed, stream << 20, n), (word) => word / 2 ** 31 - 1);
}

function weightsLike(tensor: Tensor, stream: number): Tensor {
  return Tensor.fromBytes(weights(tensor.numel, stream), tensor.shape, 'float64', tensor.device);
}

/**
 * Compares the gradients of `fn` with central differences, for every input that has requiresGrad. Inputs and outputs are float64,
 * of any shapes, away from kinks. Resolves to true.
 * @throws AutogradError naming the element that differs most, DTypeError when an input or output is not float64
 */
export async function gradcheck(
  fn: Check,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): Promise<boolean> {
  const { order = 1 } = options;
  const { eps = order === 1 ? 1e-6 : 1e-5, rtol = order === 1 ? 1e-4 : 1e-3, atol = 1e-6 } = options;
  for (const input of inputs) {
    if (input.requiresGrad && input.dtype !== 'float64') {
      throw new DTypeError(`inputs of gradcheck are float64, not ${input.dtype}`, { op: 'gradcheck' });
    }
  }
  const check: Check =
    order === 1
      ? fn
      : (...args) => {
          const outputs = differentiable(fn(...args));
          const wanted = args.filter((arg) => arg.requiresGrad);
          const gradOutputs = outputs.map((output, i) => weightsLike(output, 100 + i));
          const found = grad(outputs, wanted, { gradOutputs, createGraph: true, allowUnused: true });
          return found.filter((g) => g !== null && g.requiresGrad) as Tensor[];
        };

  const analytic = await analyticGradients(check, inputs);
  for (let which = 0; which < inputs.length; which++) {
    const gradient = analytic[which];
    if (gradient === undefined || gradient === null) continue;
    const values = await inputs[which]!.data('float64');
    for (let i = 0; i < values.length; i++) {
      const x = values[i]!;
      const above = await evaluate(check, inputs, which, values, i, x + eps, order);
      const below = await evaluate(check, inputs, which, values, i, x - eps, order);
      values[i] = x;
      const numeric = (above - below) / (2 * eps);
      const exact = gradient[i]!;
      if (!(Math.abs(exact - numeric) <= atol + rtol * Math.abs(numeric))) {
        throw new AutogradError(
          `the gradient of input ${which} at element ${i} is ${exact}, central differences say ${numeric}`,
          { op: 'gradcheck', shapes: [inputs[which]!.shape] },
        );
      }
    }
  }
  return true;
}

function differentiable(outputs: Tensor | Tensor[]): Tensor[] {
  const list = asList(outputs).filter((output) => output.requiresGrad);
  if (list.length === 0) {
    throw new AutogradError('no output depends on an input that requires a gradient', { op: 'gradcheck' });
  }
  for (const output of list) {
    if (output.dtype !== 'float64') {
      throw new DTypeError(`outputs of gradcheck are float64, not ${output.dtype}`, { op: 'gradcheck' });
    }
  }
  return list;
}

/** Per input its gradient, or null where it wants none; zeros where it is not used. */
async function analyticGradients(check: Check, inputs: readonly Tensor[]): Promise<(Float64Array | null)[]> {
  return tidy(async () => {
    const outputs = asList(check(...inputs)).filter((output) => output.requiresGrad);
    const gradOutputs = outputs.map((output, i) => weightsLike(output, i));
    const wanted = inputs.filter((input) => input.requiresGrad);
    const found =
      outputs.length === 0 ? wanted.map(() => null) : grad(outputs, wanted, { gradOutputs, allowUnused: true });
    const values = await Promise.all(found.map(async (g) => (g === null ? null : g.data('float64'))));
    let next = 0;
    return inputs.map((input) => (input.requiresGrad ? (values[next++] ?? new Float64Array(input.numel)) : null));
  });
}

/** The weighted sum of the outputs with element `i` of input `which` at `x`. */
async function evaluate(
  check: Check,
  inputs: readonly Tensor[],
  which: number,
  values: Float64Array,
  i: number,
  x: number,
  order: 1 | 2,
): Promise<number> {
  values[i] = x;
  return tidy(async () => {
    const moved = Tensor.fromBytes(values, inputs[which]!.shape, 'float64', inputs[which]!.device);
    const args = inputs.map((input, k) => (k === which ? moved : input));
    if (order === 2) moved.requiresGrad = true;
    const run = (): Tensor[] => asList(check(...args));
    const outputs = order === 2 ? run() : noGrad(run);
    let sum = 0;
    let stream = 0;
    for (const output of outputs) {
      if (output.dtype !== 'float64') continue;
      const data = typedArrayOf('float64', (await output.bytes()).buffer as ArrayBuffer);
      const w = weights(data.length, stream++);
      for (let k = 0; k < data.length; k++) sum += w[k]! * data[k]!;
    }
    return sum;
  });
}
