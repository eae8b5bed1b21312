// Optimizer updates: one pass over all parameters of a group. Gradients and moments are flat buckets; `params` pairs
// each parameter with its range. What changes from step to step is read from device scalars, so a captured step stays
// right: state is float64[4]: learning rate, step count, beta1^step, beta2^step. `factor`, where present, is a float32
// scalar that multiplies every gradient (clipping).
#pragma once
#include "engine/args.h"

namespace warploom {

// step += 1, beta1^step *= beta1, beta2^step *= beta2; comes before the update that uses them.
#define WL_OPTIM_ADVANCE_ARGS(F) \
  F(InOut, state)                \
  F(float64, beta1)              \
  F(float64, beta2)
WL_ARGS(OptimAdvanceArgs, WL_OPTIM_ADVANCE_ARGS)

// PyTorch's SGD: d = g factor + weightDecay p; buf = momentum buf + (1 - dampening) d (buf = d at step 1);
// d = nesterov ? d + momentum buf : buf; p -= lr d. buf is absent when momentum is 0.
#define WL_SGD_ARGS(F)    \
  F(Segments, params)     \
  F(In, grads)            \
  F(OptInOut, buf)        \
  F(In, state)            \
  F(OptIn, factor)        \
  F(float64, momentum)    \
  F(float64, dampening)   \
  F(float64, weightDecay) \
  F(flag, nesterov)       \
  F(flag, maximize)
WL_ARGS(SgdArgs, WL_SGD_ARGS)

// PyTorch's Adam and AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019). decoupled: p *= 1 - lr weightDecay before
// the update, else weightDecay p joins the gradient. m and v are updated in place.
#define WL_ADAM_ARGS(F)   \
  F(Segments, params)     \
  F(In, grads)            \
  F(InOut, m)             \
  F(InOut, v)             \
  F(In, state)            \
  F(OptIn, factor)        \
  F(float64, beta1)       \
  F(float64, beta2)       \
  F(float64, eps)         \
  F(float64, weightDecay) \
  F(flag, decoupled)      \
  F(flag, maximize)
WL_ARGS(AdamArgs, WL_ADAM_ARGS)

// total (float64 []) = sum of the squares of x (contiguous), plus `previous` where present.
#define WL_SUM_SQUARES_ARGS(F) \
  F(In, x)                     \
  F(OptIn, previous)           \
  F(Out, total)
WL_ARGS(SumSquaresArgs, WL_SUM_SQUARES_ARGS)

// norm (float32 []) = sqrt(total); factor (float32 []) = min(1, maxNorm / (norm + 1e-6)), PyTorch's clip_grad_norm_.
#define WL_CLIP_FACTOR_ARGS(F) \
  F(In, total)                 \
  F(Out, norm)                 \
  F(Out, factor)               \
  F(float64, maxNorm)
WL_ARGS(ClipFactorArgs, WL_CLIP_FACTOR_ARGS)

}  // namespace warploom
