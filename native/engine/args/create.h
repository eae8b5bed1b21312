// Tensors from nothing: constants, ramps and random draws.
#pragma once
#include "engine/args.h"

namespace warploom {

// y may be any strided view.
#define WL_FILL_ARGS(F) \
  F(Out, y)             \
  F(float64, value)
WL_ARGS(FillArgs, WL_FILL_ARGS)

// y[i] = start + i * step, y contiguous.
#define WL_ARANGE_ARGS(F) \
  F(Out, y)               \
  F(float64, start)       \
  F(float64, step)
WL_ARGS(ArangeArgs, WL_ARANGE_ARGS)

// state is int64[2]: seed, and the offset of the next Philox counter block. A draw of n elements reads the offset and
// then advances it by ceil(n / 4). y is contiguous. uniform: [a, b); normal: mean a, deviation b; bernoulli:
// probability a; randint: integers in [a, b).
#define WL_RANDOM_ARGS(F) \
  F(InOut, state)         \
  F(Out, y)               \
  F(float64, a)           \
  F(float64, b)
WL_ARGS(RandomArgs, WL_RANDOM_ARGS)

}  // namespace warploom
