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

#include "cpu/matmul_plan.h"

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

// y's rows [row, row + rows) and columns [col, col + cols) as a tile. In a transposed product rows are y's columns.
template <class T>
void loadTile(const Plan& p, const Operands<T>& o, T* tile, int64_t pitch, int64_t row, int64_t rows, int64_t col,
              int64_t cols) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      tile[i * pitch + j] = p.transposed ? o.y[(col + j) * p.ldy + row + i] : o.y[(row + i) * p.ldy + col + j];
    }
  }
}

// The way back, with bias and activation after the last block of k.
template <class T>
void finishTile(const Plan& p, const Operands<T>& o, const MatmulArgs& args, const T* tile, int64_t pitch, int64_t row,
                int64_t rows, int64_t col, int64_t cols, bool last) {
  alignas(64) T flipped[gemm::kWideCols<T> * kLanes<T>];
  if (p.transposed) {  // fewer rows than a vector has lanes
    for (int64_t j = 0; j < cols; ++j) {
      for (int64_t i = 0; i < kLanes<T>; ++i) flipped[j * kLanes<T> + i] = i < rows ? tile[i * pitch + j] : T(0);
    }
    tile = flipped;
    pitch = kLanes<T>;
    gemm::exchangeValues(row, col);
    gemm::exchangeValues(rows, cols);
  }
  alignas(64) T gathered[gemm::kWideCols<T>];
  const T* bias = nullptr;
  if (last && o.bias) {
    bias = o.bias + col * p.biasStride;
    if (p.biasStride != 1) {
      for (int64_t j = 0; j < cols; ++j) gathered[j] = bias[j * p.biasStride];
      bias = gathered;
    }
  }
  gemm::storeTile<T>(tile, pitch, rows, cols, o.y + row * p.ldy + col, p.ldy, last, bias,
                     o.pre ? o.pre + row * p.ldp + col : nullptr, p.ldp, static_cast<Activation>(args.activation));
}

// What a lane keeps for its unit: a's rows and a panel of b where they are copied, and sums between blocks of k.
template <class T>
struct Lane {
  T* a;
  T* b;
  T* sums;
  Lane(const Plan& p, gemm::Carver& carver) {
    const int64_t rows = p.blockPanels * gemm::kMaxRows;
    a = carver.take<T>(p.packA ? roundUp(rows, kLanes<T>) * kPackedRow : 0);
    b = carver.take<T>(kTileCols<T> * kBlockK);
    sums = carver.take<T>(p.k > kBlockK ? rows * p.groupCols : 0);
  }
  static constexpr int64_t kPackedRow = kBlockK + 64 / sizeof(T);  // rows of the copy must not alias either
};

// A block of y, over the blocks of k from kBegin to kEnd. `packed` holds its columns of b, blocks of k `packedStep`
// elements apart, where all units share them.
template <class T>
struct Unit {
  int64_t panel, panelEnd, col, colEnd, kBegin, kEnd;
  const T* packed;
  int64_t packedStep;
};

// a, or its copy, as the kernels read it: strides in elements.
template <class T>
struct Rows {
  const T* a;
  int64_t rowStride, step;
};

// Copies panels of a as they lie in memory: runs of rows, or runs of columns.
template <class T>
Rows<T> packRows(const Plan& p, const T* a, int64_t rows, int64_t depth, T* dst) {
  if (p.acs == 1) {
    for (int64_t i = 0; i < rows; ++i) gemm::copyRun(dst + i * Lane<T>::kPackedRow, a + i * p.ars, depth);
    return {dst, Lane<T>::kPackedRow, 1};
  }
  const int64_t width = roundUp(rows, kLanes<T>);
  gemm::packPanel<T>(dst, width, rows, depth, a, p.ars, p.acs);
  return {dst, 1, width};
}

