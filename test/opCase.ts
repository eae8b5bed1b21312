/**
 * One declaration per op gives all its tests, on every device of WARPLOOM_TEST_DEVICES and every dtype that test/surface.json
 * claims: values against a plain loop, gradients against central differences, the fused gradient against the composed one,
 * float32 gradients against float64 ones, second gradients, edge shapes and memory layouts, NaN and infinity, bad input, and
 * PyTorch's frozen values. A claim without the means to test it fails here.
 */
import { describe, expect, test } from 'vitest';
import * as warploom from '../src/index.js';
import type { DType } from '../src/index.js';
import { assertClose } from './harness/compare.js';
import { readFrozen, type FrozenCase } from './harness/frozen.js';
import { checkGradients, checkSecondGradients } from './harness/gradient.js';
import { computes, readSurface, record, testDevices, type Column, type Row } from './harness/surface.js';
import { onDevice } from './harness/work.js';
import { describeSample, list, prepare, type Bad, type OpCase, type Sample } from './harness/sample.js';
import {
  fill,
  isFloat,
  layouts,
  operand,
  place,
  Random,
  read,
  seedOf,
  type Input,
  type Layout,
  type Placed,
} from './harness/values.js';
import { elementwise, exact, frozenBound, gradientBound, meetingOf, type Bound } from './tolerance.js';

export type { Bad, OpCase, Sample } from './harness/sample.js';

const surface = readSurface();
const sweepRounds = Number(process.env['WARPLOOM_TEST_SWEEP'] ?? 0);

/** Declares every test of one op. */
export function opCase<P>(op: OpCase<P>): void {
  const row = surface.get(op.name);
  if (!row) throw new Error(`test/surface.json has no row named ${op.name}`);
  describe(op.name, () => {
    for (const device of testDevices()) {
      if (sweepRounds > 0) {
        declareSweep(op, row, device);
        continue;
      }
      declare(row, device, 'value', (dtype) => valueTest(op, device, dtype, op.samples, ['contiguous']));
      declare(row, device, 'edge', (dtype) => valueTest(op, device, dtype, need(op, 'edges'), op.layouts ?? layouts));
      declare(row, device, 'nan', (dtype) => valueTest(op, device, dtype, op.special ?? specials(op), ['contiguous']));
      declare(row, device, 'gradient', (dtype) => checkGradients(op, device, dtype));
      declare(row, device, 'secondGradient', (dtype) => checkSecondGradients(op, device, dtype));
      declare(row, device, 'pytorch', (dtype) => frozenTest(op, device, dtype));
      if (claimed(row, 'badInput', device).length === 0) continue;
      for (const entry of need(op, 'bad')) {
        test(`bad input: ${entry.title} (${device})`, async () => {
          await badTest(op, entry, device);
          record(op.name, 'badInput', device);
        });
      }
    }
  });
}

/** The tests of one column: one for each claimed dtype, recorded when it has passed. */
function declare(row: Row, device: string, column: Column, body: (dtype: DType) => Promise<void>): void {
  for (const dtype of claimed(row, column, device)) {
    test(`${column} ${dtype} (${device})`, async () => {
      await warploom.tidy(() => body(dtype));
      record(row.name, column, device, dtype);
    });
  }
}

/** The dtypes a row claims in a column, of those the device computes. */
function claimed(row: Row, column: Column, device: string): readonly DType[] {
  const claim = row.claims[column];
  return !claim || 'reason' in claim ? [] : claim.filter((dtype) => computes(device, dtype)).map((d) => d as DType);
}

function need<P, K extends keyof OpCase<P>>(op: OpCase<P>, key: K): NonNullable<OpCase<P>[K]> {
  const value = op[key];
  if (value === undefined || (Array.isArray(value) && value.length === 0)) {
    throw new Error(`${op.name}: surface.json claims a column whose case needs '${key}'`);
  }
  return value as NonNullable<OpCase<P>[K]>;
}

async function valueTest<P>(
  op: OpCase<P>,
  device: string,
  dtype: DType,
  samples: readonly Sample<P>[],
  in_: readonly Layout[],
): Promise<void> {
  const seed = seedOf(op.name, dtype);
  const random = new Random(seed);
  for (const sample of samples) {
    for (const layout of in_) {
      const placed = prepare(op, sample, dtype, device, random, layout);
      await compareValue(
        op,
        sample,
        placed,
        dtype,
        device,
        `${describeSample(op, sample)}, ${layout}, ${dtype} on ${device}, seed ${seed}`,
      );
    }
  }
}

async function compareValue<P>(
  op: OpCase<P>,
  sample: Sample<P>,
  placed: readonly Placed[],
  dtype: DType,
  device: string,
  what: string,
): Promise<void> {
  const inputs = placed.map((p) => p.ref);
  const tensors = placed.map((p) => p.tensor);
  const actual = onDevice(device, tensors, () => list(op.run(tensors, sample.params)), what);
  const expected = list(op.reference(inputs, sample.params));
  expect(actual.length, `${what}: number of results`).toBe(expected.length);
  for (let k = 0; k < actual.length; k++) {
    const out = actual[k]!;
    const wanted = k === 0 ? (op.outDtype?.(dtype) ?? dtype) : out.dtype;
    if (out.dtype !== wanted) throw new Error(`${what}: the result is ${out.dtype}, expected ${wanted}`);
    const bound = boundOf(op, out.dtype)({ inputs, params: sample.params, expected: expected[k]!, dtype: out.dtype });
    assertClose(await read(out), expected[k]!, bound, what);
  }
}

