/** Gradients that an op writes where its leaf keeps them, and the cases where it must not. */
import { describe, expect, test } from 'vitest';
import * as native from '../../src/addon.ops.js';
import {
  add,
  apply,
  type BackwardContext,
  defineOp,
  embedding,
  grad,
  layerNorm,
  linear,
  mul,
  optim,
  sum,
  tensor,
  Tensor,
} from '../../src/index.js';
import { f32, leaf, values } from './support.js';

/** A leaf whose gradients live in an optimizer's bucket. */
function parameter(list: readonly number[], shape: readonly number[]): Tensor {
  const w = leaf(list, shape);
  new optim.SGD([w], { lr: 1 });
  return w;
}

/** How often fn writes the memory of `target`. */
function writes(target: Tensor, fn: () => void): number {
  const before = target.version;
  fn();
  return target.version - before;
}

const differing = (a: readonly number[], b: readonly number[]): number => a.filter((value, i) => value !== b[i]).length;

const ones = (...shape: number[]): Tensor =>
  Tensor.fresh(native.fill(f32([0]).device, { dtype: 'float32', shape }, 1), shape, 'float32');

describe('a gradient written in place', () => {
  test('is the one that would have been copied, and counts as one write', () => {
    const w = parameter([1, 2, 3, 4], [2, 2]);
    const x = f32([1, 10, 100, 1000], [2, 2]);
    linear(x, w).backward({ gradient: f32([1, 2, 3, 4], [2, 2]) });
    const slot = w.grad!;
    expect(values(slot)).toEqual([301, 3010, 402, 4020]);
    w.grad = null;
    expect(writes(slot, () => linear(x, w).backward({ gradient: ones(2, 2) }))).toBe(1);
    expect(values(slot)).toEqual([101, 1010, 101, 1010]);
  });

  test('is offered only while the gradient function runs, and only for a leaf with a bucket', () => {
    const offers: (Tensor | null | undefined)[] = [];
    let kept: BackwardContext<null> | undefined;
    const op = defineOp<null>({
      name: 'asks',
      forward: ([x]) => ones(...x!.shape),
      backward(_, ctx) {
        kept = ctx;
        offers.push(ctx.into!(0));
        return [ones(...ctx.inputShapes[0]!)];
      },
    });
    const w = parameter([1, 2], [2]);
    sum(apply(op, [w], null)).backward();
    expect(offers[0]).toBe(w.grad);
    expect(kept!.into!(0)).toBeNull();
    sum(apply(op, [w], null)).backward();
    sum(apply(op, [leaf([1, 2])], null)).backward();
    sum(apply(op, [mul(w, w)], null)).backward();
    w.grad = null;
    sum(add(apply(op, [w], null), apply(op, [w], null))).backward();
    w.grad = null;
    expect(grad(sum(apply(op, [w], null)), w).map((g) => values(g))).toEqual([[1, 1]]);
    const remove = w.registerHook(() => undefined);
    sum(apply(op, [w], null)).backward();
    remove();
    expect(offers.slice(1)).toEqual(new Array(7).fill(null));
  });

  test('of a layer norm and of an embedding is the one that a leaf without a bucket gets', () => {
    const x = f32([1, 2, 4, 8, 16, 32, 3, 1, 4, 1, 5, 9], [2, 2, 3]);
    const index = tensor([2, 0, 2, 1], { dtype: 'int32', device: x.device });
    const made = (make: (list: readonly number[], shape: readonly number[]) => Tensor): number[][] => {
      const [weight, bias] = [make([1, 2, 3, 4, 5, 6], [2, 3]), make([6, 5, 4, 3, 2, 1], [2, 3])];
      const table = make([1, 2, 3, 4, 5, 6], [3, 2]);
      const all = (): number[][] => [weight, bias, table].map((p) => values(p.grad));
      const once = (): void => {
        layerNorm(x, [2, 3], { weight, bias }).backward({ gradient: x });
        embedding(table, index, { paddingIdx: 1 }).backward({ gradient: f32([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]) });
      };
      once();
      const first = all();
      once();
      return [...first, ...all()];
    };
    const placed = made(parameter);
    expect(placed).toEqual(made(leaf));
    expect(placed[1]).toEqual([4, 3, 8, 9, 21, 41]);
    expect(placed[2]).toEqual([3, 4, 0, 0, 6, 8]);
    expect(placed[5]).toEqual([6, 8, 0, 0, 12, 16]);
  });

  test('does not lose what an earlier backward left', () => {
    const w = parameter([1, 2], [1, 2]);
    const x = f32([3, 5], [1, 2]);
    for (let i = 0; i < 3; i++) linear(x, w).backward();
    expect(values(w.grad)).toEqual([9, 15]);
  });

  test('does not lose what another op gives to the same leaf', () => {
    const w = parameter([1, 2, 3, 4], [2, 2]);
    const x = f32([1, 0, 0, 1], [2, 2]);
    // Through both layers: d/dw of sum(w w) as two products of the same leaf.
    sum(linear(linear(x, w), w)).backward();
    const expected = f32([1, 2, 3, 4], [2, 2]).requiresGrad_();
    const other = f32([1, 2, 3, 4], [2, 2]).requiresGrad_();
    sum(linear(linear(x, expected), other)).backward();
    const [a, b] = [values(expected.grad), values(other.grad)];
    expect(values(w.grad)).toEqual(a.map((value, i) => value + b[i]!));
  });

  test('reads nothing that it overwrites', () => {
    // So large that a product writes before it has read everything.
    const n = 300;
    const [x, g, start] = [1, 2, 3].map((k) =>
      f32(
        Array.from({ length: n * n }, (_, i) => (i * k) % 7),
        [n, n],
      ),
    );
    const w = parameter(values(start!), [n, n]);
    const gradient = (input: Tensor, output: Tensor): number[] => {
      w.grad = null;
      linear(input, w).backward({ gradient: output });
      return values(w.grad);
    };
    const old = gradient(x!, g!);
    const slot = w.grad!;
    const apart = f32(old, [n, n]);
    const asInput = gradient(apart, g!);
    slot.copy_(apart);
    // The input of this product lies where its gradient goes.
    expect(differing(gradient(slot, g!), asInput)).toBe(0);
    const asGradient = gradient(x!, apart);
    slot.copy_(apart);
    expect(differing(gradient(x!, slot), asGradient)).toBe(0);
  });

  test('passes its hooks first', () => {
    const w = parameter([1, 2], [1, 2]);
    const seen: number[][] = [];
    w.registerHook((g) => {
      seen.push(values(g));
      return f32([7, 8], [1, 2]);
    });
    linear(f32([3, 5], [1, 2]), w).backward();
    expect(seen).toEqual([[3, 5]]);
    expect(values(w.grad)).toEqual([7, 8]);
  });
});
