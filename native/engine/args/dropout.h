// Inverted dropout: y = mask ? x / (1 - p) : 0, with element i kept when uniform(i) >= p.
#pragma once
#include "engine/args.h"

namespace warploom {

// x, y and mask (bool) are contiguous; state as in RandomArgs.
#define WL_DROPOUT_ARGS(F) \
  F(In, x)                 \
  F(InOut, state)          \
  F(Out, y)                \
  F(Out, mask)             \
  F(float64, p)
WL_ARGS(DropoutArgs, WL_DROPOUT_ARGS)

#define WL_DROPOUT_BACKWARD_ARGS(F) \
  F(In, g)                          \
  F(In, mask)                       \
  F(Out, dx)                        \
  F(float64, p)
WL_ARGS(DropoutBackwardArgs, WL_DROPOUT_BACKWARD_ARGS)

}  // namespace warploom
