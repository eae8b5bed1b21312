/**
 * Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file a step. Each file appears whole
 * or not at all, so the newest one is always good, whenever the process was killed.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { addon } from '../addon.js';
import { device } from '../device.js';
import { FormatError } from '../errors.js';
import { removeStaleTemporaries } from '../io/atomic.js';
import { loadSafetensors, safetensorsMetadata, saveSafetensors } from '../io/safetensors.js';
import type { Tensor } from '../tensor.js';

/** The layout of the checkpoint itself, inside the safetensors file; a reader refuses a newer one. */
export const CHECKPOINT_VERSION = 1;

const FILE = /^checkpoint-(\d{10})\.safetensors$/;

export interface Checkpoint<State> {
  /** by name, with a prefix that says whose they are: `model.`, `optimizer.`, ... */
  tensors: Record<string, Tensor>;
  /** plain JSON */
  state: State;
  /** version of the library and its kernels' instruction set, as written */
  build: string;
  isa: string;
}

export interface SaveCheckpointOptions {
  /** how many of the newest files stay; default 3 */
  keep?: number;
}

/** Version and instruction set of this process: the same seeds give the same bits only where both agree. */
export function buildAndIsa(): { build: string; isa: string } {
  const { isa } = addon().deviceInfo(device('cpu').id);
  return { build: addon().version, isa };
}

async function checkpointFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => FILE.test(name)).sort();
}

/** The path of the newest checkpoint in `folder`; null when there is none, or no folder. */
export async function latestCheckpoint(folder: string): Promise<string | null> {
  const newest = (await checkpointFiles(folder)).at(-1);
  return newest === undefined ? null : join(folder, newest);
}

/** Makes the folder where it is missing, and clears what killed writers left. */
export async function prepareCheckpoints(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await removeStaleTemporaries(folder);
}

/** Removes all checkpoints: a run that starts anew must not be resumed from an older one. */
export async function clearCheckpoints(folder: string): Promise<void> {
  for (const name of await checkpointFiles(folder)) await rm(join(folder, name));
}

/**
 * Writes `checkpoint-<step>.safetensors`, then removes the oldest files beyond `keep`.
 * @param step steps taken, 0 to 9,999,999,999
 * @param state plain JSON
 * @returns the file's path
 */
export async function saveCheckpoint(
  folder: string,
  step: number,
  tensors: Readonly<Record<string, Tensor>>,
  state: unknown,
  options: SaveCheckpointOptions = {},
): Promise<string> {
  const path = join(folder, `checkpoint-${String(step).padStart(10, '0')}.safetensors`);
  const metadata = { checkpoint: String(CHECKPOINT_VERSION), state: JSON.stringify(state), ...buildAndIsa() };
  await saveSafetensors(path, tensors, { metadata });
  const old = (await checkpointFiles(folder)).slice(0, -Math.max(1, options.keep ?? 3));
  for (const name of old) await rm(join(folder, name), { force: true });
  return path;
}

/**
 * Reads a checkpoint. Warns (process warning WARPLOOM_RESUME) when it was written by another version or instruction set: the run
 * continues within the usual bounds there, not bit for bit.
 * @throws FormatError when the file is no checkpoint, of a newer layout, or damaged
 */
export async function loadCheckpoint<State>(path: string): Promise<Checkpoint<State>> {
  const metadata = await safetensorsMetadata(path);
  const { checkpoint: version, state, build = 'unknown', isa = 'unknown' } = metadata;
  if (version === undefined || state === undefined) {
    throw new FormatError(`${path}: is a safetensors file, but not a checkpoint`, { op: 'loadCheckpoint' });
  }
  if (!(Number(version) <= CHECKPOINT_VERSION)) {
    throw new FormatError(`${path}: has checkpoint layout ${version}, this is a reader of ${CHECKPOINT_VERSION}`, {
      op: 'loadCheckpoint',
      hint: 'Update warploom.',
    });
  }
  let parsed: State;
  try {
    parsed = JSON.parse(state) as State;
  } catch (cause) {
    throw new FormatError(`${path}: the state is not valid JSON`, { op: 'loadCheckpoint', cause });
  }
  const here = buildAndIsa();
  if (build !== here.build || isa !== here.isa) {
    process.emitWarning(
      `${path} was written by build ${build} (${isa}), this is build ${here.build} (${here.isa}): ` +
        'training continues, but not bit for bit as it would have there',
      { code: 'WARPLOOM_RESUME' },
    );
  }
  return { tensors: await loadSafetensors(path), state: parsed, build, isa };
}

/** The tensors under `prefix.`, with the prefix taken off. */
export function underPrefix(tensors: Readonly<Record<string, Tensor>>, prefix: string): Record<string, Tensor> {
  const start = `${prefix}.`;
  return Object.fromEntries(
    Object.entries(tensors).flatMap(([name, tensor]) =>
      name.startsWith(start) ? [[name.slice(start.length), tensor]] : [],
    ),
  );
}

/** The same tensors with `prefix.` before each name. */
export function withPrefix(tensors: Readonly<Record<string, Tensor>>, prefix: string): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${prefix}.${name}`, tensor]));
}
