// 2-D convolution (cross-correlation). x [N, C, H, W], w [O, C/G, KH, KW], y [N, O, OH, OW], bias [O]; all contiguous.
// OH = floor((H + 2 padH - dilationH (KH - 1) - 1) / strideH) + 1, OW likewise.
#pragma once
#include "engine/args/activation.h"

namespace warploom {

#define WL_CONV_GEOMETRY(F) \
  F(int64, strideH)         \
  F(int64, strideW)         \
  F(int64, padH)            \
  F(int64, padW)            \
  F(int64, dilationH)       \
  F(int64, dilationW)       \
  F(int64, groups)

// y = activation(x * w + bias); the activation is none or relu.
#define WL_CONV2D_ARGS(F) \
  F(In, x)                \
  F(In, w)                \
  F(OptIn, bias)          \
  F(Out, y)               \
  WL_CONV_GEOMETRY(F)     \
  F(int64, activation)
WL_ARGS(Conv2dArgs, WL_CONV2D_ARGS)

// The gradient of x: g [N, O, OH, OW] with w.
#define WL_CONV2D_BACKWARD_INPUT_ARGS(F) \
  F(In, g)                               \
  F(In, w)                               \
  F(Out, dx)                             \
  WL_CONV_GEOMETRY(F)
WL_ARGS(Conv2dBackwardInputArgs, WL_CONV2D_BACKWARD_INPUT_ARGS)

// The gradient of w: g with x. dbias [O], where present: the gradient of the bias, g summed over images and positions.
#define WL_CONV2D_BACKWARD_WEIGHT_ARGS(F) \
  F(In, g)                                \
  F(In, x)                                \
  F(Out, dw)                              \
  F(OptOut, dbias)                        \
  WL_CONV_GEOMETRY(F)
WL_ARGS(Conv2dBackwardWeightArgs, WL_CONV2D_BACKWARD_WEIGHT_ARGS)

}  // namespace warploom
