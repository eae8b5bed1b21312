// What the attention kernels are told: the op's operands with their leading dims folded. Read by g++ and nvcc.
#pragma once

#include <cstdint>

namespace warploom::cuda {

constexpr int kAttentionBatchDims = 6;
// Of the tile kernels: a block owns this many lines (queries, or keys) and meets those of the other side this many at a
// time.
constexpr int kAttentionLines = 64;
constexpr int kAttentionThreads = 128;
constexpr int kAttentionSimpleThreads = 256;  // of the others: a warp owns a line

// Lines of which each is dense: q [L, E], k [S, E], v [S, D], y [L, D] and their gradients, in every batch.
struct AttentionLines {
  void* data;      // null: absent
  int64_t stride;  // between lines
  int64_t batch[kAttentionBatchDims];
  int32_t vector;  // every fourth element of a line is at a multiple of 16 bytes, and the last ends one
};

enum class AttentionMaskKind : int32_t { none, boolean, added };

// [L, S] in every batch.
struct AttentionMask {
  const void* data;
  int64_t query, key;  // strides
  int64_t batch[kAttentionBatchDims];
  AttentionMaskKind kind;
};

struct AttentionPlan {
  int64_t queries, keys, qkWidth, vWidth;  // L, S, E, D
  int64_t batches;
  int64_t batchSizes[kAttentionBatchDims];
  int32_t batchRank;
  int32_t causal;
  float scale;
  AttentionMask mask;
  AttentionLines q, k, v, y;
  float* lse;  // [batches, L]
  // Of the backward pass. Outputs that nobody asks for are absent.
  AttentionLines g, dq, dk, dv;
  float* delta;  // [batches, L]: g . y
};

}  // namespace warploom::cuda
