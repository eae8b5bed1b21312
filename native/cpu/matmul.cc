// Matrix product: packed panels, cache blocks and register tiles as in Goto and van de Geijn, "Anatomy of
// high-performance matrix multiplication" (2008), and BLIS. Block sizes and the path taken depend on shapes alone; the
// order of summation on K alone (gemm/micro.h).
#ifndef WL_ISA
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/matmul.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/gemm/gemm.h"

namespace {

using gemm::ceilDiv;
using gemm::kBlockK;
using gemm::kTileCols;
using gemm::maxOf;
using gemm::minOf;
using gemm::roundUp;

// A block of a in L2 (96 x 256 floats are 98 KB) meets a group of b's panels (256 x 256 floats, 262 KB).
constexpr int64_t kBlockRows = 96;
constexpr int64_t kGroupPanels = 8;
// What one round of the shared path packs: 2 MB of a, 4 MB of b (float32).
constexpr int64_t kRoundRows = 1920;
constexpr int64_t kRoundCols = 4096;
constexpr int64_t kLeastUnits = 16;
// Multiply-adds worth handing to another thread.
constexpr int64_t kGrainWork = int64_t{1} << 18;

// One product per batch index, after folding and, for few columns, transposing: y^T = b^T a^T.
struct Plan {
  int64_t m, n, k;
  int64_t ars, acs, brs, bcs;  // strides of a's rows and columns, of b's
  int64_t ldy, ldp;
  int64_t biasStride;
  bool transposed;
  int batchRank;
  int64_t batchSizes[kMaxRank], aBatch[kMaxRank], bBatch[kMaxRank], yBatch[kMaxRank], preBatch[kMaxRank];
  int64_t batches;
  int panel;                                           // rows of a panel of a
  bool shared;                                         // pack once for all threads, then share out tiles
  bool direct;                                         // use b's rows in place
  int64_t blockRows, blockCols, rowBlocks, colBlocks;  // of a unit of the other path
};

template <class T>
Plan makePlan(const MatmulArgs& args) {
  Plan p = {};
  const int rank = args.y.rank;
  p.m = args.y.sizes[rank - 2];
  p.n = args.y.sizes[rank - 1];
  p.k = args.a.sizes[rank - 1];
  p.ars = args.a.strides[rank - 2];
  p.acs = args.a.strides[rank - 1];
  p.brs = args.b.strides[rank - 2];
  p.bcs = args.b.strides[rank - 1];
  p.ldy = args.y.strides[rank - 2];
  const bool pre = args.pre.present();
  p.ldp = pre ? args.pre.strides[rank - 2] : p.ldy;
  p.biasStride = args.bias.present() && args.bias.rank > 0 ? args.bias.strides[args.bias.rank - 1] : 0;
  // Size-1 batch dims vanish; dims that share b and run on as rows of a and y (a linear layer on [B, T, C]) become
  // rows.
  int folded = rank - 2;
  while (folded > 0) {
    const int d = folded - 1;
    const int64_t size = args.y.sizes[d];
    if (size != 1) {
      const bool rows = args.b.strides[d] == 0 && (p.m == 1 || args.a.strides[d] == p.m * p.ars) &&
                        (p.m == 1 || args.y.strides[d] == p.m * p.ldy) &&
                        (!pre || p.m == 1 || args.pre.strides[d] == p.m * p.ldp);
      if (!rows) break;
      if (p.m == 1) {
        p.ars = args.a.strides[d];
        p.ldy = args.y.strides[d];
        if (pre) p.ldp = args.pre.strides[d];
      }
      p.m *= size;
    }
    folded = d;
  }
  p.batches = 1;
  for (int d = 0; d < folded; ++d) {
    if (args.y.sizes[d] == 1) continue;
    const int at = p.batchRank++;
    p.batchSizes[at] = args.y.sizes[d];
    p.aBatch[at] = args.a.strides[d];
    p.bBatch[at] = args.b.strides[d];
    p.yBatch[at] = args.y.strides[d];
    p.preBatch[at] = pre ? args.pre.strides[d] : 0;
    p.batches *= args.y.sizes[d];
  }
  p.transposed = p.n < kLanes<T> && p.m > p.n;
  if (p.transposed) {
    gemm::exchangeValues(p.m, p.n);
    gemm::exchangeValues(p.ars, p.bcs);
    gemm::exchangeValues(p.acs, p.brs);
  }
  p.panel = gemm::panelRows(p.m);
  const int64_t work = p.m * p.n * maxOf(p.k, 1);
  p.shared = p.m >= 4 * gemm::kMaxRows && work >= 16 * kGrainWork;
  if (!p.shared) {
    p.blockRows = minOf(maxOf(p.m, 1), kBlockRows / p.panel * p.panel);
    // As many columns as make a unit worth a hand-off, but no more than a group.
    const int64_t wanted = kGrainWork / maxOf(1, p.blockRows * maxOf(p.k, 1));
    p.blockCols =
        roundUp(maxOf(minOf(wanted, kGroupPanels * kTileCols<T>), 1), p.m == 1 ? gemm::kWideCols<T> : kTileCols<T>);
    p.rowBlocks = ceilDiv(p.m, p.blockRows);
    p.colBlocks = ceilDiv(p.n, p.blockCols);
    p.direct = p.bcs == 1 && p.m <= 2 * gemm::kMaxRows;
  }
  return p;
}

template <class T>
struct Operands {
  const T* a;
  const T* b;
  T* y;
  T* pre;
  const T* bias;
};

template <class T>
Operands<T> atBatch(const Plan& p, const MatmulArgs& args, int64_t batch) {
  Operands<T> o = {static_cast<const T*>(args.a.data), static_cast<const T*>(args.b.data), static_cast<T*>(args.y.data),
                   args.pre.present() ? static_cast<T*>(args.pre.data) : nullptr,
                   args.bias.present() ? static_cast<const T*>(args.bias.data) : nullptr};
  for (int d = p.batchRank - 1; d >= 0; --d) {
    const int64_t i = batch % p.batchSizes[d];
    batch /= p.batchSizes[d];
    o.a += i * p.aBatch[d];
    o.b += i * p.bBatch[d];
    o.y += i * p.yBatch[d];
    if (o.pre) o.pre += i * p.preBatch[d];
  }
  if (p.transposed) gemm::exchangeValues(o.a, o.b);
  return o;
}

// Adds a tile of y, rows [row, row + rows) and columns [col, col + cols), of the block of k that starts at k0.
template <class T>
void finishTile(const Plan& p, const Operands<T>& o, const MatmulArgs& args, const T* tile, int64_t pitch, int64_t row,
                int64_t rows, int64_t col, int64_t cols, int64_t k0) {
  const bool last = k0 + kBlockK >= p.k;
  const bool add = k0 > 0 || args.accumulate != 0;
  alignas(64) T gathered[gemm::kWideCols<T>];
  const T* bias = nullptr;
  if (last && o.bias) {
    bias = o.bias + col * p.biasStride;
    if (p.biasStride != 1) {
      for (int64_t j = 0; j < cols; ++j) gathered[j] = bias[j * p.biasStride];
      bias = gathered;
    }
  }
  gemm::storeTile<T>(tile, pitch, rows, cols, o.y + row * p.ldy + col, p.ldy, add, last, bias,
                     o.pre ? o.pre + row * p.ldp + col : nullptr, p.ldp, static_cast<Activation>(args.activation));
}

// The same for a transposed product: the tile's columns are y's rows, and its rows, fewer than a vector has lanes, y's
// columns.
template <class T>
void finishTransposed(const Plan& p, const Operands<T>& o, const MatmulArgs& args, const T* tile, int64_t pitch,
                      int64_t row, int64_t rows, int64_t col, int64_t cols, int64_t k0) {
  constexpr int64_t lanes = kLanes<T>;
  alignas(64) T flipped[gemm::kWideCols<T> * lanes] = {};
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) flipped[j * lanes + i] = tile[i * pitch + j];
  }
  finishTile<T>(p, o, args, flipped, lanes, col, cols, row, rows, k0);
}

