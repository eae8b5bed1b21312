// Softmax and log-softmax along the middle of (outer, n, inner), and their gradients.
//
// Two ways through memory. Rows: one (outer, inner) pair at a time, vectors along n; neighbours along n may lie any
// stride apart (a stride other than 1 gathers); short ones together (see exponential_rows.h). Columns: where inner > 1
// is dense, vectors along inner (see softmax_columns.h).
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/softmax.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/dtypes.h"
#include "cpu/exponential_rows.h"

namespace softmaxes {

constexpr int64_t kChunkElements = 16384;

// The row of a rank-3 view at (o, i).
template <class T>
static inline T* rowOf(const View& view, int64_t o, int64_t i) {
  return view.as<T>() + o * view.strides[0] + i * view.strides[2];
}

// y = exp(x - max) / sum exp(x - max), or its logarithm. A row of -infinity gives NaN, and a NaN spreads over its row,
// both by way of the sum, as in PyTorch. Reads each element before writing it, so y may be x.
template <class T, bool kLog, bool kUnit>
static void forwardRow(const T* x, int64_t xStride, T* y, int64_t yStride, int64_t n) {
  ExponentialRow<T> row;
  row.template take<kUnit>(
      x, xStride, n, [&](int64_t i, int count, VectorOf<T> e) __attribute__((always_inline)) {
        if (!kLog) storeRow<kUnit>(y, yStride, i, count, e);
      });
  if (kLog) {
    const VectorOf<T> shift = vset<T>(row.greatest), logSum = vset<T>(scalarLog<T>(row.sum));
    eachVector<T>(
        n, [&](int64_t i, int count) __attribute__((always_inline)) {
          storeRow<kUnit>(y, yStride, i, count, (loadRow<kUnit>(x, xStride, i, count, T{0}) - shift) - logSum);
        });
    return;
  }
  const T inverse = T{1} / row.sum;  // the sum is at least 1: the greatest adds e^0
  for (int64_t b = 0; b < row.blocks; ++b) {
    const int64_t begin = b * row.block;
    const VectorOf<T> factor = vset<T>(row.factor(b) * inverse);
    eachVector<T>(
        n - begin < row.block ? n - begin : row.block, [&](int64_t i, int count) __attribute__((always_inline)) {
          storeRow<kUnit>(y, yStride, begin + i, count,
                          loadRow<kUnit>(static_cast<const T*>(y), yStride, begin + i, count, T{0}) * factor);
        });
  }
}

// `rows` <= kLanes short rows, dense along n. The exponentials wait as whole vectors: a tail that was stored under a
// mask is slow to read again.
template <class T, bool kLog>
static void forwardTogether(const T* x, int64_t xRow, T* y, int64_t yRow, int64_t n, int rows) {
  constexpr int64_t L = kLanes<T>;
  VectorOf<T> kept[kLog ? 1 : kRowsTogether<T>];
  const int64_t vectors = (n + L - 1) / L;
  T greatest[L], finish[L];
  VectorOf<T> sums;
  sumExpTogether<T>(
      x, xRow, n, rows, greatest, &sums, [&](int k, int64_t i, int, VectorOf<T> e) __attribute__((always_inline)) {
        if (!kLog) kept[k * vectors + i / L] = e;
      });
  vstore(finish, kLog ? vlog(sums) : vset<T>(T{1}) / sums);
  for (int k = 0; k < rows; ++k) {
    const VectorOf<T> last = vset<T>(finish[k]), shift = vset<T>(greatest[k]);
    eachVector<T>(
        n, [&](int64_t i, int count) __attribute__((always_inline)) {
          storeRow<true>(y + k * yRow, 1, i, count,
                         kLog ? (loadRow<true>(x + k * xRow, 1, i, count, T{0}) - shift) - last
                              : kept[k * vectors + i / L] * last);
        });
  }
}

// softmax: dx = y (g - sum(g y)); logSoftmax: dx = g - exp(y) sum(g).
template <class T, bool kLog, bool kUnit>
static void backwardRow(const T* g, int64_t gStride, const T* y, int64_t yStride, T* dx, int64_t dxStride, int64_t n) {
  const VectorOf<T> sum = vset<T>(sumRow<T>(
      n, [&](int64_t i, int count) __attribute__((always_inline)) {
        const VectorOf<T> gradient = loadRow<kUnit>(g, gStride, i, count, T{0});
        return kLog ? gradient : gradient * loadRow<kUnit>(y, yStride, i, count, T{0});
      }));
  eachVector<T>(
      n, [&](int64_t i, int count) __attribute__((always_inline)) {
        const VectorOf<T> gradient = loadRow<kUnit>(g, gStride, i, count, T{0});
        const VectorOf<T> output = loadRow<kUnit>(y, yStride, i, count, T{0});
        storeRow<kUnit>(dx, dxStride, i, count, kLog ? gradient - vexp(output) * sum : output * (gradient - sum));
      });
}

// `rows` <= kLanes short rows, dense along n.
template <class T, bool kLog>
static void backwardTogether(const T* g, int64_t gRow, const T* y, int64_t yRow, T* dx, int64_t dxRow, int64_t n,
                             int rows) {
  VectorOf<T> lanes[kLanes<T>];
  T sums[kLanes<T>];
  for (int k = 0; k < kLanes<T>; ++k) lanes[k] = vset<T>(T{0});
  for (int k = 0; k < rows; ++k) {
    lanes[k] = sumVectors<T>(
        n, [&](int64_t i, int count) __attribute__((always_inline)) {
          const VectorOf<T> gradient = loadRow<true>(g + k * gRow, 1, i, count, T{0});
          return kLog ? gradient : gradient * loadRow<true>(y + k * yRow, 1, i, count, T{0});
        });
  }
  vstore(sums, vsumAcrossEach<T>(lanes));
  for (int k = 0; k < rows; ++k) {
    const VectorOf<T> sum = vset<T>(sums[k]);
    eachVector<T>(
        n, [&](int64_t i, int count) __attribute__((always_inline)) {
          const VectorOf<T> gradient = loadRow<true>(g + k * gRow, 1, i, count, T{0});
          const VectorOf<T> output = loadRow<true>(y + k * yRow, 1, i, count, T{0});
          storeRow<true>(dx + k * dxRow, 1, i, count, kLog ? gradient - vexp(output) * sum : output * (gradient - sum));
        });
  }
}

#include "cpu/softmax_columns.h"

// Shares out rows, or strips of columns where every operand is dense along inner > 1. `unit`: every operand is dense
// along n.
template <class T, class RowFn, class TogetherFn, class StripFn>
static void share(const View& like, bool unit, bool dense, Context& context, RowFn&& row, TogetherFn&& together,
                  StripFn&& strip) {
  const int64_t outer = like.sizes[0], n = like.sizes[1], inner = like.sizes[2];
  if (outer == 0 || n == 0 || inner == 0) return;
  if (inner > 1 && dense) {
    shareColumns<T>(outer, n, inner, context, strip);
    return;
  }
  context.parallel(outer * inner, grainFor(kChunkElements, n), [&](int64_t begin, int64_t end, int) {
    if constexpr (kRowsTogether < T >> 0) {  // together() takes auto, to be compiled here alone
      if (inner == 1 && unit && n <= kRowsTogether<T>) {
        for (int64_t r = begin; r < end && !context.cancelled(); r += kLanes<T>) {
          together(r, end - r < kLanes<T> ? static_cast<int>(end - r) : kLanes<T>);
        }
        return;
      }
    }
    if (inner == 1) {  // divisions cost as much as a short row
      for (int64_t r = begin; r < end && !context.cancelled(); ++r) row(r, int64_t{0});
    } else {
      for (int64_t r = begin; r < end && !context.cancelled(); ++r) row(r / inner, r % inner);
    }
  });
}

template <class T, bool kLog>
static void forward(const View& x, const View& y, Context& context) {
  const int64_t n = x.sizes[1];
  const bool unit = unitStride(x, 1) && unitStride(y, 1);
  share<T>(
      x, unit, unitStride(x, 2) && unitStride(y, 2), context,
      [&](int64_t o, int64_t i) {
        const T* from = rowOf<const T>(x, o, i);
        T* to = rowOf<T>(y, o, i);
        if (unit) {
          forwardRow<T, kLog, true>(from, 1, to, 1, n);
        } else {
          forwardRow<T, kLog, false>(from, x.strides[1], to, y.strides[1], n);
        }
      },
      [&](auto o, int rows) {
        forwardTogether<T, kLog>(rowOf<const T>(x, o, 0), x.strides[0], rowOf<T>(y, o, 0), y.strides[0], n, rows);
      },
      [&](auto width, int64_t o, int64_t i, int count) {
        forwardColumns<T, kLog, decltype(width)::value>(rowOf<const T>(x, o, 0) + i, x.strides[1],
                                                        rowOf<T>(y, o, 0) + i, y.strides[1], n, count);
      });
}

template <class T, bool kLog>
static void backward(const View& g, const View& y, const View& dx, Context& context) {
  const int64_t n = y.sizes[1];
  const bool unit = unitStride(g, 1) && unitStride(y, 1) && unitStride(dx, 1);
  share<T>(
      y, unit, unitStride(g, 2) && unitStride(y, 2) && unitStride(dx, 2), context,
      [&](int64_t o, int64_t i) {
        const T* gradient = rowOf<const T>(g, o, i);
        const T* output = rowOf<const T>(y, o, i);
        T* to = rowOf<T>(dx, o, i);
        if (unit) {
          backwardRow<T, kLog, true>(gradient, 1, output, 1, to, 1, n);
        } else {
          backwardRow<T, kLog, false>(gradient, g.strides[1], output, y.strides[1], to, dx.strides[1], n);
        }
      },
      [&](auto o, int rows) {
        backwardTogether<T, kLog>(rowOf<const T>(g, o, 0), g.strides[0], rowOf<const T>(y, o, 0), y.strides[0],
                                  rowOf<T>(dx, o, 0), dx.strides[0], n, rows);
      },
      [&](auto width, int64_t o, int64_t i, int count) {
        backwardColumns<T, kLog, decltype(width)::value>(rowOf<const T>(g, o, 0) + i, g.strides[1],
                                                         rowOf<const T>(y, o, 0) + i, y.strides[1],
                                                         rowOf<T>(dx, o, 0) + i, dx.strides[1], n, count);
      });
}

template <bool kLog>
static void runForward(const char* op, const SoftmaxArgs& args, Context& context) {
  if (!checkFloats(context, op, args.x, args.y)) return;
  withType<float, double>(args.x.dtype, [&](auto zero) { forward<decltype(zero), kLog>(args.x, args.y, context); });
}

template <bool kLog>
static void runBackward(const char* op, const SoftmaxBackwardArgs& args, Context& context) {
  if (!checkFloats(context, op, args.g, args.y, args.dx)) return;
  withType<float, double>(args.y.dtype,
                          [&](auto zero) { backward<decltype(zero), kLog>(args.g, args.y, args.dx, context); });
}

}  // namespace softmaxes

namespace ops {

void softmax(const SoftmaxArgs& args, Context& context) { softmaxes::runForward<false>("softmax", args, context); }

void logSoftmax(const SoftmaxArgs& args, Context& context) { softmaxes::runForward<true>("logSoftmax", args, context); }

void softmaxBackward(const SoftmaxBackwardArgs& args, Context& context) {
  softmaxes::runBackward<false>("softmaxBackward", args, context);
}

void logSoftmaxBackward(const SoftmaxBackwardArgs& args, Context& context) {
  softmaxes::runBackward<true>("logSoftmaxBackward", args, context);
}

}  // namespace ops

#endif
