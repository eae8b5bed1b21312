// 2-D convolution and the gradient of its input as implicit products: y [N, O, OH, OW], source [N, C, H, W], of each
// group pixels [N OH OW, C KH KW] times weights [C KH KW, O], where the first matrix is read out of the source's planes
// ("cuDNN: efficient primitives for deep learning", Chetlur et al. 2014). See conv_args.h for phases and sums.
//
// conv_f32_<rows>x<cols>: a block owns a tile of rows pixels x cols output channels of one group and one phase, and all
// its k or, for partial sums, its share of them; gemm_tile.cuh says what warps and threads own.
// conv_f32_combine: a thread owns one element of the result and adds its partial sums; also for the weights' gradient.
#include "cuda/kernels/conv_tile.cuh"

namespace warploom::cuda {

constexpr int kCombineThreads = 256;
constexpr int kBand = 8;  // rows of tiles whose blocks run near each other, for the L2 cache

template <class Tile>
__device__ inline void convTile(const ConvArgs& args) {
  const int largestH = (args.h.out + args.h.phases - 1) / args.h.phases,
            largestW = (args.w.out + args.w.phases - 1) / args.w.phases;
  const int tileRows = (args.images * largestH * largestW + Tile::kRows - 1) / Tile::kRows;
  const int tileCols = (args.outputs + Tile::kCols - 1) / Tile::kCols;
  const unsigned tiles = static_cast<unsigned>(tileRows) * static_cast<unsigned>(tileCols);
  const int inProduct = static_cast<int>(blockIdx.x % tiles);
  int rest = static_cast<int>(blockIdx.x / tiles);
  const int share = rest % args.shares;
  rest /= args.shares;
  const int phaseW = rest % args.w.phases;
  rest /= args.w.phases;
  const int phaseH = rest % args.h.phases, group = rest / args.h.phases;
  const int band = inProduct / (kBand * tileCols), inBand = inProduct - band * kBand * tileCols;
  const int height = min(kBand, tileRows - band * kBand);
  const int row0 = (band * kBand + inBand % height) * Tile::kRows, col0 = inBand / height * Tile::kCols;

  const Correlation correlation(args, phaseH, phaseW);
  if (row0 >= correlation.pixels) return;

  const int sourcePlane = args.h.source * args.w.source, plane = args.h.out * args.w.out;
  const int taps = args.h.kernel * args.w.kernel;
  const int64_t yImage = static_cast<int64_t>(args.groups) * args.outputs * plane;
  float* y = args.partials != nullptr ? args.partials + share * yImage * args.images : args.y;
  const bool biased = args.bias != nullptr && args.partials == nullptr;
  const PixelStore store = {y + static_cast<int64_t>(group) * args.outputs * plane,
                            biased ? args.bias + group * args.outputs : nullptr,
                            yImage,
                            plane,
                            args.w.out,
                            phaseH,
                            phaseW,
                            args.h.phases,
                            args.w.phases,
                            args.outputs,
                            correlation,
                            args.vectorStore != 0,
                            args.relu != 0 && args.partials == nullptr};
  const int64_t length = segmentOf(correlation.depth), begin = share * args.segments * length;
  if (begin >= correlation.depth) {
    // Adding -0 changes nothing.
    store.template putNothing<Tile>(row0, col0, share == 0 ? 0.0f : -0.0f);
    return;
  }
  const int kBegin = static_cast<int>(begin);
  const int kEnd = args.shares > 1
                       ? static_cast<int>(min(static_cast<int64_t>(correlation.depth), begin + args.segments * length))
                       : correlation.depth;
  const PixelSource source = {args.source + static_cast<int64_t>(group) * args.channels * sourcePlane,
                              static_cast<int64_t>(args.groups) * args.channels * sourcePlane,
                              args.h.source,
                              args.w.source,
                              correlation,
                              false,
                              !tapsFitBits(correlation.h.taps, correlation.w.taps)};
  const WeightSource weights = {args.weights + static_cast<int64_t>(group) * args.outputs * args.channels * taps,
                                args.backward != 0 ? taps : args.channels * taps,
                                args.backward != 0 ? args.outputs * taps : taps,
                                args.w.kernel,
                                args.outputs - 1,
                                correlation,
                                false};
  gemmTile<Tile>(source, weights, store, row0, col0, kBegin, kEnd, static_cast<int>(length));
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

#define WL_CONV(Tile, name)                                                                                            \
  extern "C" __global__ void __launch_bounds__(Tile::kThreads, Tile::kResident) conv_f32_##name(const ConvArgs args) { \
    convTile<Tile>(args);                                                                                              \
  }
WL_CONV(Tile128x128, 128x128)
WL_CONV(Tile64x64, 64x64)
WL_CONV(Tile128x32, 128x32)
WL_CONV(Tile128x16, 128x16)
WL_CONV(Tile128x4, 128x4)

// y [n] = sums of partials [shares, n] in order, then the bias of channel (i / plane) % channels, where there is one,
// and relu where that is asked for.
extern "C" __global__ void __launch_bounds__(kCombineThreads)
    conv_f32_combine(const float* partials, float* y, const float* bias, int64_t n, int shares, int64_t plane,
                     int64_t channels, int clamps) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kCombineThreads + threadIdx.x;
  if (i >= n) return;
  float sum = -0.0f;
  const float* partial = partials + i;
#pragma unroll 4
  for (int s = 0; s < shares; ++s, partial += n) sum += *partial;
  if (bias != nullptr) sum += bias[i / plane % channels];
  y[i] = clamps != 0 ? relu(sum) : sum;
}
