/** The table of misuses and the fuzzer of safetensors files. Seeded: the same mutants every time. */
import * as wl from '../../../src/index.js';
import { misuses } from './misuses.js';

const mutants = Number(process.argv[2]);
const untyped: string[] = [];

for (const { title, call, error, says } of misuses) {
  let thrown: unknown;
  try {
    const result = await call();
    if (result instanceof wl.Tensor) await result.data();
  } catch (e) {
    thrown = e;
  }
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : 'nothing thrown';
  if (!(thrown instanceof wl.WarploomError) || !error.includes(thrown.name) || !says.every((s) => text.includes(s))) {
    untyped.push(`${title}: ${text}`);
  }
}

let state = 12345;
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const original = await wl.serializeSafetensors({
  weight: wl.tensor([1, 2, 3, 4, 5, 6], { shape: [2, 3] }),
  bias: wl.tensor([1, 2, 3], { dtype: 'float64' }),
  index: wl.tensor([7, 8], { dtype: 'int64' }),
  empty: wl.zeros([0, 4]),
  flag: wl.tensor([true, false]),
});
const headerLength = Number(new DataView(original.buffer, original.byteOffset).getBigUint64(0, true));
const numbers = [
  '0',
  '-1',
  '1e99',
  '9223372036854775808',
  '4294967296',
  '0.5',
  '18446744073709551615',
  'null',
  '"x"',
  '[]',
];

/** One to four changes: bytes of the header length, of the header's text, of a number in it; cuts and additions. */
function mutate(): Uint8Array {
  let bytes = Uint8Array.from(original);
  for (let change = random(4) + 1; change > 0; change--) {
    const how = random(6);
    if (how === 0) bytes[random(8)] = random(256);
    else if (how === 1) bytes[8 + random(headerLength)] = random(256);
    else if (how === 2) bytes[random(bytes.length)]! ^= 1 << random(8);
    else if (how === 3) bytes = bytes.slice(0, random(bytes.length + 1));
    else if (how === 4) bytes = Uint8Array.from([...bytes, ...Array.from({ length: random(20) }, () => random(256))]);
    else bytes = swapNumber(bytes);
    if (bytes.length < 8 + headerLength) break;
  }
  return bytes;
}

function swapNumber(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(bytes.subarray(8, 8 + headerLength)).toString('latin1');
  const places = [...text.matchAll(/\d+/g)];
  const place = places[random(places.length)];
  if (!place) return Uint8Array.from(bytes);
  const changed =
    text.slice(0, place.index) + numbers[random(numbers.length)]! + text.slice(place.index + place[0].length);
  const header = Buffer.from(changed, 'latin1');
  const out = new Uint8Array(8 + header.length + bytes.length - 8 - headerLength);
  new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
  out.set(header, 8);
  out.set(bytes.subarray(8 + headerLength), 8 + header.length);
  return out;
}

let refused = 0;
let read = 0;
const wrong: string[] = [];
for (let i = 0; i < mutants; i++) {
  const bytes = mutate();
  try {
    await wl.tidy(async () => {
      const tensors = await wl.loadSafetensors(bytes);
      for (const t of Object.values(tensors)) {
        const size = t.numel * wl.itemSize[t.dtype];
        if ((await t.bytes()).length !== size) wrong.push(`mutant ${i}: ${size} bytes expected`);
      }
    });
    read++;
  } catch (error) {
    if (error instanceof wl.WarploomError) refused++;
    else wrong.push(`mutant ${i}: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
  }
}
process.stdout.write(`${JSON.stringify({ misuses: misuses.length, untyped, mutants, refused, read, wrong })}\n`);
