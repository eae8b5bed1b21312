// Reductions inside a block, as the row kernels of all families use them: a team of threads owns a row (or a column),
// each thread keeps four running results, and these are joined in an order that depends on the shape alone.
//
// The four results of a thread and the threads of a warp make 4 * lanes slots. Element e of a row belongs to slot
// e mod (4 * lanes), whether it is loaded four at a time (slot = 4 * lane + k) or one at a time, neighbours to
// neighbouring lanes (slot = k * lanes + lane). Slots are joined by their number's lowest bit first: so a row has the
// same bits at any alignment.
#pragma once

#include "cuda/kernels/common.cuh"

namespace warploom::cuda {

constexpr int kTeamThreads = 256;  // of a block
// Of a multiprocessor, at least. Left to itself ptxas spills a few registers to fit more blocks.
constexpr int kTeamBlocks = 2;
constexpr int kTeamWarps = kTeamThreads / kWarp;
constexpr int kSlots = 4;  // of a thread

// i / size by the reciprocal: ptxas calls a function for a division in 64 bits, and spills around it. Below 2^53 the
// rounded product is off by one at most.
__device__ inline int64_t quotient(int64_t i, int64_t size, double inverse) {
  const int64_t guess = static_cast<int64_t>(static_cast<double>(i) * inverse);
  const int64_t rest = i - guess * size;
  return guess + (rest >= size) - (rest < 0);
}

struct SumJoin {
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a + b;
  }
};
// Passes over NaN, where one is left to show in a sum.
struct MaxJoin {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

template <class V>
__device__ inline V shuffleXor(V value, int offset) {
  return __shfl_xor_sync(kAllLanes, value, offset);
}

// The threads that own one row: `width` neighbours in a warp, a power of two, or the whole block of kTeamThreads.
struct RowTeam {
  int lanes;  // of the team, or of each of its warps
  int lane;
  int warp;      // of the team
  int perStep;   // elements that the team takes at a time, kSlots a thread
  int stepBits;  // log2 of that
  bool packed;   // four elements in one load; rows are 16-byte aligned then and a multiple of four long
  bool block;    // the team is the block

  __device__ RowTeam(int width, bool packed) : packed(packed), block(width == kTeamThreads) {
    lanes = block ? kWarp : width;
    lane = static_cast<int>(threadIdx.x) & (lanes - 1);
    warp = block ? static_cast<int>(threadIdx.x) / kWarp : 0;
    perStep = width * kSlots;
    stepBits = 31 - __clz(perStep);
  }
  // Teams of a block, and this one's number.
  __device__ int teams() const { return block ? 1 : kTeamThreads / lanes; }
  __device__ int team() const { return block ? 0 : static_cast<int>(threadIdx.x) / lanes; }
  __device__ bool leads() const { return lane == 0 && warp == 0; }
  // Where the element of slot k lies within a step.
  __device__ int at(int k) const { return warp * (kWarp * kSlots) + (packed ? kSlots * lane + k : k * lanes + lane); }

  // Joins one value of each thread; every thread gets the result. All threads of the block call it, because barriers
  // and shuffles count them; `shared` holds kTeamWarps values, and may be used again at once.
  template <class V, class Join>
  __device__ V join(V value, V* shared, Join join) const {
#pragma unroll 1
    for (int offset = 1; offset < lanes; offset *= 2) value = join(value, shuffleXor(value, offset));
    return joinWarps(value, shared, join);
  }

  template <class V, class Join>
  __device__ V joinSlots(V (&slots)[kSlots], V* shared, Join operation) const {
    if (!packed) {
#pragma unroll
      for (int k = 0; k < kSlots; ++k) {
#pragma unroll 1
        for (int offset = 1; offset < lanes; offset *= 2) {
          slots[k] = operation(slots[k], shuffleXor(slots[k], offset));
        }
      }
    }
    const V value = operation(operation(slots[0], slots[1]), operation(slots[2], slots[3]));
    return packed ? join(value, shared, operation) : joinWarps(value, shared, operation);
  }

 private:
  // The warps of a block, when the lanes of each have joined.
  template <class V, class Join>
  __device__ V joinWarps(V value, V* shared, Join join) const {
    if (!block) return value;
    if (lane == 0) shared[warp] = value;
    __syncthreads();  // without this barrier a warp would read results that others have not stored yet
    value = shared[lane & (kTeamWarps - 1)];
#pragma unroll 1
    for (int offset = 1; offset < kTeamWarps; offset *= 2) value = join(value, shuffleXor(value, offset));
    __syncthreads();  // without this barrier the next reduction would overwrite what a slower warp still reads
    return value;
  }
};

}  // namespace warploom::cuda
