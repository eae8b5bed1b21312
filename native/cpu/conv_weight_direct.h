// The gradient of a convolution's weights where there are few taps: lanes run along rows of g and x as they lie,
// nothing is transposed, and each weight's sum is a vector until the end. Needs gemm.h.
namespace convWeightDirect {

using gemm::kChain;
using gemm::maxOf;
using gemm::minOf;

constexpr int64_t kMostTaps =
    16;  // with 25 the transposition of g, which this spares, costs less than loads across lines
// Of a tile. Runs of x begin anywhere, so most of their loads meet two lines of the cache: three outputs hide that.
constexpr int kMaxOutputs = WL_ISA_LEVEL == 2 ? 3 : 2;
constexpr int kMaxTaps = WL_ISA_LEVEL == 2 ? 9 : 6;

#if WL_ISA_LEVEL == 2
#define WL_VECTOR_REGISTER "v"
#else
#define WL_VECTOR_REGISTER "x"
#endif

// The tile's products of `n` positions, at most a vector; behind them nothing is read.
template <class T, int OUTPUTS, int TAPS, bool WHOLE>
WL_INLINE void addProducts(VectorOf<T> (&acc)[OUTPUTS][TAPS], const T* g, int64_t planeG, const T* x,
                           const int64_t* reads, int64_t n) {
  using V = VectorOf<T>;
  V gv[OUTPUTS];
#pragma GCC unroll 4
  for (int o = 0; o < OUTPUTS; ++o) gv[o] = WHOLE ? vload(g + o * planeG) : gemm::loadPart(g + o * planeG, n);
#pragma GCC unroll 16
  for (int t = 0; t < TAPS; ++t) {
    V xv = WHOLE ? vload(x + reads[t]) : gemm::loadPart(x + reads[t], n);
    // Without this g++ reads x again for each output.
    asm("" : "+" WL_VECTOR_REGISTER(xv));
#pragma GCC unroll 4
    for (int o = 0; o < OUTPUTS; ++o) acc[o][t] = vfma(gv[o], xv, acc[o][t]);
  }
}

#undef WL_VECTOR_REGISTER

// out[o][t] (vectors; outputs lie `ldo` apart) += the sum over rows x cols positions of g[o] x[reads[t]]: in each lane
// chains of about kChain products, then chains in order.
template <class T, int OUTPUTS, int TAPS>
void tileKernel(int64_t rows, int64_t cols, int64_t pitch, const T* g, int64_t planeG, const T* x, const int64_t* reads,
                T* out, int64_t ldo) {
  constexpr int64_t lanes = kLanes<T>;
  const int64_t chainCols = minOf(maxOf(1, cols), kChain * lanes);
  const int64_t chainRows = maxOf(1, kChain * lanes / gemm::roundUp(chainCols, lanes));
  for (int64_t r0 = 0; r0 < rows; r0 += chainRows) {
    const int64_t rowEnd = minOf(rows, r0 + chainRows);
    for (int64_t c0 = 0; c0 < cols; c0 += chainCols) {
      const int64_t colEnd = minOf(cols, c0 + chainCols);
      VectorOf<T> acc[OUTPUTS][TAPS];
#pragma GCC unroll 4
      for (int o = 0; o < OUTPUTS; ++o) {
#pragma GCC unroll 16
        for (int t = 0; t < TAPS; ++t) acc[o][t] = VectorOf<T>{};
      }
      for (int64_t r = r0; r < rowEnd; ++r) {
        int64_t c = c0;
        for (; c + lanes <= colEnd; c += lanes) {
          addProducts<T, OUTPUTS, TAPS, true>(acc, g + r * cols + c, planeG, x + r * pitch + c, reads, lanes);
        }
        if (c == colEnd) continue;
        addProducts<T, OUTPUTS, TAPS, false>(acc, g + r * cols + c, planeG, x + r * pitch + c, reads, colEnd - c);
      }
#pragma GCC unroll 4
      for (int o = 0; o < OUTPUTS; ++o) {
#pragma GCC unroll 16
        for (int t = 0; t < TAPS; ++t) {
          T* at = out + o * ldo + t * lanes;
          vstore(at, vload(at) + acc[o][t]);
        }
      }
    }
  }
}

template <class T>
using TileKernel = void (*)(int64_t rows, int64_t cols, int64_t pitch, const T* g, int64_t planeG, const T* x,
                            const int64_t* reads, T* out, int64_t ldo);
template <class T, int OUTPUTS, int... I>
TileKernel<T> tileKernelOf(int64_t taps, std::integer_sequence<int, I...>) {
  constexpr TileKernel<T> table[] = {tileKernel<T, OUTPUTS, I + 1>...};
  return table[taps - 1];
}
template <class T>
TileKernel<T> chooseTileKernel(int64_t outputs, int64_t taps) {
  const auto counts = std::make_integer_sequence<int, kMaxTaps>();
  if (outputs == kMaxOutputs) return tileKernelOf<T, kMaxOutputs>(taps, counts);
  return outputs == 1 ? tileKernelOf<T, 1>(taps, counts) : tileKernelOf<T, 2>(taps, counts);
}

// out (a vector) += the sum of n elements: four chains a kChain vectors.
template <class T>
void addRun(const T* g, int64_t n, T* out) {
  using V = VectorOf<T>;
  constexpr int64_t lanes = kLanes<T>, chains = 4;
  V total = vload(out);
  for (int64_t begin = 0; begin < n; begin += kChain * lanes) {
    const int64_t end = minOf(n, begin + kChain * lanes);
    V sums[chains] = {};
    int64_t i = begin;
    for (; i + chains * lanes <= end; i += chains * lanes) {
#pragma GCC unroll 4
      for (int64_t c = 0; c < chains; ++c) sums[c] += vload(g + i + c * lanes);
    }
    for (; i < end; i += lanes) sums[0] += gemm::loadPart(g + i, end - i);
    total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
  vstore(out, total);
}

// One strip of one image: all outputs of a group against all its taps, [outputs][taps][lanes].
template <class T>
void addStrip(int64_t rows, int64_t cols, int64_t pitch, const T* g, int64_t planeG, int64_t outputs, const T* x,
              const int64_t* reads, int64_t taps, T* out) {
  constexpr int64_t lanes = kLanes<T>;
  const int64_t panel = gemm::ceilDiv(taps, maxOf(1, gemm::ceilDiv(taps, kMaxTaps)));
  int64_t count = 0;
  for (int64_t o = 0; o < outputs; o += count) {
    count = gemm::ceilDiv(outputs - o, gemm::ceilDiv(outputs - o, kMaxOutputs));  // 4 are 2 and 2
    for (int64_t t = 0; t < taps; t += panel) {
      const auto kernel = chooseTileKernel<T>(count, minOf(panel, taps - t));
      kernel(rows, cols, pitch, g + o * planeG, planeG, x, reads + t, out + (o * taps + t) * lanes, taps * lanes);
    }
  }
}

}  // namespace convWeightDirect