// One block of k of a unit. Sums go from y (where it is added to) over lane.sums to y.
template <class T>
void multiplyBlock(const Plan& p, const Operands<T>& o, const MatmulArgs& args, const Lane<T>& lane, const Unit<T>& u,
                   int64_t k0) {
  constexpr int64_t bytes = sizeof(T);
  constexpr int64_t lanes = kLanes<T>;
  const int64_t firstRow = p.panelRow(u.panel);
  const int64_t allRows = p.panelRow(u.panelEnd) - firstRow;
  const bool begins = k0 == u.kBegin;
  const bool ends = k0 + kBlockK >= u.kEnd;
  const bool last = k0 + kBlockK >= p.k;
  const bool addY = begins && (k0 > 0 || args.accumulate != 0);
  const bool plain = !last || (!o.bias && !o.pre && args.activation == 0);
  alignas(64) T tile[gemm::kTileSize<T>];

  gemm::TileOperands<T> t;
  t.depth = minOf(kBlockK, p.k - k0);
  Rows<T> a = {o.a + firstRow * p.ars + k0 * p.acs, p.ars, p.acs};
  if (p.packA) a = packRows(p, a.a, allRows, t.depth, lane.a);
  t.aRow = a.rowStride * bytes;
  t.aStep = a.step * bytes;
  const T* const packed = u.packed ? u.packed + (k0 - u.kBegin) / kBlockK * u.packedStep : nullptr;
  const bool fetchA = !ends && p.acs == 1;
  constexpr int64_t fetchPanels = 4, fetchStep = kBlockK / fetchPanels;
  int64_t cols = 0;
  for (int64_t j = u.col; j < u.colEnd; j += cols) {
    const int64_t left = u.colEnd - j;
    const int64_t panelsLeft = (left - 1) / kTileCols<T>;
    const T* const source = o.b + k0 * p.brs + j * p.bcs;
    int64_t whole;
    // Columns short of a whole vector are never read in place.
    if (p.b == Plan::B::direct && left >= lanes) {
      cols = p.m == 1 && left >= gemm::kWideCols<T> ? gemm::kWideCols<T> : minOf(kTileCols<T>, left / lanes * lanes);
      whole = cols;
      t.b = source;
      t.ldb = p.brs;
    } else {
      cols = minOf(kTileCols<T>, left);
      whole = t.ldb = roundUp(cols, lanes);
      if (packed) {
        t.b = packed + (j - u.col) * t.depth;
      } else {
        gemm::packPanel<T>(lane.b, whole, cols, t.depth, source, p.bcs, p.brs);
        t.b = lane.b;
      }
    }
    // Where b comes from next: the next panel, or the first of the next block of k.
    const T* next = packed ? t.b + whole * t.depth : t.b + cols;
    if (left == cols) next = packed ? packed + u.packedStep : o.b + (k0 + kBlockK) * p.brs + u.col * p.bcs;
    t.ahead.at = reinterpret_cast<const char*>(next);
    t.ahead.step = t.ldb * bytes;
    t.ahead.advance = gemm::kLineBytes;
    // Where k runs across the rows of a, a tile needs a new line at each k: beside the first panel, those of the next.
    const bool fetchColumns = !p.packA && p.acs != 1 && j == u.col;
    const bool inPlace = whole == cols && !p.transposed;
    // Tiles one below the other go in one call, up to a change of height; those that pass through `tile` one by one.
    const bool single = !inPlace && (addY || ends);
    int64_t run = 1;
    for (int64_t i = u.panel; i < u.panelEnd; i += run) {
      if (!single) run = (i < p.tallPanels ? minOf(p.tallPanels, u.panelEnd) : u.panelEnd) - i;
      const int64_t row = p.panelRow(i);
      const int64_t rows = p.panelRow(i + 1) - row;
      T* const sums = lane.sums + (j - u.col) * allRows + (row - firstRow) * whole;
      T* const y = o.y + row * p.ldy + j;
      if (addY && !inPlace) loadTile(p, o, tile, whole, row, rows, j, cols);
      t.tiles = run;
      t.a = a.a + (row - firstRow) * a.rowStride;
      t.base = !begins ? sums : !addY ? nullptr : inPlace ? y : tile;
      t.ldBase = begins && inPlace ? p.ldy : whole;
      t.y = !ends ? sums : inPlace ? y : tile;
      t.ldy = ends && inPlace ? p.ldy : whole;
      // Beside the last panels of b, a's rows of the next block of k; where y is written, its lines.
      if (fetchA && panelsLeft < fetchPanels) {
        t.ahead.line =
            reinterpret_cast<const char*>(o.a + row * p.ars + (k0 + kBlockK + panelsLeft * fetchStep) * p.acs);
        t.ahead.lineBytes = p.ars * bytes;
      } else {
        t.ahead.line = reinterpret_cast<const char*>(t.y);
        t.ahead.lineBytes = t.ldy * bytes;
      }
      if (fetchColumns) {
        t.ahead.at = reinterpret_cast<const char*>(t.a + (2 * rows - 1) * p.ars);
        t.ahead.step = t.aStep;
        t.ahead.advance = rows * t.aRow;
      }
      gemm::chooseProductKernel<T>(static_cast<int>(rows), static_cast<int>(whole / lanes))(t);
      t.ahead.at += run * t.ahead.advance;
      if (t.y == tile) {
        finishTile(p, o, args, tile, whole, row, rows, j, cols, last);
      } else if (ends && !plain) {
        finishTile(p, o, args, y, p.ldy, row, run * rows, j, cols, last);
      }
    }
  }
}

template <class T>
void runUnit(const Plan& p, const Operands<T>& o, const MatmulArgs& args, const Lane<T>& lane, const Unit<T>& u) {
  int64_t k0 = u.kBegin;
  do {  // at least once: K = 0 still writes y
    multiplyBlock(p, o, args, lane, u, k0);
    k0 += kBlockK;
  } while (k0 < u.kEnd);
}

// Columns and depth of one round of the shared path.
template <class T>
int64_t roundDepth(const Plan& p) {
  return minOf(kRoundDepth, roundUp(p.k, kBlockK));
}
template <class T>
int64_t roundCols(const Plan& p) {
  const int64_t groups = maxOf(1, kRoundElements / roundDepth<T>(p) / p.groupCols);
  return minOf(groups, p.colGroups) * p.groupCols;
}

