// Layer normalisation over the rows of x [R, C] (Ba, Kiros and Hinton: "Layer normalization", 2016) and its gradient.
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/norm.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/rows.h"

namespace norms {

constexpr int64_t kChunkElements = 16384;
// The gradients of weight and bias sum over R: partials of this many rows each, then the partials in order.
constexpr int64_t kRowsPerPartial = 256;
// Columns that one task of that sum owns, in vectors: a strip of rows is read in runs of so many cache lines (or
// halves).
constexpr int kStripVectors = 4;

// Vector i of an optional [C] operand, `absent` where there is none.
template <class T>
static WL_INLINE VectorOf<T> loadOr(const T* values, int64_t i, int count, T absent) {
  return values == nullptr ? vset<T>(absent) : loadRow<true>(values, 1, i, count, absent);
}

// Two passes: the mean, then the mean square of what differs from it. Exact where E[x^2] - E[x]^2 would cancel.
template <class T>
static void forwardRow(const T* x, const T* weight, const T* bias, T* y, T* meanOut, T* rstdOut, int64_t C,
                       double eps) {
  const T mean =
      sumRow<T>(
          C, [&](int64_t i, int count) __attribute__((always_inline)) { return loadRow<true>(x, 1, i, count, T{0}); }) /
      static_cast<T>(C);
  const VectorOf<T> center = vset<T>(mean);
  const T variance = sumRow<T>(
                         C,
                         [&](int64_t i, int count) __attribute__((always_inline)) {
                           const VectorOf<T> d = loadRow<true>(x, 1, i, count, mean) - center;
                           return d * d;
                         }) /
                     static_cast<T>(C);
  const T rstd = T{1} / static_cast<T>(__builtin_sqrt(static_cast<double>(variance) + eps));
  *meanOut = mean;
  *rstdOut = rstd;
  const VectorOf<T> scale = vset<T>(rstd);
  eachVector<T>(
      C, [&](int64_t i, int count) __attribute__((always_inline)) {
        const VectorOf<T> normal = (loadRow<true>(x, 1, i, count, mean) - center) * scale;
        storeRow<true>(y, 1, i, count, normal * loadOr<T>(weight, i, count, T{1}) + loadOr<T>(bias, i, count, T{0}));
      });
}

template <class T>
static void forward(const LayerNormArgs& args, Context& context) {
  const int64_t R = args.x.sizes[0], C = args.x.sizes[1];
  const T* x = args.x.as<const T>();
  const T* weight = args.weight.present() ? args.weight.as<const T>() : nullptr;
  const T* bias = args.bias.present() ? args.bias.as<const T>() : nullptr;
  T* y = args.y.as<T>();
  context.parallel(R, grainFor(kChunkElements, C), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end && !context.cancelled(); ++r) {
      forwardRow<T>(x + r * C, weight, bias, y + r * C, args.mean.as<T>() + r, args.rstd.as<T>() + r, C, args.eps);
    }
  });
}

// With n = (x - mean) rstd and h = g weight: dx = rstd (h - mean(h) - n mean(h n)).
template <class T>
static void backwardRow(const T* g, const T* x, const T* weight, T mean, T rstd, T* dx, int64_t C) {
  const VectorOf<T> center = vset<T>(mean), scale = vset<T>(rstd);
  const auto weighted = [&](int64_t i, int count) __attribute__((always_inline)) {
    return loadRow<true>(g, 1, i, count, T{0}) * loadOr<T>(weight, i, count, T{1});
  };
  const auto normal = [&](int64_t i, int count) __attribute__((always_inline)) {
    return (loadRow<true>(x, 1, i, count, mean) - center) * scale;
  };
  const T meanH = sumRow<T>(C, weighted) / static_cast<T>(C);
  const T meanHN = sumRow<T>(
                       C, [&](int64_t i, int count)
                              __attribute__((always_inline)) { return weighted(i, count) * normal(i, count); }) /
                   static_cast<T>(C);
  const VectorOf<T> a = vset<T>(meanH), b = vset<T>(meanHN);
  eachVector<T>(
      C, [&](int64_t i, int count) __attribute__((always_inline)) {
        storeRow<true>(dx, 1, i, count, scale * ((weighted(i, count) - a) - normal(i, count) * b));
      });
}

