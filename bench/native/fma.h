// The rate of fused multiply-adds in registers: what no kernel can pass. Compiled with -march=native.
#pragma once

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#else
constexpr int kBytes = 32;
#endif
typedef float Vector __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / sizeof(float);
constexpr int kChains =
    12;  // enough independent chains to hide the latency of one fma, few enough to stay in registers

constexpr double fmaFlops(long steps) { return 2.0 * kLanes * kChains * static_cast<double>(steps); }

// Does fmaFlops(steps) operations; the result only keeps them alive.
inline float multiply(long steps) {
  Vector sums[kChains];
  Vector a, b;
  for (int i = 0; i < kLanes; ++i) {
    a[i] = 0.999f;
    b[i] = 0.001f * static_cast<float>(i);
  }
  // The compiler must know no value: chains that it can prove equal become one, and the rate a multiple of the true
  // one.
  asm volatile("" : "+v"(a), "+v"(b));
  for (int i = 0; i < kChains; ++i) {
    sums[i] = b + static_cast<float>(i);
    asm volatile("" : "+v"(sums[i]));
  }
  for (long step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = sums[i] * a + b;
  }
  float total = 0;
  for (const Vector& sum : sums) {
    for (int i = 0; i < kLanes; ++i) total += sum[i];
  }
  return total;
}
