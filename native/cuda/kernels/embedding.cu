// Rows of a table by index, and the gradient of the table: weight [V, D], index [N], y [N, D], all contiguous.
//
// A team of lanes (row_team.h) owns one row, or one chunk of it where rows are long, and a block kThreads / lanes
// teams. Forward the rows are those of y, and each is copied. Backward they are those of dweight, and each is the sum
// of the rows of g that name it, in ascending order of position: index_sort.cu has put their positions side by side.
#include "cuda/kernels/common.cuh"
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

// positions: those of row v stand from starts[v] up to starts[v + 1].
template <int kGroup, class Word>
__device__ inline void sumRows(const EmbeddingBackwardArgs& args, const RowTeam& team, const Word* positions,
                               const Word* starts) {
  const TeamPlace place = placeOf(team);
  const int64_t V = args.dweight.sizes[0], D = args.dweight.sizes[1];
  if (place.row >= V) return;
  const int64_t begin = static_cast<int64_t>(starts[place.row]), end = static_cast<int64_t>(starts[place.row + 1]);
  const float* g = args.g.as<float>();
  Packed<float, kGroup> sums[kTeamRounds] = {};
#pragma unroll 2
  for (int64_t i = begin; i < end; ++i) {
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
  float* to = args.dweight.as<float>() + place.row * D;
#pragma unroll
  for (int round = 0; round < kTeamRounds; ++round) {
    const int64_t at = place.first + round * place.step;
    if (at < D) storeGlobal(to + at, sums[round]);
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
