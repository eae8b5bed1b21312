// argmax and argmin: the flat position inside the reduced dims, the first on ties; a NaN is the extreme, the first NaN
// wins.
#ifndef WL_ISA
#include "cpu/elementwise_loop.h"
#include "cpu/operands.h"
#include "cpu/prelude.h"
#include "cpu/reduce_plan.h"
#define WL_ISA_FILE "cpu/reduce_arg.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/dtypes.h"
#include "cpu/reduce_rows.h"

namespace {

// Whether a beats b: strictly better, or the first NaN.
template <class R, class V>
WL_INLINE auto beats(V a, V b) {
  if constexpr (std::is_same_v<R, MaxOf>) {
    return (a > b) | ((a != a) & (b == b));
  } else {
    return (a < b) | ((a != a) & (b == b));
  }
}

// Two passes over elements that fit a cache: the extreme value, which vectors find fast, then the first place it
// stands.
template <class R, class T>
int64_t argOfRow(const T* x, const Dims& dims, int64_t begin, int64_t end, T* value) {
  const T best = reduceRow<R>(x, dims, begin, end);
  const int64_t stride = dims.innerStride();
  int64_t position = begin, found = -1;
  eachRun(dims, begin, end, [&](int64_t offset, int64_t n) {
    if (found >= 0) return;
    const T* run = x + offset;
    int64_t i = 0;
    if (stride == 1) {
      // Whole vectors without the value are skipped; the loop below finds the lane.
      for (; i + kLanes<T> <= n; i += kLanes<T>) {
        const VectorOf<T> v = vload(run + i);
        const typename Vector<T>::mask hit = (v == best) | ((v != v) & (best != best));
        uint64_t any = 0, words[sizeof(hit) / 8];
        std::memcpy(words, &hit, sizeof(hit));
        for (uint64_t w : words) any |= w;
        if (any != 0) break;
      }
    }
    for (; i < n; ++i) {
      const T v = run[i * stride];
      if (v == best || (v != v && best != best)) {
        found = position + i;
        return;
      }
    }
    position += n;
  });
  *value = best;
  return found < 0 ? begin : found;
}

// Bit k: whether lane k of a mask is set.
#if WL_ISA_LEVEL == 2
WL_INLINE uint32_t laneBits(vint32 mask) { return _mm512_movepi32_mask(vbits<__m512i>(mask)); }
WL_INLINE uint32_t laneBits(vint64 mask) { return _mm512_movepi64_mask(vbits<__m512i>(mask)); }
#elif WL_ISA_LEVEL == 1
WL_INLINE uint32_t laneBits(vint32 mask) { return static_cast<uint32_t>(_mm256_movemask_ps(vbits<__m256>(mask))); }
WL_INLINE uint32_t laneBits(vint64 mask) { return static_cast<uint32_t>(_mm256_movemask_pd(vbits<__m256d>(mask))); }
#else
template <class V>
WL_INLINE uint32_t laneBits(V mask) {
  uint32_t bits = 0;
  for (int k = 0; k < static_cast<int>(sizeof(V) / sizeof(mask[0])); ++k) bits |= (mask[k] != 0 ? 1u : 0u) << k;
  return bits;
}
#endif

// Where the extreme value stands first in each of `rows` <= kLanes short rows.
template <class R, class T>
WL_INLINE void argTogether(const T* x, int64_t rowStride, int64_t n, int rows, int32_t* y) {
  T best[kLanes<T>];
  vstore(best, reduceTogether<R, T>(x, rowStride, n, rows));
  for (int k = 0; k < rows; ++k) {
    const T* row = x + k * rowStride;
    const bool nan = best[k] != best[k];
    for (int64_t i = 0; i < n; i += kLanes<T>) {
      const int count = static_cast<int>(std::min<int64_t>(kLanes<T>, n - i));
      const VectorOf<T> v = count == kLanes<T> ? vload(row + i) : vloadPartial(row + i, count);
      // The zeros behind a rest may be equal too, but what is looked for lies before them.
      const uint32_t hits = laneBits(nan ? v != v : v == best[k]);
      if (hits == 0) continue;
      y[k] = static_cast<int32_t>(i) + __builtin_ctz(hits);
      break;
    }
  }
}

template <class T>
struct Candidate {
  T value;
  int64_t position;
};

// The candidates of an output's chunks, in order.
template <class R, class T>
void joinChunks(const ReducePlan& plan, const Candidate<T>* partial, int32_t* y) {
  for (int64_t o = 0; o < plan.outputs; ++o) {
    Candidate<T> best = partial[o * plan.chunks];
    for (int64_t c = 1; c < plan.chunks; ++c) {
      const Candidate<T>& next = partial[o * plan.chunks + c];
      if (beats<R>(next.value, best.value)) best = next;
    }
    y[o] = static_cast<int32_t>(best.position);
  }
}

template <class R, class T>
void argRows(const ReducePlan& plan, const ReduceArgs& args, Context& context) {
  const T* x = args.x.as<const T>();
  int32_t* y = args.y.as<int32_t>();
  const int64_t chunks = plan.chunks;
  auto* const partial = static_cast<Candidate<T>*>(context.scratch());
  const int64_t perTask = std::max<int64_t>(1, std::min(plan.count, plan.chunk));
  context.parallel(
      plan.outputs * chunks, std::max<int64_t>(1, kReduceGrain / perTask), [&](int64_t first, int64_t last, int) {
        int64_t t = first;
        if constexpr (std::is_same_v<T, float>) {
          const int64_t row = plan.kept.innerStride();
          for (; takenTogether<T>(plan) && t < last; t += kLanes<T>) {
            argTogether<R, T>(x + t * row, row, plan.count, static_cast<int>(std::min<int64_t>(kLanes<T>, last - t)),
                              y + t);
          }
        }
        for (; t < last; ++t) {
          const int64_t chunk = t % chunks;
          const T* from = x + plan.kept.offsetOf(t / chunks);
          Candidate<T> best;
          best.position = argOfRow<R>(from, plan.reduced, chunk * plan.chunk, plan.chunkEnd(chunk), &best.value);
          if (chunks == 1) {
            y[t] = static_cast<int32_t>(best.position);
          } else {
            partial[t] = best;
          }
        }
      });
  if (chunks > 1) joinChunks<R>(plan, partial, y);
}

// Outputs that one task makes: a strip of every row is read in a run that is long enough to be fetched ahead.
constexpr int kArgVectors = 16;

// Vectors across outputs, each lane with its best value and the row where that stood, row after row.
template <class R, class T>
void argColumns(const ReducePlan& plan, const ReduceArgs& args, Context& context) {
  using V = VectorOf<T>;
  using Position = typename Vector<T>::mask;  // an integer as wide as T
  using Index = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  constexpr int L = kLanes<T>, kStrip = kArgVectors * L;
  const T* x = args.x.as<const T>();
  int32_t* y = args.y.as<int32_t>();
  auto* const partial = static_cast<Candidate<T>*>(context.scratch());
  const int64_t inner = plan.kept.innerSize(), strips = (inner + kStrip - 1) / kStrip, chunks = plan.chunks;
  const int64_t stride = plan.reduced.innerStride();
  const int64_t perTask = std::min(plan.count, plan.chunk) * std::min<int64_t>(kStrip, inner);
  const int64_t grain = std::max<int64_t>(1, kReduceGrain / std::max<int64_t>(1, perTask));
  context.parallel(plan.outputs / inner * chunks * strips, grain, [&](int64_t first, int64_t last, int) {
    for (int64_t t = first; t < last; ++t) {
      const int64_t column = t % strips * kStrip, chunk = t / strips % chunks;
      const int64_t output = t / strips / chunks * inner + column, begin = chunk * plan.chunk;
      const int width = static_cast<int>(std::min<int64_t>(kStrip, inner - column));
      const int whole = width / L, rest = width % L;
      const T* from = x + plan.kept.offsetOf(output);
      V best[kArgVectors];
      Position where[kArgVectors];
      Index row = static_cast<Index>(begin);
      const auto take = [&](V v, int k) __attribute__((always_inline)) {
        const Position better = beats<R>(v, best[k]);
        best[k] = better ? v : best[k];
        where[k] = better ? (Position{} + row) : where[k];
      };
      eachRun(plan.reduced, begin, plan.chunkEnd(chunk), [&](int64_t offset, int64_t n) {
        if (context.cancelled()) return;
        const T* at = from + offset;
        for (int64_t i = 0; i < n; ++i, ++row, at += stride) {
          if (row == begin) {  // stands even where it is all -inf
            for (int k = 0; k < whole; ++k) best[k] = vload(at + k * L);
            if (rest > 0) best[whole] = vloadPartial(at + whole * L, rest);
            for (int k = 0; k < kArgVectors; ++k) where[k] = Position{} + row;
            continue;
          }
          for (int k = 0; k < whole; ++k) take(vload(at + k * L), k);
          if (rest > 0) take(vloadPartial(at + whole * L, rest), whole);
        }
      });
      for (int i = 0; i < width; ++i) {
        if (chunks == 1) {
          y[output + i] = static_cast<int32_t>(where[i / L][i % L]);
        } else {
          partial[(output + i) * chunks + chunk] = {best[i / L][i % L], where[i / L][i % L]};
        }
      }
    }
  });
  if (chunks > 1) joinChunks<R>(plan, partial, y);
}

template <class R, class T>
void argOf(const ReduceArgs& args, Context& context) {
  const ReducePlan plan = planReduce(args, true);
  if constexpr (sizeof(T) >= 4) {
    if (plan.columns) return argColumns<R, T>(plan, args, context);
  }
  argRows<R, T>(plan, args, context);
}

template <class R>
void arg(const char* op, const ReduceArgs& args, Context& context) {
  if (args.y.dtype != DType::int32) return unsupported(context, op, args.y.dtype);
  runTyped<float, double, int32_t, int64_t, uint8_t, bool>(context, op, args.x.dtype,
                                                           [&](auto zero) { argOf<R, decltype(zero)>(args, context); });
}

int64_t candidateBytes(const ReduceArgs& args) {
  const ReducePlan plan = planReduce(args, true);
  return plan.chunks == 1 ? 0 : plan.outputs * plan.chunks * int64_t{sizeof(Candidate<double>)};
}

}  // namespace

namespace ops {

void argmax(const ReduceArgs& args, Context& context) { arg<MaxOf>("argmax", args, context); }
void argmin(const ReduceArgs& args, Context& context) { arg<MinOf>("argmin", args, context); }
int64_t argmaxScratch(const ReduceArgs& args, int) { return candidateBytes(args); }
int64_t argminScratch(const ReduceArgs& args, int) { return candidateBytes(args); }

}  // namespace ops
#endif