// Rows [row, rowEnd) against one panel of b. `a` holds packed panels of a, of this block of k.
template <class T>
void sweepRows(const Plan& p, const Operands<T>& o, const MatmulArgs& args, const T* a, int64_t row, int64_t rowEnd,
               const T* b, int64_t ldb, int64_t col, int64_t cols, int64_t k0, int64_t depth) {
  const int vectors = cols <= kLanes<T> ? 1 : cols > kTileCols<T> ? gemm::kWideVectors : gemm::kVectors;
  const auto kernel = gemm::chooseTileKernel<T, gemm::StridedRows>(p.panel, vectors);
  const auto finish = p.transposed ? finishTransposed<T> : finishTile<T>;
  alignas(64) T tile[gemm::kTileSize<T>];
  for (; row < rowEnd; row += p.panel) {
    kernel(depth, a, b, gemm::StridedRows{ldb}, tile);
    finish(p, o, args, tile, vectors * kLanes<T>, row, minOf(p.panel, rowEnd - row), col, cols, k0);
    a += p.panel * depth;
  }
}

// The path of batches, few rows and small products: a unit packs for itself, in its lane's scratch.
template <class T>
int64_t unitScratch(const Plan& p) {
  gemm::Carver carver = {nullptr, 0};
  carver.take<T>(roundUp(p.blockRows, p.panel) * kBlockK);
  carver.take<T>(kBlockK * kTileCols<T>);
  return carver.used;
}

