// 2-D max pooling. x [N, C, H, W], y and indices [N, C, OH, OW], contiguous.
//
// A thread owns one element of the result: of y and indices in the forward pass, of dx in the backward pass, where it
// looks for the windows that hold it instead of having each window add to it: so nothing is added by two threads, and
// the order is fixed. Threads that are neighbours own neighbours in the innermost dim.
#include "cuda/kernels/common.cuh"
#include "engine/args/pool.h"

namespace warploom::cuda {

constexpr int kThreads = 256;

// Position of element i of [planes, height, width].
template <class Index>
struct Place {
  Index plane, row, column;
  __device__ Place(Index i, Index height, Index width) {
    const Index line = i / width;
    column = i - line * width;
    plane = line / height;
    row = line - plane * height;
  }
};

template <class Index>
__device__ inline void maxPool(const MaxPool2dArgs& args, Index i, Index n) {
  if (i >= n) return;
  const Index height = static_cast<Index>(args.x.sizes[2]), width = static_cast<Index>(args.x.sizes[3]);
  const Place<Index> at(i, static_cast<Index>(args.y.sizes[2]), static_cast<Index>(args.y.sizes[3]));
  const float* x = args.x.as<float>() + static_cast<int64_t>(at.plane) * height * width;
  const int top = static_cast<int>(at.row * args.strideH - args.padH),
            left = static_cast<int>(at.column * args.strideW - args.padW);
  float best = -INFINITY;
  // The first place inside the plane, for a window of nothing but -infinity.
  int index = -1;
  for (int kh = 0; kh < args.kernelH; ++kh) {
    const int row = top + kh * static_cast<int>(args.dilationH);
    if (row < 0 || row >= static_cast<int>(height)) continue;
    for (int kw = 0; kw < args.kernelW; ++kw) {
      const int column = left + kw * static_cast<int>(args.dilationW);
      if (column < 0 || column >= static_cast<int>(width)) continue;
      const int here = row * static_cast<int>(width) + column;
      const float value = x[here];
      // The first of equal maxima stays; NaN wins over all, the last one (PyTorch).
      if (index < 0 || value > best || value != value) {
        best = value;
        index = here;
      }
    }
  }
  args.y.as<float>()[i] = best;
  args.indices.as<int32_t>()[i] = index;
}

template <class Index>
__device__ inline void maxPoolBackward(const MaxPool2dBackwardArgs& args, Index i, Index n) {
  if (i >= n) return;
  const Index outHeight = static_cast<Index>(args.g.sizes[2]), outWidth = static_cast<Index>(args.g.sizes[3]);
  const Place<Index> at(i, static_cast<Index>(args.dx.sizes[2]), static_cast<Index>(args.dx.sizes[3]));
  const int64_t plane = static_cast<int64_t>(at.plane) * outHeight * outWidth;
  const float* g = args.g.as<float>() + plane;
  const int32_t* indices = args.indices.as<int32_t>() + plane;
  const int pixel = static_cast<int>(at.row * args.dx.sizes[3] + at.column);
  float sum = 0.0f;
  // Windows that hold this element, in ascending order: the later the window, the earlier the element lies in it.
  for (int kh = static_cast<int>(args.kernelH) - 1; kh >= 0; --kh) {
    const int down = static_cast<int>(at.row + args.padH) - kh * static_cast<int>(args.dilationH);
    const int row = down / static_cast<int>(args.strideH);
    if (down < 0 || row * static_cast<int>(args.strideH) != down || row >= static_cast<int>(outHeight)) continue;
    for (int kw = static_cast<int>(args.kernelW) - 1; kw >= 0; --kw) {
      const int right = static_cast<int>(at.column + args.padW) - kw * static_cast<int>(args.dilationW);
      const int column = right / static_cast<int>(args.strideW);
      if (right < 0 || column * static_cast<int>(args.strideW) != right || column >= static_cast<int>(outWidth))
        continue;
      const int64_t window = static_cast<int64_t>(row) * outWidth + column;
      if (indices[window] == pixel) sum += g[window];
    }
  }
  args.dx.as<float>()[i] = sum;
}

template <class Index>
__device__ inline void maxPoolGather(const MaxPool2dGatherArgs& args, Index i, Index n, IndexErrorWord* errors,
                                     int op) {
  if (i >= n) return;
  const int64_t size = args.x.sizes[2] * args.x.sizes[3];
  const Index plane = i / static_cast<Index>(args.y.sizes[2] * args.y.sizes[3]);
  const int32_t index = args.indices.as<int32_t>()[i];
  const bool inside = index >= 0 && index < size;
  if (!inside) reportIndex(errors, op, index, size);
  args.y.as<float>()[i] = inside ? args.x.as<float>()[static_cast<int64_t>(plane) * size + index] : 0.0f;
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// With 32-bit and with 64-bit positions; n is the number of elements that the threads own.
#define WL_POOL(suffix, Index)                                                                                         \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                               \
      max_pool2d_f32_##suffix(const MaxPool2dArgs args, int64_t n) {                                                   \
    maxPool<Index>(args, static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x, static_cast<Index>(n));              \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                               \
      max_pool2d_backward_f32_##suffix(const MaxPool2dBackwardArgs args, int64_t n) {                                  \
    maxPoolBackward<Index>(args, static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x, static_cast<Index>(n));      \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                               \
      max_pool2d_gather_f32_##suffix(const MaxPool2dGatherArgs args, int64_t n, IndexErrorWord* errors, int op) {      \
    maxPoolGather<Index>(args, static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x, static_cast<Index>(n), errors, \
                         op);                                                                                          \
  }
WL_POOL(32, uint32_t)
WL_POOL(64, int64_t)
