/** PyTorch's values, frozen under test/frozen by a script that the tests never need. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DType } from '../../src/index.js';
import { ref, type Ref } from '../reference/array.js';
import { root } from './surface.js';

/** Numbers as written; NaN and the infinities are strings in JSON. */
interface FrozenTensor {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: readonly (number | string | boolean | null)[];
}
interface FrozenFile {
  readonly op: string;
  readonly cases: readonly {
    readonly inputs: readonly FrozenTensor[];
    readonly params?: Record<string, unknown>;
    readonly outputs: readonly FrozenTensor[];
    readonly gradOutputs?: readonly (FrozenTensor | null)[];
    readonly grads?: readonly (FrozenTensor | null)[];
  }[];
}

export interface Frozen {
  readonly ref: Ref;
  readonly dtype: DType;
}
export interface FrozenCase {
  readonly index: number;
  /** dtype of the first floating input, else of the first input */
  readonly dtype: DType;
  readonly inputs: readonly Frozen[];
  readonly params: Record<string, unknown>;
  readonly outputs: readonly Frozen[];
  readonly gradOutputs?: readonly (Frozen | null)[];
  readonly grads?: readonly (Frozen | null)[];
}

const words: Record<string, number> = {
  NaN,
  nan: NaN,
  Infinity,
  inf: Infinity,
  '-Infinity': -Infinity,
  '-inf': -Infinity,
};

function decode(t: FrozenTensor): Frozen {
  const numbers = t.data.map((v) => {
    if (v === null) return NaN;
    if (typeof v !== 'string') return Number(v);
    const word = words[v];
    if (word === undefined) throw new Error(`a frozen value says ${v}`);
    return word;
  });
  return { ref: ref(t.shape, numbers), dtype: t.dtype };
}

const optional = (items: readonly (FrozenTensor | null)[] | undefined) =>
  items?.map((item) => (item === null ? null : decode(item)));

/** The frozen cases of an op; throws where the file is missing, so a claim cannot go untested. */
export function readFrozen(op: string): FrozenCase[] {
  const path = join(root, 'test', 'frozen', `${op}.json`);
  if (!existsSync(path))
    throw new Error(`surface.json claims PyTorch's values for ${op}, but test/frozen/${op}.json is missing`);
  const file = JSON.parse(readFileSync(path, 'utf8')) as FrozenFile;
  return file.cases.map((c, index) => {
    const inputs = c.inputs.map(decode);
    const first = inputs.find((x) => x.dtype.startsWith('float')) ?? inputs[0]!;
    return {
      index,
      dtype: first.dtype,
      inputs,
      params: c.params ?? {},
      outputs: c.outputs.map(decode),
      gradOutputs: optional(c.gradOutputs),
      grads: optional(c.grads),
    };
  });
}
