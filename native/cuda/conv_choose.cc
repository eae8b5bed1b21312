#include "cuda/conv_choose.h"

#include <algorithm>
#include <numeric>

#include "cuda/conv_plan.h"
#include "cuda/gemm_args.h"
#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

constexpr int kSimpleThreads = 256;  // as in kernels/conv_simple.cu
// What keeps a large card busy: H100 has 132 multiprocessors. A constant, so that the choice is the shape's alone.
constexpr int64_t kEnoughBlocks = 128;
constexpr int64_t kTinyElements = 256, kTinyDepth = 64;
constexpr int kDirectThreads = 256;  // as in kernels/conv_weight_direct.cu
// Pixels of a block there: a thread chains a 256th of them.
constexpr int64_t kLeastOfDirect = 1024, kMostOfDirect = 16384;
// A tile may do this many times the work that was asked for before elements by themselves are better: they read much
// more for each product.
constexpr int64_t kMostWaste = 8;

constexpr const char* kBeyond = "a size is beyond 32 bits";
constexpr const char* kEmptySums = "every sum is empty";
constexpr const char* kTiny = "the result is far smaller than a tile";
constexpr const char* kWasted = "too few channels: a tile would be mostly empty";

struct Tile {
  int rows, cols, depth, threads;
  const char* entry;
  const char* exchanged;  // or null
  const char* reason;
};
// As in kernels/gemm_tile.cuh and the kernels.
constexpr Tile kConv[] = {
    {128, 4, 32, 128, "conv_f32_128x4", nullptr, "at most 4 output channels"},
    {128, 16, 16, 64, "conv_f32_128x16", nullptr, "at most 16 output channels"},
    {128, 32, 16, 128, "conv_f32_128x32", nullptr, "at most 32 output channels"},
    {64, 64, 16, 128, "conv_f32_64x64", nullptr, "too few or too ragged for tiles of 128 x 128"},
    {128, 128, 16, 256, "conv_f32_128x128", nullptr, "tiles of 128 x 128 are enough to fill a card"},
};
constexpr Tile kWeight[] = {
    {32, 16, 8, 32, "conv_weight_f32_32x16", "conv_weight_f32_32x16_exchanged", "few channels on both sides"},
    {128, 16, 16, 128, "conv_weight_f32_128x16", "conv_weight_f32_128x16_exchanged", "one side is at most 16"},
    {128, 32, 16, 128, "conv_weight_f32_128x32", "conv_weight_f32_128x32_exchanged", "one side is at most 32"},
    {64, 64, 16, 128, "conv_weight_f32_64x64", nullptr, "too few or too ragged for tiles of 128 x 128"},
    {128, 128, 16, 256, "conv_weight_f32_128x128", nullptr, "tiles of 128 x 128 are enough"},
};

int64_t tilesOf(const Tile& tile, int64_t rows, int64_t cols) {
  return ceilDiv(rows, tile.rows) * ceilDiv(cols, tile.cols);
}

// Of 64 x 64 and 128 x 128 tiles; a large one does the work of four.
const Tile& pickSquare(const Tile* square, int64_t rows, int64_t cols, int64_t products) {
  const Tile* large = square + 1;
  const int64_t count = tilesOf(*large, rows, cols);
  const bool ragged = count * 4 * 4 > tilesOf(*square, rows, cols) * 5;
  return count * products >= kEnoughBlocks && !ragged ? *large : *square;
}

ConvChoice simple(int64_t elements, int64_t depth, bool wide, const char* reason) {
  ConvChoice choice = {};
  choice.reason = reason;
  choice.wide = wide;
  choice.rows = choice.cols = 1;
  choice.threads = kSimpleThreads;
  choice.blocks = ceilDiv(elements, kSimpleThreads);
  choice.segment = segmentOf(depth);
  choice.segments = segmentsOf(depth);
  choice.shares = 1;
  return choice;
}

