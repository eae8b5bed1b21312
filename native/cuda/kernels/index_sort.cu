// Sorts the positions of an index operand [N] by the rows they name; positions of one row stay in ascending order.
//
// A radix sort from the lowest digit up, kDigitBits a pass (Satish, Harris and Garland, "Designing efficient sorting
// algorithms for manycore GPUs", IPDPS 2009), in three launches a pass, or one where a single tile holds everything:
//   count    a block owns a tile of kSortTile elements and counts its digits;
//   scan     a block owns a digit and sums its counts over the tiles before each;
//   scatter  a block owns a tile again; a warp owns consecutive elements of it, 32 a round in kSortRounds rounds, and
//            finds out how often each one's digit stood before it in the warp, then in the tile, then in all of them;
//            the tile is sorted in shared memory first, so that what goes to one place is written by neighbours.
//
// Or one such pass by the highest bits alone, whose kernel for the sums does the rest: see bucketWord().
#include "cuda/index_sort_pass.h"
#include "cuda/kernels/common.cuh"
#include "cuda/kernels/index_rank.cuh"
#include "engine/index.h"

namespace warploom::cuda {

// The row that element i names, or `bound` where it is none that counts.
template <class Word>
__device__ inline Word readKey(const IndexSortPass& pass, int64_t i, IndexErrorWord* errors) {
  if (pass.keysIn != nullptr) return static_cast<const Word*>(pass.keysIn)[i];
  const int64_t row = readIndex(pass.index, i);
  const bool inside = row >= 0 && row < pass.bound;
  if (!inside && errors != nullptr) reportIndex(errors, pass.op, row, pass.bound);
  return static_cast<Word>(inside && row != pass.skipped ? row : pass.bound);
}

template <class Word>
__device__ inline int digitOf(const IndexSortPass& pass, Word key) {
  return static_cast<int>(key >> pass.shift) & (kDigits - 1);
}

template <class Word>
__device__ inline void countDigits(const IndexSortPass& pass) {
  __shared__ int counts[kDigits];
  counts[threadIdx.x] = 0;
  // Without this barrier a thread could count into a digit that is not 0 yet.
  __syncthreads();
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kSortTile + threadIdx.x;
#pragma unroll 1
  for (int round = 0; round < kSortRounds; ++round) {
    const int64_t i = first + round * kSortThreads;
    // Whole numbers: the order of the atomic sums is of no account.
    if (i < pass.count) atomicAdd(&counts[digitOf(pass, readKey<Word>(pass, i, nullptr))], 1);
  }
  // Without this barrier a thread would read its digit's count before all have counted.
  __syncthreads();
  if (threadIdx.x >= pass.digits) return;
  static_cast<Word*>(pass.counts)[threadIdx.x * pass.tiles + blockIdx.x] = static_cast<Word>(counts[threadIdx.x]);
}

template <class Word>
__device__ inline void scanTiles(const IndexSortPass& pass) {
  Word* const counts = static_cast<Word*>(pass.counts) + blockIdx.x * pass.tiles;
  Word before = 0;
#pragma unroll 1
  for (int64_t start = 0; start < pass.tiles; start += kSortThreads) {
    const int64_t tile = start + threadIdx.x;
    const Word count = tile < pass.tiles ? counts[tile] : Word(0);
    Word total;
    const Word here = before + sumBefore(count, total);
    if (tile < pass.tiles) counts[tile] = here;
    before += total;
    // Without this barrier a fast warp would, in the next round, overwrite sums that others still read.
    __syncthreads();
  }
  if (threadIdx.x == 0) static_cast<Word*>(pass.totals)[blockIdx.x] = before;
}

template <class Word>
__device__ inline void scatter(const IndexSortPass& pass, IndexErrorWord* errors) {
  // How often a warp has a digit; then where, in the sorted tile, the first of them goes.
  __shared__ uint16_t places[kSortWarps][kDigits];
  __shared__ Word sorted[kSortTile];
  __shared__ Word shifts[kDigits];  // from a digit's place in the sorted tile to the one among all elements; wraps
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  uint16_t* const mine = places[warp];
#pragma unroll
  for (int digit = lane; digit < kDigits; digit += kWarp) mine[digit] = 0;
  const int64_t start = static_cast<int64_t>(blockIdx.x) * kSortTile;
  const int64_t first = start + warp * (kWarp * kSortRounds) + lane;
  Word keys[kSortRounds];
  int ranks[kSortRounds];
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int64_t i = first + round * kWarp;
    const bool exists = i < pass.count;
    keys[round] = exists ? readKey<Word>(pass, i, errors) : Word(0);
    const int digit = exists ? digitOf(pass, keys[round]) : kDigits;
    ranks[round] = rankInWarp(mine, digit, exists);
  }
  // Without this barrier a digit's thread would read counts that other warps have not finished.
  __syncthreads();
  const int digit = threadIdx.x;
  unsigned ofTile = 0;
#pragma unroll
  for (int k = 0; k < kSortWarps; ++k) ofTile += places[k][digit];
  unsigned all;
  unsigned place = sumBefore(ofTile, all);
  Word among = static_cast<Word>(place);
  if (pass.tiles > 1) {
    // Without this barrier a fast warp would, in the next call, overwrite sums that others still read.
    __syncthreads();
    Word total;
    const bool occurs = digit < pass.digits;
    among = sumBefore(occurs ? static_cast<const Word*>(pass.totals)[digit] : Word(0), total);
    if (occurs) among += static_cast<const Word*>(pass.counts)[digit * pass.tiles + blockIdx.x];
  }
  shifts[digit] = among - static_cast<Word>(place);
#pragma unroll
  for (int k = 0; k < kSortWarps; ++k) {
    const unsigned count = places[k][digit];
    places[k][digit] = static_cast<uint16_t>(place);
    place += count;
  }
  // Without this barrier warps would read places that other threads have not written yet.
  __syncthreads();
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    if (first + round * kWarp >= pass.count) break;
    ranks[round] += mine[digitOf(pass, keys[round])];
    sorted[ranks[round]] = keys[round];
  }
  // Without this barrier threads would read keys of the sorted tile that others have not written yet.
  __syncthreads();
  // Neighbours in the sorted tile are, within a digit, neighbours among all elements: so that a warp writes runs.
  const int64_t rest = pass.count - start;
  const int held = rest < kSortTile ? static_cast<int>(rest) : kSortTile;
  Word to[kSortRounds];
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int at = round * kSortThreads + threadIdx.x;
    if (at >= held) break;
    const Word key = sorted[at];
    to[round] = shifts[digitOf(pass, key)] + static_cast<Word>(at);
    if (pass.keysOut != nullptr) static_cast<Word*>(pass.keysOut)[to[round]] = key;
  }
  // Without this barrier positions would overwrite keys that other threads have not read yet.
  __syncthreads();
  const Word* const positionsIn = static_cast<const Word*>(pass.positionsIn);
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int64_t i = first + round * kWarp;
    if (i >= pass.count) break;
    const Word position = positionsIn != nullptr ? positionsIn[i] : static_cast<Word>(i);
    sorted[ranks[round]] = pass.carriesRow != 0 ? bucketWord(pass.shift, keys[round], position) : position;
  }
  // Without this barrier threads would read positions that others have not written yet.
  __syncthreads();
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int at = round * kSortThreads + threadIdx.x;
    if (at >= held) break;
    static_cast<Word*>(pass.positionsOut)[to[round]] = sorted[at];
  }
}

