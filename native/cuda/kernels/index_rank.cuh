// Where elements stand among those of a block that are to be sorted by a digit: shared by what sorts indices and by
// what sorts on the way.
#pragma once

#include "cuda/index_sort_pass.h"
#include "cuda/kernels/common.cuh"

namespace warploom::cuda {

constexpr int kSortWarps = kSortThreads / kWarp;

// The sum of the values of the block's threads before this one; and of all. Between two calls stands a barrier.
template <class Word>
__device__ inline Word sumBefore(Word value, Word& total) {
  __shared__ Word sums[kSortWarps];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  Word through = value;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const Word before = __shfl_up_sync(0xffffffff, through, distance);
    if (lane >= distance) through += before;
  }
  if (lane == kWarp - 1) sums[warp] = through;
  // Without this barrier a warp would read sums that other warps have not written yet.
  __syncthreads();
  Word before = 0;
  total = 0;
#pragma unroll
  for (int k = 0; k < kSortWarps; ++k) {
    if (k < warp) before += sums[k];
    total += sums[k];
  }
  return before + through - value;
}

// How often the digit of this lane stood before it in its warp, in the calls before and in lower lanes; `counts`, the
// warp's own, starts at 0. A lane whose element does not exist passes a digit that none has.
__device__ inline int rankInWarp(uint16_t* counts, int digit, bool exists) {
  const int lane = threadIdx.x % kWarp;
  const unsigned same = __match_any_sync(0xffffffff, digit);
  const int sameBefore = __popc(same & ((1u << lane) - 1));
  // Without this barrier lanes would read counts that lanes of the call before (or zeros that others) still write.
  __syncwarp();
  const int rank = exists ? counts[digit] + sameBefore : 0;
  // Without this barrier the first lane of a digit would count its own call before the others have read.
  __syncwarp();
  if (exists && sameBefore == 0) counts[digit] = static_cast<uint16_t>(rank + __popc(same));
  return rank;
}

}  // namespace warploom::cuda
