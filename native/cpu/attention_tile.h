// What attention and its gradient share: blocks, and products of blocks whose operands stay where they are. Included
// inside an instruction-set region, hence without a guard; brings gemm.h and register_tile.h.

// clang-format off
#include "cpu/gemm/gemm.h"
#include "cpu/register_tile.h"
// clang-format on

namespace attentions {

using gemm::Carver;
using gemm::ceilDiv;
using gemm::maxOf;
using gemm::minOf;
using gemm::roundUp;

// A block of scores is 64 x 64 (16 KB of float32), so it and the strips of its operands stay in the first two caches.
constexpr int64_t kBlock = 64;
// The most rows of a tile of sums.
constexpr int kPanel = 8;
// Multiply-adds worth handing to another thread.
constexpr int64_t kGrainWork = int64_t{1} << 18;
// A sum of products is chained by fma over as many terms, then added: as in matmul.
constexpr int64_t kChain = gemm::kChain;

enum class MaskKind { none, boolean, additive };

inline MaskKind maskKindOf(const View& mask) {
  if (!mask.present()) return MaskKind::none;
  return mask.dtype == DType::boolean ? MaskKind::boolean : MaskKind::additive;
}

// The first element of matrix (or row) `index` of a view whose leading dims are its batch.
template <class T>
inline T* atBatch(const View& view, int batchRank, int64_t index) {
  int64_t offset = 0;
  for (int d = batchRank - 1; d >= 0; --d) {
    offset += index % view.sizes[d] * view.strides[d];
    index /= view.sizes[d];
  }
  return view.as<T>() + offset;
}

// The number of matrices.
inline int64_t batchesOf(const View& view, int batchRank) {
  int64_t n = 1;
  for (int d = 0; d < batchRank; ++d) n *= view.sizes[d];
  return n;
}

// An operand a(k, i) of a product: across, its rows run along i (a block of scores); down, along k (a tensor's rows).
enum class Run { across, down };

// c[i][j] (+)= sum over k of a(k, i) b[k][j] for ROWS x VECTORS vectors.
template <class T, int ROWS, int VECTORS, Run RUN>
static void productTile(int64_t depth, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t ldc, bool add) {
  for (int64_t k = 0; k < depth;) {
    VectorOf<T> sums[ROWS][VECTORS];
    registerTile::clear(sums);
    const int64_t end = minOf(depth, k + kChain);
    for (; k < end; ++k) {
      registerTile::addOuter<T>(sums, b, [&](int i) { return RUN == Run::across ? a[i] : a[i * lda]; });
      a += RUN == Run::across ? lda : 1;
      b += ldb;
    }
    registerTile::store<T>(sums, add, c, ldc);
    add = true;
  }
}

// Which k a panel of rows [i, i + rows) sums over, where a triangle of the scores is known to be 0.
struct Band {
  enum Kind { all, from, to } kind;
  int64_t shift;  // from: k >= i + shift; to: k < i + rows + shift
};

template <class T, int VECTORS, Run RUN>
static void productStrip(int64_t m, int64_t depth, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t ldc,
                         bool add, Band band) {
  constexpr int most = VECTORS == 1 || WL_ISA_LEVEL == 2 ? kPanel : kPanel / 2;  // as many sums as registers hold
  for (int64_t i = 0; i < m;) {
    const int64_t rest = m - i;
    const int rows = rest >= most ? most : rest >= 4 ? 4 : rest >= 2 ? 2 : 1;
    const int64_t begin = band.kind == Band::from ? minOf(depth, maxOf(0, i + band.shift)) : 0;
    const int64_t end = band.kind == Band::to ? minOf(depth, maxOf(0, i + rows + band.shift)) : depth;
    const T* ai = RUN == Run::across ? a + begin * lda + i : a + i * lda + begin;
    const T* bi = b + begin * ldb;
    T* ci = c + i * ldc;
    const int64_t n = end - begin;
    if (rows == 8) {
      productTile<T, 8, VECTORS, RUN>(n, ai, lda, bi, ldb, ci, ldc, add);
    } else if (rows == 4) {
      productTile<T, 4, VECTORS, RUN>(n, ai, lda, bi, ldb, ci, ldc, add);
    } else if (rows == 2) {
      productTile<T, 2, VECTORS, RUN>(n, ai, lda, bi, ldb, ci, ldc, add);
    } else {
      productTile<T, 1, VECTORS, RUN>(n, ai, lda, bi, ldb, ci, ldc, add);
    }
    if (n <= 0 && !add) {
      for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < VECTORS; ++v) vstore(ci + r * ldc + v * kLanes<T>, VectorOf<T>{});
      }
    }
    i += rows;
  }
}

