// Reductions of rows and columns, one instruction set. Brings simd.h; like it, inside its namespace and without a
// guard.
//
// A reducer R has join(a, b), on vectors and on numbers, and identity<T>(). Rounding errors of sums grow with log2(n):
// at most kSteps additions run in sequence, and the blocks that they make are merged pairwise.

#include "cpu/simd.h"

namespace {

constexpr int kSteps = 32;

struct SumOf {
  template <class V>
  WL_INLINE static V join(V a, V b) {
    return a + b;
  }
  template <class T>
  static constexpr T identity() {
    return T{0};
  }
};
// NaN where either is NaN. Whole vectors of floats take the instruction, which gives b where either is NaN, and a where
// that is one: the bits of vmax and vmin in half their time.
template <class V>
constexpr bool kFloats = std::is_same_v<V, vfloat> || std::is_same_v<V, vdouble>;
struct MaxOf {
  template <class V>
  WL_INLINE static V join(V a, V b) {
    if constexpr (kFloats<V>) {
      return a != a ? a : vlarger(a, b);
    } else {
      return vmax(a, b);
    }
  }
  template <class T>
  static constexpr T identity() {
    return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                : std::numeric_limits<T>::lowest();
  }
};
struct MinOf {
  template <class V>
  WL_INLINE static V join(V a, V b) {
    if constexpr (kFloats<V>) {
      return a != a ? a : vsmaller(a, b);
    } else {
      return vmin(a, b);
    }
  }
  template <class T>
  static constexpr T identity() {
    return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  }
};

// Merges blocks like the carries of a binary counter: slot k holds 2^k of them.
template <class R, class V, int kWidth>
class Merge {
 public:
  WL_INLINE void add(const V (&block)[kWidth]) {
    V term[kWidth];
    for (int k = 0; k < kWidth; ++k) term[k] = block[k];
    for (uint64_t carry = count_++; (carry & 1) != 0; carry >>= 1) {
      --depth_;
      for (int k = 0; k < kWidth; ++k) term[k] = R::join(slots_[depth_][k], term[k]);
    }
    for (int k = 0; k < kWidth; ++k) slots_[depth_][k] = term[k];
    ++depth_;
  }
  WL_INLINE void total(V (&result)[kWidth], V identity) {
    for (int k = 0; k < kWidth; ++k) result[k] = depth_ == 0 ? identity : slots_[depth_ - 1][k];
    for (int d = depth_ - 2; d >= 0; --d) {
      for (int k = 0; k < kWidth; ++k) result[k] = R::join(slots_[d][k], result[k]);
    }
  }

 private:
  V slots_[48][kWidth];
  uint64_t count_ = 0;
  int depth_ = 0;
};

// Calls fn(offset, length) for the runs along the innermost reduced dim that make up elements [begin, end).
template <class Fn>
WL_INLINE void eachRun(const Dims& dims, int64_t begin, int64_t end, const Fn& fn) {
  const int64_t inner = dims.innerSize(), stride = dims.innerStride();
  if (dims.rank <= 1) {
    if (begin < end) fn(begin * stride, end - begin);
    return;
  }
  while (begin < end) {
    const int64_t column = begin % inner;
    const int64_t length = std::min(inner - column, end - begin);
    fn(dims.offsetOf(begin), length);
    begin += length;
  }
}

template <class R, class T, bool kUnit>
WL_INLINE VectorOf<T> loadLanes(const T* x, int64_t stride) {
  if constexpr (kUnit) {
    (void)stride;
    return vload(x);
  } else {
    T lanes[kLanes<T>];
#pragma GCC unroll 1  // unrolled, this takes the compiler minutes
    for (int i = 0; i < kLanes<T>; ++i) lanes[i] = x[i * stride];
    return vload(lanes);
  }
}
// The first n lanes, the others the identity.
template <class R, class T, bool kUnit>
WL_INLINE VectorOf<T> loadSome(const T* x, int64_t stride, int n) {
  const VectorOf<T> identity = vset(R::template identity<T>());
  if constexpr (kUnit) {
    (void)stride;
    const VectorOf<T> v = vloadPartial(x, n);
    return std::is_same_v<R, SumOf> ? v : (viota<T>() < static_cast<T>(n) ? v : identity);
  } else {
    T lanes[kLanes<T>];
    vstore(lanes, identity);
#pragma GCC unroll 1
    for (int i = 0; i < n; ++i) lanes[i] = x[i * stride];
    return vload(lanes);
  }
}

template <class R, class T>
T joinAcross(VectorOf<T> v) {
  if constexpr (sizeof(T) >= 4) {
    return vacross<T>(
        v, [&](auto a, auto b) __attribute__((always_inline)) { return R::join(a, b); });
  }
  T lane[kLanes<T>];
  vstore(lane, v);
  for (int half = kLanes<T> / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] = R::join(lane[i], lane[i + half]);
  }
  return lane[0];
}

