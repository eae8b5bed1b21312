/**
 * Randomness of data: which sample comes when, and how each is augmented. All of it is a pure function of (seed, epoch,
 * index), so neither the number of batches prefetched nor a resumed run changes a pixel.
 */
import { permutation, philox } from '../random.js';

/** Keeps the keys of data order apart from the draws of a model seeded with the same number. */
const ORDER = 0x6f726465n;
const AUGMENT = 0x61756775n;

function derive(seed: number, domain: bigint, counter: bigint): bigint {
  const words = philox((BigInt(Math.trunc(seed)) << 32n) ^ domain, counter, 2);
  return (BigInt(words[0]!) << 32n) | BigInt(words[1]!);
}

/** The order of `n` samples in an epoch: the stable argsort of Philox keys of (seed, epoch). */
export function epochOrder(n: number, seed: number, epoch: number): Int32Array {
  return permutation(n, derive(seed, ORDER, BigInt(epoch)), 0n);
}

/**
 * What a dataset's `get` and a loader's `transform` may know of a sample's place; `random` is seeded by (seed, epoch,
 * index).
 */
export class SampleContext {
  #key: bigint | undefined;
  #words: Uint32Array = new Uint32Array(0);
  #used = 0;
  #block = 0n;

  constructor(
    readonly seed: number,
    readonly epoch: number,
    /** position in the dataset that the loader reads, not in the batch */
    readonly index: number,
  ) {}

  /** 32 random bits. */
  word(): number {
    if (this.#used === this.#words.length) {
      this.#key ??= derive(this.seed, AUGMENT, (BigInt(this.epoch) << 32n) | BigInt(this.index));
      this.#words = philox(this.#key, this.#block, 16);
      this.#block += 4n;
      this.#used = 0;
    }
    return this.#words[this.#used++]!;
  }

  /** Uniform in [low, high), from 24 random bits. */
  random(low = 0, high = 1): number {
    return low + (high - low) * ((this.word() >>> 8) * 2 ** -24);
  }

  /** An integer in [low, high). */
  randint(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low));
  }
}
