// Conversion between dtypes, with the values of native/cpu/elementwise_copy.cc.
#pragma once

#include <cstdint>

#include "engine/view.h"

namespace warploom::cuda {

// A bool's byte, so that conversion to bool differs from conversion to uint8.
struct Bool {
  uint8_t byte;
};

// Floats to integers truncate and saturate, NaN becomes 0; to uint8 they go by way of int64 and wrap, so -1 is 255.
template <class To, class From>
struct Convert {
  static __device__ To of(From x) { return static_cast<To>(x); }
};
template <class From>
struct Convert<Bool, From> {
  static __device__ Bool of(From x) { return Bool{static_cast<uint8_t>(x != From{})}; }
};
// `least`: the least value of To, exact in every float type, as its negative is, one past the largest.
template <class To, class From>
__device__ inline To saturate(From x, From least, To smallest, To largest) {
  if (x >= -least) return largest;
  return x >= least ? static_cast<To>(x) : (x != x ? To(0) : smallest);
}
#define WL_FLOAT_TO_INTEGER(From)                                                                               \
  template <>                                                                                                   \
  struct Convert<int32_t, From> {                                                                               \
    static __device__ int32_t of(From x) { return saturate<int32_t, From>(x, -0x1p31f, INT32_MIN, INT32_MAX); } \
  };                                                                                                            \
  template <>                                                                                                   \
  struct Convert<int64_t, From> {                                                                               \
    static __device__ int64_t of(From x) { return saturate<int64_t, From>(x, -0x1p63f, INT64_MIN, INT64_MAX); } \
  };                                                                                                            \
  template <>                                                                                                   \
  struct Convert<uint8_t, From> {                                                                               \
    static __device__ uint8_t of(From x) { return static_cast<uint8_t>(Convert<int64_t, From>::of(x)); }        \
  };
WL_FLOAT_TO_INTEGER(float)
WL_FLOAT_TO_INTEGER(double)
#undef WL_FLOAT_TO_INTEGER

template <class To, class From>
__device__ inline To convertTo(From x) {
  return Convert<To, From>::of(x);
}

template <class T>
struct Target {
  using type = T;
};
// Calls use(Target<T>) with the type that stands for `to`: a switch that is the same for all threads.
template <class Use>
__device__ inline void withTarget(DType to, Use use) {
  switch (to) {
    case DType::float32:
      return use(Target<float>{});
    case DType::int32:
      return use(Target<int32_t>{});
    case DType::int64:
      return use(Target<int64_t>{});
    case DType::uint8:
      return use(Target<uint8_t>{});
    default:
      return use(Target<Bool>{});
  }
}

}  // namespace warploom::cuda
