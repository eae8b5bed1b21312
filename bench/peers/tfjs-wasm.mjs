/** TensorFlow.js on its WebAssembly back end (SIMD; Node has no threads for it). */
import * as tf from '@tensorflow/tfjs-core';
// The union package registers the gradients, which the core alone leaves out.
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { measureAll, onlyOneThread, tinyChain } from './measure.mjs';

const peer = `tfjs-wasm ${tf.version_core}`;

const product = (n) => () => {
  const [a, b] = [tf.randomNormal([n, n]), tf.randomNormal([n, n])];
  return async () => {
    const c = tf.matMul(a, b);
    await c.data();
    c.dispose();
  };
};

const glorot = (...shape) => tf.variable(tf.randomNormal(shape, 0, 0.05));

function trainer(forward, x, classes) {
  const optimizer = tf.train.adam(1e-3);
  const labels = tf.cast(tf.oneHot(tf.randomUniform([x.shape[0]], 0, classes, 'int32'), classes), 'float32');
  return async () => {
    const loss = optimizer.minimize(() => tf.losses.softmaxCrossEntropy(labels, forward(x)), true);
    await loss.data();
    loss.dispose();
  };
}

const programs = {
  matmul_512: product(512),
  matmul_1024: product(1024),
  add_1e7: () => {
    const [a, b] = [tf.randomUniform([1e7]), tf.randomUniform([1e7])];
    // The wasm back end computes where it is called, so nothing need be read back.
    return async () => tf.add(a, b).dispose();
  },
  tiny_add: () => {
    const [a, b] = [tf.randomUniform([8]), tf.randomUniform([8])];
    return async () =>
      tf.tidy(() => {
        let x = a;
        for (let i = 0; i < tinyChain; i++) x = tf.add(x, b);
      });
  },
  mlp_step: () => {
    const sizes = [784, 512, 256, 10];
    const weights = sizes.slice(1).map((n, i) => [glorot(sizes[i], n), glorot(n)]);
    const forward = (x) =>
      weights.reduce((h, [w, b], i) => {
        const y = tf.add(tf.matMul(h, w), b);
        return i < weights.length - 1 ? tf.relu(y) : y;
      }, x);
    return trainer(forward, tf.randomUniform([128, 784]), 10);
  },
  cnn_step: () => {
    const [k1, k2, w] = [glorot(3, 3, 1, 16), glorot(3, 3, 16, 32), glorot(32 * 7 * 7, 10)];
    const layer = (x, k) => tf.maxPool(tf.relu(tf.conv2d(x, k, 1, 'same')), 2, 2, 'valid');
    const forward = (x) => tf.matMul(tf.reshape(layer(layer(x, k1), k2), [64, -1]), w);
    return trainer(forward, tf.randomUniform([64, 28, 28, 1]), 10);
  },
  gpt_step: () => {
    const [B, T, C, V, H] = [16, 64, 128, 256, 4];
    const scale = () => tf.variable(tf.ones([C]));
    const linear = (n, m) => {
      const [w, b] = [glorot(n, m), glorot(m)];
      return (x) => tf.add(tf.matMul(x, w), b);
    };
    const normed = () => {
      const [g, b] = [scale(), glorot(C)];
      return (x) => {
        const { mean, variance } = tf.moments(x, -1, true);
        return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5))), g), b);
      };
    };
    const gelu = (x) => {
      const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
      return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
    };
    const future = tf.mul(tf.sub(tf.linalg.bandPart(tf.ones([T, T]), -1, 0), 1), 1e9);
    const heads = (x) => tf.transpose(tf.reshape(x, [B, T, H, C / H]), [0, 2, 1, 3]);
    const block = () => {
      const [norm1, q, k, v, out] = [normed(), linear(C, C), linear(C, C), linear(C, C), linear(C, C)];
      const [norm2, fc1, fc2] = [normed(), linear(C, 4 * C), linear(4 * C, C)];
      return (x) => {
        const h = norm1(x);
        const scores = tf.mul(tf.matMul(heads(q(h)), heads(k(h)), false, true), 1 / Math.sqrt(C / H));
        const mixed = tf.matMul(tf.softmax(tf.add(scores, future)), heads(v(h)));
        const y = tf.add(x, out(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [B * T, C])));
        return tf.add(y, fc2(gelu(fc1(norm2(y)))));
      };
    };
    const [tok, pos, blocks, last, head] = [glorot(V, C), glorot(T, C), [block(), block()], normed(), glorot(C, V)];
    // A product, because a gather has no gradient on this back end.
    const forward = (index) => {
      const x = tf.reshape(tf.add(tf.reshape(tf.matMul(index, tok), [B, T, C]), pos), [B * T, C]);
      return tf.matMul(last(blocks.reduce((h, each) => each(h), x)), head);
    };
    return trainer(forward, tf.oneHot(tf.randomUniform([B * T], 0, V, 'int32'), V, 1, 0, 'float32'), V);
  },
};

await (onlyOneThread(peer) ??
  (async () => {
    await tf.setBackend('wasm');
    await tf.ready();
    await measureAll(peer, programs);
  })());