// All threads pack some columns of b, once, then share out the units that use them.
template <class T, class LaneAt>
void runShared(const Plan& p, const MatmulArgs& args, const Operands<T>& o, T* packed, const LaneAt& laneAt,
               Context& context) {
  const int64_t depth = roundDepth<T>(p);
  const int64_t width = roundCols<T>(p);
  const int64_t blocks = depth / kBlockK;
  for (int64_t colStart = 0; colStart < p.n; colStart += width) {
    const int64_t colStop = minOf(p.n, colStart + width);
    const int64_t groups = ceilDiv(colStop - colStart, p.groupCols);
    for (int64_t kBegin = 0; kBegin < p.k; kBegin += depth) {
      if (context.cancelled()) return;
      const int64_t kEnd = minOf(p.k, kBegin + depth);
      const int64_t kBlocks = ceilDiv(kEnd - kBegin, kBlockK);
      // A group's blocks of k lie side by side.
      const int64_t panels = ceilDiv(colStop - colStart, kTileCols<T>);
      context.parallel(panels * kBlocks, kPackPanels, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t block = i / panels;
          const int64_t col = i % panels * kTileCols<T>;
          const int64_t inGroup = col % p.groupCols;
          const int64_t k0 = kBegin + block * kBlockK;
          const int64_t blockDepth = minOf(kBlockK, kEnd - k0);
          const int64_t cols = minOf(kTileCols<T>, colStop - colStart - col);
          T* const group = packed + ((col - inGroup) * blocks + block * p.groupCols) * kBlockK;
          gemm::packPanel<T>(group + inGroup * blockDepth, roundUp(cols, kLanes<T>), cols, blockDepth,
                             o.b + k0 * p.brs + (colStart + col) * p.bcs, p.bcs, p.brs);
        }
      });
      context.parallel(p.rowBlocks * groups, 1, [&](int64_t begin, int64_t end, int lane) {
        for (int64_t unit = begin; unit < end && !context.cancelled(); ++unit) {
          const int64_t col = colStart + unit % groups * p.groupCols;
          const int64_t block = unit / groups;
          runUnit<T>(p, o, args, laneAt(lane),
                     {p.blockPanel(block), p.blockPanel(block + 1), col, minOf(colStop, col + p.groupCols), kBegin,
                      kEnd, packed + (col - colStart) * blocks * kBlockK, p.groupCols * kBlockK});
        }
      });
    }
  }
}

template <class T>
int64_t laneScratch(const Plan& p) {
  gemm::Carver carver = {nullptr, 0};
  Lane<T>(p, carver);
  return carver.used;
}

template <class T>
int64_t sharedScratch(const Plan& p) {
  return p.b == Plan::B::shared ? roundUp(roundCols<T>(p) * roundDepth<T>(p) * sizeof(T), 64) : 0;
}

template <class T>
void matmulFloat(const MatmulArgs& args, Context& context) {
  const Plan p = makePlan<T>(args);
  if (p.m == 0 || p.n == 0 || p.batches == 0) return;
  char* const scratch = static_cast<char*>(context.scratch());
  char* const ofLanes = scratch + sharedScratch<T>(p);
  const int64_t perLane = laneScratch<T>(p);
  const auto laneAt = [&](int lane) {
    gemm::Carver carver = {ofLanes + lane * perLane, 0};
    return Lane<T>(p, carver);
  };
  if (p.b == Plan::B::shared) {
    for (int64_t batch = 0; batch < p.batches; ++batch) {
      runShared<T>(p, args, atBatch<T>(p, args, batch), reinterpret_cast<T*>(scratch), laneAt, context);
    }
    return;
  }
  const int64_t unitWork = p.blockPanels * gemm::kMaxRows * minOf(p.groupCols, p.n) * maxOf(p.k, 1);
  const int64_t units = p.rowBlocks * p.colGroups;
  context.parallel(p.batches * units, maxOf(1, kGrainWork / unitWork), [&](int64_t begin, int64_t end, int lane) {
    const Lane<T> own = laneAt(lane);
    for (int64_t unit = begin; unit < end && !context.cancelled(); ++unit) {
      const Operands<T> o = atBatch<T>(p, args, unit / units);
      // What a lane does one after the other shares the larger operand's part.
      const int64_t at = unit % units;
      const int64_t block = p.m < p.n ? at % p.rowBlocks : at / p.colGroups;
      const int64_t col = (p.m < p.n ? at / p.rowBlocks : at % p.colGroups) * p.groupCols;
      runUnit<T>(
          p, o, args, own,
          {p.blockPanel(block), p.blockPanel(block + 1), col, minOf(p.n, col + p.groupCols), 0, p.k, nullptr, 0});
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
  return sharedScratch<T>(p) + laneScratch<T>(p) * lanes;
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