// starts[v]: the first of the sorted keys that is not below v, for v in [0, bound]. A thread owns one v.
template <class Word>
__device__ inline void findStarts(const Word* keys, int64_t count, Word* starts, int64_t bound) {
  const int64_t v = static_cast<int64_t>(blockIdx.x) * kSortThreads + threadIdx.x;
  if (v > bound) return;
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (static_cast<int64_t>(keys[middle]) < v) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  starts[v] = static_cast<Word>(low);
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// Entries: sort_<step>_<word>.
#define WL_ENTRY extern "C" __global__ void __launch_bounds__(kSortThreads)
#define WL_SORT(Word, name)                                                                                       \
  WL_ENTRY sort_count_##name(const IndexSortPass pass) { countDigits<Word>(pass); }                               \
  WL_ENTRY sort_scan_##name(const IndexSortPass pass) { scanTiles<Word>(pass); }                                  \
  WL_ENTRY sort_scatter_##name(const IndexSortPass pass, IndexErrorWord* errors) { scatter<Word>(pass, errors); } \
  WL_ENTRY sort_starts_##name(const Word* keys, int64_t count, Word* starts, int64_t bound) {                     \
    findStarts<Word>(keys, count, starts, bound);                                                                 \
  }
WL_SORT(uint32_t, w32)
WL_SORT(unsigned long long, w64)
