import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { dispose, DisposedError, keep, memory, noGrad, type Tensor, tidy } from '../../src/index.js';
import { add, exp, f32, leaf, mul, reshape, sum, values } from './support.js';

const live = () => memory('cpu').storages;
const tick = () => new Promise((resolve) => setTimeout(resolve, 1));

describe('tidy', () => {
  test('disposes all but what is returned, in any container', () => {
    const before = live();
    const result = tidy(() => {
      const a = f32([1]);
      const b = add(a, a);
      const c = add(b, b);
      return { list: [b], map: new Map([['c', c]]), n: 1 };
    });
    expect(live() - before).toBe(2);
    expect(values(result.list[0]!)).toEqual([2]);
    expect(values(result.map.get('c')!)).toEqual([4]);
    dispose(result);
    expect(live()).toBe(before);
  });

  test('nests: what an inner scope returns belongs to the outer', () => {
    const before = live();
    tidy(() => {
      const a = tidy(() => exp(f32([1])));
      expect(a.disposed).toBe(false);
      expect(live() - before).toBe(1);
    });
    expect(live()).toBe(before);
  });

  test('a returned view keeps the memory', () => {
    const before = live();
    const view = tidy(() => reshape(f32([1, 2]), [2, 1]));
    expect(live() - before).toBe(1);
    expect(values(view)).toEqual([1, 2]);
    view.dispose();
    expect(live()).toBe(before);
  });

  test('keep() and gradients stay', () => {
    let kept: Tensor | undefined;
    const x = leaf([1, 2]);
    tidy(() => {
      kept = keep(f32([5]));
      sum(mul(x, x)).backward();
    });
    expect(values(kept!)).toEqual([5]);
    expect(values(x.grad)).toEqual([2, 4]);
    kept!.dispose();
  });

  test('the gradient of a leaf made inside ends with it, unless returned', () => {
    const before = live();
    const step = () => {
      const w = leaf([1, 2]);
      sum(mul(w, w)).backward();
      return w.grad!;
    };
    tidy(() => void step());
    expect(live()).toBe(before);
    const g = tidy(step);
    expect(values(g)).toEqual([2, 4]);
  });

  test('disposes when the function throws', async () => {
    const before = live();
    const fail = () => {
      exp(f32([1]));
      throw new Error('no');
    };
    expect(() => tidy(fail)).toThrow('no');
    await expect(tidy(async () => (await tick(), fail()))).rejects.toThrow('no');
    expect(live()).toBe(before);
  });

  test('disposes what an op made before it failed', () => {
    const before = live();
    const a = f32([1]);
    expect(() => reshape(exp(a), [2])).toThrow();
    a.dispose();
    // exp's result is unscoped garbage
    expect(live()).toBeLessThanOrEqual(before + 1);
  });

  test('follows async functions, each its own', async () => {
    const before = live();
    const work = (n: number) =>
      tidy(async () => {
        const a = f32([n]);
        await tick();
        const b = add(a, a);
        await tick();
        const c = tidy(() => add(exp(b), b));
        expect(b.disposed).toBe(false);
        c.dispose();
        await tick();
        return add(b, a);
      });
    const results = await Promise.all([work(1), work(2), work(3)]);
    expect(results.map((t) => values(t)[0])).toEqual([3, 6, 9]);
    expect(live() - before).toBe(3);
    dispose(results);
    expect(live()).toBe(before);
  });

  test('follows a promise that a plain function returns', async () => {
    const before = live();
    const inner = async () => {
      await tick();
      exp(f32([1]));
      await tick();
    };
    await tidy(() => inner());
    expect(live()).toBe(before);
  });

  test('works inside noGrad, and the other way round', async () => {
    const x = leaf([1]);
    const before = live();
    await noGrad(() => tidy(async () => (await tick(), expect(exp(x).requiresGrad).toBe(false))));
    await tidy(() => noGrad(async () => (await tick(), void exp(x))));
    expect(live()).toBe(before);
  });

  test('releases the graph of what it drops', () => {
    const x = leaf([1]);
    const before = live();
    for (let i = 0; i < 10; i++) tidy(() => void sum(exp(mul(x, x))));
    expect(live()).toBe(before);
  });
});

describe('dispose', () => {
  test('frees with the last view and names the op of a later use', () => {
    const before = live();
    const a = f32([1, 2]);
    const b = reshape(a, [2, 1]);
    a.dispose();
    a.dispose();
    expect(values(b)).toEqual([1, 2]);
    b.dispose();
    expect(live()).toBe(before);
    expect(() => add(a, a)).toThrow(DisposedError);
    expect(() => add(a, a)).toThrow(/\[add\].*\(2,\)/);
    expect(() => a.dataSync()).toThrow(DisposedError);
  });

  test('is what `using` calls', () => {
    const a = f32([1]);
    a[Symbol.dispose]();
    expect(a.disposed).toBe(true);
  });
});

