// Cross-entropy from logits [N, C, I], fused with log-softmax, and its gradient. At one position (n, i), with logits x,
// log-sum-exp L and a target distribution q over the classes,
//   loss = sum_c q_c (L - x_c),   dloss/dx_c = softmax(x)_c sum_k q_k - q_c,
// where w are the class weights (1 where absent) and s is the label smoothing:
//   class index t:  q_c = (1 - s) w_t [c = t] + (s / C) w_c
//   probabilities:  q_c = w_c ((1 - s) target_c + s / C)
//
// A team owns a position (see rows.cuh), a thread 4 * kGroups of its classes in registers, a block `rounds` times as
// many positions as it has teams. Logits (and probabilities) are read once; `Long` rows twice. Each block leaves the
// sum of its losses and of its weights, which a second launch adds up.
#include <type_traits>

#include "cuda/kernels/online.cuh"
#include "cuda/loss_plan.h"
#include "engine/args/loss.h"
#include "engine/index.h"

namespace warploom::cuda {

// The operands beside logits that forward and backward share.
struct Target {
  const CrossEntropyPlan& plan;
  const View& target;
  const float* weight;  // null: ones
  int64_t weightStride, C, ignoreIndex;

  template <class Args>
  __device__ Target(const Args& args, const CrossEntropyPlan& plan, int64_t C)
      : plan(plan), target(args.target), C(C), ignoreIndex(args.ignoreIndex) {
    weight = args.weight.present() ? args.weight.template as<const float>() : nullptr;
    weightStride = args.weight.present() ? args.weight.strides[0] : 0;
  }
  __device__ float weightOf(int64_t c) const { return weight == nullptr ? 1.0f : weight[c * weightStride]; }
  __device__ int64_t indexAt(const Place& place) const { return readIndex(target, place.at(target)); }
  __device__ bool counts(int64_t t) const { return t != ignoreIndex && t >= 0 && t < C; }

  // What q has beside the class that a hard target names: (keep target_c + share) w_c of probabilities, share w_c of
  // smoothing, which is the same without a target.
  template <int kGroups, class Team>
  __device__ void shares(const Team& team, const Place& place, int64_t start, int count,
                         float (&q)[kGroups * kSlots]) const {
    float w[kGroups * kSlots];
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j) {
      q[j] = 0.0f;
      w[j] = 1.0f;
    }
    if (plan.probabilities) {
      const int64_t stride = target.strides[1];
      team.template load<kGroups>(place.in<const float>(target) + start * stride, stride, count, 0.0f, q);
    }
    if (weight != nullptr) {
      team.template load<kGroups>(weight + start * weightStride, weightStride, count, 0.0f, w);
    }
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j) q[j] = (q[j] * plan.keep + plan.share) * w[j];
  }
};

// Adds fn(j) of the team's values before `count`, a span's own sum first: a long row's error does not grow with its
// length.
template <int kGroups, class Team, class Fn>
__device__ inline void addTo(float (&slots)[kSlots], const Team& team, int count, Fn fn) {
#pragma unroll
  for (int k = 0; k < kSlots; ++k) {
    float part = 0.0f;
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      if (team.element(g, k) < count) part = part + fn(g * kSlots + k);
    }
    slots[k] = slots[k] + part;
  }
}

