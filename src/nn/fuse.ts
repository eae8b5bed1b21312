/**
 * Neighbours of a Sequential that one op computes: a layer whose kernel applies the activation behind it, or the relu before it.
 * Max pooling takes relu before a convolution does, for there it has the fewest elements, and the gradient passes by them.
 */
import { conv2d } from '../ops/conv.js';
import { linear, type Activation } from '../ops/matmul.js';
import { maxPool2d } from '../ops/pool.js';
import type { Tensor } from '../tensor.js';
import { GELU, MaxPool2d, ReLU } from './activations.js';
import { Conv2d, Linear } from './layers.js';
import { Module } from './module.js';

/** Whether nothing but the forward of `kind` happens in a module, and nobody looks on. */
function isPlain<M extends Module>(module: Module | undefined, kind: new (...args: never[]) => M): module is M {
  if (!(module instanceof kind) || module.forward !== kind.prototype.forward) return false;
  return module.call === Module.prototype.call && !module.isWatched;
}

function activationOf(module: Module): Activation | null {
  if (isPlain(module, GELU)) return module.approximate === 'tanh' ? 'geluTanh' : 'gelu';
  return isPlain(module, ReLU) ? 'relu' : null;
}

/**
 * next(layer(x)) in one op, or null where the two must run apart: other kinds of modules, a forward of their own, hooks that would
 * see what passes between them. `after` is the module behind them. The values are the same.
 */
export function fused(layer: Module, next: Module, x: Tensor, after?: Module): Tensor | null {
  if (isPlain(next, MaxPool2d)) {
    if (!isPlain(layer, ReLU)) return null;
    const { kernelSize, stride, padding, dilation } = next;
    return maxPool2d(x, kernelSize, { stride, padding, dilation, activation: 'relu' });
  }
  const activation = activationOf(next);
  if (activation === null) return null;
  if (isPlain(layer, Linear)) return linear(x, layer.weight, layer.bias, { activation });
  if (activation === 'relu' && isPlain(layer, Conv2d) && !isPlain(after, MaxPool2d)) {
    const { weight, bias, stride, padding, dilation, groups } = layer;
    return conv2d(x, weight, { bias, stride, padding, dilation, groups, activation });
  }
  return null;
}
