// Elementwise operations: y = f(x), y = f(a, b), comparisons.
//
// Three shapes of each kernel. `_dense`: every operand is contiguous and aligned to 16 bytes, or a scalar; a thread
// owns one group of elements, as many as 16 bytes hold, a block kThreads groups. `_strided`: a thread owns kPerThread
// elements, kThreads apart, and finds each by its coordinates (broadcasting is a stride of 0); neighbours in y belong
// to neighbouring threads, so that accesses of dense inner dims coalesce. `_rows`, for two operands whose last dim is
// dense or broadcast: a thread owns one group of columns of `strip` rows, so that an operand which rows share is loaded
// once a strip (row_strips.h). Operands are those of engine/args/elementwise.h, with dims merged by the host.
#include "cuda/elementwise_ops.h"
#include "cuda/kernels/common.cuh"
#include "cuda/kernels/math.cuh"
#include "cuda/row_strips.h"
#include "engine/args/elementwise.h"

namespace warploom::cuda {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;

template <class T>
__device__ inline T scalarFrom(uint64_t bits) {
  T value;
  memcpy(&value, &bits, sizeof(T));
  return value;
}

// Integers wrap as unsigned: the same bits, and overflow is defined.
template <class T>
struct Unsigned {
  using type = uint8_t;
};
template <>
struct Unsigned<int32_t> {
  using type = uint32_t;
};
template <>
struct Unsigned<int64_t> {
  using type = uint64_t;
};

// Functors work on N values at once, so that the switch is taken once a group.
#define WL_CASE(Enum, name, expression)                                    \
  case Enum::name:                                                         \
    _Pragma("unroll") for (int k = 0; k < N; ++k) { out[k] = expression; } \
    return;

template <class T>
struct Unary {
  UnaryOp op;
  template <int N>
  __device__ void operator()(const T (&x)[N], T (&out)[N]) const {
    using U = typename Unsigned<T>::type;
    const auto negated = [](T v) { return static_cast<T>(U(0) - static_cast<U>(v)); };
    const auto negative = [](T v) { return T(-1) < T(1) && !(v > T(0)) && v != T(0); };
    switch (op) {
      WL_CASE(UnaryOp, neg, negated(x[k]))
      WL_CASE(UnaryOp, abs, negative(x[k]) ? negated(x[k]) : x[k])
      WL_CASE(UnaryOp, sign, negative(x[k]) ? static_cast<T>(-1) : static_cast<T>(x[k] != T(0)))
      WL_CASE(UnaryOp, relu, negative(x[k]) ? T(0) : x[k])
      default:
        return;
    }
  }
};
template <>
struct Unary<float> {
  UnaryOp op;
  template <int N>
  __device__ void operator()(const float (&x)[N], float (&out)[N]) const {
    switch (op) {
      WL_CASE(UnaryOp, neg, -x[k])
      WL_CASE(UnaryOp, abs, fabsf(x[k]))
      WL_CASE(UnaryOp, sign, static_cast<float>((x[k] > 0.0f) - (x[k] < 0.0f)))  // 0 for NaN, as in PyTorch
      WL_CASE(UnaryOp, relu, relu(x[k]))
      WL_CASE(UnaryOp, exp, expf(x[k]))
      WL_CASE(UnaryOp, log, logf(x[k]))
      WL_CASE(UnaryOp, sqrt, sqrtf(x[k]))
      WL_CASE(UnaryOp, tanh, tanhf(x[k]))
      WL_CASE(UnaryOp, sigmoid, sigmoid(x[k]))
      WL_CASE(UnaryOp, erf, erff(x[k]))
      WL_CASE(UnaryOp, gelu, gelu(x[k]))
      WL_CASE(UnaryOp, geluTanh, geluTanh(x[k]))
    }
  }
};

template <class T>
struct Binary {
  BinaryOp op;
  template <int N>
  __device__ void operator()(const T (&a)[N], const T (&b)[N], T (&out)[N]) const {
    using U = typename Unsigned<T>::type;
    switch (op) {
      WL_CASE(BinaryOp, add, static_cast<T>(static_cast<U>(a[k]) + static_cast<U>(b[k])))
      WL_CASE(BinaryOp, sub, static_cast<T>(static_cast<U>(a[k]) - static_cast<U>(b[k])))
      WL_CASE(BinaryOp, mul, static_cast<T>(static_cast<U>(a[k]) * static_cast<U>(b[k])))
      WL_CASE(BinaryOp, minimum, b[k] < a[k] ? b[k] : a[k])
      WL_CASE(BinaryOp, maximum, b[k] > a[k] ? b[k] : a[k])
      WL_CASE(BinaryOp, bitOr, static_cast<T>(a[k] | b[k]))
      WL_CASE(BinaryOp, bitAnd, static_cast<T>(a[k] & b[k]))
      default:
        return;
    }
  }
};
// The names of ops.def say what a and b are: a gradient and what was saved.
template <>
struct Binary<float> {
  BinaryOp op;
  template <int N>
  __device__ void operator()(const float (&a)[N], const float (&b)[N], float (&out)[N]) const {
    switch (op) {
      WL_CASE(BinaryOp, add, a[k] + b[k])
      WL_CASE(BinaryOp, sub, a[k] - b[k])
      WL_CASE(BinaryOp, mul, a[k] * b[k])
      WL_CASE(BinaryOp, div, a[k] / b[k])
      WL_CASE(BinaryOp, minimum, minNan(a[k], b[k]))
      WL_CASE(BinaryOp, maximum, maxNan(a[k], b[k]))
      WL_CASE(BinaryOp, tanhBackward, a[k] * (1.0f - b[k] * b[k]))
      WL_CASE(BinaryOp, sigmoidBackward, a[k] * ((1.0f - b[k]) * b[k]))
      WL_CASE(BinaryOp, reluBackward, b[k] <= 0.0f ? 0.0f : a[k])  // 0 at 0; a NaN in b lets the gradient through
      WL_CASE(BinaryOp, geluBackward, a[k] * geluSlope(b[k]))
      WL_CASE(BinaryOp, geluTanhBackward, a[k] * geluTanhSlope(b[k]))
      default:
        return;
    }
  }
};

template <class T>
struct Compare {
  CompareOp op;
  template <int N>
  __device__ void operator()(const T (&a)[N], const T (&b)[N], uint8_t (&out)[N]) const {
    switch (op) {
      WL_CASE(CompareOp, eq, a[k] == b[k])
      WL_CASE(CompareOp, ne, a[k] != b[k])
      WL_CASE(CompareOp, lt, a[k] < b[k])
      WL_CASE(CompareOp, le, a[k] <= b[k])
      WL_CASE(CompareOp, gt, a[k] > b[k])
      WL_CASE(CompareOp, ge, a[k] >= b[k])
      WL_CASE(CompareOp, logicalAnd, a[k] != T(0) && b[k] != T(0))
      WL_CASE(CompareOp, logicalOr, a[k] != T(0) || b[k] != T(0))
    }
  }
};

// y = f(x), all contiguous and aligned.
template <class T, class F>
__device__ inline void unaryDense(const UnaryArgs& args, F f) {
  constexpr int kGroup = 16 / sizeof(T);
  const T* x = args.x.as<T>();
  T* y = args.y.as<T>();
  const int64_t n = args.y.sizes[0];
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kGroup;
  if (first + kGroup <= n) {
    const Packed<T, kGroup> in = loadPacked<T, kGroup>(x + first);
    Packed<T, kGroup> out;
    f(in.v, out.v);
    storeGlobal(y + first, out);
    return;
  }
  for (int64_t i = first; i < n; ++i) {
    const T in[1] = {x[i]};
    T out[1];
    f(in, out);
    y[i] = out[0];
  }
}

template <class T, class Index, class F>
__device__ inline void unaryStrided(const UnaryArgs& args, int64_t n, F f) {
  const T* x = args.x.as<T>();
  T* y = args.y.as<T>();
  const View* const views[] = {&args.x, &args.y};
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads * kPerThread + threadIdx.x;
#pragma unroll 1
  for (int round = 0; round < kPerThread && i < n; ++round, i += kThreads) {
    Index at[2];
    offsetsOf<Index>(static_cast<Index>(i), args.y, views, at);
    const T in[1] = {x[at[0]]};
    T out[1];
    f(in, out);
    y[at[1]] = out[0];
  }
}

// y = f(a, b); an absent operand is the scalar in the bits beside it.
template <class T, class Y, class F>
__device__ inline void binaryDense(const BinaryArgs& args, uint64_t aBits, uint64_t bBits, F f) {
  constexpr int kGroup = 16 / sizeof(T);
  const T* a = args.a.as<T>();
  const T* b = args.b.as<T>();
  Y* y = args.y.as<Y>();
  const bool hasA = args.a.present(), hasB = args.b.present();
  const T aScalar = scalarFrom<T>(aBits), bScalar = scalarFrom<T>(bBits);
  const int64_t n = args.y.sizes[0];
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kGroup;
  if (first + kGroup <= n) {
    Packed<T, kGroup> left, right;
    if (hasA) left = loadPacked<T, kGroup>(a + first);
    if (hasB) right = loadPacked<T, kGroup>(b + first);
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      if (!hasA) left.v[k] = aScalar;
      if (!hasB) right.v[k] = bScalar;
    }
    Packed<Y, kGroup> out;
    f(left.v, right.v, out.v);
    storeGlobal(y + first, out);
    return;
  }
  for (int64_t i = first; i < n; ++i) {
    const T left[1] = {hasA ? a[i] : aScalar}, right[1] = {hasB ? b[i] : bScalar};
    Y out[1];
    f(left, right, out);
    y[i] = out[0];
  }
}

