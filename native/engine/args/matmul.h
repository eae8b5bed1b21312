// Batched matrix product with an epilogue: y = act(a b + bias), over leading batch dims.
#pragma once
#include "engine/args/activation.h"

namespace warploom {

// a [..., M, K], b [..., K, N], y [..., M, N] have one rank (2 to 8) and the same batch sizes (broadcast: stride 0); a
// and b may be strided in any way (a transposed operand is a view). y's rows are contiguous. bias [N] or absent. pre,
// where present, receives a b + bias before the activation (the gelu gradients need it). accumulate: y += instead of y
// = (then no bias, no activation). Each element sums over k in one order that depends on K alone.
#define WL_MATMUL_ARGS(F) \
  F(In, a)                \
  F(In, b)                \
  F(OptIn, bias)          \
  F(Out, y)               \
  F(OptOut, pre)          \
  F(int64, activation)    \
  F(flag, accumulate)
WL_ARGS(MatmulArgs, WL_MATMUL_ARGS)

}  // namespace warploom
