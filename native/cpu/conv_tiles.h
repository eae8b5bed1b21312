// Register tiles of a convolution beside those of matmul (gemm/micro.h), over the padded planes of gemm/correlate.h.
// Needs gemm.h and register_tile.h. Each sums in the one order of micro.h, so whichever a shape leads to gives the same
// bits.
//
// - runs (micro.h): output channels by vectors of outputs of the planes' whole pitch, rows joined: for planes much
//   narrower than a vector.
// - rows: the same within one row, for few taps: a tile is finished in registers, with bias and relu.
// - channels: neighbouring outputs of a row by vectors of output channels: no lane is lost to the planes' edges, but
// the
//   finished tile must be transposed, so for many taps.
namespace convTiles {

using gemm::kChain;
using gemm::minOf;

constexpr int kAccumulators = WL_ISA_LEVEL == 2 ? 28 : 12;
constexpr int kMaxPixels = 14;  // of a tile of channels
// With one or two vectors of channels a pixel.
constexpr int maxPixels(int vectors) {
  return kAccumulators / vectors < kMaxPixels ? kAccumulators / vectors : kMaxPixels;
}

template <class V>
WL_INLINE V finish(V sum, bool hasBias, V bias, bool relu) {
  if (hasBias) sum = sum + bias;
  return relu ? (sum <= 0 ? V{} : sum) : sum;
}

// y[i][0, n) = sum over k of a[k * ROWS + i] times the run that begins at b[reads[k]], for i < rows <= ROWS and n <=
// VECTORS vectors; at most kChain k. Rows of y lie `plane` apart.
template <class T, int ROWS, int VECTORS>
void rowKernel(int64_t depth, const T* a, const T* b, const int64_t* reads, T* y, int64_t plane, int64_t rows,
               int64_t n, const T* bias, bool relu) {
  using V = VectorOf<T>;
  constexpr int lanes = kLanes<T>;
  V acc[ROWS][VECTORS];
  registerTile::clear(acc);
  for (int64_t k = 0; k < depth; ++k, a += ROWS) {
    registerTile::addOuter<T>(acc, b + reads[k], [&](int i) { return a[i]; });
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
    if (i >= rows) return;
#pragma GCC unroll 2
    for (int j = 0; j < VECTORS; ++j) {
      const V v = finish(acc[i][j], bias != nullptr, vset(bias ? bias[i] : T(0)), relu);
      gemm::storePart(y + i * plane + j * lanes, v, n - j * lanes);
    }
  }
}

// sums[i][0, VECTORS vectors) = sum over k of x[reads[k] + i] w[k][0, VECTORS vectors), for PIXELS neighbours i.
template <class T, int PIXELS, int VECTORS>
void pixelKernel(int64_t depth, const T* x, const int64_t* reads, const T* w, T* sums) {
  using V = VectorOf<T>;
  constexpr int lanes = kLanes<T>;
  constexpr int width = lanes * VECTORS;
  alignas(64) T block[PIXELS * width];  // of kBlockK taps, where there are more
  T* into = depth > gemm::kBlockK ? block : sums;
  int64_t k = 0;
  do {
    V acc[PIXELS][VECTORS];
    registerTile::clear(acc);
    const bool first = k % gemm::kBlockK == 0;
    const int64_t end = minOf(depth, k + kChain);
    for (; k < end; ++k, w += width) {
      const T* from = x + reads[k];
      registerTile::addOuter<T>(acc, w, [&](int i) { return from[i]; });
    }
    registerTile::store<T>(acc, !first, into);
    if (into != sums && (k == depth || k % gemm::kBlockK == 0)) {
      const bool only = k <= gemm::kBlockK;
      for (int i = 0; i < PIXELS * width; i += lanes) {
        vstore(sums + i, only ? vload(block + i) : vload(sums + i) + vload(block + i));
      }
    }
  } while (k < depth);
}

// Sums of `pixels` neighbours, [pixels][vectors], to the planes of `channels` output channels, which lie `plane` apart;
// neighbours lie `step` apart there. What lies `ahead` in a plane will be written soon.
template <class T>
void storePixels(const T* sums, int64_t pixels, int vectors, int64_t channels, T* y, int64_t plane, int64_t step,
                 int64_t ahead, const T* bias, bool relu) {
  using V = VectorOf<T>;
  constexpr int64_t lanes = kLanes<T>;
  for (int64_t o = 0; o < channels; o += lanes, sums += lanes, y += lanes * plane) {
    const int64_t count = minOf(lanes, channels - o);
    const V start = bias ? gemm::loadPart(bias + o, count) : V{};
    for (int64_t i0 = 0; i0 < pixels; i0 += lanes) {
      const int64_t n = minOf(lanes, pixels - i0);
      V r[lanes];
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) {
        r[i] = i < n ? finish(vload(sums + (i0 + i) * vectors * lanes), bias != nullptr, start, relu) : V{};
      }
      gemm::transposeVecs<T>(r);
      if (step == 1) {
        for (int64_t i = 0; i < count; ++i) {
          gemm::storePart(y + i * plane + i0, r[i], n);
          // Each channel is a stream of its own, too many for the hardware to follow: fetch what the next rows write.
          __builtin_prefetch(y + i * plane + i0 + ahead, 1);
        }
        continue;
      }
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < n; ++j) y[i * plane + (i0 + j) * step] = r[i][j];
      }
    }
  }
}

template <class T>
using RowKernel = void (*)(int64_t depth, const T* a, const T* b, const int64_t* reads, T* y, int64_t plane,
                           int64_t rows, int64_t n, const T* bias, bool relu);
template <class T, int VECTORS, int... I>
RowKernel<T> rowKernelOf(int64_t rows, std::integer_sequence<int, I...>) {
  constexpr RowKernel<T> table[] = {rowKernel<T, I + 1, VECTORS>...};
  return table[rows - 1];
}
template <class T>
RowKernel<T> chooseRowKernel(int64_t rows, int64_t vectors) {
  const auto counts = std::make_integer_sequence<int, gemm::kMaxRows>();
  return vectors == 1 ? rowKernelOf<T, 1>(rows, counts) : rowKernelOf<T, 2>(rows, counts);
}

template <class T>
using PixelKernel = void (*)(int64_t depth, const T* x, const int64_t* reads, const T* w, T* sums);
template <class T, int VECTORS, int... I>
PixelKernel<T> pixelKernelOf(int64_t pixels, std::integer_sequence<int, I...>) {
  constexpr PixelKernel<T> table[] = {pixelKernel<T, I + 1, VECTORS>...};
  return table[pixels - 1];
}
template <class T>
PixelKernel<T> choosePixelKernel(int64_t pixels, int64_t vectors) {
  return vectors == 1 ? pixelKernelOf<T, 1>(pixels, std::make_integer_sequence<int, maxPixels(1)>())
                      : pixelKernelOf<T, 2>(pixels, std::make_integer_sequence<int, maxPixels(2)>());
}

}  // namespace convTiles