const boundOf = <P>(op: OpCase<P>, dtype: DType): Bound => (isFloat(dtype) ? (op.bound ?? elementwise) : exact);

/** The first sample of at least six elements with NaN, infinities and zeros put into each floating input in turn. */
function specials<P>(op: OpCase<P>): Sample<P>[] {
  const values = [NaN, Infinity, -Infinity, 0, -0];
  const size = (input: Input) => operand(input).shape.reduce((p, n) => p * n, 1);
  const base = op.samples.find((s) => s.inputs.some((x) => size(x) >= 6)) ?? op.samples[0]!;
  const random = new Random(seedOf(op.name, 'special'));
  const drawn = base.inputs.map((input) => {
    const o = operand(input);
    return o.data ? o : { ...o, data: Array.from(fill(o.shape, o.domain ?? op.domain ?? 'normal', random).data) };
  });
  return drawn.flatMap((input, k) => {
    if (input.dtype !== undefined) return [];
    return values.map((value) => {
      const data = [...input.data!];
      if (data.length > 0) data[random.integer(0, data.length - 1)] = value;
      return { params: base.params, inputs: drawn.map((o, i) => (i === k ? { ...o, data } : o)) };
    });
  });
}

async function badTest<P>(op: OpCase<P>, entry: Bad, device: string): Promise<void> {
  let thrown: unknown;
  try {
    const result = await entry.call(device);
    // Errors of values (indices) come with the read.
    for (const t of Array.isArray(result) ? result : [result]) if (t instanceof warploom.Tensor) await t.data();
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof Error)) throw new Error(`[${op.name}] ${entry.title}: nothing was thrown`);
  expect(thrown).toBeInstanceOf(warploom.WarploomError);
  expect(thrown.name, thrown.message).toBe(entry.error);
  expect(thrown.message).toContain(op.errorName ?? op.name);
  for (const pattern of entry.says ?? []) expect(thrown.message).toMatch(pattern);
}

/** Runs the cases frozen from PyTorch whose inputs have this dtype, and says which. */
async function frozenTest<P>(op: OpCase<P>, device: string, dtype: DType): Promise<void> {
  const cases = readFrozen(op.name).filter((c) => c.dtype === dtype);
  if (cases.length === 0) throw new Error(`test/frozen/${op.name}.json holds no case of ${dtype}`);
  for (const frozen of cases) await compareFrozen(op, device, frozen);
  process.stdout.write(`[pytorch] ${op.name} ${dtype} ${device}: cases ${cases.map((c) => c.index).join(', ')}\n`);
}

async function compareFrozen<P>(op: OpCase<P>, device: string, frozen: FrozenCase): Promise<void> {
  const what = `[${op.name}] PyTorch case ${frozen.index}, params ${JSON.stringify(frozen.params)}, on ${device}`;
  const placed = frozen.inputs.map((input) => place(input.ref, input.dtype, device));
  const tensors = placed.map((p, i) => (frozen.grads?.[i] ? p.tensor.requiresGrad_() : p.tensor));
  const outs = list(op.frozen ? op.frozen(tensors, frozen.params) : op.run(tensors, frozen.params as P));
  const inputs = placed.map((p) => p.ref);
  for (let k = 0; k < frozen.outputs.length; k++) {
    const { ref: expected } = frozen.outputs[k]!;
    const dtype = outs[k]!.dtype;
    const ours = boundOf(op, dtype)({ inputs, params: frozen.params, expected, dtype });
    const bound = isFloat(dtype) ? frozenBound(ours, expected, dtype) : ours;
    assertClose(await read(outs[k]!), expected, bound, `${what}, output ${k}`);
  }
  if (!frozen.grads || !frozen.gradOutputs) return;
  const wanted = frozen.grads.flatMap((g, i) => (g ? [{ g, i }] : []));
  const grads = warploom.grad(
    frozen.gradOutputs.flatMap((g, k) => (g ? [outs[k]!] : [])),
    wanted.map(({ i }) => tensors[i]!),
    { gradOutputs: frozen.gradOutputs.flatMap((g) => (g ? [place(g.ref, g.dtype, device).tensor] : [])) },
  );
  for (const [k, { g, i }] of wanted.entries()) {
    const bound = gradientBound(g.ref, g.dtype, meetingOf(inputs));
    assertClose(await read(grads[k]!), g.ref, bound, `${what}, gradient of input ${i}`);
  }
}

/** The long sweep: random samples until the rounds are used up, each with a seed of its own that a failure prints. */
function declareSweep<P>(op: OpCase<P>, row: Row, device: string): void {
  for (const dtype of claimed(row, 'value', device)) {
    test(`sweep ${dtype} (${device})`, { timeout: 600_000 }, async () => {
      for (let round = 0; round < sweepRounds; round++) {
        const seed = seedOf(op.name, dtype, device, String(round));
        const random = new Random(seed);
        // Without a generator of its own an op meets its samples again, in random layouts and with random values.
        const sample = op.sweep?.(random) ?? random.pick([...op.samples, ...(op.edges ?? [])]);
        const layout = random.pick(op.layouts ?? layouts);
        const what = `${describeSample(op, sample)}, ${layout}, ${dtype} on ${device}, sweep seed ${seed}`;
        await warploom.tidy(() =>
          compareValue(op, sample, prepare(op, sample, dtype, device, random, layout), dtype, device, what),
        );
      }
    });
  }
}
