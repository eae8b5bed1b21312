// What draws of random numbers share on the host.
#pragma once

#include "cuda/context.h"
#include "cuda/layout.h"

namespace warploom::cuda {

constexpr int64_t kWords = 4;                // of a Philox block: as many elements
constexpr int64_t kDrawThreads = 256;        // as in kernels/random.cuh
constexpr int64_t kDrawBlocksPerThread = 4;  // likewise

inline Size3 drawGrid(int64_t n) {
  return {static_cast<unsigned>(ceilDiv(n, kWords * kDrawThreads * kDrawBlocksPerThread))};
}

// Advances a generator past a draw of n elements that was launched before.
inline void advance(CudaContext& context, const View& state, int64_t n) {
  context.launch("random", "random_advance", {1}, {1}, 0, state.data, ceilDiv(n, kWords));
}

}  // namespace warploom::cuda
