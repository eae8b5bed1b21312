// Attention and its gradients with a warp for each line of what comes out: the formulas of attention.cu and
// attention_backward.cu, for readers. The tiles are these with 64 lines a block, which read what they share once. Also
// the kernels for few lines, where most of a tile would be idle, and for offsets beyond 32 bits.
//
// A warp takes the lines of the other side 32 at a time, in order: each lane works out the weight of one pair, then all
// lanes add the 32 weighted lines to their columns, of which each has kColumns, 32 apart. Wider lines are done in
// several turns, which work out the weights anew.
#include "cuda/kernels/attention_common.cuh"
#include "cuda/kernels/online.cuh"

namespace warploom::cuda {

constexpr int kColumns = 4;

__device__ inline float dot(const float* a, const float* b, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum = fmaf(a[i], b[i], sum);
  return sum;
}

// The line of outputs of this warp: of `count` in each batch.
struct OwnLine {
  int64_t batch, line;
  int lane;
  bool exists;

  __device__ OwnLine(const AttentionPlan& plan, int64_t count) : lane(threadIdx.x % kWarp) {
    const int64_t number = static_cast<int64_t>(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
    batch = number / count;
    line = number - batch * count;
    exists = batch < plan.batches;
  }
};

// y [width] = factor * sum of weight(i) x [i, width] over i in [begin, end). Chains of 32 keep the error of long sums
// small. All lanes of the warp call it.
template <class Weight>
__device__ inline void weightedSum(int64_t begin, int64_t end, const float* x, int64_t stride, int64_t width, int lane,
                                   float factor, float* y, Weight weight) {
#pragma unroll 1
  for (int64_t column0 = lane; column0 - lane < width; column0 += kColumns * kWarp) {
    float total[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) total[c] = 0.0f;
#pragma unroll 1
    for (int64_t i0 = begin; i0 < end; i0 += kWarp) {
      const float own = i0 + lane < end ? weight(i0 + lane) : 0.0f;
      const int count = end - i0 < kWarp ? static_cast<int>(end - i0) : kWarp;
      float chain[kColumns];
#pragma unroll
      for (int c = 0; c < kColumns; ++c) chain[c] = 0.0f;
#pragma unroll 1
      for (int i = 0; i < count; ++i) {
        const float w = __shfl_sync(kAllLanes, own, i);
        const float* from = x + (i0 + i) * stride;
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          const int64_t column = column0 + c * kWarp;
          if (column < width) chain[c] = fmaf(w, from[column], chain[c]);
        }
      }
#pragma unroll
      for (int c = 0; c < kColumns; ++c) total[c] = total[c] + chain[c];
    }
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int64_t column = column0 + c * kWarp;
      if (column < width) y[column] = total[c] * factor;
    }
  }
}

// What one pair of a batch comes to, in the backward pass.
template <bool kKeysOwn>
struct PairSlope {
  const AttentionPlan& plan;
  const Scores<kKeysOwn> scores;
  const float *q, *k, *v, *g, *lse, *delta;  // of the batch

  __device__ PairSlope(const AttentionPlan& given, const BatchPlace<int64_t>& place, int64_t batch)
      : plan(given),
        scores(given, place),
        q(place.in(given.q)),
        k(place.in(given.k)),
        v(place.in(given.v)),
        g(place.in(given.g)),
        lse(given.lse + batch * given.queries),
        delta(given.delta + batch * given.queries) {}

  // The weight p, and whether the pair is hidden.
  __device__ float weight(int64_t query, int64_t key, bool& hidden) const {
    float score;
    hidden = scores.apply(dot(q + query * plan.q.stride, k + key * plan.k.stride, plan.qkWidth), kKeysOwn ? key : query,
                          kKeysOwn ? query : key, score);
    return expf(score - lse[query]);
  }
  __device__ float slope(int64_t query, int64_t key) const {
    bool hidden;
    const float p = weight(query, key, hidden);
    const float dp = dot(g + query * plan.g.stride, v + key * plan.v.stride, plan.vWidth);
    return hidden ? 0.0f : p * (dp - delta[query]);
  }
};

}  // namespace warploom::cuda

using namespace warploom::cuda;

