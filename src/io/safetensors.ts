/**
 * safetensors: https://github.com/huggingface/safetensors#format. Eight bytes of length, a JSON header, then the tensors' bytes,
 * little-endian and row-major. What we write depends on names, values and metadata alone: the same tensors give the same file.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { device, type DeviceLike } from '../device.js';
import { itemSize, type DType } from '../dtype.js';
import { FormatError } from '../errors.js';
import { Tensor } from '../tensor.js';
import { writeAtomic } from './atomic.js';
import { headerLength, MAX_HEADER_BYTES, parseHeader, type Header, type HeaderEntry } from './header.js';

/** Written into every file's metadata; a reader refuses a newer number than its own. */
export const SAFETENSORS_FORMAT_VERSION = 1;
const VERSION_KEY = 'warploom_format';

/** The largest rank a tensor may have. */
const MAX_RANK = 8;

const NAME_OF: Readonly<Partial<Record<DType, string>>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  uint8: 'U8',
  bool: 'BOOL',
};
const DTYPE_OF = new Map(Object.entries(NAME_OF).map(([dtype, name]) => [name, dtype as DType]));

export interface SafetensorsOptions {
  /** text by text, kept in the file's header */
  metadata?: Readonly<Record<string, string>>;
}

export interface LoadSafetensorsOptions {
  /** where the tensors go; default 'cpu' */
  device?: DeviceLike;
}

/** A file's bytes, or where to find them: a path or a `file:` URL (named by its shape, as neither ES2022 nor this package declares URL). */
export type SafetensorsSource = string | { readonly href: string } | Uint8Array | ArrayBuffer;

/** Random access to a file or to bytes in memory, so both are read by the same code. */
interface ByteSource {
  readonly name: string;
  readonly length: number;
  read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
}

function memorySource(bytes: Uint8Array): ByteSource {
  return {
    name: `${bytes.byteLength} bytes in memory`,
    length: bytes.byteLength,
    read: (begin, end) => Promise.resolve(bytes.slice(begin, end)),
  };
}

async function fileSource(path: string, handle: FileHandle): Promise<ByteSource> {
  const { size } = await handle.stat();
  return {
    name: path,
    length: size,
    async read(begin, end) {
      const target = new Uint8Array(end - begin);
      let done = 0;
      while (done < target.byteLength) {
        const { bytesRead } = await handle.read(target, done, target.byteLength - done, begin + done);
        if (bytesRead === 0) {
          throw new FormatError(
            `${path}: ended at byte ${begin + done} while being read; it had ${size} bytes before`,
            {
              op: 'loadSafetensors',
            },
          );
        }
        done += bytesRead;
      }
      return target;
    },
  };
}

async function withSource<T>(source: SafetensorsSource, use: (bytes: ByteSource) => Promise<T>): Promise<T> {
  if (source instanceof Uint8Array) return use(memorySource(source));
  if (source instanceof ArrayBuffer) return use(memorySource(new Uint8Array(source)));
  const path = typeof source === 'string' ? source : fileURLToPath(source.href);
  const handle = await open(path, 'r');
  try {
    return await use(await fileSource(path, handle));
  } finally {
    await handle.close();
  }
}

async function readHeader(source: ByteSource): Promise<Header> {
  const start = await source.read(0, Math.min(8, source.length));
  const length = headerLength(start, source.length, source.name);
  const header = parseHeader(await source.read(8, 8 + length), source.length, source.name);
  const version = header.metadata[VERSION_KEY];
  if (version !== undefined && !(/^\d{1,9}$/.test(version) && Number(version) <= SAFETENSORS_FORMAT_VERSION)) {
    throw new FormatError(
      `${source.name}: has format version ${version}, this is a reader of ${SAFETENSORS_FORMAT_VERSION}`,
      {
        op: 'loadSafetensors',
        hint: 'Update warploom.',
      },
    );
  }
  return header;
}

/** What we hold of the format's dtypes; checks what the header cannot say. */
function checkEntry(entry: HeaderEntry, source: string): DType {
  const dtype = DTYPE_OF.get(entry.dtype);
  if (dtype === undefined) {
    throw new FormatError(`${source}: tensor "${entry.name}" is ${entry.dtype}, which has no dtype here`, {
      op: 'loadSafetensors',
      hint: `Convert it to one of ${[...DTYPE_OF.keys()].join(', ')}.`,
    });
  }
  if (entry.shape.length > MAX_RANK) {
    throw new FormatError(`${source}: tensor "${entry.name}" has ${entry.shape.length} dims, more than ${MAX_RANK}`, {
      op: 'loadSafetensors',
      shapes: [entry.shape],
    });
  }
  return dtype;
}

