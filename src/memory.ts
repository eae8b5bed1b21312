/** How much memory is in use, how much may be, and giving back what is only cached. All figures are bytes. */
import { addon, type NativeMemory } from './addon.js';
import { device as deviceOf, type DeviceLike } from './device.js';
import { WarploomError } from './errors.js';
import { unscopedUsage } from './storage.js';

export interface MemoryReport extends NativeMemory {
  /** the part of `active` outside every scope, which only dispose() or the garbage collector frees; kept tensors do not count (all devices) */
  unscoped: number;
}

/** Figures of one device's allocator; `storages` counts live blocks. */
export function memory(device?: DeviceLike): MemoryReport {
  return { ...addon().memory(deviceOf(device).id), unscoped: unscopedUsage() };
}

/** Starts `peak` anew. */
export function resetPeakMemory(device?: DeviceLike): void {
  addon().resetPeakMemory(deviceOf(device).id);
}

/** An op that would take `active` above `bytes` throws OutOfMemoryError. */
export function setMemoryLimit(bytes: number, device?: DeviceLike): void {
  if (!(bytes >= 0)) throw new WarploomError(`a limit of ${bytes} bytes`, { op: 'setMemoryLimit' });
  addon().setMemoryLimit(deviceOf(device).id, bytes);
}

/** Gives cached, unused blocks back to the system. */
export function emptyCache(device?: DeviceLike): void {
  addon().emptyCache(deviceOf(device).id);
}
