/**
 * The JSON header of a safetensors file, read with suspicion. `JSON.parse` keeps the last of two equal keys and rounds
 * numbers beyond 2^53; both would let one file mean different tensors to different readers, so both are refused here.
 * Format: https://github.com/huggingface/safetensors#format
 */
import { FormatError } from '../errors.js';

/** The limit of the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Bytes of one element, for every dtype of the format. */
const ITEM_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
};

/** One tensor as the file describes it; `begin` and `end` count bytes from the end of the header. */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  /** in the order of their bytes */
  readonly entries: readonly HeaderEntry[];
  /** where the first tensor's bytes start in the file */
  readonly dataStart: number;
}

/** Shortens what a hostile file calls a name, so an error stays one line. */
function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** The deepest a header nests: the root, a tensor, its list of sizes. */
const MAX_DEPTH = 3;

/**
 * The place after the string that opens at `from`; the text's length when it never closes. Not a regular expression: those run out of
 * stack on hostile lengths.
 */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at + 1;
    at += code === 0x5c ? 2 : 1;
  }
  return text.length;
}

/**
 * Walks the text ahead of JSON.parse and refuses what that hides or chokes on: equal keys in one object, numbers that are not plain
 * digits, strings with lone surrogates, deep nesting (which would cost it gigabytes). Stops early only where the text is no JSON at all,
 * and leaves saying so to JSON.parse.
 */
function refuseHiddenFaults(text: string, fail: (what: string) => never): void {
  const number = /[\d.eE+-]+/y;
  const keys: (Set<string> | null)[] = [];
  let pending = '';
  let at = 0;
  while (at < text.length) {
    const code = text[at]!;
    if (code === '"') {
      const end = stringEnd(text, at);
      try {
        pending = JSON.parse(text.slice(at, end)) as string;
      } catch {
        return;
      }
      if (/\p{Surrogate}/u.test(pending)) fail(`the string ${quote(pending)} holds half a surrogate pair`);
      at = end;
      continue;
    }
    if (code === '-' || (code >= '0' && code <= '9')) {
      number.lastIndex = at;
      const digits = number.exec(text)![0];
      if (!/^\d+$/.test(digits) || !Number.isSafeInteger(Number(digits))) {
        fail(`the number ${digits.slice(0, 40)} is not an integer from 0 to 2^53 - 1`);
      }
      at += digits.length;
      continue;
    }
    if (code === ':') {
      const open = keys[keys.length - 1];
      if (!open) return;
      if (open.has(pending)) fail(`the key ${quote(pending)} occurs twice in one object`);
      open.add(pending);
    } else if (code === '{' || code === '[') {
      if (keys.length === MAX_DEPTH) fail(`the header nests deeper than ${MAX_DEPTH} levels`);
      keys.push(code === '{' ? new Set() : null);
    } else if (code === '}' || code === ']') keys.pop();
    at++;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => typeof n === 'number');
}

function readEntry(name: string, value: unknown, dataBytes: number, fail: (what: string) => never): HeaderEntry {
  const where = `tensor ${quote(name)}`;
  if (!isObject(value)) fail(`${where} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') fail(`${where} has no dtype`);
  if (!Object.hasOwn(ITEM_BYTES, dtype)) fail(`${where} has the unknown dtype ${quote(dtype)}`);
  if (!isSizes(shape)) fail(`${where} has no shape made of integers`);
  if (!isSizes(offsets) || offsets.length !== 2) fail(`${where} has no data_offsets made of two integers`);
  const [begin, end] = offsets as [number, number];
  if (begin > end) fail(`${where} ends at byte ${end}, before it begins at byte ${begin}`);
  if (end > dataBytes) fail(`${where} ends at byte ${end} of the data, which is ${dataBytes} bytes long`);
  // a zero anywhere makes the tensor empty, however large the other sizes are
  let bytes = shape.includes(0) ? 0 : ITEM_BYTES[dtype]!;
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) fail(`${where} of shape [${shape.join(', ')}] is larger than 2^53 bytes`);
  }
  if (bytes !== end - begin) {
    fail(
      `${where} of dtype ${dtype} and shape [${shape.join(', ')}] takes ${bytes} bytes, but its offsets span ${end - begin}`,
    );
  }
  return { name, dtype, shape, begin, end };
}

function readMetadata(value: unknown, fail: (what: string) => never): Record<string, string> {
  if (!isObject(value)) fail('__metadata__ is not an object');
  const metadata = Object.create(null) as Record<string, string>;
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') fail(`__metadata__ entry ${quote(key)} is not a string`);
    metadata[key] = text;
  }
  return metadata;
}

/**
 * The length of the header in bytes, from the first eight bytes of a file of `fileBytes`.
 * @throws FormatError when it is too large or reaches beyond the file
 */
export function headerLength(start: Uint8Array, fileBytes: number, source: string): number {
  const fail = (what: string): never => {
    throw new FormatError(`${source}: ${what}`, { op: 'loadSafetensors' });
  };
  if (start.byteLength < 8)
    fail(`${fileBytes} bytes are too few for a safetensors file, which begins with 8 bytes of length`);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) fail(`a header of ${length} bytes is above the limit of ${MAX_HEADER_BYTES}`);
  if (length > BigInt(fileBytes - 8))
    fail(`the header claims ${length} bytes, but only ${fileBytes - 8} follow its length`);
  if (length < 2n) fail(`a header of ${length} bytes cannot hold a JSON object`);
  return Number(length);
}

/**
 * Reads and checks the header's text.
 * @param json the header's bytes, without the length before them
 * @param fileBytes the size of the whole file: tensors must fill the rest of it without overlap or hole
 * @param source names the file in errors
 * @throws FormatError naming the file, the tensor and the fault
 */
export function parseHeader(json: Uint8Array, fileBytes: number, source: string): Header {
  const fail = (what: string): never => {
    throw new FormatError(`${source}: ${what}`, { op: 'loadSafetensors' });
  };
  const dataStart = 8 + json.byteLength;
  const dataBytes = fileBytes - dataStart;
  if (json[0] !== 0x7b) fail('the header does not begin with "{"');
  let text = '';
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);
  } catch {
    fail('the header is not valid UTF-8');
  }
  refuseHiddenFaults(text, fail);
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    fail(`the header is not valid JSON (${(error as Error).message.slice(0, 120)})`);
  }

  let metadata = Object.create(null) as Record<string, string>;
  const entries: HeaderEntry[] = [];
  for (const [name, value] of Object.entries(root as Record<string, unknown>)) {
    if (name === '__metadata__') metadata = readMetadata(value, fail);
    else entries.push(readEntry(name, value, dataBytes, fail));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  let previous = 'the header';
  for (const { name, begin, end } of entries) {
    const here = `tensor ${quote(name)}`;
    if (begin < at) fail(`${here} begins at byte ${begin} and overlaps ${previous}, which ends at byte ${at}`);
    if (begin > at) fail(`bytes ${at} to ${begin} between ${previous} and ${here} belong to no tensor`);
    at = end;
    previous = here;
  }
  if (at !== dataBytes) fail(`bytes ${at} to ${dataBytes} after ${previous} belong to no tensor`);
  return { metadata, entries, dataStart };
}