// kSoft: with probabilities or label smoothing, whose sums need more registers.
template <class Team, int kGroups, bool kLong, bool kSoft>
__device__ inline void forward(const CrossEntropyArgs& args, const RowPlan& plan, const CrossEntropyPlan& loss,
                               LossPart* parts, IndexErrorWord* errors) {
  using Shared = typename Team::template Shared<float>;
  using SharedTop = typename Team::template Shared<std::conditional_t<kLong, TopSum, float>>;
  __shared__ Shared shared;
  __shared__ SharedTop sharedTop;
  __shared__ double sharedSums[kTeamWarps];
  const Team team(plan);
  const Target target(args, loss, plan.n);
  const int64_t stride = args.logits.strides[1];
  const int span = team.span(kGroups);
  double lossSum = 0.0, normSum = 0.0;
#pragma unroll 1
  for (int round = 0; round < loss.rounds; ++round) {
    const int64_t task = (static_cast<int64_t>(blockIdx.x) * loss.rounds + round) * team.tasksBlock();
    const Place place = team.place(plan, task);
    const int64_t n = place.active ? plan.n : 0;
    const float* x = place.in<const float>(args.logits);
    float v[kGroups * kSlots];
    TopSum whole;
    if constexpr (kLong) {
      whole = topSumLong<kGroups>(team, x, stride, n, sharedTop);
    } else {
      team.template load<kGroups>(x, stride, static_cast<int>(n), -infinity(), v);
      whole = topSumOf<kGroups>(team, v, true, sharedTop);
    }
    // L - x_c is formed as (max - x_c) + logSum, which does not lose the small part to a large maximum.
    const float logSum = logf(whole.sum);
    float soft = 0.0f;
    if constexpr (kSoft) {
      float slots[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 1
      for (int64_t start = 0; start < n; start += span) {
        const int count = n - start < span ? static_cast<int>(n - start) : span;
        float q[kGroups * kSlots];
        if (kLong) team.template load<kGroups>(x + start * stride, stride, count, 0.0f, v);
        target.template shares<kGroups>(team, place, start, count, q);
        addTo<kGroups>(slots, team, count, [&](int j) { return q[j] * ((whole.top - v[j]) + logSum); });
      }
      soft = team.joinSlots(slots, shared, SumJoin());
    }
    if (!place.active || !team.leads()) continue;
    float value = 0.0f, norm = 0.0f;
    if (kSoft && loss.probabilities) {
      value = soft;
      norm = 1.0f;
    } else {
      const int64_t t = target.indexAt(place);
      if (target.counts(t)) {
        norm = target.weightOf(t);
        const float hard = norm * ((whole.top - x[t * stride]) + logSum);
        value = kSoft && loss.smooth ? loss.keep * hard + soft : hard;
      } else if (t != target.ignoreIndex) {
        reportIndex(errors, loss.op, t, plan.n);
      }
    }
    args.lse.as<float>()[place.at(args.lse)] = whole.top + logSum;
    if (args.reduction == kReductionNone) args.loss.as<float>()[place.at(args.loss)] = value;
    lossSum += static_cast<double>(value);
    normSum += static_cast<double>(norm);
  }
  const RowTeam block(kTeamThreads, false);
  lossSum = block.join(lossSum, sharedSums, SumJoin());
  normSum = block.join(normSum, sharedSums, SumJoin());
  if (threadIdx.x == 0) parts[blockIdx.x] = {lossSum, normSum};
}

template <class Team, int kGroups, bool kLong>
__device__ inline void backward(const CrossEntropyBackwardArgs& args, const RowPlan& plan,
                                const CrossEntropyPlan& loss) {
  using Shared = typename Team::template Shared<float>;
  __shared__ Shared shared;
  const Team team(plan);
  const Target target(args, loss, plan.n);
  const int64_t stride = args.logits.strides[1], dxStride = args.dlogits.strides[1];
  const int span = team.span(kGroups);
  const Place place = team.place(plan, static_cast<int64_t>(blockIdx.x) * team.tasksBlock());
  const int64_t n = place.active ? plan.n : 0;
  const float* x = place.in<const float>(args.logits);
  float* dx = place.in<float>(args.dlogits);
  float q[kGroups * kSlots] = {};

  // The sum over the classes of what q has beside a hard target.
  const bool soft = loss.probabilities || loss.smooth;
  float sum = 0.0f;
  if (soft) {
    float slots[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 1
    for (int64_t start = 0; start < n; start += span) {
      const int count = n - start < span ? static_cast<int>(n - start) : span;
      target.template shares<kGroups>(team, place, start, count, q);
      addTo<kGroups>(slots, team, count, [&](int j) { return q[j]; });
    }
    sum = team.joinSlots(slots, shared, SumJoin());
  }

  const float scale = team.once(place, [&] {
    const float g = args.g.as<const float>()[args.reduction == kReductionNone ? place.at(args.g) : 0];
    return args.reduction == kReductionMean ? g / args.norm.as<const float>()[0] : g;
  });
  const float lse = team.once(place, [&] { return args.lse.as<const float>()[place.at(args.lse)]; });
  int64_t t = -1;
  float hard = 0.0f, mass = sum;
  bool counts = true;
  if (!loss.probabilities) {
    t = team.once(place, [&] { return target.indexAt(place); });
    // The forward pass has reported a target that is out of range; here, like an ignored one, it has no gradient.
    counts = target.counts(t);
    hard = team.once(place, [&] { return counts ? target.weightOf(t) : 0.0f; });
    if (loss.smooth) hard = loss.keep * hard;
    mass = hard + sum;
  }
#pragma unroll 1
  for (int64_t start = 0; start < n; start += span) {
    const int count = n - start < span ? static_cast<int>(n - start) : span;
    const int named = t >= start && t < start + count ? static_cast<int>(t - start) : -1;
    float v[kGroups * kSlots];
    team.template load<kGroups>(x + start * stride, stride, count, lse, v);
    if (kLong && soft) target.template shares<kGroups>(team, place, start, count, q);
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j) {
      float d = expf(v[j] - lse) * mass - q[j];
      if (team.element(j / kSlots, j % kSlots) == named) d = d - hard;
      v[j] = counts ? d * scale : 0.0f;
    }
    team.template store<kGroups>(dx + start * dxStride, dxStride, count, v);
  }
}

// One block: the parts of all blocks, each thread every 256th, then joined. With no target left the mean is 0 / 0, NaN.
__device__ inline void finish(const LossPart* parts, int64_t count, double divisor, bool mean, float* loss,
                              float* norm) {
  __shared__ double shared[kTeamWarps];
  LossPart sum = {0.0, 0.0};
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < count; i += kTeamThreads) {
    sum.loss += parts[i].loss;
    sum.norm += parts[i].norm;
  }
  const RowTeam block(kTeamThreads, false);
  sum.loss = block.join(sum.loss, shared, SumJoin());
  sum.norm = block.join(sum.norm, shared, SumJoin());
  if (threadIdx.x != 0) return;
  if (norm != nullptr) *norm = static_cast<float>(sum.norm);
  if (loss != nullptr) *loss = static_cast<float>(mean ? sum.loss / (norm != nullptr ? sum.norm : divisor) : sum.loss);
}

