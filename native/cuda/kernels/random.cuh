// The words of a draw. Element i has lane i % 4 of Philox block offset + i / 4, whoever makes it: engine/philox.h.
#pragma once

#include "cuda/kernels/common.cuh"
#include "engine/philox.h"

namespace warploom::cuda {

constexpr int kThreads = 256;
constexpr int kWords = 4;   // of a Philox block
constexpr int kRounds = 4;  // Philox blocks of a thread

// A generator's state as a draw finds it. It is advanced by a launch of its own behind the draw, because blocks of one
// launch cannot agree on who is last.
struct Draw {
  uint64_t seed, offset;
};
__device__ inline Draw beginDraw(const View& state) {
  __shared__ Draw draw;
  if (threadIdx.x == 0) draw = {state.as<uint64_t>()[0], state.as<uint64_t>()[1]};
  // Without this barrier other warps would read the state before it is there.
  __syncthreads();
  return draw;
}

// Calls use(index of a Philox block of the draw, its words) for the blocks of this thread: kRounds of them, kThreads
// apart. All threads of a thread block go through the same rounds; those past n find words that nobody needs.
template <class Use>
__device__ inline void eachPhilox(const Draw& draw, int64_t n, Use use) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads * kRounds;
#pragma unroll 1
  for (int round = 0; round < kRounds; ++round) {
    const int64_t start = first + round * kThreads;
    if (start * kWords >= n) return;
    const int64_t block = start + threadIdx.x;
    use(block, philox4x32(draw.seed, draw.offset + static_cast<uint64_t>(block)));
  }
}

// Stores the values of elements first to first + 3, as far as there are n.
template <class T>
__device__ inline void storeFour(T* y, int64_t first, const Packed<T, kWords>& values, int64_t n, bool aligned) {
  if (aligned && first + kWords <= n) {
    storeGlobal(y + first, values);
    return;
  }
#pragma unroll
  for (int k = 0; k < kWords; ++k) {
    if (first + k < n) y[first + k] = values.v[k];
  }
}

}  // namespace warploom::cuda
