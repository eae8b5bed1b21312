/**
 * capture: a function of tensors whose jobs are recorded once and then replayed as one, without JavaScript in between.
 *
 * The first call with a signature runs the function as usual while the engine keeps a copy of each job it queues. A later call
 * copies its inputs to where the first call's lay, queues the whole list, and copies the outputs out.
 */
import { addon } from './addon.js';
import { GradBucket, observeBuckets } from './autograd/bucket.js';
import { convert } from './autograd/basic.js';
import * as native from './addon.ops.js';
import { inner, isThenable, mode, runIn } from './context.js';
import { device as deviceOf, type Device, type DeviceLike } from './device.js';
import { CaptureError, DeviceError, fromNative } from './errors.js';
import { isRecording, setRecording } from './pressure.js';
import { defaultGenerator } from './random.js';
import { keep, Scope } from './scope.js';
import { observeWrites, type Storage } from './storage.js';
import { Tensor } from './tensor.js';

export interface CaptureOptions {
  /** where the function works; the default is the device of its first tensor, else the default device */
  device?: DeviceLike;
}

export interface CapturedFunction<A extends unknown[], R> {
  (...args: A): R;
  /** number of recordings made so far */
  readonly recordings: number;
  /** Gives back the recordings and their memory. The next call records anew. */
  dispose(): void;
}

/** Walks arrays and plain objects, replacing tensors; other values stay. */
function mapTensors(value: unknown, replace: (tensor: Tensor) => unknown): unknown {
  if (value instanceof Tensor) return replace(value);
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, replace));
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTensors(item, replace)]));
  }
  return value;
}

/** What a recording depends on: the structure and values of the arguments, and per tensor all but its contents. */
function signatureOf(args: readonly unknown[], tensors: Tensor[]): string {
  const { gradEnabled } = mode();
  const describe = (value: unknown): string => {
    if (value instanceof Tensor) {
      value.checkUsable('capture');
      const wantsGrad = value.requiresGrad && gradEnabled;
      if (wantsGrad && value.gradNode !== null) {
        throw new CaptureError('an argument has gradient history, which a replay cannot follow', {
          op: 'capture',
          shapes: [value.shape],
          hint: 'Pass detach() of it, or capture more of the computation.',
        });
      }
      tensors.push(value);
      return `${value.dtype}[${value.shape.join()}]@${value.device.name}${wantsGrad ? '+' : ''}`;
    }
    if (Array.isArray(value)) return `(${value.map(describe).join(';')})`;
    if (typeof value === 'object' && value !== null) {
      if (Object.getPrototypeOf(value) !== Object.prototype) {
        throw new CaptureError('arguments of a captured function are tensors, plain values, arrays and plain objects', {
          op: 'capture',
          hint: 'Let the function refer to other objects from outside.',
        });
      }
      return `{${Object.entries(value)
        .map(([key, item]) => `${JSON.stringify(key)}:${describe(item)}`)
        .join(';')}}`;
    }
    if (typeof value === 'function' || typeof value === 'symbol') {
      throw new CaptureError(`a ${typeof value} cannot be an argument of a captured function`, { op: 'capture' });
    }
    return `${typeof value}:${String(value)}`;
  };
  return `${gradEnabled}|${args.map(describe).join('|')}`;
}

/** What one bucket looked like when the recording began to use it, and at the end. */
interface BucketMarks {
  bucket: GradBucket;
  /** null when the recording emptied the bucket before it looked */
  entry: Uint8Array | null;
  end: Uint8Array;
}

/** One recorded run. */
class Recording {
  private readonly inputs: Tensor[] = [];
  private readonly writes = new Set<Storage>();
  private readonly buckets = new Map<GradBucket, BucketMarks>();
  private result: unknown = undefined;
  private readonly outputs: Tensor[] = [];
  private id = -1;
  private readonly device: Device;

  constructor(device: Device) {
    this.device = device;
  }

  written(storage: Storage): void {
    this.writes.add(storage);
  }

  touched(bucket: GradBucket, emptied: boolean): void {
    if (this.buckets.has(bucket)) return;
    const marks = bucket.marks();
    this.buckets.set(bucket, { bucket, entry: emptied ? null : marks, end: marks });
  }

  /** Whether the gradient buckets are as they were when this was recorded: a first gradient overwrites, a second adds. */
  fits(): boolean {
    for (const { bucket, entry } of this.buckets.values()) {
      if (!bucket.isCurrent() || (entry !== null && !bucket.hasMarks(entry))) return false;
    }
    return true;
  }

