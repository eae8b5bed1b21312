// The gradient of a 2-D convolution's weights as an implicit product: of each group dw [O, C KH KW] = g [O, N OH OW]
// times the pixels that each tap meets [N OH OW, C KH KW], which are read out of x's planes. The sum over images and
// pixels is long: it is cut into segments (gemm_args.h), which blocks share where there are few tiles.
//
// conv_weight_f32_<rows>x<cols>, <..>_exchanged: a block owns a tile of dw^T, rows (C, KH, KW) and columns O, or
// exchanged of dw, and all its k or, for partial sums, its share of them; gemm_tile.cuh says what warps and threads
// own. Partial sums are added by conv_f32_combine.
#include "cuda/conv_args.h"
#include "cuda/kernels/conv_bits.cuh"
#include "cuda/kernels/gemm_tile.cuh"

namespace warploom::cuda {

// For layers with few channels on both sides, whose gradient is smaller than any other tile.
using Tile32x16 = GemmTile<32, 16, 8, 4, 4, 3>;
// More threads than matmul's: each keeps fewer lines.
using Short128x16 = GemmTile<128, 16, 16, 4, 4, 3>;

// g's pixels of an output channel, side by side in memory.
struct GradSource {
  static constexpr bool kAlongDepth = true, kHoles = false, kVector = false, kKeepsLines = false, kSharesDepths = false;
  const float* origin;  // of the group
  const ConvWeightArgs& args;
  bool vector;

  using Line = int;
  __device__ Line line(int i) const { return min(i, args.outputs - 1) * static_cast<int>(args.byPlane.divisor); }
  using Depth = const float*;
  __device__ Depth depth(int k) const {
    const int image = args.byPlane.quotient(k), plane = static_cast<int>(args.byPlane.divisor);
    return origin + static_cast<int64_t>(image) * (args.groups * args.outputs - 1) * plane + k;
  }
  __device__ const float* at(Line line, Depth depth) const { return depth + line; }
};

// What taps (source channel, tap row, tap column) meet at a pixel of g.
struct TapSource {
  static constexpr bool kAlongDepth = true, kHoles = true, kVector = false, kKeepsLines = true, kSharesDepths = false;
  const float* origin;  // of the group
  const ConvWeightArgs& args;
  bool vector;
  bool exact;  // too many taps for bits

  struct Tap {
    int channel, row, column;
  };
  __device__ Tap tapOf(int i) const {
    const int tap = min(i, args.channels * static_cast<int>(args.byTaps.divisor) - 1);
    const int channel = args.byTaps.quotient(tap), inKernel = tap - channel * static_cast<int>(args.byTaps.divisor);
    const int row = args.byKernel.quotient(inKernel);
    return {channel, row, inKernel - row * static_cast<int>(args.byKernel.divisor)};
  }
  struct Pixel {
    const float* at;  // of the first tap
    int row, column;
  };
  __device__ Pixel pixelOf(int k) const {
    const int image = args.byPlane.quotient(k), inPlane = k - image * static_cast<int>(args.byPlane.divisor);
    const int r = args.byWidth.quotient(inPlane), q = inPlane - r * static_cast<int>(args.byWidth.divisor);
    const int row = r * args.h.stride - args.h.pad, column = q * args.w.stride - args.w.pad;
    const int64_t images = static_cast<int64_t>(image) * args.groups * args.channels * args.h.source;
    return {origin + ((images + row) * args.w.source + column), row, column};
  }

  struct Line {
    int offset;
    uint32_t want;  // the bits of its row and its column
  };
  __device__ Line line(int i) const {
    const Tap tap = tapOf(i);
    return {(tap.channel * args.h.source + tap.row * args.h.dilation) * args.w.source + tap.column * args.w.dilation,
            tapBits(tap.row, tap.column, args.h.kernel)};
  }
  struct Depth {
    const float* at;
    uint32_t have;  // bits of the rows and columns of taps that are inside
  };
  __device__ Depth depth(int k) const {
    const Pixel pixel = pixelOf(k);
    return {pixel.at, tapsInside(pixel.row, args.h.dilation, args.h.kernel, args.h.source) |
                          tapsInside(pixel.column, args.w.dilation, args.w.kernel, args.w.source) << args.h.kernel};
  }
  template <int kShift>
  __device__ static void copy(uint32_t shared, Line line, Depth depth) {
    copyAsyncWhere<kShift>(shared, depth.at, line.offset, depth.have, line.want);
  }

