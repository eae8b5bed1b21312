// Copies: y = x, converted where the dtypes differ.
//
// `_dense`: both are rows without gaps at addresses for 16-byte accesses; a thread owns one group of elements, as many
// as 16 bytes of the wider dtype hold, a block kThreads groups. `_strided`: a thread owns kPerThread elements, kThreads
// apart, and finds each by its coordinates; moves take units of 1 to 16 bytes for elements. `_transposed`: x is dense
// along rows [R], y along columns [C], in a batch of such matrices; a block owns a tile of kTile x kTile elements,
// which it reads along the rows and writes along the columns, a warp one row of 32 at a time, through shared memory
// (Ruetsch and Micikevicius, "Optimizing matrix transpose in CUDA", 2009).
#include "cuda/kernels/common.cuh"
#include "cuda/kernels/convert.cuh"
#include "cuda/tile.h"
#include "engine/args/elementwise.h"

namespace warploom::cuda {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;

__device__ inline int64_t globalThread() { return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

template <class From>
__device__ inline void convertDense(const UnaryArgs& args, int64_t n, DType to) {
  const From* x = args.x.as<From>();
  withTarget(to, [&](auto target) {
    using To = typename decltype(target)::type;
    constexpr int kGroup = 16 / (sizeof(To) > sizeof(From) ? sizeof(To) : sizeof(From));
    To* y = args.y.as<To>();
    const int64_t first = globalThread() * kGroup;
    if (first + kGroup <= n) {
      const Packed<From, kGroup> in = loadPacked<From, kGroup>(x + first);
      Packed<To, kGroup> out;
#pragma unroll
      for (int k = 0; k < kGroup; ++k) out.v[k] = convertTo<To>(in.v[k]);
      storeGlobal(y + first, out);
      return;
    }
#pragma unroll 1
    for (int64_t i = first; i < n; ++i) y[i] = convertTo<To>(x[i]);
  });
}

// Calls use(offset in x, offset in y) for the elements of this thread.
template <class Index, class Use>
__device__ inline void eachStrided(const UnaryArgs& args, int64_t n, Use use) {
  const View* const views[] = {&args.x, &args.y};
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads * kPerThread + threadIdx.x;
#pragma unroll 1
  for (int round = 0; round < kPerThread && i < n; ++round, i += kThreads) {
    Index at[2];
    offsetsOf<Index>(static_cast<Index>(i), args.y, views, at);
    use(at[0], at[1]);
  }
}

template <class From, class Index>
__device__ inline void convertStrided(const UnaryArgs& args, int64_t n, DType to) {
  const From* x = args.x.as<From>();
  eachStrided<Index>(args, n, [&](Index from, Index at) {
    const From value = x[from];
    withTarget(to, [&](auto target) {
      using To = typename decltype(target)::type;
      args.y.as<To>()[at] = convertTo<To>(value);
    });
  });
}

template <class Unit, class Index>
__device__ inline void moveStrided(const UnaryArgs& args, int64_t n) {
  const Unit* x = args.x.as<Unit>();
  Unit* y = args.y.as<Unit>();
  eachStrided<Index>(args, n, [&](Index from, Index at) { y[at] = x[from]; });
}

template <class From>
__device__ inline void copyTransposed(const UnaryArgs& args, const Tile& tile, DType to) {
  // Rows are a word (or an element) longer than a warp's: the elements of a column then lie in different banks.
  constexpr int kPadding = sizeof(From) < 4 ? 4 / sizeof(From) : 1;
  __shared__ From held[kTile][kTile + kPadding];
  const int64_t columnTiles = (tile.columns + kTile - 1) / kTile, rowTiles = (tile.rows + kTile - 1) / kTile;
  const int64_t band = blockIdx.x / columnTiles;
  const int64_t firstColumn = (blockIdx.x - band * columnTiles) * kTile;
  const int64_t matrix = band / rowTiles;
  const int64_t firstRow = (band - matrix * rowTiles) * kTile;
  const View* const views[] = {&args.x, &args.y};
  int64_t base[2];
  offsetsOf<int64_t>(matrix, args.y, views, base);
  const From* x = args.x.as<From>() + base[0];

#pragma unroll
  for (int k = 0; k < kTile; k += kTileRows) {
    const int64_t row = firstRow + threadIdx.x, column = firstColumn + threadIdx.y + k;
    if (row < tile.rows && column < tile.columns) {
      held[threadIdx.y + k][threadIdx.x] = x[row * tile.xRow + column * tile.xColumn];
    }
  }
  // Without this barrier a warp would read what other warps have not written yet: its row below is a column above.
  __syncthreads();
  withTarget(to, [&](auto target) {
    using To = typename decltype(target)::type;
    To* y = args.y.as<To>() + base[1];
#pragma unroll
    for (int k = 0; k < kTile; k += kTileRows) {
      const int64_t row = firstRow + threadIdx.y + k, column = firstColumn + threadIdx.x;
      if (row < tile.rows && column < tile.columns) {
        y[row * tile.yRow + column * tile.yColumn] = convertTo<To>(held[threadIdx.x][threadIdx.y + k]);
      }
    }
  });
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// Entries: copy_<dtype of x>_<shape> converts to the dtype `to`; move_<unit>_<shape> moves units. n counts elements or
// units; of move_dense, bytes.
#define WL_ENTRY extern "C" __global__ void __launch_bounds__(kThreads)

#define WL_COPY(From, name)                                                                                    \
  WL_ENTRY copy_##name##_dense(const UnaryArgs args, int64_t n, DType to) { convertDense<From>(args, n, to); } \
  WL_ENTRY copy_##name##_strided32(const UnaryArgs args, int64_t n, DType to) {                                \
    convertStrided<From, uint32_t>(args, n, to);                                                               \
  }                                                                                                            \
  WL_ENTRY copy_##name##_strided64(const UnaryArgs args, int64_t n, DType to) {                                \
    convertStrided<From, int64_t>(args, n, to);                                                                \
  }                                                                                                            \
  WL_ENTRY copy_##name##_transposed(const UnaryArgs args, const Tile tile, DType to) {                         \
    copyTransposed<From>(args, tile, to);                                                                      \
  }
WL_COPY(float, f32)
WL_COPY(int32_t, i32)
WL_COPY(int64_t, i64)
WL_COPY(uint8_t, u8)

#define WL_MOVE(Unit, name)                                                                                   \
  WL_ENTRY move_##name##_strided32(const UnaryArgs args, int64_t n) { moveStrided<Unit, uint32_t>(args, n); } \
  WL_ENTRY move_##name##_strided64(const UnaryArgs args, int64_t n) { moveStrided<Unit, int64_t>(args, n); }
WL_MOVE(uint8_t, b1)
WL_MOVE(uint32_t, b4)
WL_MOVE(uint64_t, b8)
WL_MOVE(uint4, b16)

// The word for index errors that came from another device; an offender of this one stays.
extern "C" __global__ void carry_index_error(IndexErrorWord* to, const IndexErrorWord* from) {
  if (to->op == 0) *to = *from;
}

WL_ENTRY move_dense(const UnaryArgs args, int64_t bytes) {
  const uint8_t* x = args.x.as<uint8_t>();
  uint8_t* y = args.y.as<uint8_t>();
  const int64_t first = globalThread() * 16;
  if (first + 16 <= bytes) {
    *reinterpret_cast<uint4*>(y + first) = *reinterpret_cast<const uint4*>(x + first);
    return;
  }
#pragma unroll 1
  for (int64_t i = first; i < bytes; ++i) y[i] = x[i];
}
