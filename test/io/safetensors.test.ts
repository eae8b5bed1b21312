import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  FormatError,
  loadSafetensors,
  safetensorsMetadata,
  saveSafetensors,
  serializeSafetensors,
  tensor,
  writeAtomic,
} from '../../src/index.js';

/** A file from any header text and any data. */
function file(header: string | Uint8Array, data: Uint8Array | number = 0, claimed?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = typeof data === 'number' ? new Uint8Array(data) : data;
  const out = new Uint8Array(8 + json.length + bytes.length);
  new DataView(out.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  out.set(json, 8);
  out.set(bytes, 8 + json.length);
  return out;
}

const entry = (dtype: string, shape: string, begin: number | string, end: number | string): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

const hostile: [name: string, bytes: Uint8Array, says: RegExp][] = [
  ['nothing', new Uint8Array(0), /0 bytes are too few/],
  ['seven bytes', new Uint8Array(7), /7 bytes are too few/],
  ['no header', new Uint8Array(8), /header of 0 bytes/],
  ['a header above 100 MB', file('{}', 0, 100_000_001n), /100000001 bytes is above the limit/],
  ['a header of 2^64 - 1', file('{}', 0, 2n ** 64n - 1n), /above the limit/],
  ['a header beyond the file', file('{}', 0, 3n), /claims 3 bytes, but only 2 follow/],
  ['text that is no object', file('[]'), /does not begin with "\{"/],
  ['a byte order mark', file('\ufeff{}'), /does not begin with "\{"/],
  ['leading space', file(' {}'), /does not begin with "\{"/],
  ['JSON cut short', file('{"a":'), /not valid JSON/],
  ['two objects', file('{}{}'), /not valid JSON/],
  ['invalid UTF-8', file(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])), /not valid UTF-8/],
  ['deep nesting', file(`{"a":${'['.repeat(10_000_000)}`), /nests deeper than 3 levels/],
  ['deep nesting that closes', file(`{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`), /nests deeper than 3 levels/],
  ['a string that never ends', file(`{"${'a'.repeat(1_000_000)}`), /not valid JSON/],
  ['an escape at the end', file('{"a\\'), /not valid JSON/],
  ['a colon first', file('{:}'), /not valid JSON/],
  ['brackets crossed', file('{"a":[}]'), /not valid JSON/],
  ['a tensor twice', file(`{"a":${entry('U8', '[1]', 0, 1)},"a":${entry('U8', '[1]', 1, 2)}}`, 2), /"a" occurs twice/],
  [
    'a tensor twice, once escaped',
    file(`{"a":${entry('U8', '[1]', 0, 1)},"\\u0061":${entry('U8', '[1]', 1, 2)}}`, 2),
    /"a" occurs twice/,
  ],
  [
    'a field twice',
    file('{"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    /"dtype" occurs twice/,
  ],
  ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}'), /"__metadata__" occurs twice/],
  ['a metadata key twice', file('{"__metadata__":{"k":"1","k":"2"}}'), /"k" occurs twice/],
  ['half a surrogate pair', file(`{"\\ud800":${entry('U8', '[1]', 0, 1)}}`, 1), /half a surrogate pair/],
  ['metadata that is a list', file('{"__metadata__":["a"]}'), /__metadata__ is not an object/],
  ['metadata that is a number', file('{"__metadata__":{"a":1}}'), /entry "a" is not a string/],
  ['metadata that is null', file('{"__metadata__":null}'), /__metadata__ is not an object/],
  ['a newer format version', file('{"__metadata__":{"warploom_format":"2"}}'), /format version 2/],
  ['an unreadable format version', file('{"__metadata__":{"warploom_format":"x"}}'), /format version x/],
  ['a tensor that is a list', file('{"a":[]}'), /tensor "a" is not described by an object/],
  ['a tensor that is null', file('{"a":null}'), /tensor "a" is not described by an object/],
  ['no dtype', file('{"a":{"shape":[1],"data_offsets":[0,1]}}', 1), /tensor "a" has no dtype/],
  ['an unknown dtype', file(`{"a":${entry('F99', '[1]', 0, 1)}}`, 1), /tensor "a" has the unknown dtype "F99"/],
  ['a dtype from the prototype', file(`{"a":${entry('toString', '[1]', 0, 1)}}`, 1), /unknown dtype "toString"/],
  [
    'a dtype we do not hold',
    file(`{"a":${entry('U16', '[1]', 0, 2)}}`, 2),
    /tensor "a" is U16, which has no dtype here/,
  ],
  ['no shape', file('{"a":{"dtype":"U8","data_offsets":[0,1]}}', 1), /tensor "a" has no shape/],
  ['a shape of text', file(`{"a":${entry('U8', '["1"]', 0, 1)}}`, 1), /tensor "a" has no shape/],
  ['nine dims', file(`{"a":${entry('U8', '[1,1,1,1,1,1,1,1,1]', 0, 1)}}`, 1), /has 9 dims, more than 8/],
  ['a negative size', file(`{"a":${entry('U8', '[-1]', 0, 1)}}`, 1), /the number -1 is not an integer/],
  ['a fraction', file(`{"a":${entry('U8', '[1.5]', 0, 1)}}`, 1), /the number 1\.5 is not an integer/],
  ['a whole number in disguise', file(`{"a":${entry('U8', '[1.0]', 0, 1)}}`, 1), /the number 1\.0 is not an integer/],
  ['an exponent', file(`{"a":${entry('U8', '[1e0]', 0, 1)}}`, 1), /the number 1e0 is not an integer/],
  [
    '2^53',
    file(`{"a":${entry('U8', '[9007199254740992]', 0, 1)}}`, 1),
    /9007199254740992 is not an integer from 0 to 2\^53 - 1/,
  ],
  [
    '2^53 + 1, which rounds',
    file(`{"a":${entry('U8', '[1]', 0, '9007199254740993')}}`, 1),
    /9007199254740993 is not an integer/,
  ],
  [
    'sizes whose product overflows',
    file(`{"a":${entry('U8', '[4294967296,4294967296]', 0, 0)}}`),
    /larger than 2\^53 bytes/,
  ],
  ['no offsets', file('{"a":{"dtype":"U8","shape":[1]}}', 1), /tensor "a" has no data_offsets/],
  [
    'three offsets',
    file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}', 1),
    /tensor "a" has no data_offsets/,
  ],
  ['offsets reversed', file(`{"a":${entry('U8', '[1]', 1, 0)}}`, 1), /ends at byte 0, before it begins at byte 1/],
  [
    'a tensor beyond the file',
    file(`{"a":${entry('U8', '[2]', 0, 2)}}`, 1),
    /ends at byte 2 of the data, which is 1 bytes long/,
  ],
  [
    'offsets too wide for the shape',
    file(`{"a":${entry('F32', '[1]', 0, 8)}}`, 8),
    /takes 4 bytes, but its offsets span 8/,
  ],
  [
    'offsets too narrow for the shape',
    file(`{"a":${entry('F32', '[2]', 0, 4)}}`, 4),
    /takes 8 bytes, but its offsets span 4/,
  ],
  [
    'an overlap',
    file(`{"a":${entry('U8', '[2]', 0, 2)},"b":${entry('U8', '[2]', 1, 3)}}`, 3),
    /tensor "b" begins at byte 1 and overlaps tensor "a"/,
  ],
  [
    'two tensors in one place',
    file(`{"a":${entry('U8', '[2]', 0, 2)},"b":${entry('U8', '[2]', 0, 2)}}`, 2),
    /tensor "b" begins at byte 0 and overlaps/,
  ],
  ['a hole in front', file(`{"a":${entry('U8', '[1]', 1, 2)}}`, 2), /bytes 0 to 1 between the header and tensor "a"/],
  [
    'a hole between',
    file(`{"a":${entry('U8', '[1]', 0, 1)},"b":${entry('U8', '[1]', 2, 3)}}`, 3),
    /bytes 1 to 2 between tensor "a" and tensor "b"/,
  ],
  ['bytes behind', file(`{"a":${entry('U8', '[1]', 0, 1)}}`, 2), /bytes 1 to 2 after tensor "a" belong to no tensor/],
  ['bytes and no tensor', file('{}', 1), /bytes 0 to 1 after the header/],
  [
    'a boolean of 2',
    file(`{"a":${entry('BOOL', '[2]', 0, 2)}}`, new Uint8Array([1, 2])),
    /"a" is BOOL but holds a byte other than 0 and 1/,
  ],
];

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

