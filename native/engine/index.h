// Operands of indices: int32, int64 or uint8. Read by g++ and nvcc.
#pragma once

#include "engine/view.h"

namespace warploom {

// Element `offset` of an index operand.
WL_HOST_DEVICE inline int64_t readIndex(const View& index, int64_t offset) {
  switch (index.dtype) {
    case DType::int64:
      return index.as<const int64_t>()[offset];
    case DType::int32:
      return index.as<const int32_t>()[offset];
    default:
      return index.as<const uint8_t>()[offset];
  }
}

}  // namespace warploom