template <class T>
void runUnit(const Plan& p, const MatmulArgs& args, int64_t unit, char* scratch) {
  gemm::Carver carver = {scratch, 0};
  T* packedA = carver.take<T>(roundUp(p.blockRows, p.panel) * kBlockK);
  T* packedB = carver.take<T>(kBlockK * kTileCols<T>);
  const int64_t colBlock = unit % p.colBlocks;
  const int64_t rowBlock = unit / p.colBlocks % p.rowBlocks;
  const Operands<T> o = atBatch<T>(p, args, unit / p.colBlocks / p.rowBlocks);
  const int64_t row = rowBlock * p.blockRows;
  const int64_t rowEnd = minOf(p.m, row + p.blockRows);
  const int64_t colEnd = minOf(p.n, (colBlock + 1) * p.blockCols);
  int64_t k0 = 0;
  do {  // at least once: K = 0 still writes y
    const int64_t depth = minOf(kBlockK, p.k - k0);
    for (int64_t i = row; i < rowEnd; i += p.panel) {
      gemm::packPanel<T>(packedA + (i - row) * depth, p.panel, minOf(p.panel, rowEnd - i), depth,
                         o.a + i * p.ars + k0 * p.acs, p.ars, p.acs);
    }
    int64_t cols = 0;
    for (int64_t col = colBlock * p.blockCols; col < colEnd; col += cols) {
      const bool wide = p.direct && p.m == 1 && colEnd - col >= gemm::kWideCols<T>;
      cols = wide ? gemm::kWideCols<T> : minOf(kTileCols<T>, colEnd - col);
      const T* b = o.b + k0 * p.brs + col * p.bcs;
      if (p.direct && cols >= kTileCols<T>) {
        sweepRows<T>(p, o, args, packedA, row, rowEnd, b, p.brs, col, cols, k0, depth);
      } else {
        const int64_t width = cols <= kLanes<T> ? kLanes<T> : kTileCols<T>;
        gemm::packPanel<T>(packedB, width, cols, depth, b, p.bcs, p.brs);
        sweepRows<T>(p, o, args, packedA, row, rowEnd, packedB, width, col, cols, k0, depth);
      }
    }
    k0 += kBlockK;
  } while (k0 < p.k);
}

