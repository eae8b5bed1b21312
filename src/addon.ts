/**
 * The typed face of the native addon, and the only file that loads the `.node`.
 *
 * A call crosses the border as numbers in one shared Float64Array (`words`): writing a word costs a nanosecond, decoding a
 * JavaScript value in C++ twenty. `addon.ops.ts`, generated from native/engine/ops.def, holds one typed encoder per op.
 */
import { createRequire } from 'node:module';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dtypeCode, type DType } from './dtype.js';
import type { Device } from './device.js';
import { AddonLoadError, fromNative, type NativeErrorInfo } from './errors.js';
import { Storage } from './storage.js';

/** What an op reads or writes: a strided window of a storage. Strides and offset count elements. A Tensor is a View. */
export interface View {
  readonly storage: Storage;
  readonly dtype: DType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** An output to be allocated by the call itself: fresh and contiguous. */
export interface OutSpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Separate contiguous parameters, each paired with its first element in the flat buckets of its optimizer group. */
export interface SegmentSpec {
  readonly dtype: DType;
  readonly items: readonly { readonly param: View; readonly offset: number }[];
}

/** Byte counts of one device's allocator. */
export interface NativeMemory {
  /** bytes of blocks in use */
  active: number;
  /** bytes taken from the system, cached blocks included */
  reserved: number;
  /** the largest `active` since the last reset */
  peak: number;
  /** live storages */
  storages: number;
  limit: number;
}

/** The addon's functions. A negative or non-zero status means: see `lastError()`. */
export interface NativeAddon {
  readonly words: Float64Array;
  readonly version: string;
  readonly opNames: readonly string[];
  /** Runs op `op` on device `device` with the arguments in `words`; handles of fresh outputs are written back there. 0 when queued. */
  submit(op: number, device: number): number;
  /** A handle, or a negative status. */
  allocate(device: number, bytes: number): number;
  /** Gives a storage back, in queue order: jobs already queued may still use its memory. */
  release(handle: number): void;
  /** Copies `bytes` at once, then queues the transfer. 0 when queued. */
  upload(handle: number, byteOffset: number, source: ArrayBufferView): number;
  /** Queues a copy of a storage's bytes from `byteOffset` on into the whole of another, on another device. 0 when queued. */
  transfer(source: number, byteOffset: number, target: number): number;
  /**
   * Copies bytes out of a storage once all work queued so far is done. Rejects with the error of the work behind them, or with an
   * index error of any work. Undefined when the bytes are there at once: where the last read came within 40 microseconds, this one
   * waits as long for its own, unless the event loop has not turned for a millisecond.
   */
  read(handle: number, byteOffset: number, target: ArrayBuffer): Promise<void> | undefined;
  /** As `read`, but waits here. 0 or a status. */
  readSync(handle: number, byteOffset: number, target: ArrayBuffer): number;
  lastError(): NativeErrorInfo;
  /** The pending error of a device that no read has reported yet, or null. Clears it. */
  takeError(device: number): NativeErrorInfo | null;
  /** Names of the devices that can be opened: 'cpu', 'cuda', 'cuda:1', ..., then those of loaded back ends ('fake', 'fake:1', ...). */
  deviceNames(): string[];
  /** Opens a device by its place in deviceNames(). 0 or a status. */
  openDevice(device: number): number;
  deviceInfo(device: number): {
    name: string;
    /** of a CPU */
    isa: string;
    threads: number;
    backend: string;
    /** the card's name */
    hardware: string;
    simulated: boolean;
    /** which file each family of kernels came from */
    kernels: string;
    /** kernels, fills and copies begun on the card so far; copies to the host so far. Asking waits for the queue. */
    launches: number;
    reads: number;
    operations: string[];
  };
  /** Whether CUDA can be used; with `devices` 0, `reason` says why not. */
  cudaStatus(): { devices: number; version: number; simulated: boolean; library: string; reason: string };
  /** Where the CUDA kernels lie; before the first CUDA device is opened. */
  setKernelFolder(path: string): void;
  /** Loads a back end from a shared library. Throws on failure. */
  loadBackend(path: string): string[];
  memory(device: number): NativeMemory;
  resetPeakMemory(device: number): void;
  setMemoryLimit(device: number, bytes: number): void;
  /** Gives cached, unused blocks back to the system. */
  emptyCache(device: number): void;
  /** Number of threads of the CPU device; only before its first use. Returns false afterwards. */
  configureCpu(threads: number, isa: string): boolean;
  /** Tells V8 of bytes held outside its heap. */
  adjustExternalMemory(delta: number): void;
  /** Begins recording the jobs of a device. Blocks taken meanwhile belong to the recording. */
  captureBegin(device: number): number;
  /** Ends recording; a recording's id, or a negative status. */
  captureEnd(device: number): number;
  captureAbort(device: number): void;
  /** Queues all jobs of a recording as one. */
  replay(recording: number): number;
  releaseRecording(recording: number): void;
  /** Fills `target` with the Philox words of (seed, blocks `offset`...): word i is lane i % 4 of block offset + i / 4. */
  philox(seed: bigint, offset: bigint, target: Uint32Array): void;
  /** Blocks until the device has run all queued work; for tests and process exit. */
  synchronize(device: number): void;
}

const here = dirname(fileURLToPath(import.meta.url));

const kernelFolder = join(here, '..', 'kernels');

/** Whether there is device code at all: a copy built without nvcc has none. */
export const hasKernels = (): boolean =>
  existsSync(kernelFolder) && readdirSync(kernelFolder).some((name) => /\.(fatbin|ptx)$/.test(name));

function candidates(): string[] {
  const forced = process.env['WARPLOOM_ADDON'];
  if (forced) return [forced];
  const root = join(here, '..');
  return [
    join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'warploom.node'),
    join(root, 'build', 'Release', 'warploom.node'),
  ];
}

