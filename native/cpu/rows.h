// Rows as vectors: strided loads and stores with padded tails, and sums whose rounding error grows with the logarithm
// of the length. Included inside an instruction-set region, hence without a guard; brings simd.h.
//
// A tail runs the same vector code as everything else, on lanes padded with a value that the caller names, so the bits
// of an element depend neither on where it stands in its row nor on the stride by which the row is reached.

#include "cpu/simd.h"

// Elements [i, i + count) of a row whose neighbours lie `stride` apart; the other lanes are `pad`. kUnit promises
// stride 1.
template <bool kUnit, class T>
static WL_INLINE VectorOf<T> loadRow(const T* row, int64_t stride, int64_t i, int count, T pad) {
  if (kUnit && count == kLanes<T>) return vload(row + i);
  if (kUnit) {
    const VectorOf<T> value = vloadPartial(row + i, count);
    return viota<T>() < static_cast<T>(count) ? value : vset(pad);
  }
  T lanes[kLanes<T>];
  for (int k = 0; k < kLanes<T>; ++k) lanes[k] = pad;
  for (int k = 0; k < count; ++k) lanes[k] = row[(i + k) * stride];
  return vload(lanes);
}

template <bool kUnit, class T>
static WL_INLINE void storeRow(T* row, int64_t stride, int64_t i, int count, VectorOf<T> value) {
  if (kUnit && count == kLanes<T>) {
    vstore(row + i, value);
    return;
  }
  if (kUnit) {
    vstorePartial(row + i, value, count);
    return;
  }
  T lanes[kLanes<T>];
  vstore(lanes, value);
  for (int k = 0; k < count; ++k) row[(i + k) * stride] = lanes[k];
}

// The length up to which rows are taken as many together as a vector has lanes: all of them fill a quarter of the
// first-level cache. In float64, where exponentials are calls of the C library, it would gain little for its code.
template <class T>
constexpr int64_t kRowsTogether = std::is_same_v<T, float> ? 8192 / WL_VECTOR_BYTES : 0;

// Calls fn(i, count) for the vectors of a row of n elements; count is the number of lanes in use.
template <class T, class Fn>
static WL_INLINE void eachVector(int64_t n, Fn&& fn) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) fn(i, kLanes<T>);
  if (i < n) fn(i, static_cast<int>(n - i));
}

// The vector functions on one number, so that scalars and vectors share their bits.
template <class T>
static inline T scalarExp(T x) {
  return vexp(vset<T>(x))[0];
}

template <class T>
static inline T scalarLog(T x) {
  return vlog(vset<T>(x))[0];
}

// Pairwise summation of a stream of terms (numbers or vectors) whose count is not known beforehand: each slot holds a
// sum of 2^k terms, and equals merge like the carries of a binary counter. Each term passes through about log2(count)
// additions.
template <class V>
class Cascade {
 public:
  WL_INLINE void add(V term) {
    for (uint64_t carry = count_++; carry & 1; carry >>= 1) term = slots_[--depth_] + term;
    slots_[depth_++] = term;
  }
  WL_INLINE V total(V zero) {
    if (depth_ == 0) return zero;
    V sum = slots_[--depth_];
    while (depth_ > 0) sum = slots_[--depth_] + sum;
    return sum;
  }

 private:
  V slots_[64];
  uint64_t count_ = 0;
  int depth_ = 0;
};

// The same for numbers that come one by one in a hot loop: sixteen in a row, whose end is foreseen, then pairwise.
class Sum {
 public:
  WL_INLINE void add(double term) {
    run_ += term;
    if (++count_ % 16 != 0) return;
    runs_.add(run_);
    run_ = 0;
  }
  WL_INLINE double total() { return runs_.total(0) + run_; }

 private:
  Cascade<double> runs_;
  double run_ = 0;
  uint64_t count_ = 0;
};

// The sum of fn(i, count) over a row's vectors, lane by lane; fn returns 0 in lanes that are not in use. Blocks of 64
// vectors in four accumulators, then pairwise.
template <class T, class Fn>
static WL_INLINE VectorOf<T> sumVectors(int64_t n, Fn&& fn) {
  constexpr int64_t kStep = kLanes<T>;
  constexpr int64_t kBlock = 64 * kStep;
  const VectorOf<T> zero = vset<T>(T{0});
  const auto sumBlock = [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
    VectorOf<T> a = zero, b = zero, c = zero, d = zero;
    int64_t i = begin;
    for (; i + 4 * kStep <= end; i += 4 * kStep) {
      a = a + fn(i, kLanes<T>);
      b = b + fn(i + kStep, kLanes<T>);
      c = c + fn(i + 2 * kStep, kLanes<T>);
      d = d + fn(i + 3 * kStep, kLanes<T>);
    }
    for (; i + kStep <= end; i += kStep) a = a + fn(i, kLanes<T>);
    if (i < end) b = b + fn(i, static_cast<int>(end - i));
    return (a + b) + (c + d);
  };
  if (n <= kBlock) return sumBlock(0, n);
  Cascade<VectorOf<T>> blocks;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    blocks.add(sumBlock(begin, begin + kBlock < n ? begin + kBlock : n));
  }
  return blocks.total(zero);
}

template <class T, class Fn>
static WL_INLINE T sumRow(int64_t n, Fn&& fn) {
  return vsumAcross<T>(sumVectors<T>(n, fn));
}

// The greatest of fn(i, count) over a row's vectors, lane by lane, or -infinity for an empty row; lanes not in use must
// be -infinity. A NaN is passed over: e^(NaN - greatest) is one anyhow, and so is the sum it is part of.
template <class T, class Fn>
static WL_INLINE VectorOf<T> maxVectors(int64_t n, Fn&& fn) {
  constexpr int64_t kStep = kLanes<T>;
  VectorOf<T> a = vset<T>(-static_cast<T>(__builtin_inf())), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 4 * kStep <= n; i += 4 * kStep) {
    a = vlarger(fn(i, kLanes<T>), a);
    b = vlarger(fn(i + kStep, kLanes<T>), b);
    c = vlarger(fn(i + 2 * kStep, kLanes<T>), c);
    d = vlarger(fn(i + 3 * kStep, kLanes<T>), d);
  }
  for (; i + kStep <= n; i += kStep) a = vlarger(fn(i, kLanes<T>), a);
  if (i < n) b = vlarger(fn(i, static_cast<int>(n - i)), b);
  return vlarger(vlarger(a, b), vlarger(c, d));
}

template <class T, class Fn>
static WL_INLINE T maxRow(int64_t n, Fn&& fn) {
  return vmaxAcross<T>(maxVectors<T>(n, fn));
}

// Pairwise sum of partials, in order.
template <class T>
static inline T sumPartials(const T* partials, int64_t count, int64_t stride) {
  Cascade<T> sum;
  for (int64_t i = 0; i < count; ++i) sum.add(partials[i * stride]);
  return sum.total(T{0});
}