// The path of large products: both operands are packed once by all threads, then tiles are shared out.
template <class T>
int64_t sharedScratch(const Plan& p) {
  gemm::Carver carver = {nullptr, 0};
  carver.take<T>(roundUp(minOf(p.m, kRoundRows), p.panel) * kBlockK);
  carver.take<T>(roundUp(minOf(p.n, kRoundCols), kTileCols<T>) * kBlockK);
  return carver.used;
}

template <class T>
void runShared(const Plan& p, const MatmulArgs& args, const Operands<T>& o, Context& context) {
  gemm::Carver carver = {static_cast<char*>(context.scratch()), 0};
  const int64_t roundRows = kRoundRows / p.panel * p.panel;
  T* packedA = carver.take<T>(roundUp(minOf(p.m, kRoundRows), p.panel) * kBlockK);
  T* packedB = carver.take<T>(roundUp(minOf(p.n, kRoundCols), kTileCols<T>) * kBlockK);
  // Panels of a and of b in one unit of work: a block and a group, halved until a small y makes about 16 units.
  int64_t aPanels = kBlockRows / p.panel;
  int64_t bPanels = kGroupPanels;
  while (aPanels * bPanels > 1 &&
         ceilDiv(p.m, aPanels * p.panel) * ceilDiv(p.n, bPanels * kTileCols<T>) < kLeastUnits) {
    (aPanels > bPanels ? aPanels : bPanels) = ceilDiv(maxOf(aPanels, bPanels), 2);
  }
  const int64_t blockRows = aPanels * p.panel;
  for (int64_t colStart = 0; colStart < p.n; colStart += kRoundCols) {
    const int64_t cols = minOf(kRoundCols, p.n - colStart);
    const int64_t colPanels = ceilDiv(cols, kTileCols<T>);
    for (int64_t rowStart = 0; rowStart < p.m; rowStart += roundRows) {
      const int64_t rows = minOf(roundRows, p.m - rowStart);
      const int64_t rowPanels = ceilDiv(rows, p.panel);
      for (int64_t k0 = 0; k0 < p.k; k0 += kBlockK) {
        if (context.cancelled()) return;
        const int64_t depth = minOf(kBlockK, p.k - k0);
        context.parallel(rowPanels + colPanels, maxOf(1, (int64_t{1} << 16) / (depth * kTileCols<T>)),
                         [&](int64_t begin, int64_t end, int) {
                           for (int64_t i = begin; i < end; ++i) {
                             if (i < rowPanels) {
                               const int64_t row = i * p.panel;
                               gemm::packPanel<T>(packedA + row * depth, p.panel, minOf(p.panel, rows - row), depth,
                                                  o.a + (rowStart + row) * p.ars + k0 * p.acs, p.ars, p.acs);
                             } else {
                               const int64_t col = (i - rowPanels) * kTileCols<T>;
                               gemm::packPanel<T>(packedB + col * depth, kTileCols<T>, minOf(kTileCols<T>, cols - col),
                                                  depth, o.b + k0 * p.brs + (colStart + col) * p.bcs, p.bcs, p.brs);
                             }
                           }
                         });
        const int64_t rowBlocks = ceilDiv(rows, blockRows);
        const int64_t groups = ceilDiv(colPanels, bPanels);
        context.parallel(rowBlocks * groups, 1, [&](int64_t begin, int64_t end, int) {
          for (int64_t unit = begin; unit < end; ++unit) {
            const int64_t row = unit / groups * blockRows;
            const int64_t rowEnd = minOf(rows, row + blockRows);
            const int64_t panelEnd = minOf(colPanels, (unit % groups + 1) * bPanels);
            for (int64_t panel = unit % groups * bPanels; panel < panelEnd; ++panel) {
              const int64_t col = panel * kTileCols<T>;
              sweepRows<T>(p, o, args, packedA + row * depth, rowStart + row, rowStart + rowEnd, packedB + col * depth,
                           kTileCols<T>, colStart + col, minOf(kTileCols<T>, cols - col), k0, depth);
            }
          }
        });
      }
    }
  }
}

