/** Neighbours of a Sequential that one op computes: a layer whose kernel applies the activation behind it. */
import { linear, type Activation } from '../ops/matmul.js';
import type { Tensor } from '../tensor.js';
import { GELU, ReLU } from './activations.js';
import { Linear } from './layers.js';
import { Module } from './module.js';

function activationOf(module: Module): Activation | null {
  if (module instanceof ReLU && module.forward === ReLU.prototype.forward) return 'relu';
  if (module instanceof GELU && module.forward === GELU.prototype.forward) {
    return module.approximate === 'tanh' ? 'geluTanh' : 'gelu';
  }
  return null;
}

/**
 * next(layer(x)) in one op, or null where the two must run apart: other kinds of modules, a forward of their own, hooks that would
 * see what passes between them. The values are the same.
 */
export function fused(layer: Module, next: Module, x: Tensor): Tensor | null {
  if (!(layer instanceof Linear) || layer.forward !== Linear.prototype.forward) return null;
  const activation = activationOf(next);
  if (activation === null || [layer, next].some(({ isWatched, call }) => isWatched || call !== Module.prototype.call)) {
    return null;
  }
  return linear(x, layer.weight, layer.bias, { activation });
}
