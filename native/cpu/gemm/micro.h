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
constexpr int64_t kLineBytes = 64;

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

// The compiler would rather compute again at each chain where a pointer stands, and keep it in memory between.
template <class P>
WL_INLINE void keepInRegister(P& pointer) {
  asm("" : "+r"(pointer));
}

// The rows of b, one for each k. Strided: a packed panel, or a matrix used in place. Offset: a convolution's taps.
struct StridedRows {
  int64_t ld;
  template <class T>
  WL_INLINE const T* row(const T* b) const {
    return b;
  }
  template <class T>
  WL_INLINE void next(const T*& b) {
    b += ld;
    keepInRegister(b);
  }
};
struct OffsetRows {
  const int64_t* offsets;
  template <class T>
  WL_INLINE const T* row(const T* b) const {
    return b + *offsets;
  }
  template <class T>
  WL_INLINE void next(const T*&) {
    ++offsets;
  }
};

// sum + n b for one number of a in memory. AVX-512 multiplies by a number where it lies; the compiler would rather load
// it once for all of a row, into a register that it then takes from the work in flight (a hundredth of the speed), and
// add up the address of every row at every k.
#define WL_ADD_PRODUCT(NUMBER, ...)                                           \
  if constexpr (std::is_same_v<T, float>) {                                   \
    asm("vfmadd231ps " NUMBER "%{1to16%}, %1, %0" : "+v"(sum) : __VA_ARGS__); \
  } else {                                                                    \
    asm("vfmadd231pd " NUMBER "%{1to8%}, %1, %0" : "+v"(sum) : __VA_ARGS__);  \
  }

// Where column k of a begins, and its rows. Packed: a[k * ROWS + i]. Strided: a matrix used in place, its strides in
// bytes; every third row has a pointer of its own, the two after it are reached by an index register.
template <class T, int ROWS>
struct PackedColumns {
  const T* a;
  WL_INLINE VectorOf<T> addProduct(int i, VectorOf<T> b, VectorOf<T> sum) const {
#if WL_ISA_LEVEL == 2
    WL_ADD_PRODUCT("%2", "v"(b), "m"(a[i]))
    return sum;
#else
    return vfma(vset(a[i]), b, sum);
#endif
  }
  WL_INLINE void next() { a += ROWS; }
};
template <class T, int ROWS>
struct StridedColumns {
  const char* starts[(ROWS + 2) / 3];
  int64_t rowBytes, stepBytes;
  WL_INLINE StridedColumns(const T* a, int64_t rowBytesOfA, int64_t stepBytesOfA)
      : rowBytes(rowBytesOfA), stepBytes(stepBytesOfA) {
#pragma GCC unroll 8
    for (int g = 0; g < (ROWS + 2) / 3; ++g) starts[g] = reinterpret_cast<const char*>(a) + g * 3 * rowBytes;
  }
  WL_INLINE VectorOf<T> addProduct(int i, VectorOf<T> b, VectorOf<T> sum) const {
    const char* const start = starts[i / 3];
#if WL_ISA_LEVEL == 2
    const auto& all = *reinterpret_cast<const T(*)[]>(start);
    if (i % 3 == 0) {
      WL_ADD_PRODUCT("(%2)", "v"(b), "r"(start), "m"(all))
    } else if (i % 3 == 1) {
      WL_ADD_PRODUCT("(%2,%3)", "v"(b), "r"(start), "r"(rowBytes), "m"(all))
    } else {
      WL_ADD_PRODUCT("(%2,%3,2)", "v"(b), "r"(start), "r"(rowBytes), "m"(all))
    }
    return sum;
#else
    return vfma(vset(*reinterpret_cast<const T*>(start + (i % 3) * rowBytes)), b, sum);
#endif
  }
  WL_INLINE void next() {
#pragma GCC unroll 8
    for (int g = 0; g < (ROWS + 2) / 3; ++g) {
      starts[g] += stepBytes;
      keepInRegister(starts[g]);
    }
  }
};

#undef WL_ADD_PRODUCT

// What is fetched into L2 beside the work: nothing, or what comes next. A line for each k, and at the start of each
// chain the next line of as many rows as the tile has: more at once would fill the queue of misses and hold up the
// tile's own.
struct FetchNothing {
  WL_INLINE void besideRow() {}
  template <int ROWS>
  WL_INLINE void besideChain() {}
};
struct FetchAhead {
  const char* at;
  int64_t step;     // from k to k
  int64_t advance;  // from tile to tile
  const char* line;
  int64_t lineBytes;  // from row to row
  WL_INLINE void besideRow() {
    __builtin_prefetch(at, 0, 2);
    at += step;
    keepInRegister(at);
  }
  template <int ROWS>
  WL_INLINE void besideChain() {
    const char* at = line;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i, at += lineBytes) __builtin_prefetch(at, 0, 2);
    line += kLineBytes;
  }
};

