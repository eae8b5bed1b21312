// Scalar operands on their way to a kernel.
#pragma once

#include <cmath>
#include <cstring>

#include "engine/view.h"

namespace warploom::cuda {

// A scalar operand as the bits of the operands' dtype: integers truncate, saturate at 64 bits and then wrap (PyTorch:
// -1 as uint8 is 255).
inline uint64_t scalarBits(double value, DType dtype) {
  uint64_t bits = 0;
  if (dtype == DType::float32) {
    const float single = static_cast<float>(value);
    std::memcpy(&bits, &single, sizeof(single));
    return bits;
  }
  if (dtype == DType::boolean) return value != 0;
  if (std::isnan(value)) return 0;
  const int64_t whole = value >= 0x1p63 ? INT64_MAX : value < -0x1p63 ? INT64_MIN : static_cast<int64_t>(value);
  return static_cast<uint64_t>(whole);
}

}  // namespace warploom::cuda
