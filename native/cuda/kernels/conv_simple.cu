// 2-D convolution and its gradients, plainly: a thread owns one element of the result and sums its products one after
// the other, in the order of conv_args.h. The reference of the tiles, whose bits it has; the kernel for few channels
// (depthwise convolutions), for tiny results, for sums of nothing, and for sizes beyond 32 bits.
//
// conv2d_f32_simple_<32|64>, conv2d_backward_input_f32_simple_<..>, conv2d_backward_weight_f32_simple_<..>: positions
// in 32 or 64 bits. Neighbouring threads own neighbours in the innermost dim.
#include "cuda/gemm_args.h"
#include "cuda/kernels/common.cuh"
#include "cuda/kernels/math.cuh"
#include "engine/args/conv.h"

namespace warploom::cuda {

constexpr int kThreads = 256;

// Products in chains, chains in segments, `segments` of these in order, and those sums in order: the tiles' order.
class ChainedSum {
 public:
  __device__ ChainedSum(int64_t depth, int segments) : segment_(segmentOf(depth)), segments_(segments) {}
  __device__ void add(float a, float b) {
    chain_ = fmaf(a, b, chain_);
    if (++inSegment_ % kChain == 0) endChain();
  }
  __device__ float end() {
    if (inSegment_ % kChain != 0) endChain();
    if (inSegment_ != 0) endSegment();
    if (inShare_ != 0) total_ += share_;
    return total_;
  }

