// Layer normalisation over the last dim of x [R, C] (R rows, C columns, contiguous); weight and bias are [C].
#pragma once
#include "engine/args.h"

namespace warploom {

#define WL_LAYER_NORM_ARGS(F) \
  F(In, x)                    \
  F(OptIn, weight)            \
  F(OptIn, bias)              \
  F(Out, y)                   \
  F(Out, mean)                \
  F(Out, rstd)                \
  F(float64, eps)
WL_ARGS(LayerNormArgs, WL_LAYER_NORM_ARGS)

// Each absent output is not computed. dweight and dbias sum over R in an order fixed by the shape alone.
#define WL_LAYER_NORM_BACKWARD_ARGS(F) \
  F(In, g)                             \
  F(In, x)                             \
  F(In, mean)                          \
  F(In, rstd)                          \
  F(OptIn, weight)                     \
  F(OptOut, dx)                        \
  F(OptOut, dweight)                   \
  F(OptOut, dbias)
WL_ARGS(LayerNormBackwardArgs, WL_LAYER_NORM_BACKWARD_ARGS)

}  // namespace warploom
