import { describe, expect, test } from 'vitest';
import * as native from '../../src/addon.ops.js';
import { capture, CaptureError, Generator, GradBucket, keep, memory, Tensor, tidy } from '../../src/index.js';
import { add, addInPlace, exp, f32, leaf, mul, sum, values } from './support.js';

describe('capture', () => {
  test('runs JavaScript once and computes each time', () => {
    let runs = 0;
    const f = capture((a: Tensor, b: Tensor) => {
      runs++;
      return { sum: add(a, b), list: [mul(a, b)], name: 'x' };
    });
    const first = f(f32([1, 2]), f32([3, 4]));
    const second = f(f32([10, 20]), f32([1, 2]));
    expect(values(first.sum)).toEqual([4, 6]);
    expect(values(first.list[0]!)).toEqual([3, 8]);
    expect(values(second.sum)).toEqual([11, 22]);
    expect(values(second.list[0]!)).toEqual([10, 40]);
    expect(second.name).toBe('x');
    expect(runs).toBe(1);
    expect(f.recordings).toBe(1);
    f.dispose();
  });

  test('records anew for another shape, dtype or plain argument', () => {
    const f = capture((a: Tensor, twice: boolean) => (twice ? add(a, a) : exp(a)));
    expect(values(f(f32([1]), true))).toEqual([2]);
    expect(values(f(f32([1, 2]), true))).toEqual([2, 4]);
    expect(values(f(f32([0]), false))).toEqual([1]);
    expect(values(f(f32([4]), true))).toEqual([8]);
    expect(f.recordings).toBe(3);
    f.dispose();
  });

  test('reads and async functions are refused, and the abort is clean', async () => {
    const read = capture((a: Tensor) => exp(a).dataSync());
    expect(() => read(f32([1]))).toThrow(CaptureError);
    const later = capture(async (a: Tensor) => exp(a));
    expect(() => later(f32([1]))).toThrow(/async/);
    const item = capture((a: Tensor) => void a.item().catch(() => undefined));
    expect(() => item(f32([1]))).not.toThrow();
    const throws = capture((a: Tensor) => {
      exp(a);
      throw new Error('mine');
    });
    expect(() => throws(f32([1]))).toThrow('mine');
    expect(() => throws(f32([1]))).toThrow('mine');
    expect(values(capture(exp)(f32([0])))).toEqual([1]);
    expect(await exp(f32([0])).data('float32')).toEqual(Float32Array.of(1));
  });

  test('writes of a replay count as writes', () => {
    const total = keep(f32([0]));
    const f = capture((a: Tensor) => {
      addInPlace(total, a);
    });
    f(f32([1]));
    const saved = total.version;
    f(f32([2]));
    f(f32([3]));
    expect(values(total)).toEqual([6]);
    expect(total.version).toBe(saved + 2);
    f.dispose();
  });

  test('a step with backward: overwrites after markEmpty, adds otherwise', () => {
    const w = keep(leaf([1, 2]));
    const bucket = new GradBucket([w]);
    const f = capture((a: Tensor) => {
      const loss = sum(mul(w, a));
      loss.backward();
      return loss;
    });
    expect(values(f(f32([1, 1])))).toEqual([3]);
    expect(values(w.grad)).toEqual([1, 1]);
    // a gradient is present now: another recording, which adds
    f(f32([5, 5]));
    expect(values(w.grad)).toEqual([6, 6]);
    expect(f.recordings).toBe(2);
    bucket.markEmpty();
    expect(w.grad).toBeNull();
    f(f32([2, 3]));
    expect(f.recordings).toBe(2);
    expect(values(w.grad)).toEqual([2, 3]);
    f(f32([1, 1]));
    expect(values(w.grad)).toEqual([3, 4]);
    f.dispose();
  });

  test('a step that empties its bucket first needs one recording', () => {
    const w = keep(leaf([1, 2]));
    const bucket = new GradBucket([w]);
    const f = capture((a: Tensor) => {
      bucket.markEmpty();
      sum(mul(w, a)).backward();
    });
    for (const x of [1, 2, 3]) {
      f(f32([x, x]));
      expect(values(w.grad)).toEqual([x, x]);
    }
    expect(f.recordings).toBe(1);
    f.dispose();
  });

  test('gradients of arguments reach the caller', () => {
    const f = capture((a: Tensor) => void sum(mul(a, a)).backward());
    const x = leaf([1, 2]);
    const y = leaf([3, 4]);
    f(x);
    f(y);
    f(y);
    expect(values(x.grad)).toEqual([2, 4]);
    expect(values(y.grad)).toEqual([12, 16]);
    expect(f.recordings).toBe(1);
    expect(() => f(exp(x))).toThrow(/detach/);
    f.dispose();
  });

  test('random draws go on', () => {
    const generator = new Generator({ seed: 1, device: 'cpu' });
    const device = f32([0]).device;
    const draw = (state: Tensor) =>
      Tensor.fresh(native.uniform(device, state, { dtype: 'float32', shape: [4] }, 0, 1), [4], 'float32');
    const eager = new Generator({ seed: 1, device: 'cpu' });
    const expected = [1, 2, 3].map(() => values(draw(eager.stateOn(device))));
    const f = capture(() => draw(generator.stateOn(device)));
    expect([f(), f(), f()].map(values)).toEqual(expected);
    f.dispose();
    const late = new Generator();
    const g = capture(() => draw(late.stateOn(device)));
    expect(() => g()).toThrow(CaptureError);
  });

  test('memory is flat over replays and comes back', () => {
    const storages = () => memory('cpu').storages;
    const before = storages();
    const a = f32([1, 2, 3]);
    const f = capture((x: Tensor) => sum(exp(mul(x, x))));
    tidy(() => f(a).dispose());
    const during = storages();
    for (let i = 0; i < 100; i++) tidy(() => void f(a));
    expect(storages()).toBe(during);
    f.dispose();
    a.dispose();
    expect(storages()).toBe(before);
  });

  test('a captured function inside another joins it', () => {
    const inner = capture((x: Tensor) => exp(x));
    const outer = capture((x: Tensor) => add(inner(x), inner(x)));
    expect(values(outer(f32([0])))).toEqual([2]);
    expect(values(outer(f32([0])))).toEqual([2]);
    expect(inner.recordings).toBe(0);
    outer.dispose();
  });
});
