import { zeros, type Ref } from './array.js';

/** Rows of weight [V, D] by index: [...index.shape, D]. */
export function embedding(weight: Ref, index: Ref): Ref {
  const [rows, width] = weight.shape as [number, number];
  const y = zeros([...index.shape, width]);
  index.data.forEach((row, i) => {
    if (row < 0 || row >= rows) return;
    y.data.set(weight.data.subarray(row * width, (row + 1) * width), i * width);
  });
  return y;
}
