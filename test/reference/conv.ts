import { build, get, type Ref } from './array.js';

export type Pair = number | readonly [number, number];
export interface ConvOptions {
  stride?: Pair;
  padding?: Pair;
  dilation?: Pair;
  groups?: number;
}

export const pair = (p: Pair | undefined, fallback: number): [number, number] =>
  p === undefined ? [fallback, fallback] : typeof p === 'number' ? [p, p] : [p[0], p[1]];

/** x [N, C, H, W], weight [O, C/G, KH, KW], bias [O] -> [N, O, OH, OW]: seven nested loops. */
export function conv2d(x: Ref, weight: Ref, bias?: Ref, options: ConvOptions = {}): Ref {
  const [sh, sw] = pair(options.stride, 1);
  const [ph, pw] = pair(options.padding, 0);
  const [dh, dw] = pair(options.dilation, 1);
  const [n, , h, w] = x.shape as [number, number, number, number];
  const [o, perGroup, kh, kw] = weight.shape as [number, number, number, number];
  const outPerGroup = o / (options.groups ?? 1);
  const oh = Math.floor((h + 2 * ph - dh * (kh - 1) - 1) / sh) + 1;
  const ow = Math.floor((w + 2 * pw - dw * (kw - 1) - 1) / sw) + 1;
  return build([n, o, oh, ow], (at) => {
    const [image, out, oy, ox] = at as [number, number, number, number];
    const firstChannel = Math.floor(out / outPerGroup) * perGroup;
    let sum = bias ? bias.data[out]! : 0;
    for (let c = 0; c < perGroup; c++) {
      for (let ky = 0; ky < kh; ky++) {
        for (let kx = 0; kx < kw; kx++) {
          const y = oy * sh - ph + ky * dh;
          const xx = ox * sw - pw + kx * dw;
          if (y < 0 || y >= h || xx < 0 || xx >= w) continue;
          sum += get(x, [image, firstChannel + c, y, xx]) * get(weight, [out, c, ky, kx]);
        }
      }
    }
    return sum;
  });
}

export interface PoolOptions {
  stride?: Pair;
  padding?: Pair;
  dilation?: Pair;
}

/** x [N, C, H, W]; padding counts as -infinity, the first of equal maxima wins, NaN wins over all. */
export function maxPool2d(x: Ref, kernel: Pair, options: PoolOptions = {}): { y: Ref; indices: Ref } {
  const [kh, kw] = pair(kernel, 1);
  const [sh, sw] = options.stride === undefined ? [kh, kw] : pair(options.stride, 1);
  const [ph, pw] = pair(options.padding, 0);
  const [dh, dw] = pair(options.dilation, 1);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const oh = Math.floor((h + 2 * ph - dh * (kh - 1) - 1) / sh) + 1;
  const ow = Math.floor((w + 2 * pw - dw * (kw - 1) - 1) / sw) + 1;
  const best = (at: number[]): { value: number; index: number } => {
    const [image, channel, oy, ox] = at as [number, number, number, number];
    let value = -Infinity;
    let index = -1;
    for (let ky = 0; ky < kh; ky++) {
      for (let kx = 0; kx < kw; kx++) {
        const y = oy * sh - ph + ky * dh;
        const xx = ox * sw - pw + kx * dw;
        if (y < 0 || y >= h || xx < 0 || xx >= w) continue;
        const v = get(x, [image, channel, y, xx]);
        if (index < 0 || v > value || (Number.isNaN(v) && !Number.isNaN(value))) {
          value = v;
          index = y * w + xx;
        }
      }
    }
    return { value, index };
  };
  const shape = [n, c, oh, ow];
  return { y: build(shape, (at) => best(at).value), indices: build(shape, (at) => best(at).index) };
}