template <class T>
void matmulFloat(const MatmulArgs& args, Context& context) {
  const Plan p = makePlan<T>(args);
  if (p.m == 0 || p.n == 0 || p.batches == 0) return;
  if (p.shared) {
    for (int64_t batch = 0; batch < p.batches; ++batch) runShared<T>(p, args, atBatch<T>(p, args, batch), context);
    return;
  }
  const int64_t units = p.batches * p.rowBlocks * p.colBlocks;
  const int64_t unitWork = p.blockRows * minOf(p.blockCols, p.n) * maxOf(p.k, 1);
  const int64_t perLane = unitScratch<T>(p);
  context.parallel(units, maxOf(1, kGrainWork / unitWork), [&](int64_t begin, int64_t end, int lane) {
    for (int64_t unit = begin; unit < end && !context.cancelled(); ++unit) {
      runUnit<T>(p, args, unit, static_cast<char*>(context.scratch()) + lane * perLane);
    }
  });
}

// Integers: plain loops, row by row; sums wrap.
template <class T, class Unsigned>
void matmulInteger(const MatmulArgs& args, Context& context) {
  const Plan p = makePlan<T>(args);
  if (p.m == 0 || p.n == 0) return;
  const int64_t rowWork = p.n * maxOf(p.k, 1);
  context.parallel(p.batches * p.m, maxOf(1, (int64_t{1} << 15) / rowWork), [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end && !context.cancelled(); ++unit) {
      const Operands<T> o = atBatch<T>(p, args, unit / p.m);
      const int64_t row = unit % p.m;
      const T* a = o.a + row * p.ars;
      for (int64_t col = 0; col < p.n; ++col) {
        const int64_t at = p.transposed ? col * p.ldy + row : row * p.ldy + col;
        Unsigned sum = args.accumulate ? static_cast<Unsigned>(o.y[at]) : Unsigned(0);
        const T* b = o.b + col * p.bcs;
        for (int64_t k = 0; k < p.k; ++k)
          sum += static_cast<Unsigned>(a[k * p.acs]) * static_cast<Unsigned>(b[k * p.brs]);
        o.y[at] = static_cast<T>(sum);
      }
    }
  });
}

template <class T>
int64_t matmulScratchOf(const MatmulArgs& args, int lanes) {
  const Plan p = makePlan<T>(args);
  return p.shared ? sharedScratch<T>(p) : unitScratch<T>(p) * lanes;
}

}  // namespace

namespace ops {

void matmul(const MatmulArgs& args, Context& context) {
  const bool plain = !args.bias.present() && !args.pre.present() && args.activation == 0;
  switch (args.y.dtype) {
    case DType::float32:
      return matmulFloat<float>(args, context);
    case DType::float64:
      return matmulFloat<double>(args, context);
    case DType::int32:
      if (plain) return matmulInteger<int32_t, uint32_t>(args, context);
      break;
    case DType::int64:
      if (plain) return matmulInteger<int64_t, uint64_t>(args, context);
      break;
    default:
      break;
  }
  context.fail(
      "matmul",
      "matmul takes float32 or float64, or int32 and int64 without bias and activation; convert the operands first");
}

int64_t matmulScratch(const MatmulArgs& args, int lanes) {
  if (args.y.dtype == DType::float32) return matmulScratchOf<float>(args, lanes);
  if (args.y.dtype == DType::float64) return matmulScratchOf<double>(args, lanes);
  return 0;
}

}  // namespace ops
#endif