 private:
  __device__ void endChain() {
    sum_ += chain_;
    chain_ = 0.0f;
    if (inSegment_ == segment_) endSegment();
  }
  __device__ void endSegment() {
    share_ += sum_;
    sum_ = -0.0f;
    inSegment_ = 0;
    if (++inShare_ != segments_) return;
    total_ += share_;
    share_ = -0.0f;
    inShare_ = 0;
  }
  const int64_t segment_;
  const int segments_;
  int64_t inSegment_ = 0;
  int inShare_ = 0;
  // Adding to -0 is moving.
  float chain_ = 0.0f, sum_ = -0.0f, share_ = -0.0f, total_ = -0.0f;
};

// Element i of [.., channels, rows, columns].
template <class Index>
struct Element {
  Index image, channel, row, column;
  __device__ Element(Index i, const View& of) {
    const Index columns = static_cast<Index>(of.sizes[3]), rows = static_cast<Index>(of.sizes[2]),
                channels = static_cast<Index>(of.sizes[1]);
    const Index line = i / columns, plane = line / rows;
    column = i - line * columns;
    row = line - plane * rows;
    image = plane / channels;
    channel = plane - image * channels;
  }
};

// Element (row, column) of a plane [height, width], zero outside.
template <class Index>
__device__ inline float padded(const float* plane, Index row, Index column, Index height, Index width) {
  return row >= 0 && row < height && column >= 0 && column < width ? plane[row * width + column] : 0.0f;
}

template <class Index>
__device__ inline void conv(const Conv2dArgs& args, Index i, Index n, int segments) {
  if (i >= n) return;
  const Index channels = static_cast<Index>(args.w.sizes[1]), kernelH = static_cast<Index>(args.w.sizes[2]),
              kernelW = static_cast<Index>(args.w.sizes[3]);
  const Index height = static_cast<Index>(args.x.sizes[2]), width = static_cast<Index>(args.x.sizes[3]);
  const Element<Index> at(i, args.y);
  const Index group = at.channel / static_cast<Index>(args.y.sizes[1] / args.groups);
  const float* plane =
      args.x.as<float>() + (at.image * static_cast<Index>(args.x.sizes[1]) + group * channels) * (height * width);
  const float* w = args.w.as<float>() + at.channel * (channels * kernelH * kernelW);
  const Index top = at.row * static_cast<Index>(args.strideH) - static_cast<Index>(args.padH),
              left = at.column * static_cast<Index>(args.strideW) - static_cast<Index>(args.padW);
  ChainedSum sum(args.w.sizes[1] * args.w.sizes[2] * args.w.sizes[3], segments);
#pragma unroll 1
  for (Index c = 0; c < channels; ++c, plane += height * width) {
#pragma unroll 1
    for (Index kh = 0; kh < kernelH; ++kh) {
#pragma unroll 1
      for (Index kw = 0; kw < kernelW; ++kw) {
        sum.add(padded(plane, top + kh * static_cast<Index>(args.dilationH),
                       left + kw * static_cast<Index>(args.dilationW), height, width),
                *w++);
      }
    }
  }
  // An empty sum is 0.
  const float value = channels == 0 ? 0.0f : sum.end();
  const float biased = args.bias.present() ? value + args.bias.as<float>()[at.channel] : value;
  const bool clamps = args.activation == static_cast<int64_t>(Activation::relu);
  args.y.as<float>()[i] = clamps ? relu(biased) : biased;
}

// How many of a kernel's taps reach a line of x: those t for which reach - t * dilation is a multiple of the stride.
template <class Index>
__device__ inline Index tapsThatReach(Index reach, Index kernel, Index dilation, Index stride) {
  Index count = 0;
#pragma unroll 1
  for (Index t = 0; t < kernel; ++t) count += (reach - t * dilation) % stride == 0 ? 1 : 0;
  return count;
}

template <class Index>
__device__ inline void convBackwardInput(const Conv2dBackwardInputArgs& args, Index i, Index n, int segments) {
  if (i >= n) return;
  const Index channels = static_cast<Index>(args.w.sizes[1]), kernelH = static_cast<Index>(args.w.sizes[2]),
              kernelW = static_cast<Index>(args.w.sizes[3]);
  const Index height = static_cast<Index>(args.g.sizes[2]), width = static_cast<Index>(args.g.sizes[3]);
  const Index strideH = static_cast<Index>(args.strideH), strideW = static_cast<Index>(args.strideW),
              dilationH = static_cast<Index>(args.dilationH), dilationW = static_cast<Index>(args.dilationW);
  const Element<Index> at(i, args.dx);
  const Index group = at.channel / channels, outputs = static_cast<Index>(args.g.sizes[1] / args.groups);
  const float* plane =
      args.g.as<float>() + (at.image * static_cast<Index>(args.g.sizes[1]) + group * outputs) * (height * width);
  const float* w =
      args.w.as<float>() + (group * outputs * channels + at.channel - group * channels) * (kernelH * kernelW);
  const Index down = at.row + static_cast<Index>(args.padH), right = at.column + static_cast<Index>(args.padW);
  const int64_t depth = static_cast<int64_t>(outputs) * tapsThatReach(down, kernelH, dilationH, strideH) *
                        tapsThatReach(right, kernelW, dilationW, strideW);
  ChainedSum sum(depth, segments);
#pragma unroll 1
  for (Index o = 0; o < outputs; ++o, plane += height * width, w += channels * kernelH * kernelW) {
#pragma unroll 1
    for (Index kh = 0; kh < kernelH; ++kh) {
      const Index row = (down - kh * dilationH) / strideH;
      if (row * strideH != down - kh * dilationH) continue;
#pragma unroll 1
      for (Index kw = 0; kw < kernelW; ++kw) {
        const Index column = (right - kw * dilationW) / strideW;
        if (column * strideW != right - kw * dilationW) continue;
        sum.add(padded(plane, row, column, height, width), w[kh * kernelW + kw]);
      }
    }
  }
  args.dx.as<float>()[i] = depth == 0 ? 0.0f : sum.end();
}

template <class Index>
__device__ inline void convBackwardWeight(const Conv2dBackwardWeightArgs& args, Index i, Index n, int segments) {
  if (i >= n) return;
  const Index height = static_cast<Index>(args.x.sizes[2]), width = static_cast<Index>(args.x.sizes[3]);
  const Index outHeight = static_cast<Index>(args.g.sizes[2]), outWidth = static_cast<Index>(args.g.sizes[3]);
  const Element<Index> at(i, args.dw);  // output channel, channel in the group, tap
  const Index group = at.image / static_cast<Index>(args.dw.sizes[0] / args.groups);
  const Index down = at.row * static_cast<Index>(args.dilationH) - static_cast<Index>(args.padH),
              right = at.column * static_cast<Index>(args.dilationW) - static_cast<Index>(args.padW);
  const float* x = args.x.as<float>() + (group * static_cast<Index>(args.dw.sizes[1]) + at.channel) * (height * width);
  const float* g = args.g.as<float>() + at.image * (outHeight * outWidth);
  const int64_t depth = args.g.sizes[0] * args.g.sizes[2] * args.g.sizes[3];
  ChainedSum sum(depth, segments);
#pragma unroll 1
  for (int64_t image = 0; image < args.g.sizes[0]; ++image) {
#pragma unroll 1
    for (Index r = 0; r < outHeight; ++r) {
#pragma unroll 1
      for (Index q = 0; q < outWidth; ++q) {
        sum.add(padded(x, r * static_cast<Index>(args.strideH) + down, q * static_cast<Index>(args.strideW) + right,
                       height, width),
                g[r * outWidth + q]);
      }
    }
    x += args.x.sizes[1] * args.x.sizes[2] * args.x.sizes[3];
    g += args.g.sizes[1] * args.g.sizes[2] * args.g.sizes[3];
  }
  args.dw.as<float>()[i] = depth == 0 ? 0.0f : sum.end();
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

#define WL_CONV_SIMPLE(name, function, Args, suffix, Index)                                              \
  extern "C" __global__ void __launch_bounds__(kThreads, 4)                                              \
      name##_f32_simple_##suffix(const Args args, int64_t n, int segments) {                             \
    function<Index>(args, static_cast<Index>(static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x), \
                    static_cast<Index>(n), segments);                                                    \
  }
#define WL_CONV_SIMPLE_BOTH(name, function, Args)   \
  WL_CONV_SIMPLE(name, function, Args, 32, int32_t) \
  WL_CONV_SIMPLE(name, function, Args, 64, int64_t)
WL_CONV_SIMPLE_BOTH(conv2d, conv, Conv2dArgs)
WL_CONV_SIMPLE_BOTH(conv2d_backward_input, convBackwardInput, Conv2dBackwardInputArgs)
WL_CONV_SIMPLE_BOTH(conv2d_backward_weight, convBackwardWeight, Conv2dBackwardWeightArgs)