// Blocks for `products` products of rows x cols; those that are too few share out the sums.
ConvChoice tiled(const char* family, const Tile& tile, bool exchanged, int64_t rows, int64_t cols, int64_t products,
                 int64_t depth, int64_t elements) {
  ConvChoice choice = {};
  choice.entry = exchanged ? tile.exchanged : tile.entry;
  choice.family = family;
  choice.reason = tile.reason;
  choice.rows = tile.rows;
  choice.cols = tile.cols;
  choice.threads = tile.threads;
  choice.blocks = tilesOf(tile, rows, cols) * products;
  choice.segment = segmentOf(depth);
  choice.segments = segmentsOf(depth);
  choice.shares = 1;
  if (choice.segments > 1 && choice.blocks < kEnoughBlocks) {
    // Two waves of blocks, as even as segments allow.
    const int64_t wanted = std::min(choice.segments, ceilDiv(2 * kEnoughBlocks, choice.blocks));
    const int64_t all = choice.segments;
    choice.segments = ceilDiv(all, wanted);
    choice.shares = ceilDiv(all, choice.segments);
    if (choice.shares > 1) {
      choice.blocks *= choice.shares;
      choice.partialBytes = choice.shares * elements * static_cast<int64_t>(sizeof(float));
    }
  }
  return choice;
}

// Where a block owns a pair of channels.
ConvChoice direct(int64_t pairs, int64_t taps, int64_t depth, int64_t elements) {
  ConvChoice choice = {};
  choice.entry = "conv_weight_f32_direct";
  choice.family = "conv_weight_direct";
  choice.reason = kWasted;
  choice.rows = 1;
  choice.cols = kConvDirectTaps;
  choice.threads = kDirectThreads;
  choice.segments = 1;
  choice.blocks = pairs * ceilDiv(taps, kConvDirectTaps);
  const int64_t wanted = ceilDiv(2 * kEnoughBlocks, choice.blocks);
  choice.segment = std::min(kMostOfDirect, std::max(kLeastOfDirect, ceilDiv(depth, wanted)));
  choice.shares = ceilDiv(depth, choice.segment);
  choice.blocks *= choice.shares;
  if (choice.shares > 1) choice.partialBytes = choice.shares * elements * static_cast<int64_t>(sizeof(float));
  return choice;
}

constexpr int64_t kMost = INT32_MAX - 512;
// Whether a * b (and so on) stays within `kMost`.
bool within(std::initializer_list<int64_t> factors) {
  int64_t product = 1;
  for (const int64_t factor : factors) {
    if (factor == 0) return true;
    if (factor > kMost / product) return false;
    product *= factor;
  }
  return true;
}

// Positions within an image, within the padded plane, and of the pixels of all images, in 32 bits.
bool tilesFit(const ConvShape& s) {
  const int64_t most = std::max({s.h.source, s.w.source, s.h.out, s.w.out, s.h.kernel, s.w.kernel, s.h.stride,
                                 s.w.stride, s.h.pad, s.w.pad, s.h.dilation, s.w.dilation});
  if (most > kMost / 4) return false;
  const auto reach = [](const ConvSide& side) {
    return std::max(side.source, side.out) + 2 * side.pad + side.kernel * side.dilation + side.stride;
  };
  if (!within({s.h.kernel, s.h.dilation}) || !within({s.w.kernel, s.w.dilation}) || reach(s.h) > kMost ||
      reach(s.w) > kMost || !within({reach(s.h), reach(s.w)})) {
    return false;
  }
  return within({s.channels, s.h.source, s.w.source}) && within({s.outputs, s.h.out, s.w.out}) &&
         within({s.images, s.h.out, s.w.out}) && within({s.images, s.h.source, s.w.source}) &&
         within({s.groups, s.channels, s.outputs, s.h.kernel, s.w.kernel}) && within({s.groups, s.channels}) &&
         within({s.groups, s.outputs});
}
// Where a thread owns an element, positions within whole tensors.
bool elementsFit(const ConvShape& s) {
  return tilesFit(s) && within({s.images, s.groups, s.channels, s.h.source, s.w.source}) &&
         within({s.images, s.groups, s.outputs, s.h.out, s.w.out});
}

