import { coordinates, type Ref } from '../reference/array.js';

const show = (v: number) => (Object.is(v, -0) ? '-0' : String(v));

/** Throws, saying where and by how much, unless every element lies within its bound. NaN and infinities must match exactly. */
export function assertClose(actual: Ref, expected: Ref, bound: (element: number) => number, what: string): void {
  if (actual.shape.join() !== expected.shape.join()) {
    throw new Error(`${what}: the shape is [${actual.shape.join(', ')}], expected [${expected.shape.join(', ')}]`);
  }
  let wrong = 0;
  let first = '';
  for (let i = 0; i < expected.data.length; i++) {
    const a = actual.data[i]!;
    const e = expected.data[i]!;
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    const allowed = bound(i);
    const off = Math.abs(a - e);
    if (off <= allowed) continue;
    if (wrong++ === 0) {
      const at = coordinates(i, expected.shape).join(', ');
      first = `element [${at}] is ${show(a)}, expected ${show(e)}; off by ${off}, allowed ${allowed}`;
    }
  }
  if (wrong > 0) throw new Error(`${what}: ${wrong} of ${expected.data.length} elements are wrong; ${first}`);
}
