/**
 * A block of device memory with a lifetime. Tensors are windows of one; views share it, and its version.
 *
 * Three owners can let go of a block: the last `dispose` of its tensors, the scope that made it, or the garbage collector. The
 * last is the fallback for tensors outside every scope, and only those are registered for finalization and told to V8.
 */
import { getHeapStatistics } from 'node:v8';
import { addon } from './addon.js';
import type { Device } from './device.js';

/** Small storages are registered in groups: registering one object costs as much as queueing an op. */
const groupSize = 32;
const groupedBytes = 4096;
const reportStep = 2 ** 20;

/** Handles of one group. A storage that is released early takes its own out. */
interface Registration {
  readonly handles: number[];
  bytes: number;
}

/** Dies when the last storage that refers to it has died. */
class Token {
  readonly registration: Registration = { handles: [], bytes: 0 };
}

/** Called once for each written storage while a recording is made. */
export interface WriteObserver {
  written(storage: Storage): void;
}

let observer: WriteObserver | null = null;
export function observeWrites(next: WriteObserver | null): void {
  observer = next;
}

let unscopedBytes = 0;
let unreported = 0;
let onPressure: ((bytes: number) => void) | null = null;
let openToken: Token | null = null;

/** Bytes outside every scope, and not given to keep(), that have not been released yet. */
export function unscopedUsage(): number {
  return unscopedBytes;
}

/**
 * Makes V8 collect garbage now: a pulse of external bytes beyond its hard limit, which is half of the old generation. What is
 * found dead is released when the event loop turns.
 */
export function collectGarbage(): void {
  // The group that is being filled is closed, so that all its members can go.
  openToken = null;
  const pulse = getHeapStatistics().heap_size_limit;
  addon().adjustExternalMemory(pulse);
  addon().adjustExternalMemory(-pulse);
}

/** `handler` hears of each allocation outside every scope, with the bytes that are in use there. */
export function setPressureHandler(handler: (bytes: number) => void): void {
  onPressure = handler;
}

function report(bytes: number): void {
  unreported += bytes;
  if (unreported >= reportStep || unreported <= -reportStep) {
    addon().adjustExternalMemory(unreported);
    unreported = 0;
  }
}

const registry = new FinalizationRegistry<Registration>((registration) => {
  for (const handle of registration.handles) {
    if (handle < 0) continue;
    addon().release(handle);
  }
  unscopedBytes -= registration.bytes;
  report(-registration.bytes);
});

export class Storage {
  readonly handle: number;
  readonly device: Device;
  readonly byteLength: number;
  /** counts writes; views share it */
  version = 0;
  /** counts recorded in-place writes: views taken before one have an outdated gradient history */
  history = 0;
  /** tensors and saved values that use this block */
  refs = 0;
  released = false;
  private token: Token | null = null;
  private slot = 0;
  private counted = false;

  constructor(handle: number, device: Device, byteLength: number) {
    this.handle = handle;
    this.device = device;
    this.byteLength = byteLength;
  }

  /** Notes a write: saved values of earlier versions are no longer what they were. */
  bump(): void {
    this.version++;
    if (observer !== null) observer.written(this);
  }

  retain(): void {
    this.refs++;
  }

  /** Gives up one reference; the last one gives the block back, in queue order. */
  drop(): void {
    if (--this.refs <= 0) this.release();
  }

  /** Puts the block under the garbage collector's care, for tensors outside every scope. */
  adopt(): void {
    if (this.token !== null || this.released) return;
    const bytes = this.byteLength;
    let token: Token;
    if (bytes > groupedBytes) {
      token = new Token();
      registry.register(token, token.registration);
    } else {
      if (openToken === null || openToken.registration.handles.length === groupSize) {
        openToken = new Token();
        registry.register(openToken, openToken.registration);
      }
      token = openToken;
    }
    this.token = token;
    this.slot = token.registration.handles.push(this.handle) - 1;
    this.counted = true;
    token.registration.bytes += bytes;
    unscopedBytes += bytes;
    report(bytes);
    if (onPressure !== null) onPressure(unscopedBytes);
  }

  /** For what is meant to live long: V8 does not hear of it, since that would only make it collect more often. */
  exempt(): void {
    if (!this.counted) return;
    this.counted = false;
    this.token!.registration.bytes -= this.byteLength;
    unscopedBytes -= this.byteLength;
    report(-this.byteLength);
  }

  private release(): void {
    if (this.released) return;
    this.released = true;
    const { token } = this;
    if (token !== null) {
      const { handles } = token.registration;
      // The newest of the group being filled leaves its place to the next one: a loop that disposes what it makes registers nothing.
      if (token === openToken && this.slot === handles.length - 1) handles.pop();
      else handles[this.slot] = -1;
      this.exempt();
    }
    addon().release(this.handle);
  }
}
