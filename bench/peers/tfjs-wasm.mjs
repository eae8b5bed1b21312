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
};

await (onlyOneThread(peer) ??
  (async () => {
    await tf.setBackend('wasm');
    await tf.ready();
    await measureAll(peer, programs);
  })());