// y[ROWS][VECTORS vectors] = a b over one block of k, plus `base` where that is not null. `partial` holds the chains
// summed so far; it may be y when there is no base.
template <class T, int ROWS, int VECTORS, class Columns, class Rows, class Ahead>
WL_INLINE void multiplyTile(int64_t depth, Columns a, const T* b, Rows rows, T* partial, const T* base, int64_t ldBase,
                            T* y, int64_t ldy, Ahead ahead) {
  using V = VectorOf<T>;
  constexpr int lanes = kLanes<T>;
  int64_t left = depth;
  bool first = true;
  for (;;) {
    V acc[ROWS][VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < VECTORS; ++j) acc[i][j] = V{};
    }
    ahead.template besideChain<ROWS>();
    int64_t steps = minOf(left, kChain);
    left -= steps;
    for (; steps > 0; --steps) {
      const T* const row = rows.row(b);
      V bv[VECTORS];
#pragma GCC unroll 8
      for (int j = 0; j < VECTORS; ++j) bv[j] = vload(row + j * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; ++j) acc[i][j] = a.addProduct(i, bv[j], acc[i][j]);
      }
      ahead.besideRow();
      a.next();
      rows.next(b);
    }
    if (!first) {
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; ++j) acc[i][j] = vload(partial + (i * VECTORS + j) * lanes) + acc[i][j];
      }
    }
    first = false;
    if (left == 0) {
      if (base) {
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i, base += ldBase) {
#pragma GCC unroll 8
          for (int j = 0; j < VECTORS; ++j) acc[i][j] = vload(base + j * lanes) + acc[i][j];
        }
      }
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i, y += ldy) {
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; ++j) vstore(y + j * lanes, acc[i][j]);
      }
      return;
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < VECTORS; ++j) vstore(partial + (i * VECTORS + j) * lanes, acc[i][j]);
    }
  }
}

// tile[ROWS][VECTORS vectors] = a b over one block of k. `a` is packed: a[k * ROWS + i].
template <class T, int ROWS, int VECTORS, class Rows>
void tileKernel(int64_t depth, const T* a, const T* b, Rows rows, T* tile) {
  multiplyTile<T, ROWS, VECTORS>(depth, PackedColumns<T, ROWS>{a}, b, rows, tile, static_cast<const T*>(nullptr), 0,
                                 tile, VECTORS * kLanes<T>, FetchNothing{});
}

// Tiles one below the other, of a product of matrices that are used in place. Rows of a are aRow bytes apart, its
// columns aStep bytes; rows of b, base and y ldb, ldBase and ldy elements. y = base + a b over one block of k; base may
// be null, or y. All hold whole vectors. What is fetched moves on from tile to tile, by a line of b's rows.
template <class T>
struct TileOperands {
  int64_t depth, tiles;
  const T* a;
  int64_t aRow, aStep;
  const T* b;
  int64_t ldb;
  const T* base;
  int64_t ldBase;
  T* y;
  int64_t ldy;
  FetchAhead ahead;
};
// The tiles in one call: what a call for each would store (arguments, saved registers) stands in the store queue behind
// the tile's own results, and the next tile would begin only when those are done.
template <class T, int ROWS, int VECTORS>
void productKernel(const TileOperands<T>& t) {
  alignas(64) T partial[ROWS * VECTORS * kLanes<T>];
  const T* a = t.a;
  const T* base = t.base;
  T* y = t.y;
  FetchAhead ahead = t.ahead;
  for (int64_t tile = 0; tile < t.tiles; ++tile) {
    multiplyTile<T, ROWS, VECTORS>(t.depth, StridedColumns<T, ROWS>(a, t.aRow, t.aStep), t.b, StridedRows{t.ldb},
                                   partial, base, t.ldBase, y, t.ldy, ahead);
    a = reinterpret_cast<const T*>(reinterpret_cast<const char*>(a) + ROWS * t.aRow);
    if (base) base += ROWS * t.ldBase;
    y += ROWS * t.ldy;
    ahead.at += ahead.advance;
    ahead.line += ROWS * ahead.lineBytes;
  }
}

template <class T, class Rows>
using TileKernel = void (*)(int64_t depth, const T* a, const T* b, Rows rows, T* tile);

template <class T, class Rows, int VECTORS, int... I>
TileKernel<T, Rows> tileKernelOfRows(int rows, std::integer_sequence<int, I...>) {
  static constexpr TileKernel<T, Rows> kernels[] = {tileKernel<T, I + 1, VECTORS, Rows>...};
  return kernels[rows - 1];
}

// The kernel for a panel of 1 to kMaxRows rows and 1 or 2 vectors, or of 1 row and kWideVectors. The tile's row pitch
// is vectors * lanes.
template <class T, class Rows>
TileKernel<T, Rows> chooseTileKernel(int rows, int vectors) {
  constexpr auto all = std::make_integer_sequence<int, kMaxRows>();
  if (vectors == kWideVectors) return tileKernel<T, 1, kWideVectors, Rows>;
  return vectors == 1 ? tileKernelOfRows<T, Rows, 1>(rows, all) : tileKernelOfRows<T, Rows, kVectors>(rows, all);
}

template <class T>
using ProductKernel = void (*)(const TileOperands<T>&);

template <class T, int VECTORS, int... I>
ProductKernel<T> productKernelOfRows(int rows, std::integer_sequence<int, I...>) {
  static constexpr ProductKernel<T> kernels[] = {productKernel<T, I + 1, VECTORS>...};
  return kernels[rows - 1];
}

// The kernel in place for 1 to kMaxRows rows and 1 or 2 vectors, or 1 row and kWideVectors.
template <class T>
ProductKernel<T> chooseProductKernel(int rows, int vectors) {
  constexpr auto all = std::make_integer_sequence<int, kMaxRows>();
  if (vectors == kWideVectors) return productKernel<T, 1, kWideVectors>;
  return vectors == 1 ? productKernelOfRows<T, 1>(rows, all) : productKernelOfRows<T, kVectors>(rows, all);
}

}  // namespace gemm
