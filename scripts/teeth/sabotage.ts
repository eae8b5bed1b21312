/** Spoils the first output of a native call, by further native calls on the same stream. Loaded only by mutants. */
import type { OutSpec, View } from '../../src/addon.js';
import type { Device } from '../../src/device.js';
import type { Storage } from '../../src/storage.js';

interface Kit {
  neg(device: Device, x: View, y: OutSpec | View): Storage;
  copy(device: Device, x: View, y: OutSpec | View): Storage;
  logicalNot(device: Device, x: View, y: OutSpec | View): Storage;
  fill(device: Device, y: View, value: number): unknown;
}

type Result = Storage | Record<string, Storage | null>;

const flat = (storage: Storage, dtype: View['dtype'], offset: number, n: number): View => ({
  storage,
  dtype,
  offset,
  shape: [n],
  strides: [1],
});

export function sabotage(
  how: 'negate' | 'shift' | 'tail' | 'skip',
  kit: Kit,
  device: Device,
  genuine: (device: Device, ...args: unknown[]) => Result,
  args: unknown[],
  outputs: readonly { name: string; index: number }[],
  several: boolean,
): Result | undefined {
  if (how === 'skip') return undefined;
  const result = genuine(device, ...args);
  const target = outputs.find(({ index }) => args[index] !== null);
  if (!target) return result;
  const spec = args[target.index] as OutSpec | View;
  const storage = (several ? (result as Record<string, Storage>)[target.name] : (result as Storage))!;
  const n = spec.shape.reduce((product, size) => product * size, 1);
  const offset = 'storage' in spec ? spec.offset : 0;
  if (n === 0) return result;
  const all = flat(storage, spec.dtype, offset, n);
  if (how === 'negate') (spec.dtype === 'bool' ? kit.logicalNot : kit.neg)(device, all, all);
  if (how === 'tail') kit.fill(device, flat(storage, spec.dtype, offset + n - 1, 1), spec.dtype === 'bool' ? 0 : 3);
  if (how === 'shift' && n > 1) {
    const moved = kit.copy(device, flat(storage, spec.dtype, offset, n - 1), { dtype: spec.dtype, shape: [n - 1] });
    kit.copy(device, flat(moved, spec.dtype, 0, n - 1), flat(storage, spec.dtype, offset + 1, n - 1));
  }
  return result;
}