describe('hostile files', () => {
  it.each(hostile)('%s', async (_, bytes, says) => {
    const error = await loadSafetensors(bytes).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(FormatError);
    expect((error as FormatError).message).toMatch(says);
    expect((error as FormatError).op).toBe('loadSafetensors');
  });

  it('survives any one damaged byte: a typed error or a file that makes sense', async () => {
    const good = await serializeSafetensors(
      { a: tensor([1, 2, 3]), b: tensor([true, false]), c: tensor([1n, 2n]) },
      { metadata: { note: 'x' } },
    );
    for (let at = 0; at < good.length; at++) {
      for (const flip of [0x01, 0x20, 0x80]) {
        const bad = good.slice();
        bad[at]! ^= flip;
        try {
          for (const t of Object.values(await loadSafetensors(bad))) t.dispose();
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }
    }
  });

  it('names the file in errors', async () => {
    const path = join(folder, 'broken.safetensors');
    await writeFile(path, 'not one of ours');
    await expect(loadSafetensors(path)).rejects.toThrow(path);
  });
});

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warploom-io-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('round trips', () => {
  it('keeps every dtype, shape and value', async () => {
    const values = {
      scalar: tensor(2.5),
      'layers.1.weight': tensor([1, -0, NaN, Infinity, 1e-40, -3.5], { shape: [2, 3] }),
      double: tensor([Math.PI, -1e300], { dtype: 'float64' }),
      int: tensor(new Int32Array([-(2 ** 31), 2 ** 31 - 1])),
      long: tensor(new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n])),
      byte: tensor(new Uint8Array([0, 255])),
      flag: tensor([true, false, true]),
      empty: tensor([], { shape: [0, 4] }),
      __proto: tensor([1]),
      'ä "quoted"\n': tensor([7]),
    };
    const path = join(folder, 'all.safetensors');
    await saveSafetensors(path, values, { metadata: { note: 'ü', b: '', a: '{"x":1}' } });
    const loaded = await loadSafetensors(path);
    expect(Object.keys(loaded).sort()).toEqual(Object.keys(values).sort());
    for (const [name, before] of Object.entries(values)) {
      const after = loaded[name]!;
      expect([name, after.dtype, after.shape]).toEqual([name, before.dtype, before.shape]);
      expect(Buffer.from(await after.bytes()).equals(Buffer.from(await before.bytes())), name).toBe(true);
    }
    expect(await safetensorsMetadata(path)).toEqual({ note: 'ü', b: '', a: '{"x":1}', warploom_format: '1' });
  });

  it('writes views by value', async () => {
    const base = tensor([1, 2, 3, 4, 5, 6], { shape: [2, 3] });
    const loaded = await loadSafetensors(await serializeSafetensors({ t: base.permute([1, 0]) }));
    expect(loaded['t']!.shape).toEqual([3, 2]);
    expect([...(await loaded['t']!.data())]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it('gives names without prototype, so none is special', async () => {
    const tensors = Object.fromEntries([
      ['__proto__', tensor([1])],
      ['constructor', tensor([2])],
    ]);
    const loaded = await loadSafetensors(await serializeSafetensors(tensors));
    expect(Object.keys(loaded).sort()).toEqual(['__proto__', 'constructor']);
    expect(await loaded['constructor']!.item()).toBe(2);
  });

  it('gives the same bytes whatever the order of names and metadata, with an aligned start', async () => {
    const a = tensor([1, 2]);
    const b = tensor([true]);
    const c = tensor([3n]);
    const one = await serializeSafetensors({ a, b, c, d: a }, { metadata: { x: '1', y: '2' } });
    const two = await serializeSafetensors({ d: a, c, b, a }, { metadata: { y: '2', x: '1' } });
    expect(Buffer.from(one).equals(Buffer.from(two))).toBe(true);
    expect(new DataView(one.buffer).getBigUint64(0, true) % 8n).toBe(0n);
  });

  it('refuses the name of the metadata and half surrogate pairs', async () => {
    await expect(serializeSafetensors({ __metadata__: tensor([1]) })).rejects.toThrow(FormatError);
    await expect(serializeSafetensors({ 'a\ud800': tensor([1]) })).rejects.toThrow(FormatError);
  });

  it('leaves the old file and no temporary one when writing fails', async () => {
    const path = join(folder, 'kept.safetensors');
    await saveSafetensors(path, { a: tensor([1]) });
    const gone = tensor([2]);
    gone.dispose();
    await expect(saveSafetensors(path, { a: gone })).rejects.toThrow();
    const halfway = function* (): Generator<Uint8Array> {
      yield new Uint8Array(100_000);
      throw new Error('no more');
    };
    await expect(writeAtomic(path, halfway())).rejects.toThrow('no more');
    expect(await (await loadSafetensors(path))['a']!.item()).toBe(1);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('committed files', () => {
  it('loads a file of another writer, with every dtype', async () => {
    const loaded = await loadSafetensors(fixture('foreign.safetensors'));
    expect(await safetensorsMetadata(fixture('foreign.safetensors'))).toEqual({ format: 'pt' });
    expect([...(await loaded['double']!.data())]).toEqual([0.1, -2]);
    expect([...(await loaded['float']!.data())]).toEqual([1.5, -0.25, 3, 4]);
    expect(loaded['float']!.shape).toEqual([2, 2]);
    expect([...(await loaded['int']!.data())]).toEqual([-7, 8]);
    expect([...(await loaded['long']!.data())]).toEqual([-(2n ** 40n), 5n]);
    expect([...(await loaded['byte']!.data())]).toEqual([1, 200]);
    expect([...(await loaded['flag']!.data())]).toEqual([1, 0, 1]);
    expect(loaded['scalar']!.shape).toEqual([]);
    expect(await loaded['scalar']!.item()).toBe(42);
  });

  it('loads format version 1, and still writes it byte for byte', async () => {
    const path = fixture('format-1.safetensors');
    const loaded = await loadSafetensors(path);
    expect(await safetensorsMetadata(path)).toEqual({ note: 'first', warploom_format: '1' });
    expect([...(await loaded['0.weight']!.data())]).toEqual([0.5, -1, 2]);
    expect([...(await loaded['0.bias']!.data())]).toEqual([0.25]);
    expect([...(await loaded['steps']!.data())]).toEqual([9n]);
    const again = await serializeSafetensors(loaded, { metadata: { note: 'first' } });
    expect(Buffer.from(again).equals(await readFile(path))).toBe(true);
  });
});
