// Matrix products y [M, N] = act(a [M, K] b [K, N] + bias), batched, of float32.
//
// gemm_f32_<layout>_<rows>x<cols>: a block owns one tile of one product, and of all its k or, for partial sums, of one
// segment; see gemm_tile.cuh. The layout says of a, then of b, which neighbours lie side by side: n as in row-major
// operands (a: along k, b: across columns), t as in their transposes. Strides are free in each: the layout only decides
// which lanes read what.
// gemm_f32_simple, gemm_i32_simple, gemm_i64_simple: a thread owns one element of y. The reference of the others, and
// the kernel for many tiny matrices, for offsets beyond 32 bits and for K = 0.
// gemm_f32_combine: a thread owns one element of y and adds its partial sums.
#include "cuda/kernels/gemm_tile.cuh"
#include "cuda/kernels/matmul_store.cuh"

namespace warploom::cuda {

constexpr int kSimpleThreads = 256;
// Tiles that run at the same time should share operands in the L2 cache: blocks walk bands of this many rows of tiles.
constexpr int kBand = 8;

template <bool AlongDepth>
__device__ inline DenseSource<AlongDepth> sourceOf(const GemmOperand& operand, int64_t offset, int first,
                                                   int64_t lines) {
  return {static_cast<const float*>(operand.data) + offset + first * operand.lineStride,
          operand.depthStride,
          static_cast<int>(operand.lineStride),
          first,
          static_cast<int>(lines) - 1,
          operand.vector != 0};
}

template <class Tile, bool ATransposed, bool BTransposed>
__device__ inline void matmulTile(const GemmArgs& args) {
  const int tileRows = static_cast<int>((args.rows + Tile::kRows - 1) / Tile::kRows);
  const int tileCols = static_cast<int>((args.cols + Tile::kCols - 1) / Tile::kCols);
  const unsigned tiles = static_cast<unsigned>(tileRows) * static_cast<unsigned>(tileCols);
  const int segments = args.partials != nullptr ? static_cast<int>((args.depth + args.segment - 1) / args.segment) : 1;
  const int inProduct = static_cast<int>(blockIdx.x % tiles), product = static_cast<int>(blockIdx.x / tiles);
  const int segment = product % segments, batch = product / segments;
  const int band = inProduct / (kBand * tileCols), inBand = inProduct - band * kBand * tileCols;
  const int height = min(kBand, tileRows - band * kBand);
  const int row0 = (band * kBand + inBand % height) * Tile::kRows, col0 = inBand / height * Tile::kCols;

  const BatchOffsets at = batchOffsets(args, batch);
  const int64_t kBegin = segment * args.segment;
  const int64_t kEnd = segments > 1 ? min(args.depth, kBegin + args.segment) : args.depth;
  gemmTile<Tile>(sourceOf<!ATransposed>(args.a, at.a, row0, args.rows),
                 sourceOf<BTransposed>(args.b, at.b, col0, args.cols), MatmulStore(args, batch, at, segment), row0,
                 col0, static_cast<int>(kBegin), static_cast<int>(kEnd), static_cast<int>(args.segment));
}

// Sums of float32 in the one order; the integers' need none, and wrap.
struct FloatSum {
  float chain = 0.0f, segment = -0.0f;
  __device__ void add(float a, float b) { chain = fmaf(a, b, chain); }
  __device__ void endChain() {
    segment += chain;
    chain = 0.0f;
  }
  __device__ float endSegment() {
    const float sum = segment;
    segment = -0.0f;
    return sum;
  }
};

template <class Value>
struct At {
  int64_t row, col;
  const Value* a;
  const Value* b;
  Value* y;
  float* pre;
};
// Element `i` of all products' elements.
template <class Value>
__device__ inline At<Value> elementAt(const GemmArgs& args, int64_t i) {
  const int64_t n = args.exchanged ? args.rows : args.cols, m = args.exchanged ? args.cols : args.rows;
  const int64_t batch = i / (m * n), rest = i - batch * (m * n), row = rest / n, col = rest - row * n;
  const BatchOffsets at = batchOffsets(args, batch);
  return {row,
          col,
          static_cast<const Value*>(args.a.data) + at.a + (args.exchanged ? col : row) * args.a.lineStride,
          static_cast<const Value*>(args.b.data) + at.b + (args.exchanged ? row : col) * args.b.lineStride,
          static_cast<Value*>(args.y) + at.y + row * args.yStride + col,
          args.pre != nullptr ? static_cast<float*>(args.pre) + at.pre + row * args.preStride + col : nullptr};
}

__device__ inline void finishElement(const GemmArgs& args, const At<float>& at, float value) {
  if (args.bias != nullptr) value += static_cast<const float*>(args.bias)[at.col * args.biasStride];
  if (at.pre != nullptr) *at.pre = value;
  *at.y = activate(value, static_cast<Activation>(args.activation));
}

template <class T, class Unsigned>
__device__ inline void simpleInteger(const GemmArgs& args) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kSimpleThreads + threadIdx.x;
  if (i >= args.rows * args.cols * args.batches) return;
  const At<T> at = elementAt<T>(args, i);
  Unsigned sum = args.accumulate ? static_cast<Unsigned>(*at.y) : Unsigned(0);
#pragma unroll 1
  for (int64_t k = 0; k < args.depth; ++k)
    sum += static_cast<Unsigned>(at.a[k * args.a.depthStride]) * static_cast<Unsigned>(at.b[k * args.b.depthStride]);
  *at.y = static_cast<T>(sum);
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

extern "C" __global__ void __launch_bounds__(kSimpleThreads) gemm_f32_simple(const GemmArgs args) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kSimpleThreads + threadIdx.x;
  if (i >= args.rows * args.cols * args.batches) return;
  const At<float> at = elementAt<float>(args, i);
  float value = args.accumulate ? *at.y : -0.0f;
  if (args.depth == 0) value += 0.0f;
#pragma unroll 1
  for (int64_t k0 = 0; k0 < args.depth; k0 += args.segment) {
    FloatSum sum;
    const int64_t end = min(args.depth, k0 + args.segment);
#pragma unroll 1
    for (int64_t k = k0; k < end;) {
      const int64_t chainEnd = min(end, k + kChain);
#pragma unroll 4
      for (; k < chainEnd; ++k) sum.add(at.a[k * args.a.depthStride], at.b[k * args.b.depthStride]);
      sum.endChain();
    }
    value += sum.endSegment();
  }
  finishElement(args, at, value);
}

