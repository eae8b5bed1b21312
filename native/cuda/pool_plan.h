// How the pooling kernels find places: by multiplication instead of division, which each of their threads would repeat.
// Read by g++ and nvcc.
#pragma once

#include <cstdint>

#include "cuda/fast_divide.h"

namespace warploom::cuda {

// One dimension, height or width, of windows over x.
struct PoolAxis {
  int32_t size, out;  // of x, of y
  int32_t kernel, stride, pad, dilation;
  int32_t before;     // windows before the last that begins at or before an element and may still hold it
  FastDivide bySize;  // of what the kernel's threads own: x or y
  FastDivide byStride;
  FastDivide byDilation;
};

struct PoolPlan {
  PoolAxis h, w;
  int64_t elements;  // that the threads own
  int32_t relu;      // of maxima
};

}  // namespace warploom::cuda
