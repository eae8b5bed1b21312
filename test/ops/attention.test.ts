import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { Tensor } from '../../src/index.js';
import { testDevices } from '../harness/surface.js';
import type { Sample } from '../harness/sample.js';
import type { Input } from '../harness/values.js';
import { opCase } from '../opCase.js';
import { attention } from '../reference/attention.js';
import * as bounds from '../tolerance.js';

interface Params {
  causal?: boolean;
  scale?: number;
}

const heads = (L: number, E: number, params: Params, mask?: Input): Sample<Params> => {
  const shape = [2, 2, L, E];
  return { inputs: mask ? [shape, shape, shape, mask] : [shape, shape, shape], params };
};
/** One head of L queries and S keys. */
const sizes = (L: number, S: number, E: number, D: number, params: Params): Sample<Params> => ({
  inputs: [
    [L, E],
    [S, E],
    [S, D],
  ],
  params,
});
const everyOther = (n: number) => Array.from({ length: n }, (_, i) => (i + 1) % 2);
const lower = (L: number): Input => ({
  shape: [L, L],
  dtype: 'bool',
  data: Array.from({ length: L * L }, (_, i) => (i % L <= Math.floor(i / L) ? 1 : 0)),
});

const run = ([q, k, v, mask]: Tensor[], { causal, scale }: Params): Tensor =>
  wl.scaledDotProductAttention(q!, k!, v!, { causal, mask, scale });

opCase<Params>({
  name: 'scaledDotProductAttention',
  run,
  reference: ([q, k, v, mask], params) =>
    attention(q!, k!, v!, {
      ...params,
      mask: mask && { values: mask, additive: mask.data.some((m) => m !== 0 && m !== 1) },
    }),
  // A product of E terms goes through exp, so its error of 4 eps (|q| |k|) becomes relative: up to 4 E of size 4.
  bound: bounds.chained(
    ([q]) => q!.shape.at(-1)! * q!.shape.at(-2)!,
    ([q]) => 4 * q!.shape.at(-1)!,
  ),
  samples: [
    heads(3, 2, {}),
    heads(3, 2, { causal: true }),
    heads(3, 2, { scale: 0.3 }),
    heads(3, 2, {}, lower(3)),
    heads(3, 2, {}, [3, 3]),
  ],
  gradientSamples: [
    heads(3, 2, {}),
    heads(3, 2, { causal: true }),
    heads(3, 2, {}, lower(3)),
    heads(3, 2, { scale: -0.7 }, [3, 3]),
    sizes(2, 4, 3, 1, { causal: true }),
    sizes(4, 2, 1, 3, { causal: true }),
    // leading dims that broadcast: each gradient is summed to its input
    {
      inputs: [
        [2, 1, 2, 3],
        [3, 2, 3],
        [1, 2, 2],
      ],
      params: {},
    },
    { inputs: [[2, 2, 3], [2, 3], [2, 2], { shape: [2, 1, 2], dtype: 'bool', data: [1, 0, 1, 1] }], params: {} },
  ],
  edges: [
    heads(1, 1, {}),
    heads(31, 33, {}),
    heads(33, 5, { causal: true }),
    heads(65, 4, { causal: true }),
    heads(33, 3, { causal: true }, [33, 33]),
    heads(65, 3, {}, lower(65)),
    sizes(3, 4097, 2, 5, {}),
    sizes(70, 3, 3, 17, { causal: true }),
    sizes(3, 70, 2, 3, { causal: true }),
    { inputs: [[3, 2], [70, 2], [70, 2], { shape: [70], dtype: 'bool', data: everyOther(70) }], params: {} },
    {
      inputs: [
        [2, 1, 3, 4],
        [5, 2, 4],
        [1, 1, 2, 3],
      ],
      params: {},
    },
    {
      inputs: [
        [70000, 1, 1],
        [70000, 2, 1],
        [70000, 2, 1],
      ],
      params: {},
    },
    // nothing to weigh, nothing to weigh it by, nothing to read out, no query, no head
    sizes(3, 0, 2, 2, {}),
    sizes(3, 2, 0, 2, { scale: 1 }),
    sizes(3, 2, 2, 0, {}),
    sizes(0, 2, 2, 2, {}),
    {
      inputs: [
        [0, 3, 2],
        [0, 3, 2],
        [0, 3, 2],
      ],
      params: { causal: true },
    },
    {
      inputs: [
        [3, 4],
        [5, 4],
        [5, 2],
      ],
      params: {},
    },
  ],
  special: [
    {
      inputs: [[1, 2, 2], { shape: [1, 2, 2], data: [NaN, 1, 2, 1] }, [1, 2, 2]],
      params: {},
    },
    // a score of infinity; a NaN behind the diagonal, which only the last query sees; a query that sees no key
    { inputs: [[2, 1], { shape: [3, 1], data: [1, Infinity, 2] }, [3, 2]], params: {} },
    { inputs: [[3, 1], { shape: [3, 1], data: [1, 2, NaN] }, [3, 2]], params: { causal: true } },
    { inputs: [[2, 2], [2, 2], [2, 2], { shape: [2, 2], dtype: 'bool', data: [0, 0, 1, 0] }], params: {} },
  ],
  bad: [
    {
      title: 'head sizes that differ',
      call: (device) =>
        wl.scaledDotProductAttention(
          wl.zeros([2, 3], { device }),
          wl.zeros([2, 4], { device }),
          wl.zeros([2, 3], { device }),
        ),
      error: 'ShapeError',
      says: [/\(2, 3\)/, /\(2, 4\)/],
    },
    {
      title: 'a mask that does not broadcast',
      call: (device) => {
        const x = wl.zeros([2, 3], { device });
        return wl.scaledDotProductAttention(x, x, x, { mask: wl.zeros([3, 2], { device, dtype: 'bool' }) });
      },
      error: 'ShapeError',
      says: [/\(3, 2\)/, /\[\.\.\., 2, 2\]/],
    },
    {
      title: 'a mask of integers',
      call: (device) => {
        const x = wl.zeros([2, 3], { device });
        return wl.scaledDotProductAttention(x, x, x, { mask: wl.zeros([2, 2], { device, dtype: 'int32' }) });
      },
      error: 'DTypeError',
    },
  ],
  frozen: (inputs, params) => run(inputs, params as Params),
  sweep: (random) => heads(random.integer(1, 12), random.integer(1, 20), { causal: random.next() < 0.5 }),
});

