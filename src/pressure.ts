/** Memory of tensors outside every scope: when finalizers must get a chance to run, and when to warn that they get none. */
import { addon } from './addon.js';
import { openedDevices } from './device.js';
import { CaptureError, setOutOfMemoryHandler } from './errors.js';
import { collectGarbage, setPressureHandler, unscopedUsage } from './storage.js';

/** Growth in bytes of unscoped tensors at which an await of ours also waits for the event loop, where finalizers run. */
export const yieldThreshold = 64 * 2 ** 20;
/** Bytes made without any turn of the event loop that call for a word of warning; half of a device's limit does, too. */
const warnThreshold = 1024 * 2 ** 20;
/** How often the limit is looked up. */
const checkStep = 16 * 2 ** 20;

let recording = false;
export function setRecording(value: boolean): void {
  recording = value;
}

export function isRecording(): boolean {
  return recording;
}

/** @throws CaptureError while a recording is made: a replay could not read. */
export function refuseInCapture(op: string): void {
  if (recording) {
    throw new CaptureError('values cannot be read inside a captured function', {
      op,
      hint: 'Return the tensor from the function and read it outside.',
    });
  }
}

/** Bytes in use when the event loop last turned, as far as it was watched. */
let atTurn = 0;
let turnAwaited = false;
let warned = false;
let nextCheck = checkStep;

setPressureHandler((bytes) => {
  const growth = bytes - atTurn;
  if (growth < nextCheck) return;
  nextCheck = growth + checkStep;
  if (!turnAwaited) {
    turnAwaited = true;
    setImmediate(() => {
      turnAwaited = false;
      atTurn = unscopedUsage();
      nextCheck = checkStep;
    }).unref();
  }
  if (!warned && growth > Math.min(warnThreshold, smallestLimit() / 2)) {
    warned = true;
    process.emitWarning(
      `${Math.round(bytes / 2 ** 20)} MiB of tensors were made in synchronous code outside any tidy(). The garbage ` +
        'collector cannot free them there: wrap the body of the loop in tidy(), or dispose() them.',
      'WarploomMemoryWarning',
    );
  }
});

// Who goes on after the error has all memory that nothing refers to, as soon as the event loop has turned.
setOutOfMemoryHandler(collectGarbage);

function smallestLimit(): number {
  let limit = Infinity;
  for (const { id } of openedDevices()) limit = Math.min(limit, addon().memory(id).limit);
  return limit;
}

/** Bytes that the last collection left in use. */
let afterCollection = 0;

/**
 * Has garbage collected when unscoped tensors have piled up, and gives what to wait for: the turns of the event loop that release
 * it. Else nothing, so that a read costs no further promise.
 */
export function yieldUnderPressure(): Promise<void> | undefined {
  const before = unscopedUsage();
  if (before < afterCollection) afterCollection = before;
  // Many live tensors are no garbage: the more there are, the rarer the search.
  if (before - afterCollection < Math.max(yieldThreshold, afterCollection / 4)) return undefined;
  return collectAndYield(before);
}

async function collectAndYield(before: number): Promise<void> {
  collectGarbage();
  for (let turn = 0; turn < 3 && unscopedUsage() === before; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  afterCollection = unscopedUsage();
}
