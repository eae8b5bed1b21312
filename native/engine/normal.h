// Normal deviates by Box and Muller ("A note on the generation of random normal deviates", 1958). Every operation is
// rounded on its own, in float32, in the order written, and no library function but the correctly rounded square root
// is called: so every instruction set and every device gives the same bits. Read by g++ and nvcc. Coefficients of
// Cephes (Moshier).
#pragma once

#include <cmath>
#include <cstring>

#include "engine/philox.h"

namespace warploom {

// Products and sums that no compiler may fuse: nvcc contracts by default, g++ is told -ffp-contract=off.
#if defined(__CUDA_ARCH__)
WL_HOST_DEVICE inline float mulRounded(float a, float b) { return __fmul_rn(a, b); }
WL_HOST_DEVICE inline float addRounded(float a, float b) { return __fadd_rn(a, b); }
WL_HOST_DEVICE inline float sqrtRounded(float x) { return __fsqrt_rn(x); }
WL_HOST_DEVICE inline float floatOfBits(int32_t x) { return __int_as_float(x); }
WL_HOST_DEVICE inline int32_t bitsOfFloat(float x) { return __float_as_int(x); }
#else
inline float mulRounded(float a, float b) { return a * b; }
inline float addRounded(float a, float b) { return a + b; }
inline float sqrtRounded(float x) { return __builtin_sqrtf(x); }
inline float floatOfBits(int32_t x) {
  float f;
  std::memcpy(&f, &x, sizeof(f));
  return f;
}
inline int32_t bitsOfFloat(float x) {
  int32_t i;
  std::memcpy(&i, &x, sizeof(i));
  return i;
}
#endif
WL_HOST_DEVICE inline float mulAddRounded(float a, float b, float c) { return addRounded(mulRounded(a, b), c); }

// a + u * scale, kept below b where the sum would round up to it; `below` is the float before b, or +inf where a == b.
WL_HOST_DEVICE inline float uniformBetween(float u, float a, float scale, float below) {
  const float y = mulAddRounded(u, scale, a);
  return y > below ? below : y;
}

// sqrt(-2 ln u) of a u in (0, 1] that is no subnormal.
WL_HOST_DEVICE inline float boxMullerRadius(float u) {
  // u = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)).
  const int32_t offset = bitsOfFloat(u) - 0x3f3504f3;
  const float e = static_cast<float>(offset >> 23);
  const float f = addRounded(floatOfBits((offset & 0x007fffff) + 0x3f3504f3), -1.0f);
  const float z = mulRounded(f, f);
  float p = 7.0376836292e-2f;
  p = mulAddRounded(p, f, -1.1514610310e-1f);
  p = mulAddRounded(p, f, 1.1676998740e-1f);
  p = mulAddRounded(p, f, -1.2420140846e-1f);
  p = mulAddRounded(p, f, 1.4249322787e-1f);
  p = mulAddRounded(p, f, -1.6668057665e-1f);
  p = mulAddRounded(p, f, 2.0000714765e-1f);
  p = mulAddRounded(p, f, -2.4999993993e-1f);
  p = mulAddRounded(p, f, 3.3333331174e-1f);
  float y = mulRounded(mulRounded(p, f), z);
  y = mulAddRounded(e, -2.12194440e-4f, y);
  y = mulAddRounded(z, -0.5f, y);
  const float log = mulAddRounded(e, 0.693359375f, addRounded(f, y));
  return sqrtRounded(mulRounded(log, -2.0f));
}

struct NormalPair {
  float first, second;
};

// Two standard normal deviates from two words: words (0, 1) of a Philox block give its elements 0 and 1, words (2, 3) 2
// and 3.
WL_HOST_DEVICE inline NormalPair normalPair(uint32_t a, uint32_t b) {
  // (0, 1] rather than [0, 1), whose 0 has no logarithm.
  const float u = mulRounded(static_cast<float>(static_cast<int32_t>((a >> 8) + 1)), 0x1p-24f);
  const float radius = boxMullerRadius(u);
  // The angle in quarter turns, a multiple of 2^-22: the nearest whole number of them, and a rest in [-1/2, 1/2]; both
  // exact.
  const int32_t turn = static_cast<int32_t>(b >> 8);
  const int32_t quadrant = (turn + 0x200000) >> 22;
  const float rest = mulRounded(static_cast<float>(turn - (quadrant << 22)), 0x1p-22f);
  const float x = mulRounded(rest, 1.57079632679489661923f);
  const float z = mulRounded(x, x);
  float s = mulAddRounded(-1.9515295891e-4f, z, 8.3321608736e-3f);
  s = mulAddRounded(s, z, -1.6666654611e-1f);
  s = mulAddRounded(mulRounded(s, z), x, x);
  float c = mulAddRounded(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  c = mulAddRounded(c, z, 4.166664568298827e-2f);
  c = addRounded(mulAddRounded(mulRounded(c, z), z, mulRounded(z, -0.5f)), 1.0f);
  // Quarter turns: (c, s), (-s, c), (-c, -s), (s, -c).
  const bool swap = (quadrant & 1) != 0;
  const float cosine = swap ? s : c;
  const float sine = swap ? c : s;
  const int32_t negateCosine = ((quadrant + 1) & 2) << 30;
  const int32_t negateSine = (quadrant & 2) << 30;
  return {mulRounded(radius, floatOfBits(bitsOfFloat(cosine) ^ negateCosine)),
          mulRounded(radius, floatOfBits(bitsOfFloat(sine) ^ negateSine))};
}

}  // namespace warploom
