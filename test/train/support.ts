/** A small classification task and a model with dropout, for tests of training. */
import { createHash } from 'node:crypto';
import {
  arrayDataset,
  crossEntropy,
  manualSeed,
  nn,
  optim,
  serializeSafetensors,
  type Dataset,
  type FitOptions,
} from '../../src/index.js';

/** `n` points in 8 dims, three classes by the sign of two sums; the same every time. */
export function toyDataset(n: number, salt = 1) {
  const x = new Float32Array(n * 8);
  const label = new Int32Array(n);
  let state = salt * 7919 + 17;
  for (let i = 0; i < n; i++) {
    let a = 0;
    let b = 0;
    for (let d = 0; d < 8; d++) {
      state = (state * 1103515245 + 12345) % 2147483648;
      const v = state / 1073741824 - 1;
      x[i * 8 + d] = v;
      if (d < 4) a += v;
      else b += v;
    }
    label[i] = a > 0.3 ? 0 : b > 0 ? 1 : 2;
  }
  return arrayDataset({ x: { data: x, shape: [8] }, label });
}

/** Model and optimizer from a seed, and the options every test starts from. */
export function toyRun(seed = 5) {
  manualSeed(seed);
  const model = new nn.Sequential(new nn.Linear(8, 16), new nn.ReLU(), new nn.Dropout(0.2), new nn.Linear(16, 3));
  const optimizer = new optim.Adam(model.namedParameters(), { lr: 0.01 });
  const train = toyDataset(150);
  const options = {
    train,
    validation: toyDataset(60, 2),
    loss: crossEntropy,
    optimizer,
    epochs: 4,
    batchSize: 32,
    seed,
    metrics: ['accuracy'],
  } satisfies FitOptions<typeof train extends Dataset<infer S> ? S : never>;
  return { model, optimizer, options };
}

/** sha256 of all parameters and buffers. */
export async function fingerprint(model: nn.Module): Promise<string> {
  return createHash('sha256')
    .update(await serializeSafetensors(model.stateDict()))
    .digest('hex');
}
