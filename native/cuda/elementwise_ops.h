// The operations of the elementwise kernels, by number: a kernel is compiled per class and dtype, and the operation is
// a switch that is the same for all threads. Read by g++ and nvcc.
#pragma once

#include <cstdint>

namespace warploom::cuda {

enum class UnaryOp : int32_t { neg, abs, sign, relu, exp, log, sqrt, tanh, sigmoid, erf, gelu, geluTanh };
enum class BinaryOp : int32_t {
  add,
  sub,
  mul,
  div,
  minimum,
  maximum,
  bitOr,
  bitAnd,
  tanhBackward,
  sigmoidBackward,
  reluBackward,
  geluBackward,
  geluTanhBackward
};
enum class CompareOp : int32_t { eq, ne, lt, le, gt, ge, logicalAnd, logicalOr };

}  // namespace warploom::cuda
