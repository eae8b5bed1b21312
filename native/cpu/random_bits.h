// Philox words in bulk, one instruction set. Brings simd.h; like it, inside its namespace and without a guard.

#include "cpu/simd.h"

// The products of the low 32 bits of each lane; the upper bits are not read.
WL_INLINE vuint64 vmulLow32(vuint64 a, vuint64 b) {
#if WL_ISA_LEVEL == 2
  return vbits<vuint64>(_mm512_maskz_mul_epu32(0xff, vbits<__m512i>(a), vbits<__m512i>(b)));
#elif WL_ISA_LEVEL == 1
  return vbits<vuint64>(_mm256_mul_epu32(vbits<__m256i>(a), vbits<__m256i>(b)));
#elif defined(__x86_64__)
  return vbits<vuint64>(_mm_mul_epu32(vbits<__m128i>(a), vbits<__m128i>(b)));
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

constexpr int kWordsPerStep = 4 * kDoubleLanes;  // a Philox block in each 64-bit lane

// The words of counter blocks block, block + 1, ...: kWordsPerStep of them, in order. See engine/philox.h.
WL_INLINE void philoxStep(uint64_t seed, uint64_t block, uint32_t* out) {
  const vuint64 counter = viota<uint64_t>() + block;
  // Only the low 32 bits of each lane count; the upper ones hold leftovers that nothing reads.
  vuint64 c0 = counter, c1 = counter >> 32, c2{}, c3{};
  const vuint64 m0 = vset(uint64_t{0xD2511F53u}), m1 = vset(uint64_t{0xCD9E8D57u});
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const vuint64 p0 = vmulLow32(m0, c0), p1 = vmulLow32(m1, c2);
    c0 = (p1 >> 32) ^ c1 ^ uint64_t { k0 };
    c2 = (p0 >> 32) ^ c3 ^ uint64_t { k1 };
    c1 = p1;
    c3 = p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const vuint64 first = (c0 & 0xffffffffu) | (c1 << 32), second = (c2 & 0xffffffffu) | (c3 << 32);
#if WL_ISA_LEVEL == 2
  const vuint64 low = __builtin_shufflevector(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
  const vuint64 high = __builtin_shufflevector(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
#elif WL_ISA_LEVEL == 1
  const vuint64 low = __builtin_shufflevector(first, second, 0, 4, 1, 5);
  const vuint64 high = __builtin_shufflevector(first, second, 2, 6, 3, 7);
#else
  const vuint64 low = __builtin_shufflevector(first, second, 0, 2);
  const vuint64 high = __builtin_shufflevector(first, second, 1, 3);
#endif
  std::memcpy(out, &low, sizeof(low));
  std::memcpy(out + kWordsPerStep / 2, &high, sizeof(high));
}

constexpr int64_t kWordsAtOnce = 512;

// Calls use(first element, count, words) over [0, n) in pieces of at most kWordsAtOnce elements, in parallel, and
// advances the generator's state past the draw. `words` may be read up to the next multiple of kWordsPerStep. Element i
// has word i % 4 of block offset + i / 4, wherever a piece begins.
template <class Use>
void drawWords(Context& context, const View& state, int64_t n, const Use& use) {
  int64_t* const words = state.as<int64_t>();
  const uint64_t seed = static_cast<uint64_t>(words[0]), offset = static_cast<uint64_t>(words[1]);
  constexpr int64_t kGrain = 16 * kWordsAtOnce;
  context.parallel(n, kGrain, [&](int64_t begin, int64_t end, int) {
    alignas(64) uint32_t buffer[kWordsAtOnce];
    for (int64_t i = begin; i < end; i += kWordsAtOnce) {
      const int64_t count = std::min(kWordsAtOnce, end - i);
      for (int64_t j = 0; j < count; j += kWordsPerStep) {
        philoxStep(seed, offset + static_cast<uint64_t>((i + j) / 4), buffer + j);
      }
      use(i, count, static_cast<const uint32_t*>(buffer));
    }
  });
  words[1] = static_cast<int64_t>(offset + static_cast<uint64_t>((n + 3) / 4));
}
