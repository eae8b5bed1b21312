// float16 and bfloat16 as bits, converted with each rounding.
#pragma once

#include <immintrin.h>

#include <type_traits>

#include "cudasim/exec/floats.h"

namespace warploom::cudasim {

struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

inline float toFloat(Half h) { return _cvtsh_ss(h.bits); }
inline float toFloat(BFloat b) { return bitsToFloat(static_cast<uint32_t>(b.bits) << 16); }
inline float toFloat(float f) { return f; }

template <Rounding R = Rounding::nearest>
inline Half toHalf(float f) {
  if (f != f) return {0x7fff};
  // The immediate of vcvtps2ph: 0 nearest, 1 down, 2 up, 3 towards zero.
  if constexpr (R == Rounding::nearest) return {static_cast<uint16_t>(_cvtss_sh(f, 0))};
  if constexpr (R == Rounding::down) return {static_cast<uint16_t>(_cvtss_sh(f, 1))};
  if constexpr (R == Rounding::up) return {static_cast<uint16_t>(_cvtss_sh(f, 2))};
  return {static_cast<uint16_t>(_cvtss_sh(f, 3))};
}
template <Rounding R = Rounding::nearest>
inline BFloat toBFloat(float f) {
  if (f != f) return {0x7fff};
  const uint32_t bits = floatToBits(f);
  if constexpr (R == Rounding::nearest) return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
  const bool away = (R == Rounding::down && (bits >> 31) != 0) || (R == Rounding::up && (bits >> 31) == 0);
  const bool infinite = (bits & 0x7fffffff) == 0x7f800000;
  return {static_cast<uint16_t>((bits + (away && !infinite ? 0xffff : 0)) >> 16)};
}
template <class H, Rounding R = Rounding::nearest>
inline H fromFloat(float f) {
  if constexpr (std::is_same_v<H, Half>) return toHalf<R>(f);
  if constexpr (std::is_same_v<H, BFloat>) return toBFloat<R>(f);
}

// A double rounded once: to float with the last bit sticky, so that the second rounding sees what was lost.
inline float toOdd(double d) {
  const float f = static_cast<float>(d);
  const double back = static_cast<double>(f);
  if (back == d || d != d || std::isinf(f))
    return std::isinf(f) && !std::isinf(d) ? __builtin_copysignf(0x1.fffffep127f, f) : f;
  uint32_t bits = floatToBits(f);
  if ((bits & 1) == 0) bits = (std::fabs(back) > std::fabs(d)) ? bits - 1 : bits | 1;
  return bitsToFloat(bits);
}

}  // namespace warploom::cudasim