extern "C" __global__ void __launch_bounds__(kSimpleThreads) gemm_i32_simple(const GemmArgs args) {
  simpleInteger<int32_t, uint32_t>(args);
}
extern "C" __global__ void __launch_bounds__(kSimpleThreads) gemm_i64_simple(const GemmArgs args) {
  simpleInteger<int64_t, uint64_t>(args);
}

extern "C" __global__ void __launch_bounds__(kSimpleThreads) gemm_f32_combine(const GemmArgs args) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kSimpleThreads + threadIdx.x;
  const int64_t n = args.rows * args.cols * args.batches;
  if (i >= n) return;
  const At<float> at = elementAt<float>(args, i);
  float value = args.accumulate ? *at.y : -0.0f;
  const int segments = static_cast<int>((args.depth + args.segment - 1) / args.segment);
  const float* partial = args.partials + i;
#pragma unroll 4
  for (int s = 0; s < segments; ++s, partial += n) value += *partial;
  finishElement(args, at, value);
}

#define WL_GEMM(Tile, name, layout, aTransposed, bTransposed)                   \
  extern "C" __global__ void __launch_bounds__(Tile::kThreads, Tile::kResident) \
      gemm_f32_##layout##_##name(const GemmArgs args) {                         \
    matmulTile<Tile, aTransposed, bTransposed>(args);                           \
  }
#define WL_GEMM_LAYOUTS(Tile, name)     \
  WL_GEMM(Tile, name, nn, false, false) \
  WL_GEMM(Tile, name, nt, false, true)  \
  WL_GEMM(Tile, name, tn, true, false)  \
  WL_GEMM(Tile, name, tt, true, true)
WL_GEMM_LAYOUTS(Tile128x128, 128x128)
WL_GEMM_LAYOUTS(Tile64x64, 64x64)
WL_GEMM_LAYOUTS(Tile128x32, 128x32)
WL_GEMM_LAYOUTS(Tile128x16, 128x16)
WL_GEMM_LAYOUTS(Tile128x4, 128x4)