/**
 * Reads a safetensors file: its tensors by name, on `device` (default 'cpu'). The result fits `Module.loadStateDict`.
 * @param source a path, or the file's bytes
 * @returns an object without prototype, so any name is legal, in the order of the file's bytes
 * @throws FormatError naming the file, the tensor and the fault: a header above 100 MB or beyond the file, JSON that is invalid
 *   or holds a key twice, unknown dtypes, sizes that are no integers below 2^53, offsets that disagree with shape and dtype,
 *   overlap or leave a hole, metadata other than strings, booleans other than 0 and 1
 */
export async function loadSafetensors(
  source: SafetensorsSource,
  options: LoadSafetensorsOptions = {},
): Promise<Record<string, Tensor>> {
  return withSource(source, async (bytes) => {
    const { entries, dataStart } = await readHeader(bytes);
    const target = device(options.device ?? 'cpu');
    const dtypes = entries.map((entry) => checkEntry(entry, bytes.name));
    const tensors = Object.create(null) as Record<string, Tensor>;
    try {
      for (const [i, entry] of entries.entries()) {
        const data = await bytes.read(dataStart + entry.begin, dataStart + entry.end);
        if (dtypes[i] === 'bool' && data.some((value) => value > 1)) {
          throw new FormatError(`${bytes.name}: tensor "${entry.name}" is BOOL but holds a byte other than 0 and 1`, {
            op: 'loadSafetensors',
          });
        }
        tensors[entry.name] = Tensor.fromBytes(data, entry.shape, dtypes[i]!, target);
      }
    } catch (error) {
      for (const tensor of Object.values(tensors)) tensor.dispose();
      throw error;
    }
    return tensors;
  });
}

/**
 * The texts in a safetensors file's header, without reading its tensors.
 * @throws FormatError as `loadSafetensors` does
 */
export async function safetensorsMetadata(source: SafetensorsSource): Promise<Record<string, string>> {
  return withSource(source, async (bytes) => ({ ...(await readHeader(bytes)).metadata }));
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface Layout {
  /** length and header, a multiple of 8 bytes */
  readonly head: Uint8Array;
  /** in the order of their bytes */
  readonly order: readonly Tensor[];
}

function layOut(tensors: Readonly<Record<string, Tensor>>, options: SafetensorsOptions): Layout {
  // wide elements first, as the reference writer does: each tensor then starts on a multiple of its element's size
  const names = Object.keys(tensors).sort(
    (a, b) => itemSize[tensors[b]!.dtype] - itemSize[tensors[a]!.dtype] || byCodeUnits(a, b),
  );
  const given = { ...options.metadata, [VERSION_KEY]: String(SAFETENSORS_FORMAT_VERSION) };
  const fields = [
    `"__metadata__":${JSON.stringify(Object.fromEntries(Object.entries(given).sort(([a], [b]) => byCodeUnits(a, b))))}`,
  ];
  let at = 0;
  for (const name of names) {
    if (name === '__metadata__' || /\p{Surrogate}/u.test(name)) {
      throw new FormatError(`a tensor cannot be named ${JSON.stringify(name)}`, { op: 'saveSafetensors' });
    }
    const { dtype, shape, numel } = tensors[name]!;
    const end = at + numel * itemSize[dtype];
    const entry = { dtype: NAME_OF[dtype], shape, data_offsets: [at, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    at = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const padded = Math.ceil(json.byteLength / 8) * 8;
  if (padded > MAX_HEADER_BYTES) {
    throw new FormatError(`the header would take ${padded} bytes, above the format's limit of ${MAX_HEADER_BYTES}`, {
      op: 'saveSafetensors',
      hint: 'Shorten the metadata.',
    });
  }
  const head = new Uint8Array(8 + padded).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(json, 8);
  return { head, order: names.map((name) => tensors[name]!) };
}

/** The file piece by piece; every tensor is read before the first piece is out, so later changes cannot mix in. */
async function pieces(tensors: Readonly<Record<string, Tensor>>, options: SafetensorsOptions): Promise<Uint8Array[]> {
  const { head, order } = layOut(tensors, options);
  return [head, ...(await Promise.all(order.map((tensor) => tensor.bytes())))];
}

/**
 * The bytes of a safetensors file with these tensors. Equal tensors and metadata give equal bytes.
 * @throws FormatError when a name is not allowed or the header would be too large
 */
export async function serializeSafetensors(
  tensors: Readonly<Record<string, Tensor>>,
  options: SafetensorsOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const parts = await pieces(tensors, options);
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.byteLength;
  }
  return file;
}

/**
 * Writes tensors to a safetensors file, atomically and durably: a killed process leaves the old file or the new one. Nothing but
 * names, values and metadata goes into it, so equal tensors give equal files.
 * @param tensors by name, for instance `model.stateDict()`; any strides, any device
 * @throws FormatError when a name is not allowed or the header would be too large; the system's error when writing fails
 */
export async function saveSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  options: SafetensorsOptions = {},
): Promise<void> {
  await writeAtomic(path, await pieces(tensors, options));
}
