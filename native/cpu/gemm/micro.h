// The register-blocked kernels under matmul and convolution. Included after simd.h, inside each instruction-set region
// (foreach_isa.h).
//
// One order of summation rules every path, and it depends on K alone: products of kChain consecutive k are chained with
// fma, the chains of a block of kBlockK are added in order, and blocks are added in order. Short chains keep the
// rounding error of a long sum of one sign within a few eps, and no path (packed, direct, one row, one column, tails)
// may sum otherwise.
namespace gemm {

constexpr int64_t kChain = 64;
constexpr int64_t kBlockK = 256;  // a multiple of kChain

// Tile shapes: kMaxRows x (kVectors vectors) accumulators leave registers for the vectors of b and one broadcast.
#if WL_ISA_LEVEL == 2
constexpr int kMaxRows = 12;
#elif WL_ISA_LEVEL == 1
constexpr int kMaxRows = 6;
#else
constexpr int kMaxRows = 4;
#endif
constexpr int kVectors = 2;

template <class T>
constexpr int kTileCols = kVectors * kLanes<T>;
// One row has registers to spare: wide tiles read longer runs of b, which is used in place and never again.
constexpr int kWideVectors = 8;
template <class T>
constexpr int kWideCols = kWideVectors * kLanes<T>;
// What holds any tile.
template <class T>
constexpr int kTileSize = kMaxRows * kTileCols<T> > kWideCols<T> ? kMaxRows* kTileCols<T> : kWideCols<T>;

constexpr int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t roundUp(int64_t a, int64_t b) { return ceilDiv(a, b) * b; }
constexpr int64_t minOf(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t maxOf(int64_t a, int64_t b) { return a > b ? a : b; }

template <class T>
inline void exchangeValues(T& a, T& b) {
  const T old = a;
  a = b;
  b = old;
}

// Rows of one panel when `rows` are split evenly: 16 rows become 8 + 8, not 12 + 4.
inline int panelRows(int64_t rows) {
  if (rows <= 0) return 1;
  return static_cast<int>(ceilDiv(rows, ceilDiv(rows, kMaxRows)));
}

// Carves aligned arrays out of scratch; with base null it only counts.
struct Carver {
  char* base;
  int64_t used;
  template <class T>
  T* take(int64_t count) {
    char* at = base ? base + used : nullptr;
    used += roundUp(count * static_cast<int64_t>(sizeof(T)), 64);
    return reinterpret_cast<T*>(at);
  }
};

// The first n lanes, where n may exceed the vector.
template <class T>
WL_INLINE VectorOf<T> loadPart(const T* p, int64_t n) {
  return vloadPartial<T>(p, static_cast<int>(minOf(n, kLanes<T>)));
}
template <class T>
WL_INLINE void storePart(T* p, VectorOf<T> v, int64_t n) {
  vstorePartial<T>(p, v, static_cast<int>(minOf(n, kLanes<T>)));
}

// Where row k of b begins. Strided: a packed panel, or a matrix used in place. Offset: a convolution's taps.
struct StridedRows {
  int64_t ld;
  template <class T>
  const T* row(const T* b, int64_t k) const {
    return b + k * ld;
  }
};
struct OffsetRows {
  const int64_t* offsets;
  template <class T>
  const T* row(const T* b, int64_t k) const {
    return b + offsets[k];
  }
};

// tile[ROWS][VECTORS vectors] = a b over one block of k. `a` is packed: a[k * ROWS + i].
template <class T, int ROWS, int VECTORS, class Rows>
void tileKernel(int64_t depth, const T* a, const T* b, Rows rows, T* tile) {
  using V = VectorOf<T>;
  constexpr int lanes = kLanes<T>;
  int64_t k = 0;
  do {
    V acc[ROWS][VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < VECTORS; ++j) acc[i][j] = V{};
    }
    const int64_t end = minOf(depth, k + kChain);
    const bool first = k == 0;
    for (; k < end; ++k) {
      const T* row = rows.row(b, k);
      V bv[VECTORS];
#pragma GCC unroll 8
      for (int j = 0; j < VECTORS; ++j) bv[j] = vload(row + j * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) {
        const V av = vset(a[i]);
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; ++j) acc[i][j] = vfma(av, bv[j], acc[i][j]);
      }
      a += ROWS;
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < VECTORS; ++j) {
        T* at = tile + (i * VECTORS + j) * lanes;
        vstore(at, first ? acc[i][j] : vload(at) + acc[i][j]);
      }
    }
  } while (k < depth);
}

template <class T, class Rows>
using TileKernel = void (*)(int64_t depth, const T* a, const T* b, Rows rows, T* tile);

template <class T, class Rows, int VECTORS>
TileKernel<T, Rows> tileKernelOfRows(int rows) {
  switch (rows) {
    case 1:
      return tileKernel<T, 1, VECTORS, Rows>;
    case 2:
      return tileKernel<T, 2, VECTORS, Rows>;
    case 3:
      return tileKernel<T, 3, VECTORS, Rows>;
    case 4:
      return tileKernel<T, 4, VECTORS, Rows>;
#if WL_ISA_LEVEL >= 1
    case 5:
      return tileKernel<T, 5, VECTORS, Rows>;
    case 6:
      return tileKernel<T, 6, VECTORS, Rows>;
#endif
#if WL_ISA_LEVEL >= 2
    case 7:
      return tileKernel<T, 7, VECTORS, Rows>;
    case 8:
      return tileKernel<T, 8, VECTORS, Rows>;
    case 9:
      return tileKernel<T, 9, VECTORS, Rows>;
    case 10:
      return tileKernel<T, 10, VECTORS, Rows>;
    case 11:
      return tileKernel<T, 11, VECTORS, Rows>;
    case 12:
      return tileKernel<T, 12, VECTORS, Rows>;
#endif
    default:
      return nullptr;
  }
}

// The kernel for a panel of 1 to kMaxRows rows and 1 or 2 vectors, or of 1 row and kWideVectors. The tile's row pitch
// is vectors * lanes.
template <class T, class Rows>
TileKernel<T, Rows> chooseTileKernel(int rows, int vectors) {
  if (vectors == kWideVectors) return tileKernel<T, 1, kWideVectors, Rows>;
  return vectors == 1 ? tileKernelOfRows<T, Rows, 1>(rows) : tileKernelOfRows<T, Rows, 2>(rows);
}

}  // namespace gemm