// Elements [i, end) of a run, at most a block: 4 vectors by kSteps.
template <class T>
constexpr int64_t kBlock = 4 * kLanes<T> * kSteps;
template <class R, class T, bool kUnit>
WL_INLINE VectorOf<T> reduceBlock(const T* x, int64_t stride, int64_t i, int64_t end) {
  constexpr int L = kLanes<T>;
  VectorOf<T> a = vset(R::template identity<T>()), b = a, c = a, d = a;
  for (; i + 4 * L <= end; i += 4 * L) {
    a = R::join(a, loadLanes<R, T, kUnit>(x + i * stride, stride));
    b = R::join(b, loadLanes<R, T, kUnit>(x + (i + L) * stride, stride));
    c = R::join(c, loadLanes<R, T, kUnit>(x + (i + 2 * L) * stride, stride));
    d = R::join(d, loadLanes<R, T, kUnit>(x + (i + 3 * L) * stride, stride));
  }
  for (; i + L <= end; i += L) a = R::join(a, loadLanes<R, T, kUnit>(x + i * stride, stride));
  if (i < end) b = R::join(b, loadSome<R, T, kUnit>(x + i * stride, stride, static_cast<int>(end - i)));
  return R::join(R::join(a, b), R::join(c, d));
}

template <class R, class T, bool kUnit>
void reduceRun(const T* x, int64_t stride, int64_t n, Merge<R, VectorOf<T>, 1>& merge) {
  for (int64_t i = 0; i < n; i += kBlock<T>) {
    const VectorOf<T> block[1] = {reduceBlock<R, T, kUnit>(x, stride, i, std::min<int64_t>(n, i + kBlock<T>))};
    merge.add(block);
  }
}

// Elements [begin, end) behind one output, whose first element is *x.
template <class R, class T>
T reduceRow(const T* x, const Dims& dims, int64_t begin, int64_t end) {
  using V = VectorOf<T>;
  const int64_t stride = dims.innerStride();
  // Most rows are short, and for them a merge of blocks is most of the work.
  if (dims.rank <= 1 && stride == 1 && begin < end && end - begin <= kBlock<T>) {
    return joinAcross<R, T>(reduceBlock<R, T, true>(x, 1, begin, end));
  }
  Merge<R, V, 1> merge;
  eachRun(dims, begin, end, [&](int64_t offset, int64_t n) {
    if (stride == 1) {
      reduceRun<R, T, true>(x + offset, 1, n, merge);
    } else {
      reduceRun<R, T, false>(x + offset, stride, n, merge);
    }
  });
  V result[1];
  merge.total(result, vset(R::template identity<T>()));
  return joinAcross<R, T>(result[0]);
}

// Short dense rows, as many together as a vector has lanes, so that the lanes of all are joined at once.
constexpr int64_t kRowTogether = 512;
template <class T>
WL_INLINE bool takenTogether(const ReducePlan& plan) {
  return std::is_same_v<T, float> && plan.kept.rank == 1 && plan.reduced.rank <= 1 && plan.reduced.innerStride() == 1 &&
         plan.count > 0 && plan.count <= kRowTogether;
}
// Lane k is what reduceRow makes of row k, bit for bit. Lanes behind `rows` repeat the last row.
template <class R, class T>
WL_INLINE VectorOf<T> reduceTogether(const T* x, int64_t rowStride, int64_t n, int rows) {
  VectorOf<T> lanes[kLanes<T>];
  for (int k = 0; k < kLanes<T>; ++k) {
    lanes[k] = reduceBlock<R, T, true>(x + (k < rows ? k : rows - 1) * rowStride, 1, 0, n);
  }
  return vacrossEach<T>(
      lanes, [&](auto a, auto b) __attribute__((always_inline)) { return R::join(a, b); });
}

// Elements [begin, end) behind each of `width` <= kStripVectors * kLanes neighbouring outputs.
template <class R, class T, int kStripVectors, bool kFull>
void reduceStrip(const T* x, const Dims& dims, int width, int64_t begin, int64_t end, T* out) {
  using V = VectorOf<T>;
  constexpr int L = kLanes<T>;
  Merge<R, V, kStripVectors> merge;
  const V identity = vset(R::template identity<T>());
  const int64_t stride = dims.innerStride();
  const int whole = width / L, rest = width % L;
  eachRun(dims, begin, end, [&](int64_t offset, int64_t n) {
    const T* row = x + offset;
    for (int64_t i = 0; i < n; i += kSteps) {
      const int64_t last = std::min<int64_t>(n, i + kSteps);
      V block[kStripVectors];
      for (V& column : block) column = identity;
      for (int64_t r = i; r < last; ++r, row += stride) {
        if constexpr (kFull) {
          for (int k = 0; k < kStripVectors; ++k) block[k] = R::join(block[k], vload(row + k * L));
        } else {
          // The spare lanes are never stored, so what they are padded with does not matter.
          for (int k = 0; k < whole; ++k) block[k] = R::join(block[k], vload(row + k * L));
          if (rest > 0) block[whole] = R::join(block[whole], vloadPartial(row + whole * L, rest));
        }
      }
      merge.add(block);
    }
  });
  V result[kStripVectors];
  merge.total(result, identity);
  std::memcpy(out, result, static_cast<size_t>(width) * sizeof(T));
}

