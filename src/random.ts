/**
 * Random numbers: Philox 4x32-10 with a seed and an offset that live on the device, where kernels read and advance them, so that
 * a captured step draws new numbers at every replay.
 */
import { addon } from './addon.js';
import { device as deviceOf, type Device, type DeviceLike } from './device.js';
import { CaptureError, DTypeError, fromNative } from './errors.js';
import { inner } from './context.js';
import { isRecording } from './pressure.js';
import { keep } from './scope.js';
import { Tensor } from './tensor.js';

function toSeed(seed: number | bigint, op: string): bigint {
  if (typeof seed === 'number' ? !Number.isSafeInteger(seed) : typeof seed !== 'bigint') {
    throw new DTypeError(`a seed is a whole number or a bigint, not ${String(seed)}`, { op });
  }
  return BigInt.asIntN(64, BigInt(seed));
}

/** A stream of random numbers. The default seed is 0, so a program that never seeds is still the same each time. */
export class Generator {
  private state: Tensor | null = null;
  private initial: [bigint, bigint];

  /** `device`: where the state is made at once; else at the first draw, on the device of that draw. */
  constructor(options: { seed?: number | bigint; device?: DeviceLike } = {}) {
    this.initial = [toSeed(options.seed ?? 0, 'Generator'), 0n];
    if (options.device !== undefined) this.stateOn(deviceOf(options.device));
  }

  /**
   * int64[2] on `device`: the seed and the next counter block. A draw on another device moves it there.
   * @throws CaptureError when it would have to be made while a recording runs: replays would start it over
   */
  stateOn(device: Device): Tensor {
    const { state } = this;
    if (state !== null && state.device === device) return state;
    if (isRecording()) {
      throw new CaptureError(`the generator has no state on ${device} yet`, {
        op: 'Generator',
        hint: `Make it with new Generator({ seed, device: '${device}' }), or draw once before the capture.`,
      });
    }
    const values = state === null ? BigInt64Array.from(this.initial) : state.dataSync('int64');
    // As if inside an op: the state belongs to no scope, whoever draws first.
    const start = inner.temporaries.length;
    inner.depth++;
    try {
      this.state = keep(Tensor.fromBytes(values, [2], 'int64', device));
    } finally {
      inner.depth--;
      inner.temporaries.length = start;
    }
    state?.dispose();
    return this.state;
  }

  /** Starts anew from `seed`. */
  manualSeed(seed: number | bigint): this {
    this.setState([toSeed(seed, 'manualSeed'), 0n]);
    return this;
  }

  /** [seed, offset] once all draws so far are done. */
  async getState(): Promise<bigint[]> {
    return this.state === null ? [...this.initial] : [...(await this.state.data('int64'))];
  }

  /** Continues where getState() was called. */
  setState(state: readonly bigint[]): void {
    if (state.length !== 2 || state.some((word) => typeof word !== 'bigint')) {
      throw new DTypeError('a generator state is [seed, offset], two bigints', { op: 'setState' });
    }
    this.initial = [BigInt.asIntN(64, state[0]!), BigInt.asIntN(64, state[1]!)];
    if (this.state === null) return;
    const { storage } = this.state;
    if (addon().upload(storage.handle, 0, BigInt64Array.from(this.initial)) !== 0) {
      throw fromNative(addon().lastError(), 'setState');
    }
    storage.bump();
  }
}

/** What random functions draw from when they are given no generator. */
export const defaultGenerator = new Generator();

/** Seeds the default generator. */
export function manualSeed(seed: number | bigint): Generator {
  return defaultGenerator.manualSeed(seed);
}

/** `n` Philox words on the host: word i is lane i % 4 of counter block `offset` + floor(i / 4) under `seed`. */
export function philox(seed: number | bigint, offset: number | bigint, n: number): Uint32Array {
  const words = new Uint32Array(n);
  addon().philox(BigInt.asUintN(64, BigInt(seed)), BigInt.asUintN(64, BigInt(offset)), words);
  return words;
}

/** A random order of 0 ... n-1: the stable argsort of n Philox words. */
export function permutation(n: number, seed: number | bigint, offset: number | bigint = 0): Int32Array {
  const keys = philox(seed, offset, n);
  let from = Int32Array.from({ length: n }, (_, i) => i);
  let to = new Int32Array(n);
  // Two counting passes of 16 bits, each stable.
  for (const shift of [0, 16]) {
    const starts = new Uint32Array(65537);
    for (let i = 0; i < n; i++) starts[((keys[i]! >>> shift) & 0xffff) + 1]!++;
    for (let k = 0; k < 65536; k++) starts[k + 1]! += starts[k]!;
    for (let i = 0; i < n; i++) {
      const index = from[i]!;
      to[starts[(keys[index]! >>> shift) & 0xffff]!++] = index;
    }
    [from, to] = [to, from];
  }
  return from;
}
