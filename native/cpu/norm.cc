// Layer normalisation over the rows of x [R, C] (Ba, Kiros and Hinton: "Layer normalization", 2016) and its gradient.
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/norm.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/dtypes.h"
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

// 1 / sqrt(v + eps), the root in float64.
static WL_INLINE vfloat inverseRoot(vfloat v, double eps) {
  const vdouble e = vset(eps);
  return 1.0f / vnarrow(vsqrt(vwidenLow(v) + e), vsqrt(vwidenHigh(v) + e));
}
static WL_INLINE vdouble inverseRoot(vdouble v, double eps) { return 1.0 / vsqrt(v + vset(eps)); }

// `rows` <= kLanes short rows, with the bits of forwardRow: the lanes of all are joined at once, and a root and two
// divisions serve them all.
template <class T>
static void forwardTogether(const T* x, const T* weight, const T* bias, T* y, T* meanOut, T* rstdOut, int64_t C,
                            double eps, int rows) {
  VectorOf<T> lanes[kLanes<T>];
  T means[kLanes<T>], rstds[kLanes<T>];
  for (int k = 0; k < kLanes<T>; ++k) lanes[k] = vset<T>(T{0});
  for (int k = 0; k < rows; ++k) {
    lanes[k] = sumVectors<T>(
        C, [&](int64_t i, int count)
               __attribute__((always_inline)) { return loadRow<true>(x + k * C, 1, i, count, T{0}); });
  }
  const VectorOf<T> mean = vsumAcrossEach<T>(lanes) / static_cast<T>(C);
  vstore(means, mean);
  for (int k = 0; k < kLanes<T>; ++k) lanes[k] = vset<T>(T{0});
  for (int k = 0; k < rows; ++k) {
    const VectorOf<T> center = vset<T>(means[k]);
    lanes[k] = sumVectors<T>(
        C, [&](int64_t i, int count) __attribute__((always_inline)) {
          const VectorOf<T> d = loadRow<true>(x + k * C, 1, i, count, means[k]) - center;
          return d * d;
        });
  }
  const VectorOf<T> rstd = inverseRoot(vsumAcrossEach<T>(lanes) / static_cast<T>(C), eps);
  vstore(rstds, rstd);
  vstorePartial(meanOut, mean, rows);
  vstorePartial(rstdOut, rstd, rows);
  for (int k = 0; k < rows; ++k) {
    const VectorOf<T> center = vset<T>(means[k]), scale = vset<T>(rstds[k]);
    eachVector<T>(
        C, [&](int64_t i, int count) __attribute__((always_inline)) {
          const VectorOf<T> normal = (loadRow<true>(x + k * C, 1, i, count, means[k]) - center) * scale;
          storeRow<true>(y + k * C, 1, i, count,
                         normal * loadOr<T>(weight, i, count, T{1}) + loadOr<T>(bias, i, count, T{0}));
        });
  }
}

template <class T>
static void forward(const LayerNormArgs& args, Context& context) {
  const int64_t R = args.x.sizes[0], C = args.x.sizes[1];
  const T* x = args.x.as<const T>();
  const T* weight = args.weight.present() ? args.weight.as<const T>() : nullptr;
  const T* bias = args.bias.present() ? args.bias.as<const T>() : nullptr;
  T* y = args.y.as<T>();
  context.parallel(R, grainFor(kChunkElements, C), [&](int64_t begin, int64_t end, int) {
    int64_t r = begin;
    for (; kRowsTogether < T >> 0 && C <= kRowsTogether<T> && r < end && !context.cancelled(); r += kLanes<T>) {
      const int rows = end - r < kLanes<T> ? static_cast<int>(end - r) : kLanes<T>;
      forwardTogether<T>(x + r * C, weight, bias, y + r * C, args.mean.as<T>() + r, args.rstd.as<T>() + r, C, args.eps,
                         rows);
    }
    for (; r < end && !context.cancelled(); ++r) {
      forwardRow<T>(x + r * C, weight, bias, y + r * C, args.mean.as<T>() + r, args.rstd.as<T>() + r, C, args.eps);
    }
  });
}

// Rows whose gradients are formed together: their sums fit the registers.
constexpr int kTileRows = WL_ISA_LEVEL == 2 ? 8 : 4;

// Two sums of each of kRows rows: of h, then of h n.
template <class T, int kRows>
struct TileSums {
  VectorOf<T> of[2 * kRows];
  WL_INLINE TileSums operator+(const TileSums& other) const {
    TileSums sum;
    for (int k = 0; k < 2 * kRows; ++k) sum.of[k] = of[k] + other.of[k];
    return sum;
  }
};