// The mean squared error. A block owns kSquaresOfBlock elements, a thread four side by side where they may be loaded at
// once.

template <class Fn>
__device__ inline void eachSquare(const float* x, const float* y, int64_t n, bool packed, Fn fn) {
  const RowTeam team(kTeamThreads, packed);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kSquaresOfBlock;
  const int count = n - begin < kSquaresOfBlock ? static_cast<int>(n - begin) : kSquaresOfBlock;
#pragma unroll 2
  for (int step = 0; step < count; step += kTeamThreads * kSlots) {
    float a[kSlots], b[kSlots];
    const int first = step + team.at(0);
    if (packed && first < count) {
      const Packed<float, kSlots> left = loadPacked<float, kSlots>(x + begin + first);
      const Packed<float, kSlots> right = loadPacked<float, kSlots>(y + begin + first);
#pragma unroll
      for (int k = 0; k < kSlots; ++k) {
        a[k] = left.v[k];
        b[k] = right.v[k];
      }
    } else {
#pragma unroll
      for (int k = 0; k < kSlots; ++k) {
        const int i = step + team.at(k);
        a[k] = i < count ? x[begin + i] : 0.0f;
        b[k] = i < count ? y[begin + i] : 0.0f;
      }
    }
#pragma unroll
    for (int k = 0; k < kSlots; ++k) a[k] = a[k] - b[k];
    fn(team, begin, step, count, a);
  }
}

__device__ inline void storeStep(const RowTeam& team, float* to, int step, int count, const float (&v)[kSlots]) {
  if (team.packed) {
    if (step + team.at(0) < count) storeGlobal(to + step + team.at(0), Packed<float, kSlots>{{v[0], v[1], v[2], v[3]}});
    return;
  }
#pragma unroll
  for (int k = 0; k < kSlots; ++k) {
    if (step + team.at(k) < count) to[step + team.at(k)] = v[k];
  }
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

#define WL_ENTRY(blocks) extern "C" __global__ void __launch_bounds__(kTeamThreads, blocks)

#define WL_CROSS_ENTROPY(shape, softBlocks, ...)                                                             \
  WL_ENTRY(kTeamBlocks)                                                                                      \
  crossEntropy_f32_##shape(const CrossEntropyArgs args, const RowPlan plan, const CrossEntropyPlan loss,     \
                           LossPart* parts, IndexErrorWord* errors) {                                        \
    forward<__VA_ARGS__, false>(args, plan, loss, parts, errors);                                            \
  }                                                                                                          \
  WL_ENTRY(softBlocks)                                                                                       \
  crossEntropySoft_f32_##shape(const CrossEntropyArgs args, const RowPlan plan, const CrossEntropyPlan loss, \
                               LossPart* parts, IndexErrorWord* errors) {                                    \
    forward<__VA_ARGS__, true>(args, plan, loss, parts, errors);                                             \
  }                                                                                                          \
  WL_ENTRY(softBlocks)                                                                                       \
  crossEntropyBackward_f32_##shape(const CrossEntropyBackwardArgs args, const RowPlan plan,                  \
                                   const CrossEntropyPlan loss) {                                            \
    backward<__VA_ARGS__>(args, plan, loss);                                                                 \
  }
