// Reductions. x is arranged as [kept dims..., reduced dims...] with any strides; y is contiguous with the kept sizes.
#pragma once
#include "engine/args.h"

namespace warploom {

// `kept` counts the leading dims of x that stay. argmax and argmin give the flat position inside the reduced dims,
// first on ties, NaN counting as the extreme (PyTorch). An empty sum is 0, an empty mean NaN.
#define WL_REDUCE_ARGS(F) \
  F(In, x)                \
  F(Out, y)               \
  F(int64, kept)
WL_ARGS(ReduceArgs, WL_REDUCE_ARGS)

}  // namespace warploom
