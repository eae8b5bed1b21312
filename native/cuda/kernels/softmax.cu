// Softmax and log-softmax along n of (outer, n, inner), and their gradients:
//   y = exp(x - max) / sum exp(x - max)      dx = y (g - sum(g y))
//   y = (x - max) - log sum exp(x - max)     dx = g - exp(y) sum(g)
// A row of -infinity gives NaN, and a NaN spreads over its row, both by way of the sum.
//
// A team owns a row (see rows.cuh), a thread 4 * kGroups of its values in registers, a block 256 / width rows; memory
// is read once and written once. `Long`: a row longer than a block holds is read twice, first for its maximum and sum.
#include <type_traits>

#include "cuda/kernels/online.cuh"
#include "engine/args/softmax.h"

namespace warploom::cuda {

template <int kGroups>
__device__ inline void normalise(float (&v)[kGroups * kSlots], TopSum whole, bool log, bool exponentiated) {
  const float factor = 1.0f / whole.sum, logSum = logf(whole.sum);
#pragma unroll
  for (int j = 0; j < kGroups * kSlots; ++j) {
    if (log) {
      v[j] = (v[j] - whole.top) - logSum;
    } else {
      v[j] = (exponentiated ? v[j] : expf(v[j] - whole.top)) * factor;
    }
  }
}

template <class Team, int kGroups, bool kLong>
__device__ inline void forward(const SoftmaxArgs& args, const RowPlan& plan, bool log) {
  using Shared = typename Team::template Shared<std::conditional_t<kLong, TopSum, float>>;
  __shared__ Shared shared;
  const Team team(plan);
  const Place place = team.place(plan, static_cast<int64_t>(blockIdx.x) * team.tasksBlock());
  const float* x = place.in<const float>(args.x);
  float* y = place.in<float>(args.y);
  const int64_t xStride = args.x.strides[1], yStride = args.y.strides[1];
  const int64_t n = place.active ? plan.n : 0;
  float v[kGroups * kSlots];
  if constexpr (kLong) {
    const TopSum whole = topSumLong<kGroups>(team, x, xStride, n, shared);
    const int span = team.span(kGroups);
#pragma unroll 1
    for (int64_t start = 0; start < n; start += span) {
      const int count = n - start < span ? static_cast<int>(n - start) : span;
      team.template load<kGroups>(x + start * xStride, xStride, count, 0.0f, v);
      normalise<kGroups>(v, whole, log, false);
      team.template store<kGroups>(y + start * yStride, yStride, count, v);
    }
  } else {
    team.template load<kGroups>(x, xStride, static_cast<int>(n), -infinity(), v);
    const TopSum whole = topSumOf<kGroups>(team, v, log, shared);
    normalise<kGroups>(v, whole, log, true);
    team.template store<kGroups>(y, yStride, static_cast<int>(n), v);
  }
}

template <class Team, int kGroups, bool kLong>
__device__ inline void backward(const SoftmaxBackwardArgs& args, const RowPlan& plan, bool log) {
  using Shared = typename Team::template Shared<float>;
  __shared__ Shared shared;
  const Team team(plan);
  const Place place = team.place(plan, static_cast<int64_t>(blockIdx.x) * team.tasksBlock());
  const float* gradient = place.in<const float>(args.g);
  const float* output = place.in<const float>(args.y);
  float* dx = place.in<float>(args.dx);
  const int64_t gStride = args.g.strides[1], yStride = args.y.strides[1], dxStride = args.dx.strides[1];
  const int64_t n = place.active ? plan.n : 0;
  const int span = team.span(kGroups);
  float g[kGroups * kSlots], y[kGroups * kSlots];
  float slots[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f};
  const auto load = [&](int64_t start, int count) {
    team.template load<kGroups>(gradient + start * gStride, gStride, count, 0.0f, g);
    team.template load<kGroups>(output + start * yStride, yStride, count, 0.0f, y);
  };
  const auto add = [&] {
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      float part = 0.0f;  // of a span: a long row's error does not grow with its length
#pragma unroll
      for (int j = k; j < kGroups * kSlots; j += kSlots) part = part + (log ? g[j] : g[j] * y[j]);
      slots[k] = slots[k] + part;
    }
  };
  const auto finish = [&](float sum, int64_t start, int count) {
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j) g[j] = log ? g[j] - expf(y[j]) * sum : y[j] * (g[j] - sum);
    team.template store<kGroups>(dx + start * dxStride, dxStride, count, g);
  };
  if constexpr (kLong) {
#pragma unroll 1
    for (int64_t start = 0; start < n; start += span) {
      load(start, n - start < span ? static_cast<int>(n - start) : span);
      add();
    }
    const float sum = team.joinSlots(slots, shared, SumJoin());
#pragma unroll 1
    for (int64_t start = 0; start < n; start += span) {
      const int count = n - start < span ? static_cast<int>(n - start) : span;
      load(start, count);
      finish(sum, start, count);
    }
  } else {
    load(0, static_cast<int>(n));
    add();
    finish(team.joinSlots(slots, shared, SumJoin()), 0, static_cast<int>(n));
  }
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

#define WL_SOFTMAX(shape, blocks, ...)                                                            \
  extern "C" __global__ void __launch_bounds__(kTeamThreads, blocks)                              \
      softmax_f32_##shape(const SoftmaxArgs args, const RowPlan plan, bool log) {                 \
    forward<__VA_ARGS__>(args, plan, log);                                                        \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(kTeamThreads, blocks)                              \
      softmaxBackward_f32_##shape(const SoftmaxBackwardArgs args, const RowPlan plan, bool log) { \
    backward<__VA_ARGS__>(args, plan, log);                                                       \
  }
WL_SOFTMAX(rows2, kTeamBlocks, HeldRow, kFewGroups, false)
WL_SOFTMAX(rows8, kTeamBlocks, HeldRow, kManyGroups, false)
WL_SOFTMAX(columns8, 1, HeldColumn, kManyGroups, false)
WL_SOFTMAX(rowsLong, 1, HeldRow, kLongGroups, true)
WL_SOFTMAX(columnsLong, 1, HeldColumn, kLongGroups, true)