function load(): NativeAddon {
  const require = createRequire(import.meta.url);
  const tried: string[] = [];
  for (const path of candidates()) {
    if (!existsSync(path)) {
      tried.push(`${path}: no such file`);
      continue;
    }
    try {
      const native = require(path) as NativeAddon;
      native.setKernelFolder(kernelFolder);
      return native;
    } catch (error) {
      tried.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new AddonLoadError(tried);
}

let loaded: NativeAddon | undefined;

/** The addon, loaded at first use: importing the package never throws. */
export function addon(): NativeAddon {
  return (loaded ??= load());
}

/** The native command buffer, once loaded. */
let words: Float64Array | undefined;
function commandWords(): Float64Array {
  return (words ??= addon().words);
}

const ABSENT = -1;
const ALLOCATE = -2;

/** Where the encoder stands in the command buffer. */
let cursor = 0;

/** Starts the encoding of a call. */
export function beginCall(): void {
  commandWords();
  cursor = 0;
}

export function encodeView(view: View): void {
  const w = words!;
  let k = cursor;
  const { shape, strides } = view;
  const rank = shape.length;
  w[k++] = view.storage.handle;
  w[k++] = dtypeCode[view.dtype];
  w[k++] = view.offset;
  w[k++] = rank;
  for (let i = 0; i < rank; i++) w[k++] = shape[i]!;
  for (let i = 0; i < rank; i++) w[k++] = strides[i]!;
  cursor = k;
}

export function encodeOptionalView(view: View | null): void {
  if (view === null) words![cursor++] = ABSENT;
  else encodeView(view);
}

/** Encodes an output and returns the word that holds its handle. */
export function encodeOut(out: OutSpec | View): number {
  const at = cursor;
  if ('storage' in out) {
    encodeView(out);
    return at;
  }
  const w = words!;
  let k = at;
  const { shape } = out;
  const rank = shape.length;
  w[k++] = ALLOCATE;
  w[k++] = dtypeCode[out.dtype];
  w[k++] = rank;
  for (let i = 0; i < rank; i++) w[k++] = shape[i]!;
  cursor = k;
  return at;
}

export function encodeOptionalOut(out: OutSpec | View | null): number {
  if (out !== null) return encodeOut(out);
  const at = cursor;
  words![cursor++] = ABSENT;
  return at;
}

export function encodeNumber(value: number): void {
  words![cursor++] = value;
}

export function encodeFlag(value: boolean): void {
  words![cursor++] = value ? 1 : 0;
}

export function encodeSegments(segments: SegmentSpec): void {
  const w = words!;
  let k = cursor;
  w[k++] = dtypeCode[segments.dtype];
  w[k++] = segments.items.length;
  for (const { param, offset } of segments.items) {
    let count = 1;
    for (const n of param.shape) count *= n;
    w[k++] = param.storage.handle;
    w[k++] = param.offset;
    w[k++] = offset;
    w[k++] = count;
  }
  cursor = k;
}

/** Queues the encoded call. Throws the typed error of a call that was refused (out of memory, a view outside its storage). */
export function submit(op: number, name: string, device: Device): void {
  if (loaded!.submit(op, device.id) !== 0) throw fromNative(loaded!.lastError(), name);
}

/** The storage behind an encoded output: the caller's own, or the one that the call allocated. */
export function outStorage(out: OutSpec | View, at: number, device: Device): Storage {
  return 'storage' in out ? out.storage : new Storage(words![at]!, device, words![at + 1]!);
}
