// The maximum of a row and the sum of exp(x - maximum), which softmax and cross-entropy divide by.
#pragma once

#include "cuda/kernels/rows.cuh"

namespace warploom::cuda {

struct alignas(8) TopSum {
  float top, sum;
};
__device__ inline TopSum shuffleXor(TopSum v, int offset) {
  return {shuffleXor(v.top, offset), shuffleXor(v.sum, offset)};
}

// Sums of exp over parts of a row, each against its own maximum, joined (Milakov and Gimelshein: "Online normalizer
// calculation for softmax", 2018). A part of nothing but -infinity counts 0; a NaN shows in the sum.
struct TopSumJoin {
  __device__ static float scale(float from, float to) { return from == to ? 1.0f : expf(from - to); }
  __device__ TopSum operator()(TopSum a, TopSum b) const {
    const float top = fmaxf(a.top, b.top);
    return {top, a.sum * scale(a.top, top) + b.sum * scale(b.top, top)};
  }
};

// Of a row that the team holds, padded with -infinity; v becomes exp(v - top) where `keep` is not set.
template <int kGroups, class Team>
__device__ inline TopSum topSumOf(const Team& team, float (&v)[kGroups * kSlots], bool keep, float* shared) {
  TopSum result;
  result.top = teamMax<kGroups>(team, v, shared);
  float slots[kSlots] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
  for (int j = 0; j < kGroups * kSlots; ++j) {
    const float e = expf(v[j] - result.top);
    slots[j % kSlots] = slots[j % kSlots] + e;
    if (!keep) v[j] = e;
  }
  result.sum = team.joinSlots(slots, shared, SumJoin());
  return result;
}

// Of a row of any length, read once, a span of the team at a time.
template <int kGroups, class Team>
__device__ inline TopSum topSumLong(const Team& team, const float* row, int64_t stride, int64_t n, TopSum* shared) {
  TopSum slots[kSlots];
#pragma unroll
  for (int k = 0; k < kSlots; ++k) slots[k] = {-infinity(), 0.0f};
  const int span = team.span(kGroups);
#pragma unroll 1
  for (int64_t start = 0; start < n; start += span) {
    const int count = n - start < span ? static_cast<int>(n - start) : span;
    float v[kGroups * kSlots];
    team.template load<kGroups>(row + start * stride, stride, count, -infinity(), v);
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      TopSum part = {v[k], 0.0f};
#pragma unroll
      for (int g = 1; g < kGroups; ++g) part.top = fmaxf(part.top, v[g * kSlots + k]);
      const float shift = part.top == -infinity() ? 0.0f : part.top;
#pragma unroll
      for (int g = 0; g < kGroups; ++g) part.sum = part.sum + expf(v[g * kSlots + k] - shift);
      slots[k] = TopSumJoin()(slots[k], part);
    }
  }
  return team.joinSlots(slots, shared, TopSumJoin());
}

}  // namespace warploom::cuda