/** Runs a script on the sources in a process of its own. */
function child(script: string, ...flags: string[]): { stdout: string; stderr: string; status: number | null } {
  const code = `import * as w from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)};
import * as native from ${JSON.stringify(new URL('../../src/addon.ops.ts', import.meta.url).href)};
const make = (n) => w.Tensor.fresh(native.fill(w.device('cpu'), { dtype: 'float32', shape: [n] }, 1), [n], 'float32');
const MiB = 2 ** 20;
${script}`;
  return spawnSync(process.execPath, [...flags, '--import', 'tsx', '--input-type=module', '-e', code], {
    encoding: 'utf8',
    timeout: 50_000,
  });
}

describe('the garbage collector', () => {
  test('frees unscoped tensors of every size', () => {
    const { stdout, stderr } = child(
      `for (const n of [8, 1 << 20]) {
        const before = w.memory('cpu').storages;
        for (let i = 0; i < 200; i++) make(n);
        for (let i = 0; i < 20; i++) { gc(); await new Promise((r) => setTimeout(r, 5)); }
        console.log(w.memory('cpu').storages - before <= 32);
      }
      console.log(w.memory('cpu').unscoped < MiB);`,
      '--expose-gc',
    );
    expect(stdout + stderr).toBe('true\ntrue\ntrue\n');
  });

  test('leaves what is still referenced alone', () => {
    const { stdout, stderr } = child(
      `const kept = [];
      for (let i = 0; i < 100; i++) { const t = make(8); if (i % 10 === 0) kept.push(t); }
      for (let i = 0; i < 10; i++) { gc(); await new Promise((r) => setTimeout(r, 5)); }
      console.log(kept.every((t) => t.dataSync().every((x) => x === 1)));`,
      '--expose-gc',
    );
    expect(stdout + stderr).toBe('true\n');
  });

  test('does not release a handle that was disposed and has come round again', () => {
    const { stdout, stderr } = child(
      `let t = make(8);
      const { handle } = t.storage;
      do { t.dispose(); t = make(8); } while (t.storage.handle !== handle);
      for (let i = 0; i < 10; i++) { gc(); await new Promise((r) => setTimeout(r, 5)); }
      console.log(t.dataSync()[7]);`,
      '--expose-gc',
    );
    expect(stdout + stderr).toBe('1\n');
  });

  test('an unscoped loop that awaits stays bounded', () => {
    const { stdout, stderr } = child(
      `let peak = 0;
      for (let i = 0; i < 1500; i++) {
        const t = make(1 << 18);
        const s = w.Tensor.fresh(native.sum(t.device, t, { dtype: 'float32', shape: [] }, 0), [], 'float32');
        await s.item();
        peak = Math.max(peak, w.memory('cpu').active);
      }
      console.log(peak / MiB < 72 ? 'bounded' : peak / MiB);`,
    );
    expect(stdout + stderr).toBe('bounded\n');
  });

  test('V8 does not hear of kept tensors', () => {
    const before = memory('cpu').unscoped;
    const t = keep(f32([1, 2]));
    expect(memory('cpu').unscoped).toBe(before);
    t.dispose();
    const u = f32([1, 2]);
    expect(memory('cpu').unscoped).toBe(before + 8);
    u.dispose();
    expect(memory('cpu').unscoped).toBe(before);
  });

  test('a synchronous loop warns once, then ends in an error that names tidy', () => {
    const { stdout, stderr, status } = child(
      `w.setMemoryLimit(192 * MiB, 'cpu');
      try { for (;;) make(1 << 22); } catch (e) {
        console.log(e.name, e.code, e.requested === 16 * MiB, e.limit === 192 * MiB, /tidy/.test(e.message));
      }
      // What the error has had collected is free two turns later.
      for (let turn = 0; turn < 2; turn++) await new Promise((r) => setImmediate(r));
      console.log(w.tidy(() => make(4).dataSync().length));`,
    );
    expect(stdout).toBe('OutOfMemoryError ERR_OUT_OF_MEMORY true true true\n4\n');
    expect(stderr.match(/WarploomMemoryWarning/g)).toHaveLength(1);
    expect(stderr).toMatch(/tidy/);
    expect(status).toBe(0);
  });
});
