// Scaled dot-product attention (Vaswani et al. 2017) without a matrix of L x S in memory: online softmax over blocks of
// keys, as in Dao et al., "FlashAttention" (2022), and Dao, "FlashAttention-2" (2023).
#pragma once
#include "engine/args.h"

namespace warploom {

// q [..., L, E], k [..., S, E], v [..., S, D], y [..., L, D], lse [..., L]; mask [..., L, S] or absent. The leading
// dims have the same sizes and number (0 to 6) everywhere; a broadcast one has stride 0. The last dim of q, k, v and y
// has stride 1 (where it has more than one element), all others any stride; lse is contiguous; mask may have any
// strides, 0 among them. y's elements do not share memory.
//
// score(i, j) = scale * sum_e q(i, e) k(j, e), and 0 where E is 0. A mask of floats (dtype of q) is added to it. A mask
// of bool hides the pair where it is false, causal hides it where j > i: then the score is -infinity, whatever q and k
// hold. y(i) = sum_j exp(score(i, j) - lse(i)) v(j), lse(i) = log sum_j exp score(i, j).
//
// A query that sees no key gives y = NaN and lse = -infinity, but S = 0 gives y = 0. A NaN or +infinity among the
// scores of a query makes its y and lse NaN. Whether a NaN or an infinity in the value of a hidden key reaches y (as 0
// * NaN) is left open: kernels skip what causal hides.
#define WL_ATTENTION_ARGS(F) \
  F(In, q)                   \
  F(In, k)                   \
  F(In, v)                   \
  F(OptIn, mask)             \
  F(Out, y)                  \
  F(Out, lse)                \
  F(float64, scale)          \
  F(flag, causal)
WL_ARGS(AttentionArgs, WL_ATTENTION_ARGS)

// With p = exp(score - lse), dp(i, j) = g(i) . v(j), delta(i) = g(i) . y(i) and ds = p (dp - delta), 0 for hidden
// pairs: dq(i) = scale * sum_j ds(i, j) k(j), dk(j) = scale * sum_i ds(i, j) q(i), dv(j) = sum_i p(i, j) g(i). Each
// absent output is not computed. dq, dk, dv have the leading sizes in full (a broadcast k gets one gradient for each
// repetition, to be summed outside) and share no memory; they and g have stride 1 in the last dim.
#define WL_ATTENTION_BACKWARD_ARGS(F) \
  F(In, g)                            \
  F(In, q)                            \
  F(In, k)                            \
  F(In, v)                            \
  F(OptIn, mask)                      \
  F(In, y)                            \
  F(In, lse)                          \
  F(OptOut, dq)                       \
  F(OptOut, dk)                       \
  F(OptOut, dv)                       \
  F(float64, scale)                   \
  F(flag, causal)
WL_ARGS(AttentionBackwardArgs, WL_ATTENTION_BACKWARD_ARGS)

}  // namespace warploom
