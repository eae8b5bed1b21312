import { expect, test } from 'vitest';
import * as wl from '../../src/index.js';
import { testDevices } from '../harness/surface.js';

for (const device of testDevices()) {
  test(`the gradient of split puts pieces where they came from, wherever they lie (${device})`, () => {
    const g = wl.arange(12, { dtype: 'float32', device }).reshape([2, 6]);
    const gradient = (join: (pieces: wl.Tensor[]) => wl.Tensor) => {
      const x = wl.zeros([2, 6], { device, requiresGrad: true });
      const y = join(wl.split(x, 2, 1));
      y.backward({ gradient: wl.narrow(g, 1, 0, y.shape[1]!) });
      return x.grad!.tolist();
    };
    // What reaches the pieces are windows of g: in order, in another order, some of them, none of one, one twice.
    expect(gradient((p) => wl.concat(p, 1))).toEqual(g.tolist());
    const turned = [2, 0, 1];
    const swapped = gradient((p) => wl.concat([p[1]!, p[2]!, p[0]!], 1));
    const rows = g.tolist() as number[][];
    expect(swapped).toEqual(rows.map((row) => turned.flatMap((i) => row.slice(2 * i, 2 * i + 2))));
    expect(gradient((p) => wl.concat([p[0]!, p[1]!], 1))).toEqual(rows.map((row) => [...row.slice(0, 4), 0, 0]));
    expect(gradient((p) => p[1]!)).toEqual(rows.map((row) => [0, 0, row[0]!, row[1]!, 0, 0]));
    expect(gradient((p) => wl.concat([p[0]!, p[0]!, p[2]!], 1))).toEqual(
      rows.map((row) => [row[0]! + row[2]!, row[1]! + row[3]!, 0, 0, row[4]!, row[5]!]),
    );
  });
}