for (const device of testDevices()) {
  describe(`heads that are views (${device})`, () => {
    const [B, T, H, D] = [2, 5, 3, 4];
    const projected = (requiresGrad = false) =>
      wl.randn([B, T, 3 * H * D], { device, requiresGrad, generator: new wl.Generator({ seed: 3, device }) });
    const split = (x: Tensor) =>
      wl.split(x, H * D, 2).map((z) => z.reshape([B, T, H, D]).transpose(1, 2)) as [Tensor, Tensor, Tensor];

    test('a result that lies as the queries do is joined without a copy', () => {
      const [q, k, v] = split(projected());
      const y = wl.scaledDotProductAttention(q, k, v, { causal: true }).transpose(1, 2);
      expect(y.isContiguous()).toBe(true);
      expect(wl.scaledDotProductAttention(q.contiguous(), k, v).isContiguous()).toBe(true);
    });

    test('values and gradients are those of copies', async () => {
      const results = [];
      for (const copied of [false, true]) {
        const x = projected(true);
        const [q, k, v] = split(x).map((z) => (copied ? z.contiguous() : z)) as [Tensor, Tensor, Tensor];
        const y = wl.scaledDotProductAttention(q, k, v, { causal: true });
        const g = wl.randn([B, H, T, D], { device, generator: new wl.Generator({ seed: 4, device }) });
        y.backward({ gradient: g });
        results.push([await y.data('float32'), await x.grad!.data('float32')]);
      }
      expect(results[0]).toEqual(results[1]);
    });

    test('the gradient of a floating mask', async () => {
      const [q, k, v] = split(projected());
      const mask = wl.randn([T, T], { device, requiresGrad: true, generator: new wl.Generator({ seed: 5, device }) });
      const y = wl.scaledDotProductAttention(q, k, v, { mask });
      y.backward({ gradient: wl.onesLike(y) });
      // A row of weights sums to 1 whatever is added to all of its scores.
      for (const sum of await mask.grad!.sum(1).data('float32')) expect(Math.abs(sum)).toBeLessThan(1e-5);
      expect(Math.max(...(await mask.grad!.abs().data('float32')))).toBeGreaterThan(1e-3);
      const plain = wl.scaledDotProductAttention(q, k, v, { mask: mask.detach() });
      const [a, b] = [await y.data('float32'), await plain.data('float32')];
      a.forEach((value, i) => expect(Math.abs(value - b[i]!)).toBeLessThan(1e-5));
    });
  });
}
