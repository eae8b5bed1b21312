// Which kernel computes a matrix product, and why: a pure function of the shape.
#pragma once

#include <cstdint>

namespace warploom::cuda {

// The rows of a, or the columns of b: `lines` that hold K elements each.
struct GemmLines {
  int64_t lineStride, depthStride;
  bool aligned;  // the address and what batches add to it: multiples of 16 bytes
};

struct GemmShape {
  int64_t m, n, k, batches;
  GemmLines a, b;
};

struct GemmChoice {
  const char* entry;
  const char* reason;  // for people
  int rows, cols;      // of a tile; 1 and 1: a thread owns an element
  int threads;         // of a block
  int64_t blocks;
  bool exchanged;         // y^T = b^T a^T: the kernel's a is b
  bool aVector, bVector;  // of the kernel's a and b: four lines are read at once
  bool split;             // blocks own segments of k; a second launch adds their sums
  int64_t partialBytes;   // what these take
};

GemmChoice chooseGemm(const GemmShape& shape);

}  // namespace warploom::cuda
