import { describe, expect, test } from 'vitest';
import {
  apply,
  AutogradError,
  defineOp,
  DisposedError,
  enableGrad,
  grad,
  gradcheck,
  InPlaceError,
  isGradEnabled,
  memory,
  noGrad,
  ShapeError,
  Tensor,
  tidy,
} from '../../src/index.js';
import * as native from '../../src/addon.ops.js';
import { add, addInPlace, exp, expand, f32, f64, leaf, mul, reshape, sum, values } from './support.js';

function thrown(fn: () => unknown): Error {
  try {
    fn();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

describe('backward', () => {
  test('adds gradients over paths and over calls', () => {
    const x = leaf([1, 2, 3]);
    const y = leaf([4, 5, 6]);
    sum(add(mul(x, y), x)).backward();
    expect(values(x.grad)).toEqual([5, 6, 7]);
    expect(values(y.grad)).toEqual([1, 2, 3]);
    sum(mul(x, x)).backward();
    expect(values(x.grad)).toEqual([7, 10, 13]);
  });

  test('keeps grad one persistent tensor', () => {
    const x = leaf([1, 2]);
    sum(x).backward();
    const first = x.grad;
    sum(x).backward();
    expect(x.grad).toBe(first);
    expect(values(first)).toEqual([2, 2]);
    x.grad = null;
    expect(x.grad).toBeNull();
    sum(x).backward();
    expect(values(x.grad)).toEqual([1, 1]);
  });

  test('passes one gradient to both sides of an op', () => {
    const x = leaf([3]);
    const doubled = add(x, x);
    add(doubled, doubled).backward();
    expect(values(x.grad)).toEqual([4]);
  });

  test('adds in place only where nobody shares the gradient', () => {
    const x = leaf([0]);
    const y = leaf([0]);
    const p = exp(x);
    const q = exp(y);
    const r = mul(p, f32([3]));
    // One tensor flows to p and q; what r sends to p later must not reach q.
    add(add(p, q), r).backward();
    expect([values(x.grad), values(y.grad)]).toEqual([[4], [1]]);
  });

  test('disposes what a gradient function made for itself', () => {
    const wasteful = defineOp<null>({
      name: 'wasteful',
      forward: ([a]) => exp(a!),
      backward: ([g]) => {
        exp(exp(g!));
        return [exp(g!)];
      },
    });
    const x = leaf([1]);
    const step = () => {
      const y = apply(wasteful, [x], null);
      y.backward();
      y.dispose();
    };
    step();
    const before = memory('cpu').storages;
    step();
    expect(memory('cpu').storages).toBe(before);
  });

  test('walks 100,000 ops without recursion', () => {
    const x = leaf([1, 1]);
    const one = f32([1, 1]);
    tidy(() => {
      let y = x;
      for (let i = 0; i < 100_000; i++) y = add(y, one);
      expect(values(y)).toEqual([100_001, 100_001]);
      sum(y).backward();
    });
    expect(values(x.grad)).toEqual([1, 1]);
  });

  test('runs later ops first, and each once', () => {
    const order: string[] = [];
    const probe = (name: string) =>
      defineOp<null>({
        name,
        forward: ([a]) =>
          Tensor.fresh(native.copy(a!.device, a!, { shape: a!.shape, dtype: a!.dtype }), a!.shape, a!.dtype),
        backward: ([g]) => {
          order.push(name);
          return [g!];
        },
      });
    const x = leaf([1]);
    const a = apply(probe('a'), [x], null);
    const b = apply(probe('b'), [x], null);
    const c = apply(probe('c'), [a], null);
    const d = apply(probe('d'), [b], null);
    add(c, add(d, a)).backward();
    expect(order).toEqual(['d', 'c', 'b', 'a']);
    expect(values(x.grad)).toEqual([3]);
  });

  test('takes a gradient to start from, and asks for one', () => {
    const x = leaf([1, 2]);
    const y = mul(x, x);
    expect(() => y.backward()).toThrow(AutogradError);
    expect(() => y.backward({ gradient: f32([1]) })).toThrow(ShapeError);
    y.backward({ gradient: f32([10, 1]) });
    expect(values(x.grad)).toEqual([20, 4]);
    expect(() => f32([1]).backward()).toThrow(/requiresGrad/);
  });

  test('refuses a freed graph and tells of retainGraph', () => {
    const x = leaf([2]);
    const y = mul(x, x);
    y.backward({ retainGraph: true });
    y.backward();
    expect(values(x.grad)).toEqual([8]);
    expect(() => y.backward()).toThrow(/retainGraph/);
    expect(() => y.backward()).toThrow(AutogradError);
  });

  test('limits itself to inputs', () => {
    const x = leaf([2]);
    const y = leaf([3]);
    mul(x, y).backward({ inputs: [y] });
    expect(x.grad).toBeNull();
    expect(values(y.grad)).toEqual([2]);
  });

  test('disposes what only the engine knew', () => {
    const x = leaf([1, 2]);
    const step = () =>
      tidy(() => {
        let y = exp(x);
        for (let i = 0; i < 20; i++) y = mul(y, exp(add(y, x)));
        const before = memory('cpu').storages;
        y.backward({ gradient: f32([1, 1]) });
        return memory('cpu').storages - before;
      });
    step();
    // The start gradient is the only tensor made since `before` that has a name.
    expect(step()).toBeLessThanOrEqual(1);
  });

  test('memory stays where it was over many steps', () => {
    const x = leaf([1, 2]);
    const step = () => tidy(() => sum(mul(exp(x), x)).backward());
    step();
    const before = memory('cpu').storages;
    for (let i = 0; i < 50; i++) step();
    expect(memory('cpu').storages).toBe(before);
  });

  test('names an op whose gradient has the wrong shape', () => {
    const wrong = defineOp<null>({
      name: 'wrong',
      forward: ([a]) => exp(a!),
      backward: ([g]) => [reshape(g!, [2, 1])],
    });
    const y = apply(wrong, [leaf([1, 2])], null);
    expect(() => y.backward({ gradient: f32([1, 1]) })).toThrow(/\[wrong\].*\(2, 1\)/);
  });
});

describe('grad', () => {
  test('leaves grad alone and finds intermediates', () => {
    const x = leaf([2, 3]);
    const y = mul(x, x);
    const z = sum(mul(y, x));
    const [dy, dx] = grad(z, [y, x]);
    expect(values(dy!)).toEqual([2, 3]);
    expect(values(dx!)).toEqual([12, 27]);
    expect(x.grad).toBeNull();
  });

  test('tells of unused inputs', () => {
    const x = leaf([1]);
    const y = leaf([1]);
    expect(() => grad(mul(x, x), [y])).toThrow(/allowUnused/);
    expect(grad(mul(x, x), [y], { allowUnused: true })).toEqual([null]);
  });

  test('gives higher derivatives', () => {
    const x = leaf([2]);
    const y = mul(mul(x, x), x);
    const [first] = grad(y, [x], { createGraph: true });
    const [second] = grad(first!, [x], { createGraph: true });
    const [third] = grad(second!, [x]);
    expect([first, second, third].map((g) => values(g!)[0])).toEqual([12, 12, 6]);
  });

  test('backward with createGraph gives a grad with history', () => {
    const x = leaf([3]);
    mul(x, x).backward({ createGraph: true });
    const first = x.grad!;
    expect(first.requiresGrad).toBe(true);
    mul(first, first).backward();
    // 2x + d((2x)^2)/dx = 6 + 8x = 30
    expect(values(x.grad)).toEqual([30]);
  });

  test('says so when an op has no second derivative', () => {
    const once = defineOp<null>({ name: 'once', forward: ([a]) => exp(a!), backward: ([g]) => [g!] });
    const x = leaf([1]);
    expect(() => grad(apply(once, [x], null), [x], { createGraph: true })).toThrow(/\[once\].*second derivative/);
  });
});

describe('versions', () => {
  test('a saved value that changed stops backward', () => {
    const x = leaf([1, 2]);
    const y = exp(x);
    const z = sum(mul(y, y));
    noGrad(() => addInPlace(y, f32([1, 1])));
    const error = thrown(() => z.backward());
    expect(error).toBeInstanceOf(InPlaceError);
    expect(error.message).toMatch(/\[mul\].*version 1, saved at 0/);
  });

  test('views share them', () => {
    const x = leaf([1, 2]);
    const y = exp(x);
    const z = sum(y);
    noGrad(() => addInPlace(reshape(y.detach(), [2, 1]), f32([1, 1], [2, 1])));
    expect(y.version).toBe(1);
    expect(() => z.backward()).toThrow(InPlaceError);
  });

  test('an in-place op joins the history', () => {
    const x = leaf([1, 2]);
    const y = mul(x, f32([3, 3]));
    addInPlace(y, x);
    sum(y).backward();
    expect(values(x.grad)).toEqual([4, 4]);
    const z = f32([0, 0]);
    addInPlace(z, x);
    expect(z.requiresGrad).toBe(true);
    sum(z).backward();
    expect(values(x.grad)).toEqual([5, 5]);
  });

  test('refuses a leaf, an expanded tensor and a recorded view', () => {
    const x = leaf([1, 2]);
    expect(() => addInPlace(x, f32([1, 1]))).toThrow(InPlaceError);
    noGrad(() => addInPlace(x, f32([1, 1])));
    expect(values(x)).toEqual([2, 3]);
    expect(() => addInPlace(expand(f32([1], []), [2]), f32([1, 1]))).toThrow(InPlaceError);
    const y = exp(x);
    expect(() => addInPlace(reshape(y, [2, 1]), f32([1, 1], [2, 1]))).toThrow(AutogradError);
  });

  test('refuses a view from before a recorded write', () => {
    const x = leaf([1, 2]);
    const y = mul(x, x);
    const view = reshape(y, [2, 1]);
    addInPlace(y, x);
    expect(() => sum(view)).toThrow(/view/);
    expect(() => sum(reshape(y, [2, 1]))).not.toThrow();
  });

  test('integers take no fractions in place', () => {
    const x = Tensor.fromBytes(Int32Array.of(1, 2), [2], 'int32', 'cpu');
    expect(() => addInPlace(x, f32([0.5, 0.5]))).toThrow(/float32.*int32/);
  });
});

describe('hooks', () => {
  test('see the whole gradient once, and may replace it', () => {
    const x = leaf([1, 2]);
    const seen: number[][] = [];
    const y = exp(x);
    const remove = y.registerHook((g) => {
      seen.push(values(g));
      return mul(g, f32([0, 2]));
    });
    sum(add(y, y)).backward();
    expect(seen).toEqual([[2, 2]]);
    expect(values(x.grad)[0]).toBe(0);
    expect(values(x.grad)[1]).toBeCloseTo(4 * Math.exp(2), 4);
    remove();
  });

  test('of a leaf run before accumulation, post hooks after', () => {
    const x = leaf([1]);
    const log: string[] = [];
    const remove = x.registerHook((g) => void log.push(`grad ${values(g)[0]}`));
    x.registerPostAccumulateGradHook((t) => log.push(`total ${values(t.grad)[0]}`));
    add(x, x).backward();
    remove();
    add(x, x).backward();
    expect(log).toEqual(['grad 2', 'total 2', 'total 4']);
  });

  test('retainGrad keeps the gradient of a result', () => {
    const x = leaf([1, 2]);
    const y = mul(x, x).retainGrad();
    sum(mul(y, y)).backward();
    expect(values(y.grad)).toEqual([2, 8]);
    expect(mul(x, x).grad).toBeNull();
  });

  test('a gradient that a hook keeps stays alive', () => {
    const x = leaf([1, 2]);
    const y = exp(x);
    let kept: Tensor | null = null;
    y.registerHook((g) => void (kept = g));
    sum(add(y, y)).backward();
    expect(values(kept)).toEqual([2, 2]);
  });
});

describe('gradient mode', () => {
  test('noGrad and enableGrad nest', () => {
    const x = leaf([1]);
    expect(noGrad(() => exp(x)).requiresGrad).toBe(false);
    expect(noGrad(() => enableGrad(() => exp(x))).requiresGrad).toBe(true);
    expect(isGradEnabled()).toBe(true);
  });

  test('follows async functions, and only those', async () => {
    const x = leaf([1]);
    const tick = () => new Promise((resolve) => setTimeout(resolve, 1));
    const off = noGrad(async () => {
      await tick();
      const inside = exp(x).requiresGrad;
      await tick();
      return [inside, enableGrad(() => exp(x).requiresGrad), isGradEnabled()];
    });
    const on = (async () => {
      await tick();
      return exp(x).requiresGrad;
    })();
    expect(await off).toEqual([false, true, false]);
    expect(await on).toBe(true);
    expect(isGradEnabled()).toBe(true);
  });

  test('detach cuts', () => {
    const x = leaf([2]);
    mul(x, x.detach()).backward();
    expect(values(x.grad)).toEqual([2]);
  });

  test('only floating leaves take requiresGrad', () => {
    expect(() => Tensor.fromBytes(Int32Array.of(1), [1], 'int32', 'cpu').requiresGrad_()).toThrow(/int32/);
    expect(() => exp(leaf([1])).requiresGrad_(false)).toThrow(AutogradError);
  });
});

describe('saved values', () => {
  test('outlive dispose of the original', () => {
    const x = leaf([1, 2]);
    const y = exp(x);
    const z = sum(y);
    y.dispose();
    z.backward();
    expect(values(x.grad)[1]).toBeCloseTo(Math.exp(2), 5);
    expect(() => exp(y)).toThrow(DisposedError);
  });

  test('of a returned tensor leave the tidy with it', () => {
    const x = leaf([1, 2]);
    sum(f32([1])).dispose();
    const before = memory('cpu').storages;
    const z = tidy(() => sum(exp(add(x, x))));
    z.backward();
    expect(values(x.grad)[0]).toBeCloseTo(2 * Math.exp(2), 4);
    z.dispose();
    // the gradient of x is new
    expect(memory('cpu').storages).toBe(before + 1);
  });

  test('of a tensor made inside a tidy end with it', () => {
    const x = leaf([1, 2]);
    let z: Tensor | undefined;
    tidy(() => {
      z = sum(exp(x));
    });
    expect(() => z!.backward()).toThrow(DisposedError);
  });
});

describe('gradcheck', () => {
  const x = () => f64([0.3, -0.7, 1.1]).requiresGrad_();
  test('accepts right gradients of both orders', async () => {
    const f = (a: Tensor, b: Tensor) => mul(exp(a), mul(b, b));
    expect(await gradcheck(f, [x(), x()])).toBe(true);
    expect(await gradcheck(f, [x(), x()], { order: 2 })).toBe(true);
  });

  test('finds a wrong one', async () => {
    const wrong = defineOp<null>({
      name: 'wrong',
      forward: ([a]) => exp(a!),
      grad: ([g]) => [g!],
    });
    await expect(gradcheck((a) => apply(wrong, [a], null), [x()])).rejects.toThrow(AutogradError);
  });

  test('wants float64', async () => {
    await expect(gradcheck(exp, [leaf([1])])).rejects.toThrow(/float64/);
  });
});
