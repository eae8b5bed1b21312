#include "cuda/matmul_choose.h"

#include <algorithm>
#include <utility>

#include "cuda/gemm_args.h"
#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

constexpr int kSimpleThreads = 256;  // as in kernels/matmul.cu
// What keeps a large card busy: H100 has 132 multiprocessors. A constant, so that the choice is the shape's alone.
constexpr int64_t kEnoughBlocks = 128;
constexpr int64_t kTinyElements = 256, kTinyDepth = 64;

struct Tile {
  int rows, cols, threads;
  const char* entries[4];  // nn, nt, tn, tt
  const char* reason;
};
#define WL_TILE(name) \
  { "gemm_f32_nn_" name, "gemm_f32_nt_" name, "gemm_f32_tn_" name, "gemm_f32_tt_" name }
// As in kernels/gemm_tile.cuh.
constexpr Tile kLarge = {128, 128, 256, WL_TILE("128x128"), "tiles of 128 x 128 are enough to fill a card"};
constexpr Tile kSquare = {64, 64, 128, WL_TILE("64x64"), "too few or too ragged for tiles of 128 x 128, wider than 32"};
constexpr Tile kTall32 = {128, 32, 128, WL_TILE("128x32"), "one side is at most 32"};
constexpr Tile kTall16 = {128, 16, 64, WL_TILE("128x16"), "one side is at most 16"};
constexpr Tile kTall4 = {128, 4, 128, WL_TILE("128x4"),
                         "one side is at most 4: a product with a vector or little more"};
#undef WL_TILE

int64_t tilesOf(const Tile& tile, int64_t m, int64_t n) { return ceilDiv(m, tile.rows) * ceilDiv(n, tile.cols); }

const Tile& pickTile(const GemmShape& s) {
  const int64_t narrow = std::min(s.m, s.n);
  if (narrow <= 4) return kTall4;
  if (narrow <= 16) return kTall16;
  if (narrow <= 32) return kTall32;
  const int64_t large = tilesOf(kLarge, s.m, s.n), square = tilesOf(kSquare, s.m, s.n);
  // A large tile does the work of four.
  const bool ragged = large * 4 * 4 > square * 5;
  return large * s.batches >= kEnoughBlocks && !ragged ? kLarge : kSquare;
}

// Kernels count in 32 bits within a product, and offsets within a tile must fit.
bool fits(const GemmShape& s) {
  constexpr int64_t most = INT32_MAX;
  constexpr int64_t longest = most / 128;
  return s.m < most - 512 && s.n < most - 512 && s.k < most - 512 && (s.m == 1 || s.a.lineStride <= longest) &&
         (s.n == 1 || s.b.lineStride <= longest) && tilesOf(kTall4, std::max(s.m, s.n), std::min(s.m, s.n)) <= most;
}

// Which neighbours of an operand lie side by side: the elements of a line, or the lines.
bool alongDepth(const GemmLines& x, int64_t lines) {
  if (x.lineStride == 1) return x.depthStride == 1 && lines == 1;
  return x.lineStride == 0 || x.depthStride <= x.lineStride;
}
bool readsVectors(const GemmLines& x, int64_t lines) {
  return !alongDepth(x, lines) && x.lineStride == 1 && x.depthStride % 4 == 0 && lines % 4 == 0 && x.aligned;
}

GemmChoice simple(const GemmShape& s, const char* reason) {
  GemmChoice choice = {};
  choice.entry = "gemm_f32_simple";
  choice.reason = reason;
  choice.rows = choice.cols = 1;
  choice.threads = kSimpleThreads;
  choice.blocks = ceilDiv(s.m * s.n * s.batches, kSimpleThreads);
  return choice;
}

}  // namespace

GemmChoice chooseGemm(const GemmShape& shape) {
  GemmShape s = shape;
  if (s.k == 0) return simple(s, "K is 0: every sum is empty");
  if (!fits(s)) return simple(s, "a size or a stride is beyond 32 bits within a tile");
  if (s.m * s.n <= kTinyElements && s.k <= kTinyDepth) return simple(s, "the matrices are far smaller than a tile");
  const Tile& tile = pickTile(s);
  GemmChoice choice = {};
  choice.reason = tile.reason;
  choice.rows = tile.rows;
  choice.cols = tile.cols;
  choice.threads = tile.threads;
  // Tall tiles want the long side as rows.
  choice.exchanged = tile.rows != tile.cols && s.m < s.n;
  if (choice.exchanged) {
    std::swap(s.m, s.n);
    std::swap(s.a, s.b);
  }
  const bool aTransposed = !alongDepth(s.a, s.m), bTransposed = alongDepth(s.b, s.n);
  choice.entry = tile.entries[(aTransposed ? 2 : 0) + (bTransposed ? 1 : 0)];
  choice.aVector = readsVectors(s.a, s.m);
  choice.bVector = readsVectors(s.b, s.n);
  choice.blocks = tilesOf(tile, s.m, s.n) * s.batches;
  const int64_t segments = segmentsOf(s.k);
  if (segments > 1 && choice.blocks < kEnoughBlocks) {
    choice.split = true;
    choice.blocks *= segments;
    choice.partialBytes = segments * s.batches * s.m * s.n * static_cast<int64_t>(sizeof(float));
  }
  return choice;
}

}  // namespace warploom::cuda
