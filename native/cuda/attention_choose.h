// Which kernel computes attention or one of its gradients, and why: a pure function of the shape.
#pragma once

#include <cstdint>

namespace warploom::cuda {

// What comes out: y; dq; dk and dv. Lines are queries, queries, keys.
enum class AttentionPass { forward, queries, keys };

struct AttentionShape {
  int64_t batches, queries, keys;
  int64_t qkWidth, vWidth;  // E, D
  int64_t columns;          // of what comes out: D, E, the larger of both
  bool fits;                // offsets within 128 lines fit 32 bits
};

struct AttentionChoice {
  const char* family;
  const char* entry;
  const char* reason;  // for people
  int lines, columns;  // of a block's tile; a warp for each line: those of a block, and 0
  int threads;
  int64_t blocks;
};

AttentionChoice chooseAttention(AttentionPass pass, const AttentionShape& shape);

}  // namespace warploom::cuda
