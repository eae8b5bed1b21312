/** An op that runs on a card works there: it launches something, and nothing comes to the host on the way. */
import { device as find, type Tensor } from '../../src/index.js';
import { addon } from '../../src/addon.js';

/** Runs an op of `inputs`; on a CUDA device also watches what the device did meanwhile. */
export function onDevice(device: string, inputs: readonly Tensor[], run: () => Tensor[], what: string): Tensor[] {
  if (!device.startsWith('cuda')) return run();
  const { id } = find(device);
  const before = addon().deviceInfo(id);
  const outputs = run();
  const after = addon().deviceInfo(id);
  if (after.reads !== before.reads) throw new Error(`${what}: the op copied to the host`);
  const storages = new Set(inputs.map((x) => x.storage));
  const computed = outputs.filter((y) => y.numel > 0 && !storages.has(y.storage));
  if (computed.length > 0 && after.launches === before.launches) throw new Error(`${what}: nothing was launched`);
  for (const y of outputs) if (y.device.name !== device) throw new Error(`${what}: a result lies on ${y.device.name}`);
  return outputs;
}
