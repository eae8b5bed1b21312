// Layer normalisation over the rows of x [R, C] (Ba, Kiros and Hinton: "Layer normalization", 2016) and its gradient.
//
// A team owns `rounds` rows one after another (see rows.cuh), a thread 4 * kGroups values of each in registers, a block
// rounds * 256 / width rows; x (and g) are read once and y (dx) is written once. weight and bias are read once a block:
// into registers where the block is the team, else into shared memory. `Long`: a row longer than a block holds is read
// twice.
//
// dweight = sum over R of g n and dbias = sum of g, with n = (x - mean) rstd, are added up on the way by the threads
// that own the columns, joined within the block, and left as [blocks][2][C] for a second launch to sum.
#include "cuda/kernels/rows.cuh"
#include "engine/args/norm.h"

namespace warploom::cuda {

constexpr int kStaged = kWarp * kManyGroups * kSlots;  // columns that a warp can hold

struct Moments {
  float count, mean, squares;  // the last: sum of (x - mean)^2
};
__device__ inline Moments shuffleXor(Moments v, int offset) {
  return {shuffleXor(v.count, offset), shuffleXor(v.mean, offset), shuffleXor(v.squares, offset)};
}
// Chan, Golub and LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances", 1979. Written
// so that a and b may change places without changing a bit.
struct MomentsJoin {
  __device__ Moments operator()(Moments a, Moments b) const {
    const float count = a.count + b.count;
    if (count == 0.0f) return a;
    const float between = a.mean - b.mean;
    return {count, (a.mean * a.count + b.mean * b.count) / count,
            (a.squares + b.squares) + between * between * (a.count * b.count / count)};
  }
};

// An optional operand [C] as a team needs it for every row.
template <int kGroups>
struct Parameter {
  static constexpr int kValues = kGroups * kSlots;
  const float* values;  // null: absent
  float* staged;
  float held[kValues];

  __device__ Parameter(const HeldRow& team, const View& view, float absent, int C, float* staged) : staged(staged) {
    values = view.present() ? view.as<const float>() : nullptr;
#pragma unroll
    for (int j = 0; j < kValues; ++j) held[j] = absent;
    if (values == nullptr) return;
    if (team.block) {
      team.load<kGroups>(values, 1, C, absent, held);
    } else {
      for (int c = static_cast<int>(threadIdx.x); c < C; c += kTeamThreads) staged[c] = values[c];
    }
  }
  // After a barrier behind the constructors.
  __device__ void fetch(const HeldRow& team, int C) {
    if (values != nullptr && !team.block) team.load<kGroups>(staged, 1, C, 0.0f, held);
  }
};

template <int kGroups>
__device__ inline void forward(const LayerNormArgs& args, const RowPlan& plan, int rounds) {
  constexpr int kValues = kGroups * kSlots;
  __shared__ float shared[kTeamWarps];
  __shared__ alignas(16) float staged[2][kStaged];
  const HeldRow team(plan);
  const int C = static_cast<int>(plan.n);
  Parameter<kGroups> weight(team, args.weight, 1.0f, C, staged[0]), bias(team, args.bias, 0.0f, C, staged[1]);
  __syncthreads();  // without this barrier warps would read staged parameters that others have not stored yet
  const float size = static_cast<float>(C), eps = static_cast<float>(args.eps);
  // The next row is on its way while this one waits at barriers: blocks are few.
  Place next;
  float ahead[kValues];
  const auto fetch = [&](int round) {
    next = team.place(plan, (static_cast<int64_t>(blockIdx.x) * rounds + round) * team.teams());
    team.load<kGroups>(args.x.as<const float>() + next.outer * C, 1, next.active ? C : 0, 0.0f, ahead);
  };
  fetch(0);
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
    const Place place = next;
    const int count = place.active ? C : 0;
    const int64_t row = place.outer;
    float v[kValues];
#pragma unroll
    for (int j = 0; j < kValues; ++j) v[j] = ahead[j];
    if (round + 1 < rounds) fetch(round + 1);
    const float mean = teamSum<kGroups>(team, v, shared) / size;
    float squares[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int j = 0; j < kValues; ++j) {
      v[j] = team.element(j / kSlots, j % kSlots) < count ? v[j] - mean : 0.0f;
      squares[j % kSlots] = squares[j % kSlots] + v[j] * v[j];
    }
    const float rstd = 1.0f / sqrtf(team.joinSlots(squares, shared, SumJoin()) / size + eps);
    weight.fetch(team, C);
    bias.fetch(team, C);
#pragma unroll
    for (int j = 0; j < kValues; ++j) v[j] = v[j] * rstd * weight.held[j] + bias.held[j];
    team.store<kGroups>(args.y.as<float>() + row * C, 1, count, v);
    if (place.active && team.leads()) {
      args.mean.as<float>()[row] = mean;
      args.rstd.as<float>()[row] = rstd;
    }
  }
}

