// Sources and store of correlations as products (gemm_tile.cuh): rows are y's pixels (image, row, column) of one phase,
// columns are y's channels, k is (source channel, tap row, tap column). Nothing is unfolded in memory: a source finds
// its elements where they are.
#pragma once

#include "cuda/conv_args.h"
#include "cuda/kernels/conv_bits.cuh"
#include "cuda/kernels/gemm_tile.cuh"
#include "cuda/kernels/math.cuh"

namespace warploom::cuda {

// One phase of one group.
struct Correlation {
  ConvPhase h, w;
  int pixels, depth;
  FastDivide byPlane, byWidth;  // lines of h * lines of w, lines of w
  FastDivide byTaps, byTapsW;

  __device__ Correlation(const ConvArgs& args, int phaseH, int phaseW)
      : h(convPhase(args.h, args.backward != 0, phaseH)), w(convPhase(args.w, args.backward != 0, phaseW)) {
    pixels = args.images * h.lines * w.lines;
    depth = args.channels * h.taps * w.taps;
    // A lane works out one of the four for all.
    const int part = static_cast<int>(threadIdx.x) % 4;
    const int lines = part == 0 ? h.lines * w.lines : w.lines, taps = part == 2 ? h.taps * w.taps : w.taps;
    const FastDivide mine = fastDivide(max(1, part < 2 ? lines : taps));
    byPlane = ofLane(mine, 0);
    byWidth = ofLane(mine, 1);
    byTaps = ofLane(mine, 2);
    byTapsW = ofLane(mine, 3);
  }

 private:
  static __device__ FastDivide ofLane(FastDivide by, int lane) {
    return {__shfl_sync(kAllLanes, by.divisor, lane), __shfl_sync(kAllLanes, by.multiplier, lane),
            __shfl_sync(kAllLanes, by.shift, lane)};
  }
};

struct Pixel {
  int image, row, column;
  __device__ Pixel(int i, const FastDivide& byPlane, const FastDivide& byWidth) {
    image = byPlane.quotient(i);
    const int inPlane = i - image * static_cast<int>(byPlane.divisor);
    row = byWidth.quotient(inPlane);
    column = inPlane - row * static_cast<int>(byWidth.divisor);
  }
};

// What pixels read. Lanes take neighbouring pixels: they lie side by side where the stride is 1. All lanes of a warp
// ask for the same k, so each works one out for all.
struct PixelSource {
  static constexpr bool kAlongDepth = false, kHoles = true, kVector = false, kKeepsLines = true, kSharesDepths = true;
  const float* origin;  // of the group
  int64_t image;
  int height, width;
  const Correlation& of;
  bool vector;
  bool exact;  // too many taps for bits

  struct Line {
    const float* at;
    uint32_t have;  // bits of the rows and columns of taps that are inside
  };
  __device__ Line line(int i) const {
    const Place first = place(i);
    return {first.at, tapsInside(first.row, of.h.tapStep, of.h.taps, height) |
                          tapsInside(first.column, of.w.tapStep, of.w.taps, width) << of.h.taps};
  }
  struct Depth {
    int offset;
    uint32_t want;  // the bits of its row and its column, or beyond the last k one that no line has
  };
  __device__ Depth depth(int k, int kEnd) const {
    const Pixel tap(k, of.byTaps, of.byTapsW);  // its image is the source channel
    return {(tap.image * height + tap.row * of.h.tapStep) * width + tap.column * of.w.tapStep,
            k < kEnd ? tapBits(tap.row, tap.column, of.h.taps) : 1u << 31};
  }
  // The depth that a lane has worked out.
  __device__ static Depth ofLane(Depth depth, int lane) {
    return {__shfl_sync(kAllLanes, depth.offset, lane), __shfl_sync(kAllLanes, depth.want, lane)};
  }
  template <int kShift>
  __device__ static void copy(uint32_t shared, Line line, Depth depth) {
    copyAsyncWhere<kShift>(shared, line.at, depth.offset, line.have, depth.want);
  }

