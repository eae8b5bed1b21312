/** Gradients of an op: against central differences of the reference, composed against fused, float32 against float64. */
import { grad, type DType, type Tensor } from '../../src/index.js';
import { describeSample, list, prepare, type OpCase, type Sample } from './sample.js';
import { ref, zeros, type Ref } from '../reference/array.js';
import { differenceBound, gradientBound, meetingOf } from '../tolerance.js';
import { assertClose } from './compare.js';
import { fill, isFloat, operand, place, Random, read, seedOf, type Placed } from './values.js';

/** Everything a gradient check of one sample needs: operands, which of them are differentiated, and the output gradients. */
interface Setup<P> {
  readonly op: OpCase<P>;
  readonly sample: Sample<P>;
  readonly values: readonly Ref[];
  readonly which: readonly number[];
  readonly seeds: readonly Ref[];
  readonly what: string;
}

/** float64 runs on the CPU where a device has none. */
const float64Device = (device: string): string => (device.startsWith('cuda') ? 'cpu' : device);

function setUp<P>(op: OpCase<P>, sample: Sample<P>, random: Random, what: string): Setup<P> {
  // Values that float32 holds exactly: both dtypes then start from the same point.
  const placed = prepare(op, sample, 'float32', 'cpu', random);
  const values = placed.map((p) => p.ref);
  const which = op.differentiable ?? sample.inputs.flatMap((x, i) => (operand(x).dtype === undefined ? [i] : []));
  const seeds = list(op.reference([...values], sample.params)).map((out) => {
    const seed = fill(out.shape, 'normal', random);
    return { shape: seed.shape, data: seed.data.map(Math.fround) };
  });
  return { op, sample, values, which, seeds, what };
}

/** Places the operands with gradients on, and runs the op. Only floating results are differentiated. */
function forward<P>(
  s: Setup<P>,
  values: readonly Ref[],
  seeds: readonly Ref[],
  dtype: DType,
  device: string,
  trackSeeds = false,
) {
  const placed: Placed[] = values.map((v, i) => place(v, operand(s.sample.inputs[i]!).dtype ?? dtype, device));
  const inputs = placed.map((p, i) => (s.which.includes(i) ? p.tensor.requiresGrad_() : p.tensor));
  const all = list(s.op.run(inputs, s.sample.params));
  const outs: Tensor[] = [];
  const gradOutputs: Tensor[] = [];
  all.forEach((out, k) => {
    if (!isFloat(out.dtype) || !out.requiresGrad) return;
    outs.push(out);
    const seed = place(seeds[k]!, out.dtype, device).tensor;
    gradOutputs.push(trackSeeds ? seed.requiresGrad_() : seed);
  });
  if (outs.length === 0) throw new Error(`${s.what}: no result requires a gradient`);
  return { outs, gradOutputs, inputs: s.which.map((i) => inputs[i]!) };
}

const refOf = async (t: Tensor | null, like: Ref): Promise<Ref> => (t ? read(t) : zeros(like.shape));

/** The first gradients at `values`, through the fused or the composed rules. */
async function gradients<P>(
  s: Setup<P>,
  dtype: DType,
  device: string,
  createGraph: boolean,
  values: readonly Ref[] = s.values,
  seeds: readonly Ref[] = s.seeds,
): Promise<Ref[]> {
  const { outs, gradOutputs, inputs } = forward(s, values, seeds, dtype, device);
  const found = grad(outs, inputs, { gradOutputs, createGraph, allowUnused: true });
  return Promise.all(found.map((g, k) => refOf(g, values[s.which[k]!]!)));
}

/** d/dx of sum(seed * reference(x)), by central differences, for each differentiated input. */
function differences<P>(s: Setup<P>): Ref[] {
  const h = 1e-5;
  const loss = (values: Ref[]): number => {
    let total = 0;
    list(s.op.reference(values, s.sample.params)).forEach((out, k) => {
      for (let i = 0; i < out.data.length; i++) total += out.data[i]! * s.seeds[k]!.data[i]!;
    });
    return total;
  };
  return s.which.map((input) => nudge(s.values, input, h, loss));
}

function nudge(values: readonly Ref[], input: number, h: number, loss: (values: Ref[]) => number): Ref {
  const x = values[input]!;
  const out = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) {
    const at = (step: number) => {
      const data = Float64Array.from(x.data);
      data[i]! += step;
      return loss(values.map((v, k) => (k === input ? { shape: x.shape, data } : v)));
    };
    out.data[i] = (at(h) - at(-h)) / (2 * h);
  }
  return out;
}

