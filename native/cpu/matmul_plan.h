// The plan of a matrix product: what is folded, transposed and copied, and how y is cut into units of work. From shapes
// and strides alone. Included by matmul.cc inside each instruction-set region, in its unnamed namespace, after
// gemm/gemm.h.

using gemm::ceilDiv;
using gemm::kBlockK;
using gemm::kTileCols;
using gemm::maxOf;
using gemm::minOf;
using gemm::roundUp;

// A unit of work is a block of y: its columns of b over one block of k (256 x 256 floats, 262 KB) stay in L2 while its
// rows pass.
constexpr int64_t kBlockPanels = 8;              // panels of rows: 96 x 256 floats of a
constexpr int64_t kGroupPanels = 8;              // panels of columns
constexpr int64_t kAllRows = 192;                // rows whose part of a, 256 of k, takes a fifth of L2
constexpr int64_t kOwnBytes = int64_t{1} << 19;  // of a, half of L2
// What one round of the shared path packs of b: 4 MB (float32).
constexpr int64_t kRoundDepth = 16 * kBlockK;
constexpr int64_t kRoundElements = int64_t{1} << 20;
constexpr int64_t kPackPanels = 2;  // handed to a thread at a time
constexpr int64_t kLeastUnits = 16;
// Multiply-adds worth handing to another thread.
constexpr int64_t kGrainWork = int64_t{1} << 16;
// Rows a multiple of so many bytes apart share one set of the L1 cache, and evict each other.
constexpr int64_t kAliasBytes = 4096;

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
  int64_t panels, panelRows, tallPanels;  // of rows: the first tallPanels have panelRows + 1, the others panelRows
  int64_t blockPanels, groupCols;         // of a unit, at most
  int64_t rowBlocks, colGroups;
  bool packA;                                 // copy a panel of a before use
  enum class B { direct, packed, shared } b;  // in place; packed by each unit for itself; packed once for all
  int64_t blockPanel(int64_t block) const { return block * panels / rowBlocks; }  // the first of a block
  int64_t panelRow(int64_t panel) const { return panel * panelRows + minOf(panel, tallPanels); }
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
  constexpr int64_t bytes = sizeof(T);
  p.panels = maxOf(1, ceilDiv(p.m, gemm::kMaxRows));
  p.panelRows = p.m / p.panels;
  p.tallPanels = p.m % p.panels;
  // A b that must be copied. A unit of many rows copies its panels alone and uses them at once: nobody waits until all
  // of b is copied, and none of it comes from another processor's cache. With all rows each panel is copied once; a
  // hundredth of the work goes into copies from 512 rows on.
  const bool ownPanels = p.bcs != 1 && (p.m <= kAllRows || p.k <= kBlockK);
  const int64_t ownRows = p.k <= kBlockK ? kOwnBytes / (bytes * maxOf(p.k, 1)) : kAllRows;
  p.blockPanels = minOf(p.panels, ownPanels ? ceilDiv(ownRows, gemm::kMaxRows) : kBlockPanels);
  // In place where that does no harm.
  p.packA = p.acs == 1 ? p.m > 8 && p.n > kTileCols<T> && p.ars * bytes % kAliasBytes == 0 : p.ars != 1;
  // Wide units copy a less often; narrow ones leave L2 to b.
  const int64_t widest = (p.packA ? 2 : 1) * kGroupPanels * kTileCols<T>;
  const int64_t leastCols = p.m == 1 ? gemm::kWideCols<T> : kTileCols<T>;
  // Groups of about one size: 384 columns are 192 + 192, not 256 + 128.
  const auto groupsOf = [&](int64_t cols) {
    p.groupCols = roundUp(ceilDiv(maxOf(p.n, 1), ceilDiv(maxOf(p.n, 1), cols)), leastCols);
  };
  groupsOf(widest);
  // Halved until there are enough units: columns first, because tiles one below the other are one call. A few units may
  // be small, so that a small product has any for a second thread; many, for an even end, only where each is large.
  // Where every row of b is another page, a narrow unit would wait for addresses.
  const bool manyPages = p.bcs == 1 && p.brs * bytes >= kAliasBytes;
  const bool wide = p.packA || p.acs != 1 || ownPanels;
  const int64_t enough = manyPages ? kLeastUnits / 2 : wide ? kLeastUnits : 3 * kLeastUnits;
  for (;;) {
    const int64_t units = ceilDiv(p.panels, p.blockPanels) * ceilDiv(p.n, p.groupCols) * p.batches;
    const int64_t least = units < 4 ? kGrainWork : units < kLeastUnits ? 4 * kGrainWork : 8 * kGrainWork;
    const int64_t work = p.blockPanels * gemm::kMaxRows * minOf(p.groupCols, p.n) * p.k;
    if (units >= enough || work < 2 * least) break;
    const bool byRows = p.blockPanels > 4 && !ownPanels && (p.packA || p.groupCols <= 2 * leastCols);
    if (!byRows && p.groupCols > leastCols) {
      groupsOf(ceilDiv(p.groupCols / leastCols, 2) * leastCols);
    } else if (p.blockPanels > 1 && !(ownPanels && units >= kLeastUnits / 2)) {
      p.blockPanels = ceilDiv(p.blockPanels, 2);
    } else {
      break;
    }
  }
  p.rowBlocks = ceilDiv(p.panels, p.blockPanels);
  p.blockPanels = ceilDiv(p.panels, p.rowBlocks);
  p.colGroups = ceilDiv(p.n, p.groupCols);
  if (p.bcs == 1) {
    p.b = Plan::B::direct;
  } else {
    const bool large = p.m * p.n * maxOf(p.k, 1) >= kLeastUnits * kGrainWork;
    p.b = !ownPanels && p.rowBlocks > 1 && large ? Plan::B::shared : Plan::B::packed;
  }
  return p;
}
