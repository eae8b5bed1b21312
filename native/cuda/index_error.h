// Where a kernel writes down the first index of a launch that lay outside [0, bound), for the next read to report; all
// zero while there is none. Read by g++ and nvcc.
#pragma once

#include <cstdint>

namespace warploom::cuda {

struct IndexErrorWord {
  int32_t op;  // 1 + the op's id
  int32_t padding;
  int64_t value, bound;
};

}  // namespace warploom::cuda