// A block owns a row, however long.
__device__ inline void forwardLong(const LayerNormArgs& args, const RowPlan& plan) {
  constexpr int kGroups = kManyGroups;
  __shared__ Moments shared[kTeamWarps];
  const HeldRow team(plan);
  const int64_t row = blockIdx.x, C = plan.n;
  const int span = team.span(kGroups);
  const float* x = args.x.as<const float>() + row * C;
  float v[kGroups * kSlots];
  Moments slots[kSlots];
#pragma unroll
  for (int k = 0; k < kSlots; ++k) slots[k] = {0.0f, 0.0f, 0.0f};
#pragma unroll 1
  for (int64_t start = 0; start < C; start += span) {
    const int count = C - start < span ? static_cast<int>(C - start) : span;
    team.load<kGroups>(x + start, 1, count, 0.0f, v);
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      Moments part = {0.0f, 0.0f, 0.0f};
#pragma unroll
      for (int g = 0; g < kGroups; ++g) {
        part.mean = part.mean + v[g * kSlots + k];
        part.count = part.count + (team.element(g, k) < count ? 1.0f : 0.0f);
      }
      part.mean = part.mean / fmaxf(part.count, 1.0f);
#pragma unroll
      for (int g = 0; g < kGroups; ++g) {
        const float d = team.element(g, k) < count ? v[g * kSlots + k] - part.mean : 0.0f;
        part.squares = part.squares + d * d;
      }
      slots[k] = MomentsJoin()(slots[k], part);
    }
  }
  const Moments whole = team.joinSlots(slots, shared, MomentsJoin());
  const float rstd = 1.0f / sqrtf(whole.squares / static_cast<float>(C) + static_cast<float>(args.eps));
#pragma unroll 1
  for (int64_t start = 0; start < C; start += span) {
    const int count = C - start < span ? static_cast<int>(C - start) : span;
    float parameter[kGroups * kSlots];
    team.load<kGroups>(x + start, 1, count, 0.0f, v);
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j) v[j] = (v[j] - whole.mean) * rstd;
    if (args.weight.present()) {
      team.load<kGroups>(args.weight.as<const float>() + start, 1, count, 0.0f, parameter);
#pragma unroll
      for (int j = 0; j < kGroups * kSlots; ++j) v[j] = v[j] * parameter[j];
    }
    if (args.bias.present()) {
      team.load<kGroups>(args.bias.as<const float>() + start, 1, count, 0.0f, parameter);
#pragma unroll
      for (int j = 0; j < kGroups * kSlots; ++j) v[j] = v[j] + parameter[j];
    }
    team.store<kGroups>(args.y.as<float>() + row * C + start, 1, count, v);
  }
  if (team.leads()) {
    args.mean.as<float>()[row] = whole.mean;
    args.rstd.as<float>()[row] = rstd;
  }
}

