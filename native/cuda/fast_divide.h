// Division of 32-bit numbers by one that stays the same: a multiplication and a shift (Granlund and Montgomery,
// "Division by invariant integers using multiplication", 1994). Kernels divide so where every thread divides often.
#pragma once

#include <cstdint>

#include "engine/host_device.h"

namespace warploom::cuda {

struct FastDivide {
  uint32_t divisor, multiplier, shift;

  // n < 2^31.
  WL_HOST_DEVICE int quotient(int n) const {
    const uint32_t number = static_cast<uint32_t>(n);
#if defined(__CUDA_ARCH__)
    const uint32_t high = __umulhi(number, multiplier);
#else
    const uint32_t high = static_cast<uint32_t>(static_cast<uint64_t>(number) * multiplier >> 32);
#endif
    return static_cast<int>((high + number) >> shift);
  }
};

// By a divisor in [1, 2^31).
WL_HOST_DEVICE inline FastDivide fastDivide(int divisor) {
  const uint32_t d = static_cast<uint32_t>(divisor);
#if defined(__CUDA_ARCH__)
  const uint32_t shift = static_cast<uint32_t>(32 - __clz(divisor - 1));
#else
  uint32_t shift = 0;
  while ((1u << shift) < d) ++shift;
#endif
  const uint64_t multiplier = (((uint64_t{1} << shift) - d) << 32) / d + 1;
  return {d, static_cast<uint32_t>(multiplier), shift};
}

}  // namespace warploom::cuda
