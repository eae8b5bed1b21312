// The gradient of a 2-D convolution's weights where a group has few channels on both sides (depthwise convolutions): a
// tile of a product would be mostly empty.
//
// conv_weight_f32_direct: a block owns up to kTaps taps of one pair (output channel, channel) and its share of the
// pixels; a thread sums every kThreads-th of these for each of the taps, a warp adds its lanes' sums in a tree of
// shuffles, and the block its warps' in order. Shares are added by conv_f32_combine. The order of each sum depends on
// the shape alone.
#include "cuda/conv_args.h"
#include "cuda/kernels/common.cuh"

namespace warploom::cuda {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr int kTaps = kConvDirectTaps;

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

extern "C" __global__ void __launch_bounds__(kThreads, 4) conv_weight_f32_direct(const ConvWeightArgs args) {
  const int taps = static_cast<int>(args.byTaps.divisor), chunks = (taps + kTaps - 1) / kTaps;
  const int64_t block = static_cast<int64_t>(blockIdx.x);
  const int chunk = static_cast<int>(block % chunks);
  int64_t rest = block / chunks;
  const int channel = static_cast<int>(rest % args.channels);
  rest /= args.channels;
  const int outputs = args.groups * args.outputs;
  const int output = static_cast<int>(rest % outputs), share = static_cast<int>(rest / outputs);
  const int group = output / args.outputs, firstTap = chunk * kTaps;

  const int plane = static_cast<int>(args.byPlane.divisor), height = args.h.source, width = args.w.source;
  const int64_t gImage = static_cast<int64_t>(outputs) * plane,
                xImage = static_cast<int64_t>(args.groups) * args.channels * height * width;
  const float* g = args.g + static_cast<int64_t>(output) * plane;
  const float* x = args.x + static_cast<int64_t>(group * args.channels + channel) * height * width;

  float sums[kTaps];
#pragma unroll
  for (int t = 0; t < kTaps; ++t) sums[t] = 0.0f;
  const int64_t begin = static_cast<int64_t>(share) * args.segment;
  const int end = static_cast<int>(min(static_cast<int64_t>(args.depth), begin + args.segment));
#pragma unroll 1
  for (int k = static_cast<int>(begin) + static_cast<int>(threadIdx.x); k < end; k += kThreads) {
    const int image = args.byPlane.quotient(k), inPlane = k - image * plane;
    const int r = args.byWidth.quotient(inPlane), q = inPlane - r * args.w.out;
    const float grad = g[image * gImage + inPlane];
    const float* from = x + image * xImage;
    const int row0 = r * args.h.stride - args.h.pad, column0 = q * args.w.stride - args.w.pad;
#pragma unroll
    for (int t = 0; t < kTaps; ++t) {
      if (firstTap + t >= taps) break;
      const int kh = args.byKernel.quotient(firstTap + t), kw = firstTap + t - kh * args.w.kernel;
      const int row = row0 + kh * args.h.dilation, column = column0 + kw * args.w.dilation;
      const bool inside = static_cast<unsigned>(row) < static_cast<unsigned>(height) &&
                          static_cast<unsigned>(column) < static_cast<unsigned>(width);
      // Outside are zeros, which are multiplied too: infinity times zero is NaN.
      sums[t] = fmaf(inside ? from[row * width + column] : 0.0f, grad, sums[t]);
    }
  }

  __shared__ float ofWarps[kWarps][kTaps];
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int t = 0; t < kTaps; ++t) {
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) sums[t] += __shfl_xor_sync(0xffffffffu, sums[t], step);
    if (lane == 0) ofWarps[warp][t] = sums[t];
  }
  // Without this barrier the threads below would read sums that other warps have not written yet.
  __syncthreads();
  const int t = static_cast<int>(threadIdx.x), tap = firstTap + t;
  if (t >= kTaps || tap >= taps) return;
  float sum = ofWarps[0][t];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) sum += ofWarps[w][t];
  const int64_t pairs = static_cast<int64_t>(outputs) * args.channels;
  const int64_t pair = static_cast<int64_t>(output) * args.channels + channel;
  float* dw = args.partials != nullptr ? args.partials + share * pairs * taps : args.dw;
  dw[pair * taps + tap] = sum;
}
