/** jax-js on its WebAssembly back end, under jit where a step can be. */
import {
  blockUntilReady,
  defaultDevice,
  init,
  jit,
  lax,
  nn,
  numpy as np,
  random,
  tree,
  valueAndGrad,
} from '@jax-js/jax';
import { readFileSync } from 'node:fs';
import { measureAll, onlyOneThread, tinyChain } from './measure.mjs';

const version = JSON.parse(
  readFileSync(new URL('../node_modules/@jax-js/jax/package.json', import.meta.url), 'utf8'),
).version;
const peer = `jax-js-wasm ${version}`;

// Arrays are consumed by what uses them; `.ref` is one more use.
let key = 0;
const uniform = (...shape) => random.uniform(random.key(key++), shape);

const twice = (make, fn) => () => {
  const [a, b] = [make(), make()];
  return async () => {
    const c = fn(a.ref, b.ref);
    await c.blockUntilReady();
    c.dispose();
  };
};

/** A jitted step: loss, gradients and Adam, the parameters being a list of arrays. */
function trainer(forward, sizes, x, classes, samples = x.shape[0]) {
  const labels = nn.oneHot(
    np.array(
      Array.from({ length: samples }, (_, i) => i % classes),
      { dtype: np.int32 },
    ),
    classes,
  );
  const loss = (params, input, wanted) =>
    np.mean(np.sum(nn.logSoftmax(forward(params, input), -1).mul(wanted), -1)).mul(-1);
  const step = jit((params, means, squares, rate, input, wanted) => {
    const [value, grads] = valueAndGrad(loss)(tree.ref(params), input, wanted);
    const next = { params: [], means: [], squares: [] };
    for (const [i, p] of params.entries()) {
      const m = means[i].mul(0.9).add(grads[i].ref.mul(0.1));
      const v = squares[i].mul(0.999).add(np.square(grads[i]).mul(0.001));
      next.params.push(p.sub(m.ref.mul(rate.ref).div(np.sqrt(v.ref).add(1e-8))));
      next.means.push(m);
      next.squares.push(v);
    }
    return [value, next];
  });
  const zeros = () => sizes.map((size) => np.zeros(size));
  let state = {
    params: sizes.map((size) =>
      uniform(...size)
        .sub(0.5)
        .mul(0.1),
    ),
    means: zeros(),
    squares: zeros(),
  };
  let steps = 0;
  return async () => {
    steps++;
    const rate = (1e-3 * Math.sqrt(1 - 0.999 ** steps)) / (1 - 0.9 ** steps);
    const [value, next] = step(state.params, state.means, state.squares, np.array(rate), x.ref, labels.ref);
    state = next;
    await blockUntilReady(tree.ref(state.params));
    if (!Number.isFinite(await value.item())) throw new Error('the loss is not finite');
  };
}

const programs = {
  matmul_512: twice(() => uniform(512, 512), np.matmul),
  matmul_1024: twice(() => uniform(1024, 1024), np.matmul),
  add_1e7: twice(() => uniform(1e7), np.add),
  tiny_add: () => {
    const [a, b] = [uniform(8), uniform(8)];
    return async () => {
      let x = a.ref;
      for (let i = 0; i < tinyChain; i++) x = x.add(b.ref);
      await x.data();
    };
  },
  mlp_step: () => {
    const widths = [784, 512, 256, 10];
    const sizes = widths.slice(1).flatMap((n, i) => [[widths[i], n], [n]]);
    const forward = (params, x) => {
      for (let i = 0; i < params.length; i += 2) {
        x = np.matmul(x, params[i]).add(params[i + 1]);
        if (i < params.length - 2) x = nn.relu(x);
      }
      return x;
    };
    return trainer(forward, sizes, uniform(128, 784), 10);
  },
  cnn_step: () => {
    const sizes = [[16, 1, 3, 3], [16, 1, 1], [32, 16, 3, 3], [32, 1, 1], [32 * 7 * 7, 10], [10]];
    // A window's maximum has no gradient here; with stride and size equal a reshape does the same.
    const pool = (x, n, size) => np.max(x.reshape([64, n, size / 2, 2, size / 2, 2]), [3, 5]);
    const layer = (x, k, b) => nn.relu(lax.conv(x, k, [1, 1], 'SAME').add(b));
    const forward = ([k1, b1, k2, b2, w, b], x) => {
      const first = pool(layer(x, k1, b1), 16, 28);
      const second = pool(layer(first, k2, b2), 32, 14);
      return np.matmul(second.reshape([64, 32 * 7 * 7]), w).add(b);
    };
    return trainer(forward, sizes, uniform(64, 1, 28, 28), 10);
  },
  gpt_step: () => {
    const [B, T, C, V] = [16, 64, 128, 256];
    const block = [[C], [C], [C, 3 * C], [3 * C], [C, C], [C], [C], [C], [C, 4 * C], [4 * C], [4 * C, C], [C]];
    const sizes = [[V, C], [T, C], ...block, ...block, [C], [C], [C, V]];
    const norm = (x, g, b) => nn.standardize(x, -1).mul(g).add(b);
    const linear = (x, w, b) => np.matmul(x, w).add(b);
    // Its own dotProductAttention needs iterator helpers, which Node 20 lacks.
    const heads = (x) => np.transpose(x.reshape([B, T, 4, C / 4]), [0, 2, 1, 3]);
    const attention = (q, k, v) => {
      const scores = np.matmul(heads(q), np.transpose(heads(k), [0, 1, 3, 2])).mul(1 / Math.sqrt(C / 4));
      const future = np
        .tril(np.ones([T, T]))
        .sub(1)
        .mul(1e9);
      const mixed = np.matmul(nn.softmax(scores.add(future), -1), heads(v));
      return np.transpose(mixed, [0, 2, 1, 3]).reshape([B, T, C]);
    };
    const layer = (x, [g1, b1, wQkv, bQkv, wOut, bOut, g2, b2, w1, c1, w2, c2]) => {
      const [q, k, v] = np
        .split(linear(norm(x.ref, g1, b1), wQkv, bQkv), 3, -1)
        .map((z) => z.reshape([B, T, 4, C / 4]));
      x = x.add(linear(attention(q, k, v), wOut, bOut));
      return x.ref.add(linear(nn.gelu(linear(norm(x, g2, b2), w1, c1), { approximate: true }), w2, c2));
    };
    const forward = ([tok, pos, ...rest], index) => {
      let x = np.take(tok, index, 0).add(pos);
      for (let at = 0; at < 24; at += 12) x = layer(x, rest.slice(at, at + 12));
      return np.matmul(norm(x, rest[24], rest[25]), rest[26]).reshape([B * T, V]);
    };
    const index = np.array(
      Array.from({ length: B * T }, (_, i) => (i * 37) % V),
      { dtype: np.int32 },
    );
    return trainer(forward, sizes, index.reshape([B, T]), V, B * T);
  },
};

await (onlyOneThread(peer) ??
  (async () => {
    await init('wasm');
    defaultDevice('wasm');
    await measureAll(peer, programs);
  })());