extern "C" __global__ void __launch_bounds__(kAttentionSimpleThreads) attentionSimple_f32(const AttentionPlan plan) {
  const OwnLine own(plan, plan.queries);
  if (!own.exists) return;
  const BatchPlace<int64_t> place(plan, own.batch);
  const Scores<false> scores(plan, place);
  const float *q = place.in(plan.q) + own.line * plan.q.stride, *k = place.in(plan.k);
  const int64_t end = plan.causal != 0 ? min(plan.keys, own.line + 1) : plan.keys;
  const auto scoreOf = [&](int64_t key) {
    float score;
    scores.apply(dot(q, k + key * plan.k.stride, plan.qkWidth), own.line, key, score);
    return score;
  };
  TopSum whole = {lowest(), 0.0f};
#pragma unroll 1
  for (int64_t key = own.lane; key < end; key += kWarp) {
    const float score = scoreOf(key), top = fmaxf(whole.top, score);
    whole = {top, whole.sum * TopSumJoin::scale(whole.top, top) + expf(score - (top == lowest() ? 0.0f : top))};
  }
#pragma unroll 1
  for (int offset = 1; offset < kWarp; offset *= 2) whole = TopSumJoin()(whole, shuffleXor(whole, offset));
  if (own.lane == 0) plan.lse[own.batch * plan.queries + own.line] = whole.top + logf(whole.sum);
  const float base = whole.top == lowest() ? 0.0f : whole.top;
  weightedSum(0, end, place.in(plan.v), plan.v.stride, plan.vWidth, own.lane, plan.keys == 0 ? 1.0f : 1.0f / whole.sum,
              place.in(plan.y) + own.line * plan.y.stride, [&](int64_t key) { return expf(scoreOf(key) - base); });
}

extern "C" __global__ void __launch_bounds__(kAttentionSimpleThreads) attentionDelta_f32(const AttentionPlan plan) {
  const OwnLine own(plan, plan.queries);
  if (!own.exists) return;
  const BatchPlace<int64_t> place(plan, own.batch);
  const float *g = place.in(plan.g) + own.line * plan.g.stride, *y = place.in(plan.y) + own.line * plan.y.stride;
  float sum = 0.0f;
  for (int64_t column = own.lane; column < plan.vWidth; column += kWarp) sum = fmaf(g[column], y[column], sum);
#pragma unroll 1
  for (int offset = 1; offset < kWarp; offset *= 2) sum = sum + shuffleXor(sum, offset);
  if (own.lane == 0) plan.delta[own.batch * plan.queries + own.line] = sum;
}

extern "C" __global__ void __launch_bounds__(kAttentionSimpleThreads)
    attentionQueriesSimple_f32(const AttentionPlan plan) {
  const OwnLine own(plan, plan.queries);
  if (!own.exists) return;
  const BatchPlace<int64_t> place(plan, own.batch);
  const PairSlope<false> pairs(plan, place, own.batch);
  const int64_t end = plan.causal != 0 ? min(plan.keys, own.line + 1) : plan.keys;
  weightedSum(0, end, pairs.k, plan.k.stride, plan.qkWidth, own.lane, plan.scale,
              place.in(plan.dq) + own.line * plan.dq.stride, [&](int64_t key) { return pairs.slope(own.line, key); });
}

// One block a multiprocessor: left to itself, ptxas aims at more on some architectures, and spills.
extern "C" __global__ void __launch_bounds__(kAttentionSimpleThreads, 1)
    attentionKeysSimple_f32(const AttentionPlan plan) {
  const OwnLine own(plan, plan.keys);
  if (!own.exists) return;
  const BatchPlace<int64_t> place(plan, own.batch);
  const PairSlope<true> pairs(plan, place, own.batch);
  const int64_t begin = plan.causal != 0 ? own.line : 0;
  if (plan.dk.data != nullptr) {
    weightedSum(begin, plan.queries, pairs.q, plan.q.stride, plan.qkWidth, own.lane, plan.scale,
                place.in(plan.dk) + own.line * plan.dk.stride,
                [&](int64_t query) { return pairs.slope(query, own.line); });
  }
  if (plan.dv.data != nullptr) {
    weightedSum(begin, plan.queries, pairs.g, plan.g.stride, plan.vWidth, own.lane, 1.0f,
                place.in(plan.dv) + own.line * plan.dv.stride, [&](int64_t query) {
                  bool hidden;
                  return pairs.weight(query, own.line, hidden);
                });
  }
}