  struct Place {
    const float* at;
    int row, column;
  };
  __device__ Place place(int i) const {
    const Pixel pixel(min(i, of.pixels - 1), of.byPlane, of.byWidth);
    const int row = of.h.origin + pixel.row * of.h.lineStep, column = of.w.origin + pixel.column * of.w.lineStep;
    return {origin + pixel.image * image + (static_cast<int64_t>(row) * width + column), row, column};
  }
  __device__ const float* at(Place place, int k) const {
    const Pixel tap(k, of.byTaps, of.byTapsW);
    const int down = tap.row * of.h.tapStep, right = tap.column * of.w.tapStep;
    const bool inside = static_cast<unsigned>(place.row + down) < static_cast<unsigned>(height) &&
                        static_cast<unsigned>(place.column + right) < static_cast<unsigned>(width);
    return inside ? place.at + ((tap.image * height + down) * width + right) : nullptr;
  }
};

// The weights of an output channel. The taps of one source channel lie side by side.
struct WeightSource {
  static constexpr bool kAlongDepth = true, kHoles = false, kVector = false, kKeepsLines = true, kSharesDepths = false;
  const float* origin;  // of the group
  int lineStride, channelStride, kernelWidth;
  int last;
  const Correlation& of;
  bool vector;

  using Line = int;
  __device__ Line line(int i) const { return min(i, last) * lineStride; }
  using Depth = int;
  __device__ Depth depth(int k) const {
    const Pixel tap(k, of.byTaps, of.byTapsW);
    return tap.image * channelStride + (of.h.firstTap + tap.row * of.h.tapSkips) * kernelWidth +
           (of.w.firstTap + tap.column * of.w.tapSkips);
  }
  __device__ const float* at(Line line, Depth depth) const { return origin + (depth + line); }
};

struct PixelStore {
  float* y;  // of the group, and of the share
  const float* bias;
  int64_t image;
  int plane, width;
  int phaseH, phaseW, stepH, stepW;
  int outputs;
  const Correlation& of;
  bool vector, clamps;  // clamps: relu at the end

  template <int R, int C>
  __device__ void put(int row, int col, const float (&sums)[R][C], bool first, bool last) const {
    if (row >= of.pixels) return;
    if (R == 4 && vector) {
      // Four pixels are inside of one plane, or outside, together.
      float* to = at(row) + static_cast<int64_t>(col) * plane;
#pragma unroll
      for (int j = 0; j < C; ++j, to += plane) {
        if (col + j >= outputs) return;
        Packed<float, R> out;
        if (!first) out = loadPacked<float, R>(to);
        const float start = last && bias != nullptr ? bias[col + j] : -0.0f;
#pragma unroll
        for (int i = 0; i < R; ++i) {
          out.v[i] = (first ? sums[i][j] : out.v[i] + sums[i][j]) + start;
          if (last && clamps) out.v[i] = relu(out.v[i]);
        }
        storePacked(to, out);
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < R; ++i) {
      if (row + i >= of.pixels) return;
      float* to = at(row + i) + static_cast<int64_t>(col) * plane;
#pragma unroll
      for (int j = 0; j < C; ++j, to += plane) {
        if (col + j >= outputs) break;
        const float sum = first ? sums[i][j] : *to + sums[i][j];
        const float biased = last && bias != nullptr ? sum + bias[col + j] : sum;
        *to = last && clamps ? relu(biased) : biased;
      }
    }
  }
  __device__ bool finishes() const { return false; }
  template <int R, int C>
  __device__ void finish(int, int) const {}

  // A tile that no tap reaches, or of a share that this phase does not have.
  template <class Tile>
  __device__ void putNothing(int row0, int col0, float value) const {
    const int end = min(row0 + Tile::kRows, of.pixels);
    for (int row = row0 + static_cast<int>(threadIdx.x); row < end; row += Tile::kThreads) {
      float* to = at(row) + static_cast<int64_t>(col0) * plane;
      for (int col = col0; col < min(col0 + Tile::kCols, outputs); ++col, to += plane) {
        const float biased = bias != nullptr ? value + bias[col] : value;
        *to = clamps ? relu(biased) : biased;
      }
    }
  }

 private:
  // A pixel's place, in the group's first channel.
  __device__ float* at(int row) const {
    const Pixel pixel(row, of.byPlane, of.byWidth);
    return y + pixel.image * image +
           (static_cast<int64_t>(pixel.row * stepH + phaseH) * width + pixel.column * stepW + phaseW);
  }
};

}  // namespace warploom::cuda
