/**
 * What the surrounding code has asked for: a memory scope, gradients on or off. It follows async functions.
 *
 * While tidy() or noGrad() is on the call stack, a module variable says so and costs nothing. Behind the first await the stack is
 * gone, and AsyncLocalStorage, which is asked only once any such call has returned a promise, takes over.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Scope } from './scope.js';
import type { Tensor } from './tensor.js';

export interface Mode {
  readonly scope: Scope | null;
  readonly gradEnabled: boolean;
}

const outside: Mode = { scope: null, gradEnabled: true };
const store = new AsyncLocalStorage<Mode>();
let active: Mode | null = null;
let followsAsync = false;

/** The mode of the code that is running. */
export function mode(): Mode {
  if (active !== null) return active;
  return followsAsync ? (store.getStore() ?? outside) : outside;
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** Runs `fn`, and what it awaits, in `next`. */
export function runIn<T>(next: Mode, fn: () => T): T {
  const previous = active;
  active = next;
  try {
    const result = store.run(next, fn);
    if (isThenable(result)) followsAsync = true;
    return result;
  } finally {
    active = previous;
  }
}

/** Runs a synchronous `fn` in `next`: cheaper than runIn, for the library's own use. */
export function runInSync<T>(next: Mode, fn: () => T): T {
  const previous = active;
  active = next;
  try {
    return fn();
  } finally {
    active = previous;
  }
}

/**
 * State of the op that is running, shared by the modules that need it in the fast path. `depth` counts op bodies (forward and
 * gradient functions) on the stack: inside one nothing is recorded, and tensors made there land in `temporaries`.
 */
export const inner = {
  depth: 0,
  temporaries: [] as Tensor[],
  /** the id of the last tensor made */
  lastId: 0,
  /** the sequence number of the last recorded op */
  lastNode: 0,
};