// The column sums of a block's teams, to `part` [C].
template <int kGroups>
__device__ inline void joinTeams(const HeldRow& team, float (&sums)[kGroups * kSlots], int C, float* shared,
                                 float* part) {
  if (team.block) {
    team.store<kGroups>(part, 1, C, sums);
    return;
  }
#pragma unroll 1
  for (int offset = team.lanes; offset < kWarp; offset *= 2) {
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j) sums[j] = sums[j] + shuffleXor(sums[j], offset);
  }
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const bool first = static_cast<int>(threadIdx.x) % kWarp < team.lanes;
#pragma unroll 1
  for (int turn = 0; turn < kTeamWarps; ++turn) {
    if (turn == warp && first) {
      if (turn > 0) {
        float before[kGroups * kSlots];
        team.load<kGroups>(shared, 1, C, 0.0f, before);
#pragma unroll
        for (int j = 0; j < kGroups * kSlots; ++j) sums[j] = before[j] + sums[j];
      }
      team.store<kGroups, true>(shared, 1, C, sums);
    }
    __syncthreads();  // without this barrier the next warp would add to sums that this one has not stored yet
  }
  for (int c = static_cast<int>(threadIdx.x); c < C; c += kTeamThreads) part[c] = shared[c];
}

// With h = g weight: dx = rstd (h - mean(h) - n mean(h n)).
template <int kGroups>
__device__ inline void backward(const LayerNormBackwardArgs& args, const RowPlan& plan, int rounds, float* parts) {
  constexpr int kValues = kGroups * kSlots;
  __shared__ float shared[kTeamWarps];
  __shared__ alignas(16) float staged[2][kStaged];
  const HeldRow team(plan);
  const int C = static_cast<int>(plan.n);
  Parameter<kGroups> weight(team, args.weight, 1.0f, C, staged[0]);
  __syncthreads();  // without this barrier warps would read staged parameters that others have not stored yet
  const float size = static_cast<float>(C);
  float weightSums[kValues], biasSums[kValues];
#pragma unroll
  for (int j = 0; j < kValues; ++j) weightSums[j] = biasSums[j] = 0.0f;
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
    const Place place = team.place(plan, (static_cast<int64_t>(blockIdx.x) * rounds + round) * team.teams());
    const int count = place.active ? C : 0;
    const int64_t row = place.outer;
    const float mean = team.once(place, [&] { return args.mean.as<const float>()[row]; });
    const float rstd = team.once(place, [&] { return args.rstd.as<const float>()[row]; });
    float g[kValues], normal[kValues];
    team.load<kGroups>(args.g.as<const float>() + row * C, 1, count, 0.0f, g);
    team.load<kGroups>(args.x.as<const float>() + row * C, 1, count, mean, normal);
#pragma unroll
    for (int j = 0; j < kValues; ++j) {
      normal[j] = (normal[j] - mean) * rstd;
      weightSums[j] = weightSums[j] + g[j] * normal[j];
      biasSums[j] = biasSums[j] + g[j];
    }
    if (!args.dx.present()) continue;
    weight.fetch(team, C);
    float h[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f}, hn[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int j = 0; j < kValues; ++j) {
      g[j] = g[j] * weight.held[j];
      h[j % kSlots] = h[j % kSlots] + g[j];
      hn[j % kSlots] = hn[j % kSlots] + g[j] * normal[j];
    }
    const float meanH = team.joinSlots(h, shared, SumJoin()) / size;
    const float meanHN = team.joinSlots(hn, shared, SumJoin()) / size;
#pragma unroll
    for (int j = 0; j < kValues; ++j) g[j] = rstd * ((g[j] - meanH) - normal[j] * meanHN);
    team.store<kGroups>(args.dx.as<float>() + row * C, 1, count, g);
  }
  if (parts == nullptr) return;
  __syncthreads();  // without this barrier the sums would overwrite staged parameters that a slower warp still reads
  float* part = parts + static_cast<int64_t>(blockIdx.x) * 2 * C;
  joinTeams<kGroups>(team, weightSums, C, staged[0], part);
  joinTeams<kGroups>(team, biasSums, C, staged[1], part + C);
}

