/** Gradients on and off, for a function and all that it awaits. */
import { mode, runIn } from '../context.js';

/** Runs `fn`, which may be async, without recording gradients. */
export function noGrad<T>(fn: () => T): T {
  return runIn({ scope: mode().scope, gradEnabled: false }, fn);
}

/** Runs `fn` with recording, also inside noGrad(). */
export function enableGrad<T>(fn: () => T): T {
  return runIn({ scope: mode().scope, gradEnabled: true }, fn);
}

export function isGradEnabled(): boolean {
  return mode().gradEnabled;
}
