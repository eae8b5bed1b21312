// Elementwise operations. Every operand has the sizes of y; broadcasting is a stride of 0. Up to eight dimensions.
#pragma once
#include "engine/args.h"

namespace warploom {

#define WL_UNARY_ARGS(F) \
  F(In, x)               \
  F(Out, y)
WL_ARGS(UnaryArgs, WL_UNARY_ARGS)

// An absent operand stands for the scalar beside it, converted to y's computation type.
#define WL_BINARY_ARGS(F) \
  F(OptIn, a)             \
  F(OptIn, b)             \
  F(Out, y)               \
  F(float64, aScalar)     \
  F(float64, bScalar)
WL_ARGS(BinaryArgs, WL_BINARY_ARGS)

// y = cond ? a : b, where cond is bool.
#define WL_WHERE_ARGS(F) \
  F(In, cond)            \
  F(OptIn, a)            \
  F(OptIn, b)            \
  F(Out, y)              \
  F(float64, aScalar)    \
  F(float64, bScalar)
WL_ARGS(WhereArgs, WL_WHERE_ARGS)

}  // namespace warploom
