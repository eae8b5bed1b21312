/** Memory of tensors outside every scope: when finalizers must get a chance to run, and when to warn that they get none. */
import { CaptureError } from './errors.js';
import { noteYield, setPressureHandler, unscopedUsage } from './storage.js';

/** Bytes of unscoped tensors after which an await of ours also waits for the event loop, where finalizers run. */
export const yieldThreshold = 64 * 2 ** 20;
/** Bytes made without any turn of the event loop that call for a word of warning. */
const warnThreshold = 1024 * 2 ** 20;

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

let sinceTurn = 0;
let lastSeen = 0;
let turnAwaited = false;
let warned = false;

setPressureHandler((sinceYield) => {
  sinceTurn += Math.max(0, sinceYield - lastSeen);
  lastSeen = sinceYield;
  if (sinceTurn < yieldThreshold) return;
  if (!turnAwaited) {
    turnAwaited = true;
    setImmediate(() => {
      turnAwaited = false;
      sinceTurn = 0;
    }).unref();
  }
  if (sinceTurn > warnThreshold && !warned) {
    warned = true;
    process.emitWarning(
      `${Math.round(unscopedUsage().bytes / 2 ** 20)} MiB of tensors were made in synchronous code outside any tidy(). The ` +
        'garbage collector cannot free them there: wrap the body of the loop in tidy(), or dispose() them.',
      'WarploomMemoryWarning',
    );
  }
});

/** Waits for a turn of the event loop when many unscoped bytes were made since the last one. */
export async function yieldUnderPressure(): Promise<void> {
  if (unscopedUsage().sinceYield < yieldThreshold) return;
  await new Promise<void>((resolve) => setImmediate(resolve));
  lastSeen = 0;
  noteYield();
}
