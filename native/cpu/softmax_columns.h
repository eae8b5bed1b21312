// Softmax and log-softmax down columns, dense along inner, and their gradients. Part of softmax.cc.
//
// Strips of kVectors neighbouring vectors: a row of a strip is a run of whole cache lines. Rows often lie a power of 2
// apart, where a cache has few places for the lines of one column, so what a strip has read is taken for lost when it
// is long; hence blocks of rows, each with the greatest elements and the sums of its own (see exponential_rows.h). What
// a column gives does not depend on the width of its strip.

// kVectors neighbouring vectors of one row; of a single one, the first `count` lanes.
template <class T, int kVectors>
struct Strip {
  VectorOf<T> of[kVectors];
  WL_INLINE static Strip all(T value) {
    Strip strip;
    for (VectorOf<T>& v : strip.of) v = vset<T>(value);
    return strip;
  }
  WL_INLINE static VectorOf<T> load(const T* row, int v, int count) {
    return kVectors > 1 ? vload(row + v * kLanes<T>) : loadRow<true>(row, 1, 0, count, T{0});
  }
  WL_INLINE static void store(T* row, int v, int count, VectorOf<T> value) {
    if (kVectors > 1) {
      vstore(row + v * kLanes<T>, value);
    } else {
      storeRow<true>(row, 1, 0, count, value);
    }
  }
  WL_INLINE Strip operator+(const Strip& other) const {
    Strip sum;
    for (int v = 0; v < kVectors; ++v) sum.of[v] = of[v] + other.of[v];
    return sum;
  }
};

// The sums over k in [begin, end) of fn(k, v), a vector of row k: blocks of 16 rows, then pairwise.
template <class T, int kVectors, class Fn>
static WL_INLINE Strip<T, kVectors> sumColumns(int64_t begin, int64_t end, Fn&& fn) {
  const Strip<T, kVectors> zero = Strip<T, kVectors>::all(T{0});
  Cascade<Strip<T, kVectors> > blocks;
  for (int64_t first = begin; first < end; first += 16) {
    const int64_t last = first + 16 < end ? first + 16 : end;
    Strip<T, kVectors> sum = zero;
    for (int64_t k = first; k < last; ++k) {
      for (int v = 0; v < kVectors; ++v) sum.of[v] = sum.of[v] + fn(k, v);
    }
    blocks.add(sum);
  }
  return blocks.total(zero);
}

template <class T, bool kLog, int kVectors>
static void forwardColumns(const T* x, int64_t xStride, T* y, int64_t yStride, int64_t n, int count) {
  using S = Strip<T, kVectors>;
  constexpr int64_t kMaxBlocks = 64, kLeastRows = 64;
  const int64_t block = n <= kMaxBlocks * kLeastRows ? kLeastRows : (n + kMaxBlocks - 1) / kMaxBlocks;
  const int64_t blocks = (n + block - 1) / block;
  S greatests[kMaxBlocks], sums[kMaxBlocks];
  S greatest = S::all(kNegativeInfinity<T>);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = b * block, end = begin + block < n ? begin + block : n;
    S most = S::all(kNegativeInfinity<T>), shift;
    for (int64_t k = begin; k < end; ++k) {
      for (int v = 0; v < kVectors; ++v) most.of[v] = vlarger(S::load(x + k * xStride, v, count), most.of[v]);
    }
    for (int v = 0; v < kVectors; ++v) {
      greatest.of[v] = vlarger(most.of[v], greatest.of[v]);
      // A block of -infinity has the sum 0, which is not yet the column's.
      const VectorOf<T> none = most.of[v] == kNegativeInfinity<T> ? vset<T>(T{0}) : most.of[v];
      shift.of[v] = blocks > 1 ? none : most.of[v];
    }
    greatests[b] = most;
    sums[b] = sumColumns<T, kVectors>(
        begin, end, [&](int64_t k, int v) __attribute__((always_inline)) {
          const VectorOf<T> e = vexpOfNegative(S::load(x + k * xStride, v, count) - shift.of[v]);
          if (!kLog) S::store(y + k * yStride, v, count, e);
          return e;
        });
  }
  const auto factor = [&](int64_t b, int v) __attribute__((always_inline)) {
    return blocks == 1 ? vset<T>(T{1}) : vexpOfNegative(greatests[b].of[v] - greatest.of[v]);
  };
  const S sum = sumColumns<T, kVectors>(
      0, blocks, [&](int64_t b, int v) __attribute__((always_inline)) { return sums[b].of[v] * factor(b, v); });
  S last;
  for (int v = 0; v < kVectors; ++v) last.of[v] = kLog ? vlog(sum.of[v]) : vset<T>(T{1}) / sum.of[v];
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = b * block, end = begin + block < n ? begin + block : n;
    S scale;
    for (int v = 0; !kLog && v < kVectors; ++v) scale.of[v] = factor(b, v) * last.of[v];
    for (int64_t k = begin; k < end; ++k) {
      for (int v = 0; v < kVectors; ++v) {
        S::store(y + k * yStride, v, count,
                 kLog ? (S::load(x + k * xStride, v, count) - greatest.of[v]) - last.of[v]
                      : S::load(y + k * yStride, v, count) * scale.of[v]);
      }
    }
  }
}

template <class T, bool kLog, int kVectors>
static void backwardColumns(const T* g, int64_t gStride, const T* y, int64_t yStride, T* dx, int64_t dxStride,
                            int64_t n, int count) {
  using S = Strip<T, kVectors>;
  const S sum = sumColumns<T, kVectors>(
      0, n, [&](int64_t k, int v) __attribute__((always_inline)) {
        const VectorOf<T> gradient = S::load(g + k * gStride, v, count);
        return kLog ? gradient : gradient * S::load(y + k * yStride, v, count);
      });
  for (int64_t k = 0; k < n; ++k) {
    for (int v = 0; v < kVectors; ++v) {
      const VectorOf<T> gradient = S::load(g + k * gStride, v, count);
      const VectorOf<T> output = S::load(y + k * yStride, v, count);
      S::store(dx + k * dxStride, v, count,
               kLog ? gradient - vexp(output) * sum.of[v] : output * (gradient - sum.of[v]));
    }
  }
}

// Shares out the columns of a dense (outer, n, inner). strip(width, o, i, count): width is an integral_constant,
// `count` the lanes in use of a single vector.
template <class T, class StripFn>
static void shareColumns(int64_t outer, int64_t n, int64_t inner, Context& context, StripFn&& strip) {
  constexpr int64_t L = kLanes<T>;
  // Wide where there are two such strips to share out. In float64 the exponentials, of the C library, are all that
  // counts, and their code is large.
  const bool wide = std::is_same_v<T, float> && outer * (inner / (8 * L)) >= 2;
  const int64_t width = wide ? 8 * L : L;
  const int64_t strips = (inner + width - 1) / width;
  context.parallel(outer * strips, grainFor(kChunkElements, n * width), [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end && !context.cancelled(); ++s) {
      const int64_t o = s / strips, first = s % strips * width, last = first + width < inner ? first + width : inner;
      for (int64_t i = first; i < last;) {
        const int64_t rest = last - i;
        if constexpr (std::is_same_v<T, float>) {
          if (rest >= 8 * L) {
            strip(std::integral_constant<int, 8>{}, o, i, static_cast<int>(L));
            i += 8 * L;
            continue;
          }
        }
        strip(std::integral_constant<int, 1>{}, o, i, static_cast<int>(rest < L ? rest : L));
        i += L;
      }
    }
  });
}
