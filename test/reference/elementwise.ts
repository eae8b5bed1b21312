import { zip, type Ref } from './array.js';

const TWO_OVER_SQRT_PI = 1.1283791670955126;

/** exp(-a^2) without the rounding of the square: the square of a's first 24 bits is exact, what it misses is small. */
function expMinusSquare(a: number): number {
  const head = Math.fround(a);
  return Math.exp(-head * head) * Math.exp(-(a - head) * (a + head));
}

/**
 * The error function: its Taylor series, summed from the small terms up, where |x| < 1, else one minus the continued fraction of
 * erfc, evaluated backwards. Good to two units of the last place.
 */
export function erfOf(x: number): number {
  if (Number.isNaN(x)) return NaN;
  const a = Math.abs(x);
  if (a >= 6) return Math.sign(x);
  if (a >= 1) return Math.sign(x) * (1 - erfcLarge(a));
  let power = x;
  const terms = [x];
  for (let n = 1; n < 24; n++) {
    power *= (-x * x) / n;
    terms.push(power / (2 * n + 1));
  }
  return TWO_OVER_SQRT_PI * terms.reduceRight((sum, term) => sum + term, 0);
}

function erfcLarge(a: number): number {
  let fraction = 0;
  for (let k = 400; k >= 1; k--) fraction = k / 2 / (a + fraction);
  return expMinusSquare(a) / Math.sqrt(Math.PI) / (a + fraction);
}

/** 1 + erf(x) without cancellation for x far below 0. */
function onePlusErf(x: number): number {
  return x < -1 ? (x < -40 ? 0 : erfcLarge(-x)) : 1 + erfOf(x);
}

/** x * normal CDF(x); at -infinity 0 * infinity is NaN, as in PyTorch. */
export function geluOf(x: number): number {
  return 0.5 * x * onePlusErf(x * Math.SQRT1_2);
}

/** 1 + tanh(u) = 2 / (1 + exp(-2 u)), without cancellation for u far below 0. */
export function geluTanhOf(x: number): number {
  const u = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
  return x / (1 + Math.exp(-2 * u));
}

export const sigmoidOf = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

const unary = (f: (x: number) => number) => (x: Ref) => zip(f, x);
const binary = (f: (a: number, b: number) => number) => (a: Ref, b: Ref) => zip(f, a, b);
const truth = (f: (a: number, b: number) => boolean) => binary((a, b) => (f(a, b) ? 1 : 0));

export const neg = unary((x) => -x);
export const abs = unary(Math.abs);
/** NaN has sign 0 in PyTorch. */
export const sign = unary((x) => (Number.isNaN(x) ? 0 : Math.sign(x)));
export const exp = unary(Math.exp);
export const log = unary(Math.log);
export const sqrt = unary(Math.sqrt);
export const tanh = unary(Math.tanh);
export const erf = unary(erfOf);
export const sigmoid = unary((x) => (x === -Infinity ? 0 : sigmoidOf(x)));
/** NaN stays NaN. */
export const relu = unary((x) => (x < 0 ? 0 : x));
export const gelu = unary(geluOf);
export const geluTanh = unary((x) => (x === -Infinity ? NaN : geluTanhOf(x)));
export const logicalNot = unary((x) => (x === 0 ? 1 : 0));

export const add = binary((a, b) => a + b);
export const sub = binary((a, b) => a - b);
export const mul = binary((a, b) => a * b);
export const div = binary((a, b) => a / b);
/** Math.min and Math.max return NaN when either is NaN, as PyTorch does. */
export const minimum = binary(Math.min);
export const maximum = binary(Math.max);
export const eq = truth((a, b) => a === b);
export const ne = truth((a, b) => a !== b);
export const lt = truth((a, b) => a < b);
export const le = truth((a, b) => a <= b);
export const gt = truth((a, b) => a > b);
export const ge = truth((a, b) => a >= b);
export const logicalAnd = truth((a, b) => a !== 0 && b !== 0);
export const logicalOr = truth((a, b) => a !== 0 || b !== 0);

export const where = (condition: Ref, a: Ref, b: Ref): Ref => zip((c, x, y) => (c !== 0 ? x : y), condition, a, b);