// With n = (x - mean) rstd and h = g weight: dx = rstd (h - mean(h) - n mean(h n)).
template <class T>
static WL_INLINE VectorOf<T> normalAt(const T* x, T mean, T rstd, int64_t i, int count) {
  return (loadRow<true>(x, 1, i, count, mean) - vset<T>(mean)) * vset<T>(rstd);
}

// The sums of kRows rows, lane by lane; kParameters adds to part[0, C) the sum over these rows of g n and to part[C, 2
// C) that of g on the way.
template <class T, int kRows, bool kParameters>
static WL_INLINE TileSums<T, kRows> sumTile(const T* g, const T* x, const T* weight, const T* mean, const T* rstd,
                                            T* part, int64_t C) {
  constexpr int64_t kBlock = 64 * kLanes<T>;
  const VectorOf<T> zero = vset<T>(T{0});
  const auto sumBlock = [&](int64_t begin, int64_t length) __attribute__((always_inline)) {
    TileSums<T, kRows> sums;
    for (VectorOf<T>& sum : sums.of) sum = zero;
    eachVector<T>(
        length, [&](int64_t at, int count) __attribute__((always_inline)) {
          const int64_t i = begin + at;
          const VectorOf<T> w = loadOr<T>(weight, i, count, T{1});
          VectorOf<T> dw = zero, db = zero;
#pragma GCC unroll 8
          for (int k = 0; k < kRows; ++k) {
            const VectorOf<T> gradient = loadRow<true>(g + k * C, 1, i, count, T{0});
            const VectorOf<T> product = gradient * normalAt<T>(x + k * C, mean[k], rstd[k], i, count);
            sums.of[k] = vfma(gradient, w, sums.of[k]);
            sums.of[kRows + k] = vfma(product, w, sums.of[kRows + k]);
            dw = dw + product;
            db = db + gradient;
          }
          if (!kParameters) return;
          storeRow<true>(part, 1, i, count, loadRow<true>(static_cast<const T*>(part), 1, i, count, T{0}) + dw);
          storeRow<true>(part + C, 1, i, count, loadRow<true>(static_cast<const T*>(part + C), 1, i, count, T{0}) + db);
        });
    return sums;
  };
  if (C <= kBlock) return sumBlock(0, C);
  Cascade<TileSums<T, kRows> > blocks;
  for (int64_t begin = 0; begin < C; begin += kBlock) blocks.add(sumBlock(begin, std::min(kBlock, C - begin)));
  TileSums<T, kRows> none;
  for (VectorOf<T>& sum : none.of) sum = zero;
  return blocks.total(none);
}

template <class T>
static WL_INLINE void writeGradient(const T* g, const T* x, const T* weight, T mean, T rstd, T sumH, T sumHN, T* dx,
                                    int64_t C) {
  const VectorOf<T> scale = vset<T>(rstd), a = vset<T>(sumH / static_cast<T>(C)),
                    b = vset<T>(sumHN / static_cast<T>(C));
  eachVector<T>(
      C, [&](int64_t i, int count) __attribute__((always_inline)) {
        const VectorOf<T> h = loadRow<true>(g, 1, i, count, T{0}) * loadOr<T>(weight, i, count, T{1});
        storeRow<true>(dx, 1, i, count, scale * ((h - a) - normalAt<T>(x, mean, rstd, i, count) * b));
      });
}

// A tile of long rows. The first pass takes all sums, the second writes dx, unless that is null.
template <class T, int kRows, bool kParameters>
static void backwardTile(const T* g, const T* x, const T* weight, const T* mean, const T* rstd, T* dx, T* part,
                         int64_t C) {
  const TileSums<T, kRows> sums = sumTile<T, kRows, kParameters>(g, x, weight, mean, rstd, part, C);
  for (int k = 0; dx != nullptr && k < kRows; ++k) {
    writeGradient<T>(g + k * C, x + k * C, weight, mean[k], rstd[k], vsumAcross<T>(sums.of[k]),
                     vsumAcross<T>(sums.of[kRows + k]), dx + k * C, C);
  }
}

