// The mean squared error and its gradient.
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/mse.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/dtypes.h"
#include "cpu/rows.h"

namespace squares {

constexpr int64_t kChunkElements = 16384;

static int64_t chunksOf(int64_t count) { return (count + kChunkElements - 1) / kChunkElements; }

template <class T>
static WL_INLINE VectorOf<T> difference(const T* x, const T* y, int64_t i, int count) {
  return loadRow<true>(x, 1, i, count, T{0}) - loadRow<true>(y, 1, i, count, T{0});
}

template <class T>
static void forward(const MseArgs& args, Context& context) {
  const int64_t count = args.x.numel();
  const T* x = args.x.as<const T>();
  const T* y = args.y.as<const T>();
  T* loss = args.loss.as<T>();
  if (args.reduction == kReductionNone) {
    context.parallel(count, kChunkElements, [&](int64_t begin, int64_t end, int) {
      eachVector<T>(
          end - begin, [&](int64_t i, int lanes) __attribute__((always_inline)) {
            const VectorOf<T> d = difference<T>(x + begin, y + begin, i, lanes);
            storeRow<true>(loss + begin, 1, i, lanes, d * d);
          });
    });
    return;
  }
  double* partials = static_cast<double*>(context.scratch());
  context.parallel(count, kChunkElements, [&](int64_t begin, int64_t end, int) {
    partials[begin / kChunkElements] = static_cast<double>(sumRow<T>(
        end - begin, [&](int64_t i, int lanes) __attribute__((always_inline)) {
          const VectorOf<T> d = difference<T>(x + begin, y + begin, i, lanes);
          return d * d;
        }));
  });
  const double total = sumPartials<double>(partials, chunksOf(count), 1);
  // The mean of nothing is 0 / 0, NaN, as in PyTorch.
  loss[0] = static_cast<T>(args.reduction == kReductionMean ? total / static_cast<double>(count) : total);
}

template <class T>
static void backward(const MseBackwardArgs& args, Context& context) {
  const int64_t count = args.x.numel();
  const T* x = args.x.as<const T>();
  const T* y = args.y.as<const T>();
  const T* g = args.g.as<const T>();
  T* dx = args.dx.as<T>();
  const VectorOf<T> factor =
      vset<T>(static_cast<T>(args.reduction == kReductionMean ? 2 / static_cast<double>(count) : 2.0));
  context.parallel(count, kChunkElements, [&](int64_t begin, int64_t end, int) {
    if (args.reduction != kReductionNone) {
      const VectorOf<T> gradient = vset<T>(g[0]);
      eachVector<T>(
          end - begin, [&](int64_t i, int lanes) __attribute__((always_inline)) {
            storeRow<true>(dx + begin, 1, i, lanes, factor * difference<T>(x + begin, y + begin, i, lanes) * gradient);
          });
      return;
    }
    eachVector<T>(
        end - begin, [&](int64_t i, int lanes) __attribute__((always_inline)) {
          const VectorOf<T> gradient = loadRow<true>(g + begin, 1, i, lanes, T{0});
          storeRow<true>(dx + begin, 1, i, lanes, factor * difference<T>(x + begin, y + begin, i, lanes) * gradient);
        });
  });
}

}  // namespace squares

namespace ops {

int64_t mseScratch(const MseArgs& args, int) {
  return args.reduction == kReductionNone ? 0
                                          : squares::chunksOf(args.x.numel()) * static_cast<int64_t>(sizeof(double));
}

void mse(const MseArgs& args, Context& context) {
  if (!checkFloats(context, "mse", args.x, args.y, args.loss)) return;
  withType<float, double>(args.x.dtype, [&](auto zero) { squares::forward<decltype(zero)>(args, context); });
}

void mseBackward(const MseBackwardArgs& args, Context& context) {
  if (!checkFloats(context, "mseBackward", args.x, args.y, args.g, args.dx)) return;
  withType<float, double>(args.x.dtype, [&](auto zero) { squares::backward<decltype(zero)>(args, context); });
}

}  // namespace ops

#endif
