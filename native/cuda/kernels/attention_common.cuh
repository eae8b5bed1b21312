// What the tiles of attention and its simple kernels share: where a batch lies, and which scores are hidden.
#pragma once

#include "cuda/attention_plan.h"
#include "cuda/kernels/common.cuh"

namespace warploom::cuda {

// The score of a hidden pair: -infinity.
__device__ inline float lowest() { return __int_as_float(0xff800000); }

// Where one of the batches lies in each operand.
template <class Index>
class BatchPlace {
 public:
  __device__ BatchPlace(const AttentionPlan& plan, Index batch) {
#pragma unroll
    for (int dim = kAttentionBatchDims - 1; dim >= 0; --dim) {
      at_[dim] = 0;
      if (dim >= plan.batchRank) continue;
      const Index size = static_cast<Index>(plan.batchSizes[dim]), next = dim == 0 ? 0 : batch / size;
      at_[dim] = batch - next * size;
      batch = next;
    }
  }
  __device__ float* in(const AttentionLines& lines) const {
    return static_cast<float*>(lines.data) + offset(lines.batch);
  }
  __device__ int64_t offset(const int64_t (&strides)[kAttentionBatchDims]) const {
    int64_t sum = 0;
#pragma unroll
    for (int dim = 0; dim < kAttentionBatchDims; ++dim) sum += static_cast<int64_t>(at_[dim]) * strides[dim];
    return sum;
  }

 private:
  Index at_[kAttentionBatchDims];
};

// The scores of a batch: what becomes of q . k. `kKeysOwn` says which side a block owns: pairs are (own, other), that
// is (key, query) then, and else (query, key).
template <bool kKeysOwn>
struct Scores {
  float scale;
  bool causal;
  AttentionMaskKind kind;
  const void* mask;  // of the batch
  int64_t maskOwn, maskOther;

  template <class Index>
  __device__ Scores(const AttentionPlan& plan, const BatchPlace<Index>& place)
      : scale(plan.scale),
        causal(plan.causal != 0),
        kind(plan.mask.kind),
        maskOwn(kKeysOwn ? plan.mask.key : plan.mask.query),
        maskOther(kKeysOwn ? plan.mask.query : plan.mask.key) {
    const int64_t itemSize = kind == AttentionMaskKind::added ? sizeof(float) : 1;
    mask = static_cast<const char*>(plan.mask.data) + place.offset(plan.mask.batch) * itemSize;
  }

  // Of a pair that exists. Says whether it is hidden; then the score is -infinity.
  template <class Index>
  __device__ bool apply(float product, Index own, Index other, float& score) const {
    const int64_t at = static_cast<int64_t>(own) * maskOwn + static_cast<int64_t>(other) * maskOther;
    bool hidden = causal && (kKeysOwn ? own > other : other > own);
    if (kind == AttentionMaskKind::boolean) hidden = hidden || static_cast<const uint8_t*>(mask)[at] == 0;
    score = product * scale;
    if (kind == AttentionMaskKind::added) score = score + static_cast<const float*>(mask)[at];
    if (hidden) score = lowest();
    return hidden;
  }
};

}  // namespace warploom::cuda
