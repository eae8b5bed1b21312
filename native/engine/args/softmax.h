// Softmax and log-softmax along the middle of (outer, n, inner): every view has rank 3 and may be strided.
#pragma once
#include "engine/args.h"

namespace warploom {

#define WL_SOFTMAX_ARGS(F) \
  F(In, x)                 \
  F(Out, y)
WL_ARGS(SoftmaxArgs, WL_SOFTMAX_ARGS)

// y is the saved output of the forward pass.
#define WL_SOFTMAX_BACKWARD_ARGS(F) \
  F(In, g)                          \
  F(In, y)                          \
  F(Out, dx)
WL_ARGS(SoftmaxBackwardArgs, WL_SOFTMAX_BACKWARD_ARGS)

}  // namespace warploom
