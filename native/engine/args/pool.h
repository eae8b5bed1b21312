// 2-D max pooling. x [N, C, H, W], y and indices [N, C, OH, OW]; all contiguous. Padding counts as -infinity; the first
// of equal maxima wins, and NaN wins over all (PyTorch).
//
// indices says where each maximum is. uint8: which element of its window, i * kernelW + j, and kernelH * kernelW where
// none gets a gradient; for windows of at most 255 elements, on the CPU alone. int32: where in its plane, h * W + w,
// and -1 for none; on every device.
#pragma once
#include "engine/args.h"

namespace warploom {

#define WL_POOL_GEOMETRY(F) \
  F(int64, kernelH)         \
  F(int64, kernelW)         \
  F(int64, strideH)         \
  F(int64, strideW)         \
  F(int64, padH)            \
  F(int64, padW)            \
  F(int64, dilationH)       \
  F(int64, dilationW)

// relu: y = max(maximum, 0), and a maximum that is not above 0 gets no gradient.
#define WL_MAX_POOL2D_ARGS(F) \
  F(In, x)                    \
  F(Out, y)                   \
  F(OptOut, indices)          \
  WL_POOL_GEOMETRY(F)         \
  F(flag, relu)
WL_ARGS(MaxPool2dArgs, WL_MAX_POOL2D_ARGS)

// dx [N, C, H, W]: each g added where its maximum was, in ascending order of output position; elsewhere 0.
#define WL_MAX_POOL2D_BACKWARD_ARGS(F) \
  F(In, g)                             \
  F(In, indices)                       \
  F(Out, dx)                           \
  WL_POOL_GEOMETRY(F)
WL_ARGS(MaxPool2dBackwardArgs, WL_MAX_POOL2D_BACKWARD_ARGS)

// y: the elements of x where the maxima were, 0 where there was none. The gradient of the backward pass.
#define WL_MAX_POOL2D_GATHER_ARGS(F) \
  F(In, x)                           \
  F(In, indices)                     \
  F(Out, y)                          \
  WL_POOL_GEOMETRY(F)
WL_ARGS(MaxPool2dGatherArgs, WL_MAX_POOL2D_GATHER_ARGS)

}  // namespace warploom
