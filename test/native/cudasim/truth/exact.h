// Floating point in integers, for the references of the truth tables: a number is taken apart, computed exactly and
// rounded by hand, so that nothing depends on the processor's arithmetic that the handlers use.
#pragma once

#include <cmath>

#include "truth.h"

namespace warploom::test {

using Bits128 = unsigned __int128;

enum class Round { nearest, zero, down, up, away };  // away: to the nearest, ties away from zero

struct Format {
  int bits, fraction, bias;
  uint64_t sign() const { return uint64_t{1} << (bits - 1); }
  uint64_t infinity() const { return (sign() - 1) >> fraction << fraction; }
  uint64_t one() const { return static_cast<uint64_t>(bias) << fraction; }
  uint64_t canonicalNaN() const { return sign() - 1; }
  bool isNaN(uint64_t v) const { return (v & (sign() - 1)) > infinity(); }
};
constexpr Format kF16{16, 10, 15}, kBF16{16, 7, 127}, kF32{32, 23, 127}, kF64{64, 52, 1023};
inline const Format& formatOf(Type type) {
  switch (type) {
    case Type::f16:
    case Type::f16x2:
      return kF16;
    case Type::bf16:
    case Type::bf16x2:
      return kBF16;
    case Type::f64:
      return kF64;
    default:
      return kF32;
  }
}

// (-1)^negative * m * 2^e. Where something below the last bit was dropped, that bit is 1 ("sticky").
struct Exact {
  bool nan = false, infinite = false, negative = false;
  Bits128 m = 0;
  int e = 0;
  bool zero() const { return !nan && !infinite && m == 0; }
};
inline Exact exactNaN() {
  Exact r;
  r.nan = true;
  return r;
}
inline int topBit(Bits128 m) {
  const uint64_t high = static_cast<uint64_t>(m >> 64), low = static_cast<uint64_t>(m);
  return high != 0 ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll(low);
}
// Moves the highest bit to `top`; what falls out at the bottom is remembered in the last bit.
inline Exact normalized(Exact v, int top) {
  const int by = top - topBit(v.m);
  if (by >= 0) {
    v.m <<= by;
  } else {
    const bool lost = (v.m & ((Bits128{1} << -by) - 1)) != 0;
    v.m = v.m >> -by | (lost ? 1 : 0);
  }
  v.e -= by;
  return v;
}

inline Exact decode(uint64_t bits, const Format& f) {
  Exact v;
  v.negative = (bits & f.sign()) != 0;
  const uint64_t magnitude = bits & (f.sign() - 1), field = magnitude >> f.fraction;
  const uint64_t fraction = magnitude & ((uint64_t{1} << f.fraction) - 1);
  v.nan = magnitude > f.infinity();
  v.infinite = magnitude == f.infinity();
  if (v.nan || v.infinite) return v;
  v.m = field == 0 ? fraction : fraction | uint64_t{1} << f.fraction;
  v.e = static_cast<int>(field == 0 ? 1 : field) - f.bias - f.fraction;
  return v;
}

// m / 2^shift, rounded to an integer.
inline Bits128 shiftRight(Bits128 m, int shift, bool negative, Round round) {
  if (shift <= 0) return m << -shift;
  const Bits128 kept = shift > 127 ? 0 : m >> shift;
  const Bits128 rest = shift > 127 ? m : m & ((Bits128{1} << shift) - 1);
  if (rest == 0) return kept;
  // 1: more than half a unit is lost, 0: exactly half, -1: less.
  const Bits128 half = shift > 127 ? 0 : Bits128{1} << (shift - 1);
  const int side = shift > 127 ? -1 : rest > half ? 1 : rest == half ? 0 : -1;
  bool up = false;
  if (round == Round::nearest) up = side > 0 || (side == 0 && (kept & 1) != 0);
  if (round == Round::away) up = side >= 0;
  if (round == Round::down) up = negative;
  if (round == Round::up) up = !negative;
  return kept + (up ? 1 : 0);
}

inline uint64_t encode(const Exact& v, const Format& f, Round round) {
  if (v.nan) return f.canonicalNaN();
  const uint64_t sign = v.negative ? f.sign() : 0;
  if (v.infinite) return sign | f.infinity();
  if (v.m == 0) return sign;
  const int lowest = 1 - f.bias - f.fraction;  // the exponent of the last bit of a subnormal
  int last = v.e + topBit(v.m) - f.fraction;
  if (last < lowest) last = lowest;
  const Bits128 kept = shiftRight(v.m, last - v.e, v.negative, round);
  // A carry runs into the exponent by itself.
  const Bits128 magnitude = kept + (static_cast<Bits128>(last - lowest) << f.fraction);
  if (magnitude < f.infinity()) return sign | static_cast<uint64_t>(magnitude);
  const bool toLargest =
      round == Round::zero || (round == Round::down && !v.negative) || (round == Round::up && v.negative);
  return sign | (toLargest ? f.infinity() - 1 : f.infinity());
}

// A number as a float that is large enough for it; rounds only where all others have rounded before.
inline long double valueOf(uint64_t bits, const Format& f) {
  const Exact v = decode(bits, f);
  if (v.nan) return NAN;
  const long double size = v.infinite ? INFINITY : std::ldexp(static_cast<long double>(v.m), v.e);
  return v.negative ? -size : size;
}
// The reverse, for values of math.h's functions in long double.
inline uint64_t bitsOf(long double value, const Format& f, Round round = Round::nearest) {
  if (std::isnan(value)) return f.canonicalNaN();
  Exact v;
  v.negative = std::signbit(value);
  v.infinite = std::isinf(value);
  if (!v.infinite) {
    v.m = static_cast<uint64_t>(std::ldexp(std::frexp(std::fabs(value), &v.e), 64));
    v.e -= 64;
  }
  return encode(v, f, round);
}

inline Exact negated(Exact v) {
  v.negative = !v.negative;
  return v;
}
// The sign of an exact zero depends on the rounding.
inline Exact plus(Exact a, Exact b, Round round) {
  if (a.nan || b.nan || (a.infinite && b.infinite && a.negative != b.negative)) return exactNaN();
  if (a.infinite) return a;
  if (b.infinite) return b;
  if (a.zero() && b.zero() && a.negative == b.negative) return a;
  if (a.zero() && !b.zero()) return b;
  if (b.zero() && !a.zero()) return a;
  Exact r;
  r.negative = round == Round::down;
  if (a.zero()) return r;
  // 106 bits of a product fit; bits are lost only where no leading ones can cancel.
  a = normalized(a, 120);
  b = normalized(b, 120);
  if (a.e < b.e || (a.e == b.e && a.m < b.m)) std::swap(a, b);
  const int apart = a.e - b.e;
  const bool lost = apart > 0 && (apart > 120 || (b.m & ((Bits128{1} << apart) - 1)) != 0);
  const Bits128 smaller = (apart > 120 ? 0 : b.m >> apart) | (lost ? 1 : 0);
  const Bits128 sum = a.negative == b.negative ? a.m + smaller : a.m - smaller;
  if (sum == 0) return r;
  r.negative = a.negative;
  r.m = sum;
  r.e = a.e;
  return r;
}
inline Exact times(const Exact& a, const Exact& b) {
  if (a.nan || b.nan || (a.infinite && b.zero()) || (b.infinite && a.zero())) return exactNaN();
  Exact r;
  r.negative = a.negative != b.negative;
  r.infinite = a.infinite || b.infinite;
  if (!r.infinite) r.m = a.m * b.m;
  r.e = a.e + b.e;
  return r;
}
inline Exact over(Exact a, Exact b) {
  if (a.nan || b.nan || (a.infinite && b.infinite) || (a.zero() && b.zero())) return exactNaN();
  Exact r;
  r.negative = a.negative != b.negative;
  r.infinite = a.infinite || b.zero();
  if (r.infinite || a.zero() || b.infinite) return r;
  a = normalized(a, 125);
  b = normalized(b, 53);
  r.m = a.m / b.m << 1 | (a.m % b.m != 0 ? 1 : 0);
  r.e = a.e - b.e - 1;
  return r;
}
inline Exact root(Exact a) {
  if (a.nan || (a.negative && !a.zero())) return exactNaN();
  if (a.infinite || a.zero()) return a;
  a = normalized(a, 122);
  if (a.e % 2 != 0) {
    a.m <<= 1;
    --a.e;
  }
  Exact r;
  for (Bits128 bit = Bits128{1} << 62; bit != 0; bit >>= 1) {
    if ((r.m | bit) * (r.m | bit) <= a.m) r.m |= bit;
  }
  r.e = a.e / 2 - 1;
  r.m = r.m << 1 | (r.m * r.m != a.m ? 1 : 0);
  return r;
}

// What the modifiers of PTX do to operands and results.
struct Modifiers {
  Round round = Round::nearest;
  bool ftz = false, sat = false, relu = false;
};
inline uint64_t flushed(uint64_t bits, const Format& f) { return (bits & f.infinity()) == 0 ? bits & f.sign() : bits; }
inline uint64_t clamped(uint64_t bits, const Format& f, const Modifiers& with) {
  const bool nan = f.isNaN(bits), negative = (bits & f.sign()) != 0;
  if (with.sat) return nan || negative ? 0 : bits > f.one() ? f.one() : bits;
  if (with.relu) return nan ? f.canonicalNaN() : negative ? 0 : bits;
  return bits;
}
// One result of a format from sources of the same format.
template <class F>
uint64_t computed(const Format& f, const Modifiers& with, const uint64_t* sources, int count, const F& operation) {
  Exact s[3];
  for (int i = 0; i < count; ++i) s[i] = decode(with.ftz ? flushed(sources[i], f) : sources[i], f);
  const uint64_t bits = encode(operation(s, with.round), f, with.round);
  return clamped(with.ftz ? flushed(bits, f) : bits, f, with);
}

// The operations that the forms of all formats share, in the order of their names.
using Operation = Exact (*)(const Exact* s, Round round);
struct NamedOperation {
  const char* name;
  int sources;
  Operation f;
};
constexpr NamedOperation kAdd{"add", 2, [](const Exact* s, Round r) { return plus(s[0], s[1], r); }};
constexpr NamedOperation kSub{"sub", 2, [](const Exact* s, Round r) { return plus(s[0], negated(s[1]), r); }};
constexpr NamedOperation kMul{"mul", 2, [](const Exact* s, Round) { return times(s[0], s[1]); }};
constexpr NamedOperation kFma{"fma", 3, [](const Exact* s, Round r) { return plus(times(s[0], s[1]), s[2], r); }};
constexpr NamedOperation kMad{"mad", 3, [](const Exact* s, Round r) { return plus(times(s[0], s[1]), s[2], r); }};

// Where NaN have known bits: the PTX ISA leaves those of float32 and the halves open, the hardware gives 0x7fffffff and
// 0x7fff.
inline void asksEveryBit(Truth& truth) {
  truth.accept = [](const Lane& lane, uint64_t got) { return got == lane.d; };
}

// min and max by the words of the PTX ISA; -0 is less than +0.
struct Extreme {
  bool smaller, nan, xorsign;
};
inline uint64_t extreme(uint64_t a, uint64_t b, const Format& f, const Extreme& with) {
  const uint64_t sign = (a ^ b) & f.sign();
  if (with.xorsign) {
    a &= f.sign() - 1;
    b &= f.sign() - 1;
  }
  const bool nanA = f.isNaN(a), nanB = f.isNaN(b);
  if ((nanA && nanB) || (with.nan && (nanA || nanB))) return f.canonicalNaN();
  // As integers, after turning the order of the negative numbers round.
  const auto key = [&](uint64_t v) {
    return (v & f.sign()) != 0 ? -static_cast<int64_t>(v & (f.sign() - 1)) - 1 : static_cast<int64_t>(v);
  };
  const uint64_t d = nanA ? b : nanB ? a : (key(a) < key(b)) == with.smaller ? a : b;
  return with.xorsign ? (d & (f.sign() - 1)) | sign : d;
}

}  // namespace warploom::test