export async function checkGradients<P>(op: OpCase<P>, device: string, dtype: DType): Promise<void> {
  const seed = seedOf(op.name, 'gradient');
  const random = new Random(seed);
  for (const sample of op.gradientSamples ?? op.samples) {
    const what = `${describeSample(op, sample)}, gradient ${dtype} on ${device}, seed ${seed}`;
    const s = setUp(op, sample, random, what);
    const meeting = meetingOf(s.values);
    const fused = await gradients(s, dtype, device, false);
    const composed = await gradients(s, dtype, device, true);
    const expected = dtype === 'float64' ? differences(s) : await gradients(s, 'float64', float64Device(device), false);
    for (let k = 0; k < fused.length; k++) {
      const of = `${what}, of input ${s.which[k]!}`;
      const bound =
        dtype === 'float64' ? differenceBound(expected[k]!, 1) : gradientBound(expected[k]!, dtype, meeting);
      assertClose(fused[k]!, expected[k]!, bound, `${of}, fused`);
      assertClose(composed[k]!, fused[k]!, gradientBound(fused[k]!, dtype, meeting), `${of}, composed against fused`);
    }
  }
}

/**
 * The gradient of sum(v * gradient) with respect to the inputs and to the output gradients. In float64 against central
 * differences of the first gradient, which has its own test; in float32 against float64.
 */
export async function checkSecondGradients<P>(op: OpCase<P>, device: string, dtype: DType): Promise<void> {
  const seed = seedOf(op.name, 'second');
  const random = new Random(seed);
  for (const sample of op.gradientSamples ?? op.samples) {
    const what = `${describeSample(op, sample)}, second gradient ${dtype} on ${device}, seed ${seed}`;
    const s = setUp(op, sample, random, what);
    const vs = s.which.map((i) => {
      const v = fill(s.values[i]!.shape, 'normal', random);
      return ref(v.shape, v.data.map(Math.fround));
    });
    const actual = await second(s, vs, dtype, device);
    const expected =
      dtype === 'float64'
        ? await secondDifferences(s, vs, device)
        : await second(s, vs, 'float64', float64Device(device));
    for (let k = 0; k < actual.length; k++) {
      const of = k < s.which.length ? `input ${s.which[k]!}` : `output gradient ${k - s.which.length}`;
      const bound =
        dtype === 'float64'
          ? differenceBound(expected[k]!, 2)
          : gradientBound(expected[k]!, dtype, meetingOf(s.values) ** 2);
      assertClose(actual[k]!, expected[k]!, bound, `${what}, of ${of}`);
    }
  }
}

async function second<P>(s: Setup<P>, vs: readonly Ref[], dtype: DType, device: string): Promise<Ref[]> {
  const { outs, gradOutputs, inputs } = forward(s, s.values, s.seeds, dtype, device, true);
  const first = grad(outs, inputs, { gradOutputs, createGraph: true, allowUnused: true });
  const live = first.flatMap((g, k) => (g?.requiresGrad ? [{ g, v: place(vs[k]!, dtype, device).tensor }] : []));
  if (live.length === 0) throw new Error(`${s.what}: the composed gradient is not differentiable`);
  const found = grad(
    live.map((l) => l.g),
    [...inputs, ...gradOutputs],
    { gradOutputs: live.map((l) => l.v), allowUnused: true },
  );
  const floating = s.seeds.slice(0, gradOutputs.length);
  const like = [...s.which.map((i) => s.values[i]!), ...floating];
  return Promise.all(found.map((g, k) => refOf(g, like[k]!)));
}

async function secondDifferences<P>(s: Setup<P>, vs: readonly Ref[], device: string): Promise<Ref[]> {
  const h = 1e-5;
  const dot = async (values: readonly Ref[], seeds: readonly Ref[]): Promise<number> => {
    const first = await gradients(s, 'float64', float64Device(device), false, values, seeds);
    let total = 0;
    first.forEach((g, k) => g.data.forEach((v, i) => (total += v * vs[k]!.data[i]!)));
    return total;
  };
  const outputs = forward(s, s.values, s.seeds, 'float64', float64Device(device)).outs.length;
  const points = [...s.values, ...s.seeds];
  const moved = [...s.which, ...Array.from({ length: outputs }, (_, k) => s.values.length + k)];
  const result: Ref[] = [];
  for (const p of moved) {
    const x = points[p]!;
    const out = zeros(x.shape);
    for (let i = 0; i < x.data.length; i++) {
      const at = (step: number) => {
        const data = Float64Array.from(x.data);
        data[i]! += step;
        const all = points.map((v, k) => (k === p ? { shape: x.shape, data } : v));
        return dot(all.slice(0, s.values.length), all.slice(s.values.length));
      };
      out.data[i] = ((await at(h)) - (await at(-h))) / (2 * h);
    }
    result.push(out);
  }
  return result;
}
