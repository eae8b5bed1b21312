import { broadcastShape, build, getBroadcast, ref, type Ref } from './array.js';
import { exactSum } from './reduce.js';

/** PyTorch's matmul: a 1-D operand gains a dim that the result loses again, batch dims broadcast. */
export function matmul(a: Ref, b: Ref): Ref {
  return product(a, b, (x) => x);
}

/** |a| |b|: what the bound of a product is proportional to. */
export function matmulAbs(a: Ref, b: Ref): Ref {
  return product(a, b, Math.abs);
}

function product(a: Ref, b: Ref, f: (x: number) => number): Ref {
  const left = a.shape.length === 1 ? ref([1, ...a.shape], a.data) : a;
  const right = b.shape.length === 1 ? ref([...b.shape, 1], b.data) : b;
  const batch = broadcastShape(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const [m, k] = left.shape.slice(-2) as [number, number];
  const n = right.shape.at(-1)!;
  const full = build([...batch, m, n], (at) => {
    const outer = at.slice(0, -2);
    const [i, j] = at.slice(-2) as [number, number];
    const terms = new Float64Array(k);
    for (let p = 0; p < k; p++) {
      terms[p] = f(getBroadcast(left, [...outer, i, p])) * f(getBroadcast(right, [...outer, p, j]));
    }
    return exactSum(terms);
  });
  const shape = [...batch, ...(a.shape.length === 1 ? [] : [m]), ...(b.shape.length === 1 ? [] : [n])];
  return ref(shape, full.data);
}

/** x [..., I], weight [O, I], bias [O] -> [..., O]. */
export function linear(x: Ref, weight: Ref, bias?: Ref): Ref {
  const [o, i] = weight.shape as [number, number];
  const transposed = build([i, o], (at) => weight.data[at[1]! * i + at[0]!]!);
  const y = matmul(x, transposed);
  return bias ? build(y.shape, (at) => getBroadcast(y, at) + bias.data[at.at(-1)!]!) : y;
}
