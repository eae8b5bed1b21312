/**
 * Philox 4x32-10 on BigInts, as its paper has it (Salmon et al., SC 2011): word i of a stream is lane i % 4 of block i / 4.
 */
export function philoxWords(seed: bigint, offset: bigint, count: number): number[] {
  const words: number[] = [];
  for (let block = offset; words.length < count; block++) words.push(...philoxBlock(seed, block));
  return words.slice(0, count);
}

function philoxBlock(seed: bigint, block: bigint): number[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = [block & mask, (block >> 32n) & mask, 0n, 0n];
  let [k0, k1] = [seed & mask, (seed >> 32n) & mask];
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3].map(Number);
}

/** Uniform in [0, 1) with 24 bits. */
export const uniformOf = (word: number): number => (word >>> 8) * 2 ** -24;

export const uniforms = (seed: bigint, offset: bigint, count: number): number[] =>
  philoxWords(seed, offset, count).map(uniformOf);

/** Box and Muller: words (2k, 2k + 1) give elements 2k and 2k + 1, radius from the one in (0, 1], angle from the other. */
export function normals(seed: bigint, offset: bigint, count: number): number[] {
  const words = philoxWords(seed, offset, count + (count % 2));
  return Array.from({ length: count }, (_, i) => {
    const pair = i - (i % 2);
    const radius = Math.sqrt(-2 * Math.log(((words[pair]! >>> 8) + 1) * 2 ** -24));
    const angle = 2 * Math.PI * uniformOf(words[pair + 1]!);
    return radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
}