// dx of `rows` <= kLanes rows, one after the other; the lanes of all are joined at once.
template <class T>
static void backwardTogether(const T* g, const T* x, const T* weight, const T* mean, const T* rstd, T* dx, int64_t C,
                             int rows) {
  VectorOf<T> h[kLanes<T>], hn[kLanes<T>];
  T sumH[kLanes<T>], sumHN[kLanes<T>];
  for (int k = 0; k < kLanes<T>; ++k) h[k] = hn[k] = vset<T>(T{0});
  for (int k = 0; k < rows; ++k) {
    const TileSums<T, 1> sums = sumTile<T, 1, false>(g + k * C, x + k * C, weight, mean + k, rstd + k, nullptr, C);
    h[k] = sums.of[0];
    hn[k] = sums.of[1];
  }
  vstore(sumH, vsumAcrossEach<T>(h));
  vstore(sumHN, vsumAcrossEach<T>(hn));
  for (int k = 0; k < rows; ++k) {
    writeGradient<T>(g + k * C, x + k * C, weight, mean[k], rstd[k], sumH[k], sumHN[k], dx + k * C, C);
  }
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

// Rows from this many bytes on are long: a pass of their own for the gradients of weight and bias would find nothing of
// them in a near cache.
constexpr int64_t kLongRow = 16384;

// Scratch holds [partials][2][C].
template <class T, bool kParameters>
static void backwardRows(const LayerNormBackwardArgs& args, T* parts, Context& context) {
  const int64_t R = args.x.sizes[0], C = args.x.sizes[1];
  const T* g = args.g.as<const T>();
  const T* x = args.x.as<const T>();
  const T* mean = args.mean.as<const T>();
  const T* rstd = args.rstd.as<const T>();
  const T* weight = args.weight.present() ? args.weight.as<const T>() : nullptr;
  T* const dx = args.dx.present() ? args.dx.as<T>() : nullptr;
  const RowSums sums(R, C);
  context.parallel(sums.partials, grainFor(kChunkElements, sums.perPartial * C), [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t last = std::min(R, (block + 1) * sums.perPartial);
      T* const part = kParameters ? parts + block * 2 * C : nullptr;
      if constexpr (kParameters) std::memset(part, 0, static_cast<size_t>(2 * C) * sizeof(T));
      int64_t r = block * sums.perPartial;
      const auto tile = [&](auto rows) __attribute__((always_inline)) {
        constexpr int kRows = decltype(rows)::value;
        backwardTile<T, kRows, kParameters>(g + r * C, x + r * C, weight, mean + r, rstd + r,
                                            dx == nullptr ? nullptr : dx + r * C, part, C);
        r += kRows;
      };
      for (int64_t stop; C * static_cast<int64_t>(sizeof(T)) <= kLongRow && r < last && !context.cancelled();
           r = stop) {
        stop = std::min(last, r + sums.atOnce);
        int64_t at = dx == nullptr ? stop : r;
        for (; (kRowsTogether<T> == 0 || C > kRowsTogether<T>)&&at < stop; ++at) {
          backwardTile<T, 1, false>(g + at * C, x + at * C, weight, mean + at, rstd + at, dx + at * C, nullptr, C);
        }
        for (; kRowsTogether < T >> 0 && at < stop; at += kLanes<T>) {
          backwardTogether<T>(g + at * C, x + at * C, weight, mean + at, rstd + at, dx + at * C, C,
                              static_cast<int>(std::min<int64_t>(kLanes<T>, stop - at)));
        }
        if constexpr (kParameters) {
          eachVector<T>(
              C, [&](int64_t i, int count) __attribute__((always_inline)) {
                sumRows<T>(g, x, mean, rstd, C, r, stop, i, count, part, part + C);
              });
        }
      }
      if constexpr (std::is_same_v<T, float>) {
        while (r + kTileRows <= last && !context.cancelled()) tile(std::integral_constant<int, kTileRows>{});
      }
      while (r < last && !context.cancelled()) tile(std::integral_constant<int, 1>{});
    }
  });
}

template <class T>
static void backward(const LayerNormBackwardArgs& args, Context& context) {
  const bool parameters = args.dweight.present() || args.dbias.present();
  T* const parts = static_cast<T*>(context.scratch());
  if (parameters) {
    backwardRows<T, true>(args, parts, context);
  } else {
    backwardRows<T, false>(args, parts, context);
  }
  const int64_t C = args.x.sizes[1];
  const RowSums sums(args.x.sizes[0], C);
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
  withType<float, double>(args.x.dtype, [&](auto zero) { norms::forward<decltype(zero)>(args, context); });
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
  withType<float, double>(args.x.dtype, [&](auto zero) { norms::backward<decltype(zero)>(args, context); });
}

}  // namespace ops

#endif