template <class T, class Y, class Index, class F>
__device__ inline void binaryStrided(const BinaryArgs& args, uint64_t aBits, uint64_t bBits, int64_t n, F f) {
  const T* a = args.a.as<T>();
  const T* b = args.b.as<T>();
  Y* y = args.y.as<Y>();
  const bool hasA = args.a.present(), hasB = args.b.present();
  const T aScalar = scalarFrom<T>(aBits), bScalar = scalarFrom<T>(bBits);
  const View* const views[] = {&args.a, &args.b, &args.y};
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads * kPerThread + threadIdx.x;
#pragma unroll 1
  for (int round = 0; round < kPerThread && i < n; ++round, i += kThreads) {
    Index at[3];
    offsetsOf<Index>(static_cast<Index>(i), args.y, views, at);
    const T left[1] = {hasA ? a[at[0]] : aScalar}, right[1] = {hasB ? b[at[1]] : bScalar};
    Y out[1];
    f(left, right, out);
    y[at[2]] = out[0];
  }
}

// An operand of `_rows`, as one thread goes down its strip: the groups of the next kAhead rows are on their way while
// the first of them is used.
template <class T, int kGroup>
struct StripOperand {
  static constexpr int kAhead = 4;
  const T* data;  // null: the scalar
  int64_t column, step;
  uint32_t row = 0xffffffff;  // what the last group was loaded for; no row begins there
  Packed<T, kGroup> groups[kAhead];

