// Losses fused with their gradients.
#pragma once
#include "engine/args.h"

namespace warploom {

// What an argument named reduction says; the TypeScript of ops/loss.ts writes the same numbers.
enum LossReduction : int64_t { kReductionNone = 0, kReductionMean = 1, kReductionSum = 2 };

// logits [N, C, I], any strides (I: the product of the dims behind the class dim). target is [N, I] of class indices
// (int32, int64 or uint8) or [N, C, I] of probabilities in the dtype of logits. weight [C]. loss is [N, I] for
// reduction none, else
// []. lse [N, I] is the log-sum-exp the backward pass needs; norm [] is the divisor of the mean (sum of the weights of
// the targets that are not ignored; N * I for probabilities). ignoreIndex applies to indices only. A target outside [0,
// C) that is not ignoreIndex contributes 0 and is reported as an index error.
#define WL_CROSS_ENTROPY_ARGS(F) \
  F(In, logits)                  \
  F(In, target)                  \
  F(OptIn, weight)               \
  F(Out, loss)                   \
  F(Out, lse)                    \
  F(Out, norm)                   \
  F(int64, ignoreIndex)          \
  F(float64, labelSmoothing)     \
  F(int64, reduction)
WL_ARGS(CrossEntropyArgs, WL_CROSS_ENTROPY_ARGS)

// g has the shape of loss.
#define WL_CROSS_ENTROPY_BACKWARD_ARGS(F) \
  F(In, g)                                \
  F(In, logits)                           \
  F(In, target)                           \
  F(OptIn, weight)                        \
  F(In, lse)                              \
  F(In, norm)                             \
  F(Out, dlogits)                         \
  F(int64, ignoreIndex)                   \
  F(float64, labelSmoothing)              \
  F(int64, reduction)
WL_ARGS(CrossEntropyBackwardArgs, WL_CROSS_ENTROPY_BACKWARD_ARGS)

// x and y contiguous, the same sizes; loss [] or, for reduction none, like x.
#define WL_MSE_ARGS(F) \
  F(In, x)             \
  F(In, y)             \
  F(Out, loss)         \
  F(int64, reduction)
WL_ARGS(MseArgs, WL_MSE_ARGS)

// dx = 2 (x - y) g, over the count for the mean; the gradient of y is its negative.
#define WL_MSE_BACKWARD_ARGS(F) \
  F(In, g)                      \
  F(In, x)                      \
  F(In, y)                      \
  F(Out, dx)                    \
  F(int64, reduction)
WL_ARGS(MseBackwardArgs, WL_MSE_BACKWARD_ARGS)

}  // namespace warploom