// The same for m rows and any number of vectors. Reads and writes whole vectors of b and c.
template <class T, Run RUN>
static void product(int64_t m, int64_t vectors, int64_t depth, const T* a, int64_t lda, const T* b, int64_t ldb, T* c,
                    int64_t ldc, bool add, Band band = {Band::all, 0}) {
  int64_t v = 0;
  for (; v + 2 <= vectors; v += 2) {
    productStrip<T, 2, RUN>(m, depth, a, lda, b + v * kLanes<T>, ldb, c + v * kLanes<T>, ldc, add, band);
  }
  if (v < vectors) {
    productStrip<T, 1, RUN>(m, depth, a, lda, b + v * kLanes<T>, ldb, c + v * kLanes<T>, ldc, add, band);
  }
}

// Rows that may be read in whole vectors: the tensor's own where they have that length, else copies padded with zeros.
template <class T>
struct PaddedRows {
  const T* data;
  int64_t ld;
};
template <class T>
static PaddedRows<T> padRows(const T* rows, int64_t ld, int64_t count, int64_t length, T* scratch) {
  if (length % kLanes<T> == 0) return {rows, ld};
  const int64_t padded = roundUp(length, kLanes<T>);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t e = 0; e < padded; e += kLanes<T>) {
      vstore(scratch + i * padded + e, gemm::loadPart(rows + i * ld + e, length - e));
    }
  }
  return {scratch, padded};
}

// Has rows that come next on their way meanwhile: those of a head lie in pieces far apart, which the hardware does not
// follow. kWrite: to be written. (Always inline: g++ takes a function that only fetches for one that does nothing.)
template <bool kWrite, class T>
static WL_INLINE void fetchRows(const T* rows, int64_t ld, int64_t count, int64_t length) {
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t e = 0; e < length; e += line) __builtin_prefetch(rows + i * ld + e, kWrite, 2);
  }
}

// to[a * ld + b] = the mask of row a and column b, as numbers, for a block of it.
template <class T>
static void copyMask(const View& mask, int64_t batch, int64_t row, int64_t rowStride, int64_t rows, int64_t col,
                     int64_t colStride, int64_t cols, T* to, int64_t ld) {
  const int64_t start = row * rowStride + col * colStride;
  if (mask.dtype == DType::boolean) {
    const uint8_t* from = atBatch<const uint8_t>(mask, mask.rank - 2, batch) + start;
    for (int64_t a = 0; a < rows; ++a) {
      for (int64_t b = 0; b < cols; ++b) to[a * ld + b] = static_cast<T>(from[a * rowStride + b * colStride]);
    }
  } else {
    const T* from = atBatch<const T>(mask, mask.rank - 2, batch) + start;
    for (int64_t a = 0; a < rows; ++a) {
      for (int64_t b = 0; b < cols; ++b) to[a * ld + b] = from[a * rowStride + b * colStride];
    }
  }
}

// A vector of scores as the definition wants it, from products q . k: scaled, masked. `mask` holds its part of a copied
// mask. Hidden pairs are -infinity, and `hidden` says which they are.
template <class T, MaskKind MASK>
static WL_INLINE VectorOf<T> finishScores(VectorOf<T> products, VectorOf<T> scale, const T* mask,
                                          typename Vector<T>::mask& hidden) {
  VectorOf<T> score = products * scale;
  if constexpr (MASK == MaskKind::additive) score += vload(mask);
  if constexpr (MASK == MaskKind::boolean) {
    hidden = vload(mask) == T(0);
    score = hidden ? vset(-static_cast<T>(__builtin_inf())) : score;
  }
  return score;
}

}  // namespace attentions