  __device__ StripOperand(const View& view, int64_t column, int32_t step, uint64_t bits)
      : data(view.present() ? view.as<T>() : nullptr), column(column * step), step(step) {
    const T scalar = scalarFrom<T>(bits);
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
#pragma unroll
      for (int i = 0; i < kGroup; ++i) groups[k].v[i] = scalar;
    }
  }
  __device__ void pass() {
#pragma unroll
    for (int k = 1; k < kAhead; ++k) groups[k - 1] = groups[k];
  }
  // The next row begins at `offset`; a row that is the last one's again is not loaded again.
  __device__ void push(uint32_t offset) {
    pass();
    if (data == nullptr || offset == row) return;
    row = offset;
    if (step != 0) {
      groups[kAhead - 1] = loadPacked<T, kGroup>(data + offset + column);
    } else {
      const T value = data[offset];
#pragma unroll
      for (int i = 0; i < kGroup; ++i) groups[kAhead - 1].v[i] = value;
    }
  }
  __device__ const Packed<T, kGroup>& front() const { return groups[0]; }
};

// The last dim of the views is taken off and stands in `strips`.
template <class T, class Y, class F>
__device__ inline void binaryRows(const BinaryArgs& args, const RowStrips& strips, uint64_t aBits, uint64_t bBits,
                                  F f) {
  constexpr int kGroup = 16 / sizeof(T);
  using Operand = StripOperand<T, kGroup>;
  const uint32_t rowBlock = blockIdx.x / strips.columnBlocks;
  const uint32_t columnBlock = blockIdx.x - rowBlock * strips.columnBlocks;
  const uint32_t teams = kThreads / strips.width, team = threadIdx.x / strips.width;
  const uint32_t group = columnBlock * strips.width + threadIdx.x % strips.width;
  if (group >= strips.groups) return;
  const int64_t column = static_cast<int64_t>(group) * kGroup;
  Operand a(args.a, column, strips.aStep, aBits), b(args.b, column, strips.bStep, bBits);
  const uint32_t first = rowBlock * teams * strips.strip + team;
  const View* const views[] = {&args.a, &args.b, &args.y};
  uint32_t at[3], yAt[Operand::kAhead];
#pragma unroll 1
  for (int step = 1 - Operand::kAhead; step < strips.strip; ++step) {
    const uint32_t ahead = first + (step + Operand::kAhead - 1) * teams;
#pragma unroll
    for (int k = 1; k < Operand::kAhead; ++k) yAt[k - 1] = yAt[k];
    if (step + Operand::kAhead - 1 < strips.strip && ahead < strips.rows) {
      offsetsOf<uint32_t>(ahead, args.y, views, at);
      a.push(at[0]);
      b.push(at[1]);
      yAt[Operand::kAhead - 1] = at[2];
    } else {
      a.pass();
      b.pass();
    }
    if (step < 0) continue;
    if (first + step * teams >= strips.rows) return;
    Packed<Y, kGroup> out;
    f(a.front().v, b.front().v, out.v);
    storeGlobal(args.y.as<Y>() + yAt[0] + column, out);
  }
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// Entries: <class>_<dtype>_<shape>; strided comes with 32-bit and with 64-bit offsets, rows with 32-bit. n is y's
// number of elements.
#define WL_ENTRY extern "C" __global__ void __launch_bounds__(kThreads)

#define WL_UNARY(T, name)                                                                                         \
  WL_ENTRY unary_##name##_dense(const UnaryArgs args, UnaryOp op, int64_t) { unaryDense<T>(args, Unary<T>{op}); } \
  WL_ENTRY unary_##name##_strided32(const UnaryArgs args, UnaryOp op, int64_t n) {                                \
    unaryStrided<T, uint32_t>(args, n, Unary<T>{op});                                                             \
  }                                                                                                               \
  WL_ENTRY unary_##name##_strided64(const UnaryArgs args, UnaryOp op, int64_t n) {                                \
    unaryStrided<T, int64_t>(args, n, Unary<T>{op});                                                              \
  }
