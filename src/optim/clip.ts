/** Clipping by the norm of all gradients together (Pascanu et al. 2013), computed and applied on the device. */
import * as native from '../addon.ops.js';
import type { DType } from '../dtype.js';
import { DeviceError, WarploomError } from '../errors.js';
import { zeros } from '../ops/create.js';
import { Tensor } from '../tensor.js';

/** The sum of the squares of all elements: a float64 scalar. Throws DeviceError unless the tensors share a device. */
export function squaresOf(op: string, tensors: readonly Tensor[]): Tensor {
  const { device } = tensors[0]!;
  let total: Tensor | null = null;
  for (const t of tensors) {
    if (t.device !== device) {
      throw new DeviceError(`gradients on ${device.name} and ${t.device.name} have no common norm`, {
        op,
        hint: 'Clip the parameters of each device by themselves.',
      });
    }
    const next: Tensor = Tensor.fresh(
      native.sumSquares(device, t, total, { dtype: 'float64', shape: [] }),
      [],
      'float64',
    );
    total?.dispose();
    total = next;
  }
  return total!;
}

/** The norm and min(1, maxNorm / (norm + 1e-6)), float32 scalars. Consumes `total`. */
export function factorOf(total: Tensor, maxNorm: number): { norm: Tensor; factor: Tensor } {
  const out = { dtype: 'float32', shape: [] } as const;
  const { norm, factor } = native.clipFactor(total.device, total, out, out, maxNorm);
  total.dispose();
  return { norm: Tensor.fresh(norm, [], 'float32'), factor: Tensor.fresh(factor, [], 'float32') };
}

/**
 * Scales the gradients of `parameters` in place so that their norm together is at most `maxNorm`; parameters without a
 * gradient are left out. Returns the norm before clipping, a float32 scalar on the device: nothing waits for it.
 * Throws WarploomError unless maxNorm is at least 0, DeviceError when gradients lie on several devices.
 */
export function clipGradNorm_(parameters: Tensor | Iterable<Tensor>, maxNorm: number): Tensor {
  const op = 'clipGradNorm_';
  if (!(maxNorm >= 0)) throw new WarploomError(`maxNorm must be a number of at least 0, got ${maxNorm}`, { op });
  const list = parameters instanceof Tensor ? [parameters] : [...new Set(parameters)];
  const grads = list.flatMap(({ grad }) => (grad === null ? [] : [grad]));
  if (grads.length === 0) return zeros([], { device: list[0]?.device });
  const { norm, factor } = factorOf(squaresOf(op, grads), maxNorm);
  const factors = new Map<DType, Tensor>([['float32', factor]]);
  for (const { dtype, device } of grads) {
    if (!factors.has(dtype))
      factors.set(dtype, Tensor.fresh(native.copy(device, factor, { dtype, shape: [] }), [], dtype));
  }
  for (const g of grads) {
    const scale = factors.get(g.dtype)!;
    const everywhere = {
      storage: scale.storage,
      dtype: scale.dtype,
      offset: 0,
      shape: g.shape,
      strides: g.shape.map(() => 0),
    };
    native.mul(g.device, g, everywhere, g, 0, 0);
    g.storage.bump();
  }
  for (const scale of factors.values()) scale.dispose();
  return norm;
}
