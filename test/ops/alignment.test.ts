/** Sums along rows have the same bits wherever the rows lie in memory: loads of 16 bytes or one by one change nothing. */
import { describe, expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import type { Tensor } from '../../src/index.js';
import { testDevices } from '../harness/surface.js';

const columns = [8, 64, 1000, 2048, 12_000, 40_000];
const rows = 3;

const ops: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  sum: (x) => x.sum(1),
  mean: (x) => x.mean(1),
  softmax: (x) => wl.softmax(x, 1),
  logSoftmax: (x) => wl.logSoftmax(x, 1),
  layerNorm: (x) => wl.layerNorm(x, [x.shape[1]!]),
  crossEntropy: (x) => wl.crossEntropy(x, wl.tensor([1, 2, 3], { dtype: 'int32', device: x.device })),
};

/** The bits of an op on rows that begin `offset` elements behind an aligned address. */
async function bits(op: (x: Tensor) => Tensor, C: number, offset: number, device: string): Promise<Uint32Array> {
  const values = Float32Array.from({ length: rows * C + offset }, (_, i) => Math.sin((i - offset) * 1.7) * 3);
  const x = wl.narrow(wl.tensor(values, { device }), 0, offset, rows * C).reshape([rows, C]);
  return new Uint32Array((await op(x).data('float32')).slice().buffer);
}

describe.each(testDevices())('rows on %s', (device) => {
  test.each(Object.keys(ops))('%s', async (name) => {
    for (const C of columns) {
      const aligned = await bits(ops[name]!, C, 0, device);
      expect(await bits(ops[name]!, C, 1, device), `rows of ${C}`).toEqual(aligned);
    }
  });
});
