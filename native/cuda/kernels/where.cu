// y = cond ? a : b; an absent a or b is the scalar in the bits beside it. Elements are units of 1, 4 or 8 bytes.
//
// `_dense`: every operand is a row without gaps, aligned to 16 bytes, or a scalar; a thread owns as many elements as 16
// bytes hold, a block kThreads such groups. `_strided`: a thread owns kPerThread elements, kThreads apart, and finds
// each by its coordinates (broadcasting is a stride of 0).
#include "cuda/kernels/common.cuh"
#include "engine/args/elementwise.h"

namespace warploom::cuda {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;

template <class Unit>
__device__ inline void whereDense(const WhereArgs& args, uint64_t aBits, uint64_t bBits, int64_t n) {
  constexpr int kGroup = 16 / sizeof(Unit);
  const uint8_t* cond = args.cond.as<uint8_t>();
  const Unit* a = args.a.as<Unit>();
  const Unit* b = args.b.as<Unit>();
  Unit* y = args.y.as<Unit>();
  const bool hasA = args.a.present(), hasB = args.b.present();
  const Unit aScalar = static_cast<Unit>(aBits), bScalar = static_cast<Unit>(bBits);
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kGroup;
  if (first + kGroup <= n) {
    const Packed<uint8_t, kGroup> which = loadPacked<uint8_t, kGroup>(cond + first);
    Packed<Unit, kGroup> left, right, out;
    if (hasA) left = loadPacked<Unit, kGroup>(a + first);
    if (hasB) right = loadPacked<Unit, kGroup>(b + first);
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      out.v[k] = which.v[k] != 0 ? (hasA ? left.v[k] : aScalar) : (hasB ? right.v[k] : bScalar);
    }
    storeGlobal(y + first, out);
    return;
  }
#pragma unroll 1
  for (int64_t i = first; i < n; ++i) y[i] = cond[i] != 0 ? (hasA ? a[i] : aScalar) : (hasB ? b[i] : bScalar);
}

template <class Unit, class Index>
__device__ inline void whereStrided(const WhereArgs& args, uint64_t aBits, uint64_t bBits, int64_t n) {
  const uint8_t* cond = args.cond.as<uint8_t>();
  const Unit* a = args.a.as<Unit>();
  const Unit* b = args.b.as<Unit>();
  Unit* y = args.y.as<Unit>();
  const bool hasA = args.a.present(), hasB = args.b.present();
  const Unit aScalar = static_cast<Unit>(aBits), bScalar = static_cast<Unit>(bBits);
  const View* const views[] = {&args.cond, &args.a, &args.b, &args.y};
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads * kPerThread + threadIdx.x;
#pragma unroll 1
  for (int round = 0; round < kPerThread && i < n; ++round, i += kThreads) {
    Index at[4];
    offsetsOf<Index>(static_cast<Index>(i), args.y, views, at);
    y[at[3]] = cond[at[0]] != 0 ? (hasA ? a[at[1]] : aScalar) : (hasB ? b[at[2]] : bScalar);
  }
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// Entries: where_<unit>_<shape>; strided comes with 32-bit and with 64-bit offsets. n is y's number of elements.
#define WL_ENTRY extern "C" __global__ void __launch_bounds__(kThreads)
#define WL_WHERE(Unit, name)                                                                   \
  WL_ENTRY where_##name##_dense(const WhereArgs args, uint64_t a, uint64_t b, int64_t n) {     \
    whereDense<Unit>(args, a, b, n);                                                           \
  }                                                                                            \
  WL_ENTRY where_##name##_strided32(const WhereArgs args, uint64_t a, uint64_t b, int64_t n) { \
    whereStrided<Unit, uint32_t>(args, a, b, n);                                               \
  }                                                                                            \
  WL_ENTRY where_##name##_strided64(const WhereArgs args, uint64_t a, uint64_t b, int64_t n) { \
    whereStrided<Unit, int64_t>(args, a, b, n);                                                \
  }
WL_WHERE(uint8_t, b1)
WL_WHERE(uint32_t, b4)
WL_WHERE(uint64_t, b8)
