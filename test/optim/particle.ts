/** A parameter beside the tensor under test, moved by the reference's loops, and numbers to feed both. */
import * as reference from '../reference/optim.js';

export type SgdRule = reference.SgdOptions;
export type AdamRule = reference.AdamOptions;

/** A parameter with the state that its own steps have left. */
export interface Particle {
  p: Float64Array;
  sgd: reference.SgdState;
  adam: reference.AdamState;
}

export function particle(p: readonly number[]): Particle {
  return { p: Float64Array.from(p), sgd: {}, adam: reference.adamState(p.length) };
}

export function sgdStep(x: Particle, g: readonly number[], rule: SgdRule): void {
  reference.sgdStep(x.p, Float64Array.from(g), x.sgd, rule);
}

export function adamStep(x: Particle, g: readonly number[], rule: AdamRule): void {
  reference.adamStep(x.p, Float64Array.from(g), x.adam, rule);
}

export function clip(grads: readonly (readonly number[])[], maxNorm: number): { norm: number; grads: number[][] } {
  const norm = reference.gradNorm(grads.map((g) => Float64Array.from(g)));
  const factor = reference.clipFactor(norm, maxNorm);
  return { norm, grads: grads.map((g) => g.map((value) => value * factor)) };
}

/** Numbers in [-1, 1) that repeat with their seed. */
export function noise(n: number, seed: number): number[] {
  let state = (seed * 2654435761) >>> 0;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
