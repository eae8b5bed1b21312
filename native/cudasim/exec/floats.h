// What several families need of floating point: flushing, saturation, rounding modes.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace warploom::cudasim {

enum class Rounding : uint8_t { nearest, zero, down, up };

inline float bitsToFloat(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t floatToBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

// Subnormals become zeros of their sign.
template <bool kFlush, class T>
inline T flush(T value) {
  if constexpr (kFlush && sizeof(T) == 4) {
    const uint32_t bits = floatToBits(value);
    return bitsToFloat((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
  }
  return value;
}
// Arithmetic on float32 gives one NaN, without a payload; float64 keeps payloads.
template <class T>
inline T canonical(T value) {
  if constexpr (sizeof(T) == 4) return value == value ? value : bitsToFloat(0x7fffffff);
  return value;
}
// To [0, 1]; NaN becomes +0.
template <bool kSaturate, class T>
inline T saturate(T value) {
  if constexpr (kSaturate) return value > T(0) ? (value < T(1) ? value : T(1)) : T(0);
  return value;
}

// Sets the rounding of SSE for its life. The clobbers keep loads and stores of registers of the warp on their side.
class RoundingScope {
 public:
  explicit RoundingScope(Rounding rounding) {
    asm volatile("stmxcsr %0" : "=m"(before_)::"memory");
    static const uint32_t kBits[] = {0, 0x6000, 0x2000, 0x4000};
    const uint32_t now = (before_ & ~0x6000u) | kBits[static_cast<int>(rounding)];
    asm volatile("ldmxcsr %0" ::"m"(now) : "memory");
  }
  ~RoundingScope() { asm volatile("ldmxcsr %0" ::"m"(before_) : "memory"); }

 private:
  uint32_t before_;
};

}  // namespace warploom::cudasim