// dweight = sum over rows of g n and dbias = sum of g, for rows [begin, end) of the vector of columns at i: blocks of
// 16 rows, then pairwise.
template <class T>
static WL_INLINE void sumRows(const T* g, const T* x, const T* mean, const T* rstd, int64_t C, int64_t begin,
                              int64_t end, int64_t i, int count, T* weightPart, T* biasPart) {
  const VectorOf<T> zero = vset<T>(T{0});
  Cascade<VectorOf<T> > weights, biases;
  for (int64_t block = begin; block < end; block += 16) {
    const int64_t stop = block + 16 < end ? block + 16 : end;
    VectorOf<T> w = zero, b = zero;
    for (int64_t r = block; r < stop; ++r) {
      const VectorOf<T> gradient = loadRow<true>(g + r * C, 1, i, count, T{0});
      const VectorOf<T> normal = (loadRow<true>(x + r * C, 1, i, count, T{0}) - vset<T>(mean[r])) * vset<T>(rstd[r]);
      w = w + gradient * normal;
      b = b + gradient;
    }
    weights.add(w);
    biases.add(b);
  }
  storeRow<true>(weightPart, 1, i, count, weights.total(zero));
  storeRow<true>(biasPart, 1, i, count, biases.total(zero));
}

static int64_t partials(int64_t R) { return (R + kRowsPerPartial - 1) / kRowsPerPartial; }

// The gradients of weight and bias. Scratch holds [partials][2][C].
template <class T>
static void backwardParameters(const LayerNormBackwardArgs& args, Context& context) {
  const int64_t R = args.x.sizes[0], C = args.x.sizes[1];
  const T* g = args.g.as<const T>();
  const T* x = args.x.as<const T>();
  const T* mean = args.mean.as<const T>();
  const T* rstd = args.rstd.as<const T>();
  T* parts = static_cast<T*>(context.scratch());
  const int64_t blocks = partials(R);
  const int64_t stripColumns = kStripVectors * kLanes<T>;
  const int64_t strips = (C + stripColumns - 1) / stripColumns;
  const int64_t grain = grainFor(kChunkElements, (R < kRowsPerPartial ? R : kRowsPerPartial) * stripColumns);
  context.parallel(blocks * strips, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t block = task / strips, column = task % strips * stripColumns;
      const int64_t first = block * kRowsPerPartial, last = first + kRowsPerPartial < R ? first + kRowsPerPartial : R;
      const int64_t columns = C - column < stripColumns ? C - column : stripColumns;
      T* part = parts + block * 2 * C;
      eachVector<T>(
          columns, [&](int64_t i, int count) __attribute__((always_inline)) {
            sumRows<T>(g, x, mean, rstd, C, first, last, column + i, count, part, part + C);
          });
    }
  });
  context.parallel(C, grainFor(kChunkElements, blocks), [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; ++c) {
      if (args.dweight.present()) args.dweight.as<T>()[c] = sumPartials<T>(parts + c, blocks, 2 * C);
      if (args.dbias.present()) args.dbias.as<T>()[c] = sumPartials<T>(parts + C + c, blocks, 2 * C);
    }
  });
}

template <class T>
static void backward(const LayerNormBackwardArgs& args, Context& context) {
  const int64_t R = args.x.sizes[0], C = args.x.sizes[1];
  if (args.dx.present()) {
    const T* weight = args.weight.present() ? args.weight.as<const T>() : nullptr;
    context.parallel(R, grainFor(kChunkElements, C), [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end && !context.cancelled(); ++r) {
        backwardRow<T>(args.g.as<const T>() + r * C, args.x.as<const T>() + r * C, weight, args.mean.as<const T>()[r],
                       args.rstd.as<const T>()[r], args.dx.as<T>() + r * C, C);
      }
    });
  }
  if (args.dweight.present() || args.dbias.present()) backwardParameters<T>(args, context);
}

}  // namespace norms

namespace ops {

void layerNorm(const LayerNormArgs& args, Context& context) {
  if (!checkFloats(context, "layerNorm", args.x, args.weight, args.bias, args.y, args.mean, args.rstd)) return;
  if (args.x.dtype == DType::float32) {
    norms::forward<float>(args, context);
  } else {
    norms::forward<double>(args, context);
  }
}

int64_t layerNormBackwardScratch(const LayerNormBackwardArgs& args, int) {
  if (!args.dweight.present() && !args.dbias.present()) return 0;
  return norms::partials(args.x.sizes[0]) * 2 * args.x.sizes[1] * itemSize(args.x.dtype);
}

void layerNormBackward(const LayerNormBackwardArgs& args, Context& context) {
  if (!checkFloats(context, "layerNormBackward", args.x, args.g, args.mean, args.rstd, args.weight, args.dx,
                   args.dweight, args.dbias)) {
    return;
  }
  if (args.x.dtype == DType::float32) {
    norms::backward<float>(args, context);
  } else {
    norms::backward<double>(args, context);
  }
}

}  // namespace ops

#endif
