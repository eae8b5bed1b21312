// Constants and ramps.
//
// `fill_dense`: y is a row without gaps, aligned to 16 bytes; a thread owns 16 bytes of it, a block kThreads times as
// many. The others: a thread owns kPerThread elements (of a fill: units of 1 to 16 bytes), kThreads apart.
#include <type_traits>

#include "cuda/kernels/common.cuh"
#include "cuda/kernels/convert.cuh"
#include "engine/args/create.h"

namespace warploom::cuda {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;

struct alignas(16) Wide {
  uint64_t low, high;
};
template <class Unit>
__device__ inline Unit unitOf(uint64_t bits) {
  return static_cast<Unit>(bits);
}
template <>
__device__ inline Wide unitOf<Wide>(uint64_t bits) {
  return {bits, bits};
}

template <class Use>
__device__ inline void eachElement(int64_t n, Use use) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads * kPerThread + threadIdx.x;
#pragma unroll 1
  for (int round = 0; round < kPerThread && i < n; ++round, i += kThreads) use(i);
}

template <class Unit, class Index>
__device__ inline void fillStrided(const FillArgs& args, uint64_t bits, int64_t n) {
  Unit* y = args.y.as<Unit>();
  const View* const views[] = {&args.y};
  eachElement(n, [&](int64_t i) {
    Index at[1];
    offsetsOf<Index>(static_cast<Index>(i), args.y, views, at);
    y[at[0]] = unitOf<Unit>(bits);
  });
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

#define WL_ENTRY extern "C" __global__ void __launch_bounds__(kThreads)

// bits: the value, repeated to fill eight bytes.
WL_ENTRY fill_dense(const FillArgs args, uint64_t bits, int64_t bytes) {
  uint8_t* y = args.y.as<uint8_t>();
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * 16;
  if (first + 16 <= bytes) {
    *reinterpret_cast<Wide*>(y + first) = unitOf<Wide>(bits);
    return;
  }
#pragma unroll 1
  for (int64_t i = first; i < bytes; ++i) y[i] = static_cast<uint8_t>(bits >> (i % 8 * 8));
}

#define WL_FILL(Unit, name)                                                         \
  WL_ENTRY fill_##name##_strided32(const FillArgs args, uint64_t bits, int64_t n) { \
    fillStrided<Unit, uint32_t>(args, bits, n);                                     \
  }                                                                                 \
  WL_ENTRY fill_##name##_strided64(const FillArgs args, uint64_t bits, int64_t n) { \
    fillStrided<Unit, int64_t>(args, bits, n);                                      \
  }
WL_FILL(uint8_t, b1)
WL_FILL(uint32_t, b4)
WL_FILL(uint64_t, b8)
WL_FILL(Wide, b16)

// y[i] = start + i * step, both whole numbers below 2^53; wraps as int64.
WL_ENTRY arange_whole(const ArangeArgs args, int64_t n) {
  const uint64_t first = static_cast<uint64_t>(static_cast<int64_t>(args.start));
  const uint64_t by = static_cast<uint64_t>(static_cast<int64_t>(args.step));
  eachElement(n, [&](int64_t i) {
    const int64_t value = static_cast<int64_t>(first + static_cast<uint64_t>(i) * by);
    withTarget(args.y.dtype, [&](auto target) {
      using To = typename decltype(target)::type;
      args.y.as<To>()[i] = convertTo<To>(value);
    });
  });
}

// The same through float64, rounded once.
WL_ENTRY arange_rounded(const ArangeArgs args, int64_t n) {
  eachElement(n, [&](int64_t i) {
    const double value = __dadd_rn(args.start, __dmul_rn(static_cast<double>(i), args.step));
    withTarget(args.y.dtype, [&](auto target) {
      using To = typename decltype(target)::type;
      if constexpr (std::is_same_v<To, float>) {
        args.y.as<To>()[i] = convertTo<To>(value);
      } else {
        args.y.as<To>()[i] = convertTo<To>(convertTo<int64_t>(value));  // which then wraps
      }
    });
  });
}
