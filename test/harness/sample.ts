/** The shape of an op's declaration, and how its operands are drawn. */
import type { DType, Tensor } from '../../src/index.js';
import type { Ref } from '../reference/array.js';
import type { Bound } from '../tolerance.js';
import { fill, operand, place, type Domain, type Input, type Layout, type Placed, type Random } from './values.js';

export interface Sample<P> {
  readonly inputs: readonly Input[];
  readonly params: P;
}

/** A call that must throw a typed error whose message names the op and whatever `says` matches. */
export interface Bad {
  readonly title: string;
  readonly call: (device: string) => unknown;
  readonly error:
    | 'ShapeError'
    | 'DTypeError'
    | 'DeviceError'
    | 'IndexError'
    | 'DisposedError'
    | 'InPlaceError'
    | 'AutogradError'
    | 'NotSupportedError';
  readonly says?: readonly RegExp[];
}

export interface OpCase<P> {
  /** the row of test/surface.json, and the name that errors must carry unless `errorName` differs */
  readonly name: string;
  readonly errorName?: string;
  readonly run: (inputs: Tensor[], params: P) => Tensor | Tensor[];
  readonly reference: (inputs: Ref[], params: P) => Ref | Ref[];
  /** default: 4 ulp, exact for integers */
  readonly bound?: Bound;
  readonly domain?: Domain;
  /** dtype of the results, where it is not the one under test */
  readonly outDtype?: (dtype: DType) => DType;
  readonly samples: readonly Sample<P>[];
  /** shapes at the edges: empty, 0-dim, size 1, rows of 31, 33, 4097. Checked in every memory layout that fits. */
  readonly edges?: readonly Sample<P>[];
  /** layouts to leave out, with the reason; an op whose operands have fixed roles may not take repeated rows */
  readonly layouts?: readonly Layout[];
  /** inputs with NaN and infinities; default: the first sample with such values put in */
  readonly special?: readonly Sample<P>[];
  /** samples for the gradients, small and away from kinks; default: `samples` */
  readonly gradientSamples?: readonly Sample<P>[];
  /** which inputs have a gradient; default: every input of the dtype under test */
  readonly differentiable?: readonly number[];
  readonly bad?: readonly Bad[];
  /** calls the op on inputs frozen from PyTorch; default: `run` with the frozen params */
  readonly frozen?: (inputs: Tensor[], params: Record<string, unknown>) => Tensor | Tensor[];
  /** a random sample for the long sweep */
  readonly sweep?: (random: Random) => Sample<P>;
}

export const list = <T>(x: T | T[]): T[] => (Array.isArray(x) ? x : [x]);

/** Draws the operands of a sample and puts them on the device. */
export function prepare<P>(
  op: OpCase<P>,
  sample: Sample<P>,
  dtype: DType,
  device: string,
  random: Random,
  layout: Layout = 'contiguous',
): Placed[] {
  return sample.inputs.map((input) => {
    const { shape, data, dtype: fixed, domain } = operand(input);
    const values = data
      ? { shape, data: Float64Array.from(data) }
      : fill(shape, domain ?? op.domain ?? 'normal', random);
    return place(values, fixed ?? dtype, device, fixed ? 'contiguous' : layout);
  });
}

export const describeSample = <P>(op: OpCase<P>, sample: Sample<P>): string =>
  `[${op.name}] inputs ${sample.inputs.map((x) => `[${operand(x).shape.join(', ')}]`).join(', ')}, params ${JSON.stringify(sample.params)}`;