WL_UNARY(float, f32)
WL_UNARY(int32_t, i32)
WL_UNARY(int64_t, i64)
WL_UNARY(uint8_t, u8)

#define WL_BINARY_CLASS(kind, Op, Functor, T, Y, name)                                                          \
  WL_ENTRY kind##_##name##_dense(const BinaryArgs args, Op op, uint64_t a, uint64_t b, int64_t) {               \
    binaryDense<T, Y>(args, a, b, Functor<T>{op});                                                              \
  }                                                                                                             \
  WL_ENTRY kind##_##name##_strided32(const BinaryArgs args, Op op, uint64_t a, uint64_t b, int64_t n) {         \
    binaryStrided<T, Y, uint32_t>(args, a, b, n, Functor<T>{op});                                               \
  }                                                                                                             \
  WL_ENTRY kind##_##name##_strided64(const BinaryArgs args, Op op, uint64_t a, uint64_t b, int64_t n) {         \
    binaryStrided<T, Y, int64_t>(args, a, b, n, Functor<T>{op});                                                \
  }                                                                                                             \
  WL_ENTRY kind##_##name##_rows(const BinaryArgs args, const RowStrips strips, Op op, uint64_t a, uint64_t b) { \
    binaryRows<T, Y>(args, strips, a, b, Functor<T>{op});                                                       \
  }
#define WL_BINARY(T, name) WL_BINARY_CLASS(binary, BinaryOp, Binary, T, T, name)
#define WL_COMPARE(T, name) WL_BINARY_CLASS(compare, CompareOp, Compare, T, uint8_t, name)
WL_BINARY(float, f32)
WL_BINARY(int32_t, i32)
WL_BINARY(int64_t, i64)
WL_BINARY(uint8_t, u8)
WL_COMPARE(float, f32)
WL_COMPARE(int32_t, i32)
WL_COMPARE(int64_t, i64)
WL_COMPARE(uint8_t, u8)
