/** Devices by name. One frozen object per device, so `===` compares them. */
import { addon, hasKernels } from './addon.js';
import { CudaDriverError, DeviceError, fromNative, NotSupportedError, type WarploomError } from './errors.js';

export class Device {
  /** place in the addon's list of devices */
  readonly id: number;
  /** 'cpu', 'cuda' or the name of a plug-in back end */
  readonly type: string;
  readonly index: number;
  /** 'cpu', 'cuda', 'cuda:1' */
  readonly name: string;

  /** @internal */
  constructor(id: number, name: string) {
    const [type, index] = name.split(':');
    this.id = id;
    this.type = type!;
    this.index = index === undefined ? 0 : Number(index);
    this.name = name;
    Object.freeze(this);
  }

  /** The card's name; empty for a CPU. */
  get hardware(): string {
    return addon().deviceInfo(this.id).hardware;
  }

  /** True for a simulator of a card, whose times mean nothing. */
  get simulated(): boolean {
    return addon().deviceInfo(this.id).simulated;
  }

  toString(): string {
    return this.name;
  }
}

/** A device, its name ('cpu', 'cuda', 'cuda:1'), or 'auto' for the best one present. */
export type DeviceLike = Device | string;

const opened = new Map<string, Device>();
let chosen: Device | undefined;

function failureLine(error: WarploomError): string {
  return `warploom: a result that nothing read had failed: ${error.name}: ${error.message}\n`;
}

/** At exit, a device's error that no read has reported is told once: it would be lost otherwise. */
function reportAtExit(): void {
  for (const device of opened.values()) {
    const info = addon().takeError(device.id);
    if (info !== null) process.stderr.write(failureLine(fromNative(info)));
  }
}

function openByName(name: string): Device {
  const key = name.endsWith(':0') ? name.slice(0, -2) : name;
  const known = opened.get(key);
  if (known) return known;
  // Asked for the CPU, the driver of a card is not even opened.
  const names = key === 'cpu' ? ['cpu'] : addon().deviceNames();
  const id = names.indexOf(key);
  if (id < 0 && /^cuda(:\d+)?$/.test(key)) throw noCuda(key, names);
  if (id < 0) {
    throw new DeviceError(`there is no device '${name}'`, { hint: `Present: ${names.join(', ')}.` });
  }
  if (addon().openDevice(id) !== 0) {
    const failure = fromNative(addon().lastError());
    throw key.startsWith('cuda') ? new CudaDriverError(failure.message, { hint: cudaHint }) : failure;
  }
  if (opened.size === 0) process.once('exit', reportAtExit);
  const device = new Device(id, key);
  opened.set(key, device);
  return device;
}

const cudaHint =
  "CUDA needs a driver (R525 or newer) and an NVIDIA GPU of compute capability 8.0 or newer. Else use device 'cpu'; 'auto' takes what is there.";

function noCuda(name: string, names: readonly string[]): CudaDriverError {
  const { devices: count, reason } = addon().cudaStatus();
  return count > 0
    ? new CudaDriverError(`there is no device '${name}'`, { hint: `Present: ${names.join(', ')}.` })
    : new CudaDriverError(`device '${name}' cannot be used: ${reason}`, { hint: cudaHint });
}

/**
 * The device of that name, opened at first use. Without a name: the default device.
 * @throws DeviceError when there is none of that name; the message lists those present
 * @throws CudaDriverError for a CUDA device that cannot be used; the message says why, and what to do
 */
export function device(name?: DeviceLike): Device {
  if (name === undefined) return (chosen ??= openInitial());
  if (name instanceof Device) return name;
  if (typeof name !== 'string') throw new DeviceError(`a device is named by a string, not ${typeof name}`);
  return name === 'auto' ? openBest() : openByName(name);
}

let refused: string | undefined;

/** Why 'auto' is the CPU. */
export const reasonForCpu = (): string => refused ?? addon().cudaStatus().reason;

/** The first CUDA device where it opens, else the CPU. */
function openBest(): Device {
  if (!addon().deviceNames().includes('cuda')) return openByName('cpu');
  try {
    if (hasKernels()) return openByName('cuda');
    refused = 'there are devices, but this copy of warploom has no kernels for them (kernels/ is empty)';
  } catch (error) {
    if (!(error instanceof CudaDriverError)) throw error;
    refused = error.message;
  }
  return openByName('cpu');
}

function openInitial(): Device {
  const wanted = process.env['WARPLOOM_DEVICE'];
  return !wanted || wanted === 'auto' ? openBest() : openByName(wanted);
}

/** The device of tensors that name none: WARPLOOM_DEVICE, else the best one present. */
export function defaultDevice(): Device {
  return device();
}

export function setDefaultDevice(name: DeviceLike): Device {
  return (chosen = device(name));
}

/** Names of the devices that can be used here. */
export function devices(): string[] {
  return addon().deviceNames();
}

/**
 * Loads a back end from a shared library that exports `warploomBackend` (native/engine/backend.h), and returns the names of
 * its devices. An op that it has no kernel for throws NotSupportedError at the call.
 * @throws DeviceError when the file cannot be loaded, is no back end, was built for another version of the interface, or its
 * devices are here already
 */
export function loadBackend(path: string): string[] {
  try {
    return addon().loadBackend(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DeviceError(`the back end could not be loaded: ${reason}`, {
      op: 'loadBackend',
      hint: 'Build it against the headers of this version.',
    });
  }
}

/** Devices opened so far. */
export function openedDevices(): readonly Device[] {
  return [...opened.values()];
}

/** Threads and instruction set of the CPU device; WARPLOOM_THREADS and WARPLOOM_ISA mean the same. */
export function configureCpu(options: { threads?: number; isa?: 'baseline' | 'avx2' | 'avx512' }): void {
  if (!addon().configureCpu(options.threads ?? 0, options.isa ?? '')) {
    throw new NotSupportedError('the CPU device is in use and cannot be configured any more', {
      op: 'configureCpu',
      hint: 'Call it before the first tensor is made.',
    });
  }
}
