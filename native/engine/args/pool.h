// 2-D max pooling. x [N, C, H, W], y and indices (int32, h * W + w inside the plane) [N, C, OH, OW]; all contiguous.
// Padding counts as -infinity; the first of equal maxima wins, and NaN wins over all (PyTorch).
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

#define WL_MAX_POOL2D_ARGS(F) \
  F(In, x)                    \
  F(Out, y)                   \
  F(Out, indices)             \
  WL_POOL_GEOMETRY(F)
WL_ARGS(MaxPool2dArgs, WL_MAX_POOL2D_ARGS)

// dx [N, C, H, W]: each g added at its index, in ascending order of output position; elsewhere 0. The geometry is that
// of the forward pass: each index lies in its window, so that a device may let every element of dx look for the windows
// that hold it.
#define WL_MAX_POOL2D_BACKWARD_ARGS(F) \
  F(In, g)                             \
  F(In, indices)                       \
  F(Out, dx)                           \
  WL_POOL_GEOMETRY(F)
WL_ARGS(MaxPool2dBackwardArgs, WL_MAX_POOL2D_BACKWARD_ARGS)

// y[n, c, o] = x[n, c, indices[n, c, o]]: the gradient of the backward pass.
#define WL_MAX_POOL2D_GATHER_ARGS(F) \
  F(In, x)                           \
  F(In, indices)                     \
  F(Out, y)
WL_ARGS(MaxPool2dGatherArgs, WL_MAX_POOL2D_GATHER_ARGS)

}  // namespace warploom
