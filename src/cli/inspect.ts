/** What `warploom inspect` tells: the default device, why it is that one, and its memory. */
import { addon } from '../addon.js';
import { defaultDevice, reasonForCpu, type Device } from '../device.js';

export interface Inspection {
  /** name of the default device */
  device: string;
  /** why it is that one */
  reason: string;
  /** instruction set of the CPU kernels: baseline, avx2 or avx512 */
  isa: string;
  /** threads of the CPU kernels */
  threads: number;
  /** bytes */
  memory: { active: number; reserved: number; peak: number; limit: number };
  /** true where the device is a simulator, whose times mean nothing */
  simulated: boolean;
}

function reasonFor({ id, name }: Device): string {
  if (name !== 'cpu') {
    const { version, library } = addon().cudaStatus();
    const { hardware, kernels } = addon().deviceInfo(id);
    const cuda = `CUDA ${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
    return `${library} offers ${cuda} on ${hardware}${kernels ? `; kernels: ${kernels}` : ''}`;
  }
  const wanted = process.env['WARPLOOM_DEVICE'];
  return wanted && wanted !== 'auto' ? `WARPLOOM_DEVICE is ${wanted}` : `CUDA is not used: ${reasonForCpu()}`;
}

/**
 * Opens the default device and describes it.
 * @throws AddonLoadError without a native addon, DeviceError when WARPLOOM_DEVICE names a device that is not there
 */
export function inspect(): Inspection {
  const device = defaultDevice();
  const { isa, threads } = addon().deviceInfo(0);
  const { simulated } = addon().deviceInfo(device.id);
  const { active, reserved, peak, limit } = addon().memory(device.id);
  return {
    device: device.name,
    reason: reasonFor(device),
    isa,
    threads,
    memory: { active, reserved, peak, limit },
    simulated,
  };
}

function size(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes <= 0 || bytes >= 2 ** 50) return bytes === 0 ? '0' : 'none';
  return bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

export function inspectText({ device, reason, isa, threads, memory }: Inspection): string {
  const { active, reserved, peak, limit } = memory;
  return [
    `device: ${device}`,
    `reason: ${reason}`,
    `isa: ${isa}`,
    `threads: ${threads}`,
    `memory: ${size(active)} in use, ${size(reserved)} reserved, ${size(peak)} at most, limit ${size(limit)}`,
    '',
  ].join('\n');
}
