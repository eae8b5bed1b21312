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

// Adds to dweight the sum over rows [begin, end) of g n, and to dbias that of g, at the vector of columns at i.
template <class T>
static WL_INLINE void sumRows(const T* g, const T* x, const T* mean, const T* rstd, int64_t C, int64_t begin,
                              int64_t end, int64_t i, int count, T* dweight, T* dbias) {
  VectorOf<T> w = vset<T>(T{0}), b = w;
  for (int64_t r = begin; r < end; ++r) {
    const VectorOf<T> gradient = loadRow<true>(g + r * C, 1, i, count, T{0});
    const VectorOf<T> normal = (loadRow<true>(x + r * C, 1, i, count, T{0}) - vset<T>(mean[r])) * vset<T>(rstd[r]);
    w = w + gradient * normal;
    b = b + gradient;
  }
  storeRow<true>(dweight, 1, i, count, loadRow<true>(static_cast<const T*>(dweight), 1, i, count, T{0}) + w);
  storeRow<true>(dbias, 1, i, count, loadRow<true>(static_cast<const T*>(dbias), 1, i, count, T{0}) + b);
}

// How the gradients of weight and bias sum over R, from the shape alone: some rows at once, few enough for the
// second-level cache; up to 16 such sums one after the other make a partial; the partials pairwise. Few rows make small
// partials, so that there are some to share out.
struct RowSums {
  int64_t atOnce;
  int64_t perPartial;
  int64_t partials;

  RowSums(int64_t R, int64_t C) {
    atOnce = std::min<int64_t>(16, grainFor(kChunkElements, C));
    perPartial = std::min<int64_t>(16 * atOnce, R <= 1024 ? 16 : R <= 4096 ? 64 : 256);
    partials = (R + perPartial - 1) / perPartial;
  }
};

// Blocks of rows that stay in a cache: dx of each row, then their share of the gradients of weight and bias. Scratch
// holds [partials][2][C].
template <class T>
static void backward(const LayerNormBackwardArgs& args, Context& context) {
  const int64_t R = args.x.sizes[0], C = args.x.sizes[1];
  const T* g = args.g.as<const T>();
  const T* x = args.x.as<const T>();
  const T* mean = args.mean.as<const T>();
  const T* rstd = args.rstd.as<const T>();
  const T* weight = args.weight.present() ? args.weight.as<const T>() : nullptr;
  const bool parameters = args.dweight.present() || args.dbias.present();
  T* const parts = static_cast<T*>(context.scratch());
  const RowSums sums(R, C);
  context.parallel(sums.partials, grainFor(kChunkElements, sums.perPartial * C), [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t last = std::min(R, (block + 1) * sums.perPartial);
      T* const part = parts + block * 2 * C;
      if (parameters) std::memset(part, 0, static_cast<size_t>(2 * C) * sizeof(T));
      for (int64_t first = block * sums.perPartial; first < last && !context.cancelled(); first += sums.atOnce) {
        const int64_t stop = std::min(last, first + sums.atOnce);
        if (args.dx.present()) {
          for (int64_t r = first; r < stop; ++r) {
            backwardRow<T>(g + r * C, x + r * C, weight, mean[r], rstd[r], args.dx.as<T>() + r * C, C);
          }
        }
        if (!parameters) continue;
        eachVector<T>(
            C, [&](int64_t i, int count) __attribute__((always_inline)) {
              sumRows<T>(g, x, mean, rstd, C, first, stop, i, count, part, part + C);
            });
      }
    }
  });
  if (!parameters) return;
  const auto total = [&](const T* from, T* to, int64_t begin, int64_t columns) {
    eachVector<T>(
        columns, [&](int64_t i, int count) __attribute__((always_inline)) {
          Cascade<VectorOf<T> > sum;
          for (int64_t block = 0; block < sums.partials; ++block) {
            sum.add(loadRow<true>(from + block * 2 * C + begin, 1, i, count, T{0}));
          }
          storeRow<true>(to + begin, 1, i, count, sum.total(vset<T>(T{0})));
        });
  };
  context.parallel(C, grainFor(kChunkElements, sums.partials), [&](int64_t begin, int64_t end, int) {
    if (args.dweight.present()) total(parts, args.dweight.as<T>(), begin, end - begin);
    if (args.dbias.present()) total(parts + C, args.dbias.as<T>(), begin, end - begin);
  });
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
  return norms::RowSums(args.x.sizes[0], args.x.sizes[1]).partials * 2 * args.x.sizes[1] * itemSize(args.x.dtype);
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
