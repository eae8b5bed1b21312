// How y = f(a, b) is shared out where the last dim of a and b is dense or broadcast. Read by g++ and nvcc; a function
// of the shape alone.
#pragma once

#include <cstdint>

namespace warploom::cuda {

// `width` neighbours of a block of 256 threads own as many groups of columns; the others take further rows. A thread
// goes down `strip` rows, as far apart as the block has teams of `width`.
struct RowStrips {
  uint32_t rows, groups;  // of y; a group is what 16 bytes of an operand hold
  uint32_t columnBlocks;  // blocks beside one another
  int32_t width, strip;   // threads; rows
  int32_t aStep, bStep;   // stride of the last dim of a and b: 1, or 0 where it is broadcast
};

}  // namespace warploom::cuda