WL_CROSS_ENTROPY(rows2, kTeamBlocks, HeldRow, kFewGroups, false)
WL_CROSS_ENTROPY(rows8, 1, HeldRow, kManyGroups, false)
WL_CROSS_ENTROPY(columns8, 1, HeldColumn, kManyGroups, false)
WL_CROSS_ENTROPY(rowsLong, kTeamBlocks, HeldRow, kFewGroups, true)
WL_CROSS_ENTROPY(columnsLong, kTeamBlocks, HeldColumn, kFewGroups, true)

// norm, where present, gets the sum of the parts' norms and is the divisor of the mean.
WL_ENTRY(kTeamBlocks)
loss_finish(const LossPart* parts, int64_t count, double divisor, bool mean, float* loss, float* norm) {
  finish(parts, count, divisor, mean, loss, norm);
}

WL_ENTRY(kTeamBlocks) mse_f32_sum(const MseArgs args, int64_t n, bool packed, LossPart* parts) {
  __shared__ float shared[kTeamWarps];
  float slots[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f};
  eachSquare(args.x.as<const float>(), args.y.as<const float>(), n, packed,
             [&](const RowTeam&, int64_t, int, int, const float(&d)[kSlots]) {
#pragma unroll
               for (int k = 0; k < kSlots; ++k) slots[k] = slots[k] + d[k] * d[k];
             });
  const float sum = RowTeam(kTeamThreads, packed).joinSlots(slots, shared, SumJoin());
  if (threadIdx.x == 0) parts[blockIdx.x] = {static_cast<double>(sum), 0.0};
}

WL_ENTRY(kTeamBlocks) mse_f32_each(const MseArgs args, int64_t n, bool packed) {
  eachSquare(args.x.as<const float>(), args.y.as<const float>(), n, packed,
             [&](const RowTeam& team, int64_t begin, int step, int count, float(&d)[kSlots]) {
#pragma unroll
               for (int k = 0; k < kSlots; ++k) d[k] = d[k] * d[k];
               storeStep(team, args.loss.as<float>() + begin, step, count, d);
             });
}

// dx = (factor (x - y)) g, where g has one element, or as many as x.
WL_ENTRY(kTeamBlocks) mseBackward_f32(const MseBackwardArgs args, int64_t n, bool packed, float factor) {
  const float* g = args.g.as<const float>();
  const bool each = args.reduction == kReductionNone;
  const float one = each ? 0.0f : g[0];
  eachSquare(args.x.as<const float>(), args.y.as<const float>(), n, packed,
             [&](const RowTeam& team, int64_t begin, int step, int count, float(&d)[kSlots]) {
               float gradient[kSlots];
#pragma unroll
               for (int k = 0; k < kSlots; ++k) gradient[k] = one;
               if (each && packed) {
                 if (step + team.at(0) < count) {
                   const Packed<float, kSlots> values = loadPacked<float, kSlots>(g + begin + step + team.at(0));
#pragma unroll
                   for (int k = 0; k < kSlots; ++k) gradient[k] = values.v[k];
                 }
               } else if (each) {
#pragma unroll
                 for (int k = 0; k < kSlots; ++k) {
                   if (step + team.at(k) < count) gradient[k] = g[begin + step + team.at(k)];
                 }
               }
#pragma unroll
               for (int k = 0; k < kSlots; ++k) d[k] = factor * d[k] * gradient[k];
               storeStep(team, args.dx.as<float>() + begin, step, count, d);
             });
}
