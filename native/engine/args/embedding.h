// Rows of a table by index: weight [V, D], index [N] (int32, int64 or uint8), y [N, D], all contiguous.
#pragma once
#include "engine/args.h"

namespace warploom {

// An index outside [0, V) gives a row of zeros and is reported as an index error.
#define WL_EMBEDDING_ARGS(F) \
  F(In, weight)              \
  F(In, index)               \
  F(Out, y)
WL_ARGS(EmbeddingArgs, WL_EMBEDDING_ARGS)

// dweight [V, D]: every row is the sum of its g rows in ascending order of position; rows never named are 0, and so is
// paddingIdx (-1: none).
#define WL_EMBEDDING_BACKWARD_ARGS(F) \
  F(In, g)                            \
  F(In, index)                        \
  F(Out, dweight)                     \
  F(int64, paddingIdx)
WL_ARGS(EmbeddingBackwardArgs, WL_EMBEDDING_BACKWARD_ARGS)

}  // namespace warploom