  using Place = Tap;
  __device__ Place place(int i) const { return tapOf(i); }
  __device__ const float* at(Place tap, int k) const {
    const Pixel pixel = pixelOf(k);
    const int down = tap.row * args.h.dilation, right = tap.column * args.w.dilation;
    const bool inside = static_cast<unsigned>(pixel.row + down) < static_cast<unsigned>(args.h.source) &&
                        static_cast<unsigned>(pixel.column + right) < static_cast<unsigned>(args.w.source);
    return inside ? pixel.at + ((tap.channel * args.h.source + down) * args.w.source + right) : nullptr;
  }
};

template <bool Exchanged>
struct WeightStore {
  float* dw;  // of the group, and of the share
  int outputs, taps;
  bool vector;  // every fourth tap of an output channel is at a multiple of 16 bytes

  template <int R, int C>
  __device__ void put(int row, int col, const float (&sums)[R][C], bool first, bool) const {
    constexpr int kOutputs = Exchanged ? R : C, kTaps = Exchanged ? C : R;
    const int output = Exchanged ? row : col, tap = Exchanged ? col : row;
    float* to = dw + static_cast<int64_t>(output) * taps + tap;
#pragma unroll
    for (int o = 0; o < kOutputs; ++o, to += taps) {
      if (output + o >= outputs || tap >= taps) return;
      Packed<float, kTaps> out;
#pragma unroll
      for (int t = 0; t < kTaps; ++t) out.v[t] = Exchanged ? sums[o][t] : sums[t][o];
      if (kTaps == 4 && vector) {
        if (!first) {
          const auto before = loadPacked<float, kTaps>(to);
#pragma unroll
          for (int t = 0; t < kTaps; ++t) out.v[t] = before.v[t] + out.v[t];
        }
        storePacked(to, out);
        continue;
      }
#pragma unroll
      for (int t = 0; t < kTaps; ++t) {
        if (tap + t < taps) to[t] = first ? out.v[t] : to[t] + out.v[t];
      }
    }
  }
  __device__ bool finishes() const { return false; }
  template <int R, int C>
  __device__ void finish(int, int) const {}
};

template <class Tile, bool Exchanged>
__device__ inline void convWeightTile(const ConvWeightArgs& args) {
  const int taps = args.channels * static_cast<int>(args.byTaps.divisor);
  const int tileRows = ((Exchanged ? args.outputs : taps) + Tile::kRows - 1) / Tile::kRows;
  const int tileCols = ((Exchanged ? taps : args.outputs) + Tile::kCols - 1) / Tile::kCols;
  const unsigned tiles = static_cast<unsigned>(tileRows) * static_cast<unsigned>(tileCols);
  // Blocks of the same k run near each other: they read the same.
  const int inProduct = static_cast<int>(blockIdx.x % tiles), rest = static_cast<int>(blockIdx.x / tiles);
  const int group = rest % args.groups, share = rest / args.groups;
  const int row0 = inProduct % tileRows * Tile::kRows, col0 = inProduct / tileRows * Tile::kCols;

  const int64_t perGroup = static_cast<int64_t>(args.outputs) * taps;
  float* dw = args.partials != nullptr ? args.partials + share * perGroup * args.groups : args.dw;
  const WeightStore<Exchanged> store = {dw + group * perGroup, args.outputs, taps, args.vectorStore != 0};
  const GradSource g = {args.g + static_cast<int64_t>(group) * args.outputs * args.byPlane.divisor, args, false};
  const TapSource x = {args.x + static_cast<int64_t>(group) * args.channels * args.h.source * args.w.source, args,
                       false, !tapsFitBits(args.h.kernel, args.w.kernel)};
  const int64_t length = static_cast<int64_t>(args.segments) * args.segment, begin = share * length;
  const int kBegin = static_cast<int>(begin);
  const int kEnd =
      args.shares > 1 ? static_cast<int>(min(static_cast<int64_t>(args.depth), begin + length)) : args.depth;
  if constexpr (Exchanged) {
    gemmTile<Tile>(g, x, store, row0, col0, kBegin, kEnd, args.segment);
  } else {
    gemmTile<Tile>(x, g, store, row0, col0, kBegin, kEnd, args.segment);
  }
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

#define WL_CONV_WEIGHT(Tile, name, exchanged)                                   \
  extern "C" __global__ void __launch_bounds__(Tile::kThreads, Tile::kResident) \
      conv_weight_f32_##name(const ConvWeightArgs args) {                       \
    convWeightTile<Tile, exchanged>(args);                                      \
  }
#define WL_CONV_WEIGHT_BOTH(Tile, name) \
  WL_CONV_WEIGHT(Tile, name, false)     \
  WL_CONV_WEIGHT(Tile, name##_exchanged, true)
WL_CONV_WEIGHT(Tile128x128, 128x128, false)
WL_CONV_WEIGHT(Tile64x64, 64x64, false)
WL_CONV_WEIGHT_BOTH(Tile128x32, 128x32)
WL_CONV_WEIGHT_BOTH(Short128x16, 128x16)
WL_CONV_WEIGHT_BOTH(Tile32x16, 32x16)