// What a task may cost before it is worth another thread.
constexpr int64_t kReduceGrain = 32768;

// The plan of a column reduction: strips of neighbouring outputs, so that a row is read in a run of some lines.
template <int kStripVectors, class R, class T, class Finish>
void reduceColumns(const ReducePlan& plan, const T* x, T* partial, Context& context, const Finish& finish) {
  constexpr int kStrip = kStripVectors * kLanes<T>;
  const int64_t chunks = plan.chunks;
  const int64_t perTask = std::max<int64_t>(1, std::min(plan.count, plan.chunk));
  const int64_t inner = plan.kept.innerSize();
  const int64_t strips = (inner + kStrip - 1) / kStrip;
  const int64_t tasks = plan.outputs / inner * chunks * strips;
  const int64_t grain = std::max<int64_t>(1, kReduceGrain / (perTask * std::min<int64_t>(inner, kStrip)));
  context.parallel(tasks, grain, [&](int64_t first, int64_t last, int) {
    T out[kStrip];
    for (int64_t t = first; t < last; ++t) {
      const int64_t column = t % strips * kStrip;
      const int64_t chunk = t / strips % chunks;
      const int64_t output = t / strips / chunks * inner + column;
      const int width = static_cast<int>(std::min<int64_t>(kStrip, inner - column));
      const T* from = x + plan.kept.offsetOf(output);
      if (width == kStrip) {
        reduceStrip<R, T, kStripVectors, true>(from, plan.reduced, width, chunk * plan.chunk, plan.chunkEnd(chunk),
                                               out);
      } else {
        reduceStrip<R, T, kStripVectors, false>(from, plan.reduced, width, chunk * plan.chunk, plan.chunkEnd(chunk),
                                                out);
      }
      for (int i = 0; i < width; ++i) {
        if (chunks == 1) {
          finish(output + i, out[i]);
        } else {
          partial[(output + i) * chunks + chunk] = out[i];
        }
      }
    }
  });
}

// Runs the plan: finish(output, value) once per output. `scratch` holds outputs * chunks values where chunks > 1.
template <class R, class T, class Finish>
void reduceAll(const ReducePlan& plan, const T* x, void* scratch, Context& context, const Finish& finish) {
  T* const partial = static_cast<T*>(scratch);
  const int64_t chunks = plan.chunks;
  const int64_t perTask = std::max<int64_t>(1, std::min(plan.count, plan.chunk));
  if (plan.columns) {
    if constexpr (std::is_same_v<T, float>) {  // what most reduce; others spare the code
      if (plan.kept.innerSize() >= 8 * kLanes<T>) {
        reduceColumns<8, R>(plan, x, partial, context, finish);
      } else {
        reduceColumns<4, R>(plan, x, partial, context, finish);
      }
    } else {
      reduceColumns<4, R>(plan, x, partial, context, finish);
    }
  } else {
    context.parallel(
        plan.outputs * chunks, std::max<int64_t>(1, kReduceGrain / perTask), [&](int64_t first, int64_t last, int) {
          int64_t t = first;
          if constexpr (std::is_same_v<T, float>) {
            const int64_t row = plan.kept.innerStride();
            for (; takenTogether<T>(plan) && t < last; t += kLanes<T>) {
              const int rows = static_cast<int>(std::min<int64_t>(kLanes<T>, last - t));
              T out[kLanes<T>];
              vstore(out, reduceTogether<R, T>(x + t * row, row, plan.count, rows));
              for (int k = 0; k < rows; ++k) finish(t + k, out[k]);
            }
          }
          for (; t < last; ++t) {
            const int64_t output = chunks == 1 ? t : t / chunks, chunk = chunks == 1 ? 0 : t % chunks;
            const T value =
                reduceRow<R>(x + plan.kept.offsetOf(output), plan.reduced, chunk * plan.chunk, plan.chunkEnd(chunk));
            if (chunks == 1) {
              finish(output, value);
            } else {
              partial[t] = value;
            }
          }
        });
  }
  if (chunks == 1) return;
  const Dims run{1, {chunks}, {1}};
  context.parallel(plan.outputs, std::max<int64_t>(1, kReduceGrain / chunks), [&](int64_t first, int64_t last, int) {
    for (int64_t o = first; o < last; ++o) finish(o, reduceRow<R>(partial + o * chunks, run, 0, chunks));
  });
}

}  // namespace
