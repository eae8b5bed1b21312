/** Every error the library throws: one base with a stable code, the op, the shapes and a hint that says how to fix it. */

/** What the native side says about a failure. */
export interface NativeErrorInfo {
  code: 'OUT_OF_MEMORY' | 'INDEX' | 'FAILED' | 'INVALID' | 'CAPTURE' | 'NOT_SUPPORTED' | 'DEVICE_LOST' | 'DRIVER';
  message: string;
  op?: string;
  /** bytes that were asked for */
  requested?: number;
  /** bytes in use at that moment */
  active?: number;
  /** the device's memory limit in bytes */
  limit?: number;
  /** the offending index and the bound it had to stay below */
  value?: number;
  bound?: number;
}

export type ErrorCode =
  | 'ERR_WARPLOOM'
  | 'ERR_SHAPE'
  | 'ERR_DTYPE'
  | 'ERR_DEVICE'
  | 'ERR_INDEX'
  | 'ERR_DISPOSED'
  | 'ERR_IN_PLACE'
  | 'ERR_AUTOGRAD'
  | 'ERR_CAPTURE'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_FORMAT'
  | 'ERR_ADDON_LOAD'
  | 'ERR_CUDA_DRIVER'
  | 'ERR_DEVICE_LOST'
  | 'ERR_NOT_SUPPORTED';

export interface ErrorDetails {
  /** the op that failed */
  op?: string;
  /** the shapes it was given */
  shapes?: readonly (readonly number[])[];
  /** what to do about it */
  hint?: string;
  cause?: unknown;
}

/**
 * The base of all errors thrown here. `code` never changes between versions; the message may. The message is
 * `[op] what is wrong. hint`.
 */
export class WarploomError extends Error {
  readonly code: ErrorCode = 'ERR_WARPLOOM';
  readonly op: string | undefined;
  readonly shapes: readonly (readonly number[])[] | undefined;
  readonly hint: string | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    const head = details.op ? `[${details.op}] ${message}` : message;
    super(
      details.hint ? `${head.replace(/\.$/, '')}. ${details.hint}` : head,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.name = new.target.name;
    this.op = details.op;
    this.shapes = details.shapes?.map((shape) => [...shape]);
    this.hint = details.hint;
  }
}

/** Shapes that do not fit together, or a shape that is none. */
export class ShapeError extends WarploomError {
  override readonly code = 'ERR_SHAPE';
}

/** A dtype the op does not take, or a value that does not fit one. */
export class DTypeError extends WarploomError {
  override readonly code = 'ERR_DTYPE';
}

/** Tensors on different devices, or a device that does not exist. */
export class DeviceError extends WarploomError {
  override readonly code = 'ERR_DEVICE';
}

/** An index outside its range: a dim at the call, or an index tensor's value when its result is read. */
export class IndexError extends WarploomError {
  override readonly code = 'ERR_INDEX';
  readonly value: number | undefined;
  readonly bound: number | undefined;

  constructor(message: string, details: ErrorDetails & { value?: number; bound?: number } = {}) {
    super(message, details);
    this.value = details.value;
    this.bound = details.bound;
  }
}

/** A tensor used after dispose(). */
export class DisposedError extends WarploomError {
  override readonly code = 'ERR_DISPOSED';
}

/** A write that would corrupt a gradient: see the version numbers in the message. */
export class InPlaceError extends WarploomError {
  override readonly code = 'ERR_IN_PLACE';
}

/** A gradient that cannot be computed. */
export class AutogradError extends WarploomError {
  override readonly code = 'ERR_AUTOGRAD';
}

/** Something a recording cannot contain. */
export class CaptureError extends WarploomError {
  override readonly code = 'ERR_CAPTURE';
}

/** A device has no room. The numbers are bytes. */
export class OutOfMemoryError extends WarploomError {
  override readonly code = 'ERR_OUT_OF_MEMORY';
  readonly requested: number | undefined;
  readonly active: number | undefined;
  readonly limit: number | undefined;