// dx alone; a block owns a row, however long.
__device__ inline void backwardLong(const LayerNormBackwardArgs& args, const RowPlan& plan) {
  constexpr int kGroups = kFewGroups;
  __shared__ float shared[kTeamWarps];
  const HeldRow team(plan);
  const int64_t row = blockIdx.x, C = plan.n;
  const int span = team.span(kGroups);
  const float mean = args.mean.as<const float>()[row], rstd = args.rstd.as<const float>()[row];
  float g[kGroups * kSlots], normal[kGroups * kSlots], weight[kGroups * kSlots];
  const auto load = [&](int64_t start, int count) {
    team.load<kGroups>(args.g.as<const float>() + row * C + start, 1, count, 0.0f, g);
    team.load<kGroups>(args.x.as<const float>() + row * C + start, 1, count, mean, normal);
    if (args.weight.present()) team.load<kGroups>(args.weight.as<const float>() + start, 1, count, 0.0f, weight);
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j) {
      if (args.weight.present()) g[j] = g[j] * weight[j];
      normal[j] = (normal[j] - mean) * rstd;
    }
  };
  float h[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f}, hn[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 1
  for (int64_t start = 0; start < C; start += span) {
    load(start, C - start < span ? static_cast<int>(C - start) : span);
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      h[k] = h[k] + (g[k] + g[kSlots + k]);
      hn[k] = hn[k] + (g[k] * normal[k] + g[kSlots + k] * normal[kSlots + k]);
    }
  }
  const float meanH = team.joinSlots(h, shared, SumJoin()) / static_cast<float>(C);
  const float meanHN = team.joinSlots(hn, shared, SumJoin()) / static_cast<float>(C);
#pragma unroll 1
  for (int64_t start = 0; start < C; start += span) {
    const int count = C - start < span ? static_cast<int>(C - start) : span;
    load(start, count);
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j) g[j] = rstd * ((g[j] - meanH) - normal[j] * meanHN);
    team.store<kGroups>(args.dx.as<float>() + row * C + start, 1, count, g);
  }
}

// The column sums over `rows` rows alone: a thread owns a column, a block 256 of them (x) and one part (y).
__device__ inline void parametersLong(const LayerNormBackwardArgs& args, int64_t rows, float* parts) {
  const int64_t R = args.x.sizes[0], C = args.x.sizes[1];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kTeamThreads + threadIdx.x;
  if (column >= C) return;
  const int64_t begin = blockIdx.y * rows, end = begin + rows < R ? begin + rows : R;
  float weightSum = 0.0f, biasSum = 0.0f;
#pragma unroll 4
  for (int64_t row = begin; row < end; ++row) {
    const float g = args.g.as<const float>()[row * C + column];
    const float x = args.x.as<const float>()[row * C + column];
    weightSum = weightSum + g * ((x - args.mean.as<const float>()[row]) * args.rstd.as<const float>()[row]);
    biasSum = biasSum + g;
  }
  float* part = parts + blockIdx.y * 2 * C;
  part[column] = weightSum;
  part[C + column] = biasSum;
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

#define WL_ENTRY(blocks) extern "C" __global__ void __launch_bounds__(kTeamThreads, blocks)

WL_ENTRY(kTeamBlocks) layerNorm_f32_rows2(const LayerNormArgs args, const RowPlan plan, int rounds) {
  forward<kFewGroups>(args, plan, rounds);
}
WL_ENTRY(1) layerNorm_f32_rows8(const LayerNormArgs args, const RowPlan plan, int rounds) {
  forward<kManyGroups>(args, plan, rounds);
}
WL_ENTRY(1) layerNorm_f32_rowsLong(const LayerNormArgs args, const RowPlan plan, int) { forwardLong(args, plan); }

WL_ENTRY(kTeamBlocks)
layerNormBackward_f32_rows2(const LayerNormBackwardArgs args, const RowPlan plan, int rounds, float* parts) {
  backward<kFewGroups>(args, plan, rounds, parts);
}
WL_ENTRY(1)
layerNormBackward_f32_rows8(const LayerNormBackwardArgs args, const RowPlan plan, int rounds, float* parts) {
  backward<kManyGroups>(args, plan, rounds, parts);
}
WL_ENTRY(kTeamBlocks) layerNormBackward_f32_rowsLong(const LayerNormBackwardArgs args, const RowPlan plan) {
  backwardLong(args, plan);
}
WL_ENTRY(kTeamBlocks)
layerNormBackward_f32_parametersLong(const LayerNormBackwardArgs args, int64_t rows, float* parts) {
  parametersLong(args, rows, parts);
}