  /** Runs `fn` and records it. */
  record<A extends unknown[], R>(fn: (...args: A) => R, args: A): R {
    const { device } = this;
    defaultGenerator.stateOn(device);
    const placeholders = mapTensors(args, (tensor) => this.placeholder(tensor)) as A;
    if (addon().captureBegin(device.id) !== 0) throw fromNative(addon().lastError(), 'capture');
    const around = mode();
    const scope = new Scope(null, inner.lastNode);
    setRecording(true);
    observeWrites(this);
    observeBuckets(this);
    let finished = false;
    try {
      const result: unknown = runIn({ scope, gradEnabled: around.gradEnabled }, () => fn(...placeholders));
      if (isThenable(result)) {
        // It will fail at its first read at the latest, and nobody else listens.
        Promise.resolve(result).catch(() => undefined);
        throw new CaptureError('a captured function cannot be async', {
          op: 'capture',
          hint: 'Return the tensors and await their values outside.',
        });
      }
      this.result = mapTensors(result, (tensor) => this.hold(tensor));
      scope.close(new Set());
      finished = true;
    } finally {
      observeBuckets(null);
      observeWrites(null);
      setRecording(false);
      if (!finished) {
        scope.close(new Set());
        addon().captureAbort(device.id);
        this.dispose();
      }
    }
    this.id = addon().captureEnd(device.id);
    if (this.id < 0) throw fromNative(addon().lastError(), 'capture');
    for (const marks of this.buckets.values()) marks.end = marks.bucket.marks();
    return this.finish(args) as R;
  }

  /** Runs the recorded jobs on new inputs. */
  replay(args: readonly unknown[], tensors: readonly Tensor[]): unknown {
    tensors.forEach((tensor, i) => {
      const input = this.inputs[i]!;
      native.copy(this.device, tensor, input);
      input.storage.bump();
    });
    if (addon().replay(this.id) !== 0) throw fromNative(addon().lastError(), 'capture');
    for (const storage of this.writes) storage.bump();
    for (const { bucket, end } of this.buckets.values()) bucket.setMarks(end);
    return this.finish(args);
  }

  dispose(): void {
    if (this.id >= 0) addon().releaseRecording(this.id);
    this.id = -1;
    for (const tensor of this.inputs) tensor.dispose();
    for (const tensor of this.outputs) tensor.dispose();
    this.writes.clear();
    this.buckets.clear();
  }

  /** Hands gradients of inputs to the caller's tensors, and copies outputs: the recording's own are overwritten next time. */
  private finish(args: readonly unknown[]): unknown {
    let i = 0;
    mapTensors(args, (tensor) => {
      const input = this.inputs[i++]!;
      const gradient = input.grad;
      if (gradient === null) return tensor;
      const bucket = GradBucket.of(tensor);
      bucket.accumulate(tensor.gradMeta().slot, gradient);
      input.grad = null;
      return tensor;
    });
    return mapTensors(this.result, (tensor) => convert(tensor, tensor.dtype));
  }

  private placeholder(tensor: Tensor): Tensor {
    if (tensor.device !== this.device) {
      throw new DeviceError(`an argument is on ${tensor.device}, the captured function works on ${this.device}`, {
        op: 'capture',
        hint: 'Move it with to({ device }).',
      });
    }
    const copy = keep(convert(tensor, tensor.dtype));
    copy.requiresGrad = tensor.requiresGrad && mode().gradEnabled;
    this.inputs.push(copy);
    return copy;
  }

  private hold(tensor: Tensor): Tensor {
    tensor.checkUsable('capture');
    const output = keep(tensor.detach());
    this.outputs.push(output);
    return output;
  }
}

/**
 * Wraps a synchronous function of tensors so that its work is recorded at the first call and replayed afterwards. A new signature
 * (shapes, dtypes, requiresGrad, other arguments, which gradients are present) records anew. Inside, values cannot be read and
 * JavaScript runs only while recording: what the function draws, counts or schedules must live on the device, as the state of
 * generators and optimizers does. Outputs are fresh copies without history; tensors left over inside are disposed, as in tidy().
 * A tensor that the function keep()s belongs to the recording: each replay overwrites it.
 * @throws CaptureError for an async function, a read inside, or an argument with gradient history
 */
export function capture<A extends unknown[], R>(
  fn: (...args: A) => R,
  options: CaptureOptions = {},
): CapturedFunction<A, R> {
  const bySignature = new Map<string, Recording[]>();
  let count = 0;

  const run = (...args: A): R => {
    // Inside another capture the work joins that recording.
    if (isRecording()) return fn(...args);
    const tensors: Tensor[] = [];
    const signature = signatureOf(args, tensors);
    const known = bySignature.get(signature);
    const found = known?.find((recording) => recording.fits());
    if (found !== undefined) return found.replay(args, tensors) as R;
    const device = options.device !== undefined ? deviceOf(options.device) : (tensors[0]?.device ?? deviceOf());
    const recording = new Recording(device);
    const result = recording.record(fn, args);
    if (known === undefined) bySignature.set(signature, [recording]);
    else known.push(recording);
    count++;
    return result;
  };

  const dispose = (): void => {
    for (const list of bySignature.values()) for (const recording of list) recording.dispose();
    bySignature.clear();
  };
  return Object.defineProperty(Object.assign(run, { dispose }), 'recordings', {
    get: () => count,
  }) as CapturedFunction<A, R>;
}