// The most taps that one phase has.
int64_t tapsOf(const ConvSide& side, bool backward) {
  return backward ? ceilDiv(side.kernel, side.stride / std::gcd(side.stride, side.dilation)) : side.kernel;
}

}  // namespace

ConvChoice chooseConv(const ConvShape& s, bool backward) {
  const int64_t elements = s.images * s.groups * s.outputs * s.h.out * s.w.out;
  const int64_t depth = s.channels * tapsOf(s.h, backward) * tapsOf(s.w, backward);
  const bool wide = !elementsFit(s);
  if (depth == 0) return simple(elements, depth, wide, kEmptySums);
  if (!tilesFit(s)) return simple(elements, depth, true, kBeyond);
  if (elements <= kTinyElements && depth <= kTinyDepth) return simple(elements, depth, wide, kTiny);
  const int64_t phasesH = convPhases(s.h, backward), phasesW = convPhases(s.w, backward);
  const int64_t pixels = s.images * ceilDiv(s.h.out, phasesH) * ceilDiv(s.w.out, phasesW);
  const int64_t products = s.groups * phasesH * phasesW;
  const Tile& tile = s.outputs <= 4    ? kConv[0]
                     : s.outputs <= 16 ? kConv[1]
                     : s.outputs <= 32 ? kConv[2]
                                       : pickSquare(kConv + 3, pixels, s.outputs, products);
  const int64_t work = ceilDiv(pixels, tile.rows) * tile.rows * ceilDiv(s.outputs, tile.cols) * tile.cols *
                       ceilDiv(depth, tile.depth) * tile.depth;
  if (work / kMostWaste >= pixels * s.outputs * depth) return simple(elements, depth, wide, kWasted);
  const ConvChoice choice = tiled("conv", tile, false, pixels, s.outputs, products, depth, elements);
  return choice.blocks <= kMost ? choice : simple(elements, depth, wide, kBeyond);
}

ConvChoice chooseConvWeight(const ConvShape& s) {
  const int64_t taps = s.channels * s.h.kernel * s.w.kernel, elements = s.groups * s.outputs * taps;
  const int64_t depth = s.images * s.h.out * s.w.out;
  const bool wide = !elementsFit(s);
  if (depth == 0) return simple(elements, depth, wide, kEmptySums);
  // The kernel keeps a tap's place in two halves of a word.
  const bool near = s.h.kernel * s.h.dilation <= INT16_MAX && s.w.kernel * s.w.dilation <= INT16_MAX;
  if (!tilesFit(s) || !near) return simple(elements, depth, wide, kBeyond);
  if (elements <= kTinyElements && depth <= kTinyDepth) return simple(elements, depth, wide, kTiny);
  const int64_t narrow = std::min(taps, s.outputs), broad = std::max(taps, s.outputs);
  const Tile& tile = narrow <= 16   ? kWeight[broad <= 96 ? 0 : 1]
                     : narrow <= 32 ? kWeight[2]
                                    : pickSquare(kWeight + 3, taps, s.outputs, s.groups * segmentsOf(depth));
  const bool exchanged = tile.exchanged != nullptr && taps < s.outputs;
  const int64_t rows = exchanged ? s.outputs : taps, cols = exchanged ? taps : s.outputs;
  const int64_t area = tilesOf(tile, rows, cols) * tile.rows * tile.cols;
  if (area / kMostWaste >= rows * cols) {
    const ConvChoice choice = direct(s.groups * s.outputs * s.channels, s.h.kernel * s.w.kernel, depth, elements);
    return choice.blocks <= kMost ? choice : simple(elements, depth, wide, kBeyond);
  }
  const ConvChoice choice = tiled("conv_weight", tile, exchanged, rows, cols, s.groups, depth, elements);
  return choice.blocks <= kMost ? choice : simple(elements, depth, wide, kBeyond);
}

}  // namespace warploom::cuda
