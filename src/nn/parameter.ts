/** What makes a tensor a parameter: it is trained, it is saved, and no scope disposes of it. */
import { keep } from '../scope.js';
import type { Tensor } from '../tensor.js';

const parameters = new WeakSet<Tensor>();

/**
 * Marks a leaf tensor as a parameter: it requires a gradient (unless `requiresGrad` is false), stays out of every
 * scope, and a module that holds it as a property lists it. Returns the same tensor.
 */
export function parameter(t: Tensor, { requiresGrad = true }: { requiresGrad?: boolean } = {}): Tensor {
  keep(t);
  t.requiresGrad = requiresGrad;
  parameters.add(t);
  return t;
}

/**
 * Whether a tensor is a parameter. A leaf that requires a gradient becomes one when a module is first seen to hold it,
 * so that freezing it later does not make it disappear from the module.
 */
export function isParameter(t: Tensor): boolean {
  if (parameters.has(t)) return true;
  if (!t.isLeaf || !t.requiresGrad) return false;
  keep(t);
  parameters.add(t);
  return true;
}