  constructor(message: string, details: ErrorDetails & { requested?: number; active?: number; limit?: number } = {}) {
    super(message, details);
    this.requested = details.requested;
    this.active = details.active;
    this.limit = details.limit;
  }
}

/** A file that is not what its format demands. */
export class FormatError extends WarploomError {
  override readonly code = 'ERR_FORMAT';
}

/** The native addon could not be loaded. `tried` has one line per path. */
export class AddonLoadError extends WarploomError {
  override readonly code = 'ERR_ADDON_LOAD';
  readonly tried: readonly string[];

  constructor(tried: readonly string[]) {
    super(`the native addon could not be loaded. Tried:\n${tried.map((line) => `  ${line}`).join('\n')}\n`, {
      hint:
        'Run `npx node-gyp rebuild` in the folder of the package (needs g++, make and Python), in a checkout ' +
        '`npm run build:test`, or name the file in WARPLOOM_ADDON.',
    });
    this.tried = tried;
  }
}

/** The CUDA driver is absent, too old, or refused a call. */
export class CudaDriverError extends WarploomError {
  override readonly code = 'ERR_CUDA_DRIVER';
}

/** The device is gone; nothing on it can be read any more. */
export class DeviceLostError extends WarploomError {
  override readonly code = 'ERR_DEVICE_LOST';
}

/** A combination that this device or version does not offer. */
export class NotSupportedError extends WarploomError {
  override readonly code = 'ERR_NOT_SUPPORTED';
}

const mebibytes = (bytes: number | undefined): string =>
  bytes === undefined ? 'an unknown number of bytes' : `${(bytes / 2 ** 20).toFixed(1)} MiB`;

let onOutOfMemory = (): void => {};

/** `handler` is called with each OutOfMemoryError that a device gives, before it is thrown. */
export function setOutOfMemoryHandler(handler: () => void): void {
  onOutOfMemory = handler;
}

/** The typed error for a native failure. `op` names the call where the native side could not. */
export function fromNative(info: NativeErrorInfo, op?: string): WarploomError {
  const name = info.op || op;
  const details: ErrorDetails = name ? { op: name } : {};
  const message = name && info.message.startsWith(`[${name}] `) ? info.message.slice(name.length + 3) : info.message;
  switch (info.code) {
    case 'OUT_OF_MEMORY': {
      const { requested, active, limit } = info;
      onOutOfMemory();
      return new OutOfMemoryError(
        `out of memory: ${mebibytes(requested)} asked for, ${mebibytes(active)} in use, limit ${mebibytes(limit)}`,
        {
          ...details,
          requested,
          active,
          limit,
          hint:
            'Wrap the body of the loop in tidy(), or dispose() tensors that are done: garbage collection cannot free them ' +
            'inside synchronous code. setMemoryLimit() raises the limit.',
        },
      );
    }
    case 'INDEX':
      return new IndexError(info.value === undefined ? message : `index ${info.value} is outside [0, ${info.bound})`, {
        ...details,
        value: info.value,
        bound: info.bound,
      });
    case 'CAPTURE':
      return new CaptureError(message, details);
    case 'NOT_SUPPORTED':
      return new NotSupportedError(message, details);
    case 'DRIVER':
      return new CudaDriverError(message, details);
    case 'DEVICE_LOST':
      return new DeviceLostError(message, { ...details, hint: 'Start a new process to use the device again.' });
    default:
      return new WarploomError(message, details);
  }
}

/** The typed error for whatever a native promise rejected with. */
export function fromRejection(reason: unknown, op?: string): Error {
  if (reason instanceof WarploomError) return reason;
  // A call that is refused at once throws an Error that carries what is known.
  if (reason instanceof Error && 'info' in reason) return fromNative(reason.info as NativeErrorInfo, op);
  if (typeof reason === 'object' && reason !== null && 'code' in reason && 'message' in reason) {
    return fromNative(reason as NativeErrorInfo, op);
  }
  return reason instanceof Error ? reason : new WarploomError(String(reason), op ? { op } : {});
}
