// How a reduction walks its input, from shapes and strides alone. Compiled once; the kernels of an instruction set
// follow it.
#pragma once

#include <cstdint>

#include "engine/ops.h"

namespace warploom::cpu {

// Some dims of x, without those of size 1 and with neighbours merged where one stride walks both.
struct Dims {
  int rank = 0;
  int64_t sizes[kMaxRank];
  int64_t strides[kMaxRank];

  int64_t innerSize() const { return rank == 0 ? 1 : sizes[rank - 1]; }
  int64_t innerStride() const { return rank == 0 ? 1 : strides[rank - 1]; }
  // The offset of a flat index, last dim fastest.
  int64_t offsetOf(int64_t index) const {
    if (rank == 1) return index * strides[0];
    int64_t offset = 0;
    for (int d = rank - 1; d >= 0; --d) {
      offset += index % sizes[d] * strides[d];
      index /= sizes[d];
    }
    return offset;
  }
};

struct ReducePlan {
  Dims kept, reduced;
  int64_t outputs;  // elements of y
  int64_t count;    // elements behind each of them
  // True: neighbouring outputs lie side by side in x, so vectors run across outputs (a column sum). False: along the
  // reduced dims.
  bool columns;
  // Each output's elements are taken in `chunks` runs of at most `chunk`, whose partial results are put together in
  // order.
  int64_t chunk, chunks;

  int64_t chunkEnd(int64_t c) const { return c + 1 < chunks ? (c + 1) * chunk : count; }
};

// `ordered`: keep the order of the reduced dims, because positions are asked for.
ReducePlan planReduce(const ReduceArgs& args, bool ordered);

}  // namespace warploom::cpu
