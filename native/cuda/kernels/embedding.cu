// Rows of a table by index, and the gradient of the table: weight [V, D], index [N], y [N, D], all contiguous.
//
// A team of lanes (row_team.h) owns one row, or one chunk of it where rows are long, and a block kThreads / lanes
// teams. Forward the rows are those of y, and each is copied. Backward they are those of dweight, and each is the sum
// of the rows of g that name it, in ascending order of position: index_sort.cu has put their positions side by side, or
// those of a bucket of rows, which a block then sorts by row in shared memory, a tile at a time.
#include "cuda/kernels/common.cuh"
#include "cuda/kernels/index_rank.cuh"
#include "cuda/row_team.h"
#include "engine/args/embedding.h"
#include "engine/index.h"

namespace warploom::cuda {

// Where the team of this thread works.
struct TeamPlace {
  int64_t row;
  int64_t first;  // the first element of this lane; the next are `step` apart
  int64_t step;
  bool leads;  // one lane a row
};
__device__ inline TeamPlace placeOf(const RowTeam& team) {
  const int teamsOfBlock = kTeamThreads / team.lanes;
  const int64_t unit = static_cast<int64_t>(blockIdx.x) * teamsOfBlock + threadIdx.x / team.lanes;
  const int lane = threadIdx.x % team.lanes;
  const int64_t row = team.chunks == 1 ? unit : unit / team.chunks, chunk = unit - row * team.chunks;
  const int64_t step = static_cast<int64_t>(team.lanes) * team.group;
  return {row, chunk * kTeamRounds * step + lane * team.group, step, chunk == 0 && lane == 0};
}

template <int kGroup>
__device__ inline void gatherRows(const EmbeddingArgs& args, const RowTeam& team, int op, IndexErrorWord* errors) {
  const TeamPlace place = placeOf(team);
  const int64_t V = args.weight.sizes[0], D = args.weight.sizes[1];
  if (place.row >= args.index.sizes[0]) return;
  const int64_t v = readIndex(args.index, place.row);
  const bool inside = v >= 0 && v < V;
  if (!inside && place.leads) reportIndex(errors, op, v, V);
  const float* from = args.weight.as<float>() + (inside ? v : 0) * D;
  float* to = args.y.as<float>() + place.row * D;
  Packed<float, kGroup> values[kTeamRounds] = {};
#pragma unroll
  for (int round = 0; round < kTeamRounds; ++round) {
    const int64_t at = place.first + round * place.step;
    if (inside && at < D) values[round] = loadPacked<float, kGroup>(from + at);
  }
#pragma unroll
  for (int round = 0; round < kTeamRounds; ++round) {
    const int64_t at = place.first + round * place.step;
    if (at < D) storeGlobal(to + at, values[round]);
  }
}

// Adds the rows of g at positions [begin, end) to what this lane has of the sums, one after another.
template <int kGroup, class Word, class Count>
__device__ inline void addRows(const EmbeddingBackwardArgs& args, const TeamPlace& place, const Word* positions,
                               Count begin, Count end, Packed<float, kGroup> (&sums)[kTeamRounds]) {
  const int64_t D = args.dweight.sizes[1];
  const float* g = args.g.as<float>();
#pragma unroll 2
  for (Count i = begin; i < end; ++i) {
    const float* from = g + static_cast<int64_t>(positions[i]) * D;
    Packed<float, kGroup> values[kTeamRounds] = {};
#pragma unroll
    for (int round = 0; round < kTeamRounds; ++round) {
      const int64_t at = place.first + round * place.step;
      if (at < D) values[round] = loadPacked<float, kGroup>(from + at);
    }
#pragma unroll
    for (int round = 0; round < kTeamRounds; ++round) {
#pragma unroll
      for (int k = 0; k < kGroup; ++k) sums[round].v[k] += values[round].v[k];
    }
  }
}

template <int kGroup>
__device__ inline void storeSums(const EmbeddingBackwardArgs& args, const TeamPlace& place,
                                 const Packed<float, kGroup> (&sums)[kTeamRounds]) {
  const int64_t D = args.dweight.sizes[1];
  float* to = args.dweight.as<float>() + place.row * D;
#pragma unroll
  for (int round = 0; round < kTeamRounds; ++round) {
    const int64_t at = place.first + round * place.step;
    if (at < D) storeGlobal(to + at, sums[round]);
  }
}

// positions: those of row v stand from starts[v] up to starts[v + 1].
template <int kGroup, class Word>
__device__ inline void sumRows(const EmbeddingBackwardArgs& args, const RowTeam& team, const Word* positions,
                               const Word* starts) {
  const TeamPlace place = placeOf(team);
  if (place.row >= args.dweight.sizes[0]) return;
  Packed<float, kGroup> sums[kTeamRounds] = {};
  addRows<kGroup>(args, place, positions, static_cast<int64_t>(starts[place.row]),
                  static_cast<int64_t>(starts[place.row + 1]), sums);
  storeSums<kGroup>(args, place, sums);
}

// A block owns a bucket, or one chunk of its rows: 2^bits rows, whose words (bucketWord) stand together, in ascending
// order of position. It takes them a tile at a time and sorts each by row; sums that a tile leaves unfinished wait in
// dweight.
template <int kGroup>
__device__ inline void sumBuckets(const EmbeddingBackwardArgs& args, const RowTeam& team, const uint32_t* words,
                                  const uint32_t* totals, int bits) {
  __shared__ uint16_t places[kSortWarps][kBucketRows];  // as in index_sort.cu, rows in place of digits
  __shared__ uint32_t sorted[kSortTile];
  __shared__ uint16_t starts[kBucketRows + 1];  // where the tile's positions of a row start
  __shared__ uint32_t range[2];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  uint16_t* const mine = places[warp];
  const uint32_t bucket = blockIdx.x / static_cast<uint32_t>(team.chunks);
  const int64_t chunk = blockIdx.x - bucket * static_cast<uint32_t>(team.chunks);
  uint32_t all;
  const int64_t V = args.dweight.sizes[0], D = args.dweight.sizes[1];
  const uint32_t own = threadIdx.x <= V >> bits ? totals[threadIdx.x] : 0, before = sumBefore(own, all);
  if (threadIdx.x == bucket) {
    range[0] = before;
    range[1] = before + own;
  }
  // Without this barrier the others would read the bucket's range before its thread has written it.
  __syncthreads();
  const uint32_t end = range[1];
  const int rows = 1 << bits, teams = kTeamThreads / team.lanes;
  const int64_t firstRow = static_cast<int64_t>(bucket) << bits;
  TeamPlace place = placeOf(team);
  place.first = chunk * kTeamRounds * place.step + (threadIdx.x % team.lanes) * team.group;
  bool first = true;
  for (uint32_t start = range[0]; first || start < end; start += kSortTile, first = false) {
#pragma unroll
    for (int row = lane; row < kBucketRows; row += kWarp) mine[row] = 0;
    uint32_t held[kSortRounds];
    int ranks[kSortRounds];
    const uint32_t at = start + warp * (kWarp * kSortRounds) + lane;
#pragma unroll
    for (int round = 0; round < kSortRounds; ++round) {
      const uint32_t i = at + round * kWarp;
      held[round] = i < end ? words[i] : 0;
      const int row = i < end ? bucketRow(bits, held[round]) : kBucketRows;
      ranks[round] = rankInWarp(mine, row, i < end);
    }
    // Without this barrier a row's thread would read counts that other warps have not finished, and overwrite starts
    // and positions of the tile before, which they still read. (Each warp's places are its own up to here.)
    __syncthreads();
    const int row = 2 * threadIdx.x;  // and the next one
    uint32_t counts[2] = {0, 0};
#pragma unroll
    for (int k = 0; k < kSortWarps; ++k) {
      counts[0] += places[k][row];
      counts[1] += places[k][row + 1];
    }
    uint32_t next[2];
    next[0] = sumBefore(counts[0] + counts[1], all);
    next[1] = next[0] + counts[0];
    starts[row] = static_cast<uint16_t>(next[0]);
    starts[row + 1] = static_cast<uint16_t>(next[1]);
    if (row + 2 == kBucketRows) starts[kBucketRows] = static_cast<uint16_t>(all);
#pragma unroll
    for (int k = 0; k < kSortWarps; ++k) {
#pragma unroll
      for (int one = 0; one < 2; ++one) {
        const uint32_t count = places[k][row + one];
        places[k][row + one] = static_cast<uint16_t>(next[one]);
        next[one] += count;
      }
    }
    // Without this barrier warps would read places that other threads have not written yet.
    __syncthreads();
#pragma unroll
    for (int round = 0; round < kSortRounds; ++round) {
      if (at + round * kWarp >= end) break;
      sorted[ranks[round] + mine[bucketRow(bits, held[round])]] = bucketPosition(bits, held[round]);
    }
    // Without this barrier teams would read positions and starts that other threads have not written yet.
    __syncthreads();
#pragma unroll 1
    for (int local = threadIdx.x / team.lanes; local < rows; local += teams) {
      place.row = firstRow + local;
      if (place.row >= V) break;
      const int begin = starts[local], behind = starts[local + 1];
      if (!first && begin == behind) continue;
      Packed<float, kGroup> sums[kTeamRounds] = {};
#pragma unroll
      for (int round = 0; round < kTeamRounds; ++round) {
        const int64_t column = place.first + round * place.step;
        if (!first && column < D) {
          sums[round] = loadPacked<float, kGroup>(args.dweight.as<float>() + place.row * D + column);
        }
      }
      addRows<kGroup>(args, place, sorted, begin, behind, sums);
      storeSums<kGroup>(args, place, sums);
    }
  }
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// Entries end in x<elements of a group>: D is a multiple of it, and addresses allow it; and in the word of positions.
#define WL_ENTRY extern "C" __global__ void __launch_bounds__(kTeamThreads)

#define WL_GATHER(kGroup)                                                                                          \
  WL_ENTRY embedding_f32_x##kGroup(const EmbeddingArgs args, const RowTeam team, int op, IndexErrorWord* errors) { \
    gatherRows<kGroup>(args, team, op, errors);                                                                    \
  }
WL_GATHER(4)
WL_GATHER(1)

#define WL_SUM(kGroup, Word, name)                                                                         \
  WL_ENTRY embedding_backward_f32_x##kGroup##_##name(const EmbeddingBackwardArgs args, const RowTeam team, \
                                                     const Word* positions, const Word* starts) {          \
    sumRows<kGroup, Word>(args, team, positions, starts);                                                  \
  }
WL_SUM(4, uint32_t, w32)
WL_SUM(1, uint32_t, w32)
WL_SUM(4, unsigned long long, w64)
WL_SUM(1, unsigned long long, w64)

#define WL_SUM_BUCKETS(kGroup)                                                                                   \
  WL_ENTRY embedding_backward_f32_x##kGroup##_buckets(const EmbeddingBackwardArgs args, const RowTeam team,      \
                                                      const uint32_t* words, const uint32_t* totals, int bits) { \
    sumBuckets<kGroup>(args, team, words, totals, bits);                                                         \
  }
WL_SUM_BUCKETS(4)
WL_SUM_BUCKETS(1)
