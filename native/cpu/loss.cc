// Cross-entropy from logits, fused with log-softmax, and its gradient. The mean squared error is in mse.cc.
//
// At one position (n, i), with logits x, log-sum-exp L and a target distribution q over the classes,
//   loss = sum_c q_c (L - x_c),   dloss/dx_c = softmax(x)_c sum_k q_k - q_c,
// where w are the class weights (1 where absent) and s is the label smoothing:
//   class index t:  q_c = (1 - s) w_t [c = t] + (s / C) w_c
//   probabilities:  q_c = w_c ((1 - s) target_c + s / C)
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/loss.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/dtypes.h"
#include "cpu/exponential_rows.h"

namespace losses {

constexpr int64_t kChunkElements = 16384;

static int64_t positions(const View& logits) { return logits.sizes[0] * logits.sizes[2]; }
static int64_t grainOf(const View& logits) { return grainFor(kChunkElements, logits.sizes[1]); }
static int64_t chunksOf(const View& logits) {
  const int64_t grain = grainOf(logits);
  return (positions(logits) + grain - 1) / grain;
}

// What one chunk of positions adds up to.
struct Partial {
  double loss;
  double norm;
};

template <class T>
static inline T* rowOf(const View& view, int64_t n, int64_t i) {  // of [N, C, I]
  return view.as<T>() + n * view.strides[0] + i * view.strides[2];
}
template <class T>
static inline T& at(const View& view, int64_t n, int64_t i) {  // of [N, I]
  return view.as<T>()[n * view.strides[0] + i * view.strides[1]];
}

// The class weights, or ones; lanes not in use are 0.
template <class T, bool kUnit>
static WL_INLINE VectorOf<T> weightsAt(const T* weight, int64_t stride, int64_t c, int count) {
  if (weight != nullptr) return loadRow<kUnit>(weight, stride, c, count, T{0});
  return count == kLanes<T> ? vset<T>(T{1}) : (viota<T>() < static_cast<T>(count) ? vset<T>(T{1}) : vset<T>(T{0}));
}

// The kernel's operands, unpacked. Row strides are those along the classes.
template <class T>
struct Problem {
  const View& logits;
  const View& target;
  const T* weight;
  int64_t C;
  int64_t weightStride;
  int64_t ignoreIndex;
  T keep;   // 1 - s
  T share;  // s / C
  bool smooth;
  bool probabilities;

  Problem(const View& logits, const View& target, const View& weight, int64_t ignoreIndex, double labelSmoothing)
      : logits(logits),
        target(target),
        weight(weight.present() ? weight.as<const T>() : nullptr),
        C(logits.sizes[1]),
        weightStride(weight.present() ? weight.strides[0] : 1),
        ignoreIndex(ignoreIndex),
        keep(static_cast<T>(1 - labelSmoothing)),
        share(static_cast<T>(labelSmoothing / static_cast<double>(C))),
        smooth(labelSmoothing != 0),
        probabilities(!isIndexDType(target.dtype)) {}

  bool unit() const {
    return unitStride(logits, 1) && (weight == nullptr || weightStride == 1 || C <= 1) &&
           (!probabilities || unitStride(target, 1));
  }
  T weightOf(int64_t c) const { return weight == nullptr ? T{1} : weight[c * weightStride]; }
  int64_t indexAt(int64_t n, int64_t i) const {
    return readIndex(target, n * target.strides[0] + i * target.strides[1]);
  }
};

template <class T>
struct LogSumExp {
  T max;
  T logSum;  // of exp(x - max)
};

// The loss at one position. L - x_c is formed as (max - x_c) + logSum, which does not lose the small part to a large
// max.
template <class T, bool kUnit>
static T lossAt(const Problem<T>& p, const T* x, const LogSumExp<T>& lse, int64_t t, const T* q, Context& context,
                double* norm) {
  const int64_t stride = p.logits.strides[1];
  const VectorOf<T> greatest = vset<T>(lse.max), logSum = vset<T>(lse.logSum), share = vset<T>(p.share);
  if (p.probabilities) {
    *norm = 1;
    const VectorOf<T> keep = vset<T>(p.keep);
    return sumRow<T>(
        p.C, [&](int64_t c, int count) __attribute__((always_inline)) {
          const VectorOf<T> target = loadRow<kUnit>(q, p.target.strides[1], c, count, T{0}) * keep + share;
          const VectorOf<T> term = (greatest - loadRow<kUnit>(x, stride, c, count, lse.max)) + logSum;
          return target * term * weightsAt<T, kUnit>(p.weight, p.weightStride, c, count);
        });
  }
  if (t == p.ignoreIndex) return T{0};
  if (t < 0 || t >= p.C) {
    context.indexError("crossEntropy", t, p.C);
    return T{0};
  }
  const T weight = p.weightOf(t);
  *norm = static_cast<double>(weight);
  const T hard = weight * ((lse.max - x[t * stride]) + lse.logSum);
  if (!p.smooth) return hard;
  const T soft = sumRow<T>(
      p.C, [&](int64_t c, int count) __attribute__((always_inline)) {
        const VectorOf<T> term = (greatest - loadRow<kUnit>(x, stride, c, count, lse.max)) + logSum;
        return term * weightsAt<T, kUnit>(p.weight, p.weightStride, c, count);
      });
  return p.keep * hard + p.share * soft;
}

template <class T, bool kUnit>
static void forward(const CrossEntropyArgs& args, Context& context) {
  const Problem<T> p(args.logits, args.target, args.weight, args.ignoreIndex, args.labelSmoothing);
  const int64_t I = args.logits.sizes[2], grain = grainOf(args.logits), chunks = chunksOf(args.logits);
  Partial* partials = static_cast<Partial*>(context.scratch());
  context.parallel(positions(args.logits), grain, [&](int64_t begin, int64_t end, int) {
    Sum losses, norms;
    // As many positions together as a vector has lanes: a logarithm costs as much for all of them as for one.
    for (int64_t first = begin; first < end && !context.cancelled(); first += kLanes<T>) {
      const int count = end - first < kLanes<T> ? static_cast<int>(end - first) : kLanes<T>;
      T greatest[kLanes<T>], sums[kLanes<T>] = {};
      VectorOf<T> total;
      if (kUnit && kRowsTogether < T >> 0 && I == 1 && p.C <= kRowsTogether<T>) {
        sumExpTogether<T>(rowOf<const T>(args.logits, first, 0), args.logits.strides[0], p.C, count, greatest, &total,
                          [](int, int64_t, int, VectorOf<T>) {});
      } else {
        for (int k = 0; k < count; ++k) {
          const int64_t n = I == 1 ? first + k : (first + k) / I, i = first + k - n * I;
          ExponentialRow<T> row;
          row.template take<kUnit>(rowOf<const T>(args.logits, n, i), args.logits.strides[1], p.C,
                                   [](int64_t, int, VectorOf<T>) {});
          greatest[k] = row.greatest;
          sums[k] = row.sum;
        }
        total = vload(sums);
      }
      vstore(sums, vlog(total));
      for (int k = 0; k < count; ++k) {
        const int64_t n = I == 1 ? first + k : (first + k) / I, i = first + k - n * I;
        const LogSumExp<T> lse = {greatest[k], sums[k]};
        const T* q = p.probabilities ? rowOf<const T>(args.target, n, i) : nullptr;
        double norm = 0;
        const T loss = lossAt<T, kUnit>(p, rowOf<const T>(args.logits, n, i), lse, q == nullptr ? p.indexAt(n, i) : 0,
                                        q, context, &norm);
        at<T>(args.lse, n, i) = lse.max + lse.logSum;
        if (args.reduction == kReductionNone) at<T>(args.loss, n, i) = loss;
        losses.add(static_cast<double>(loss));
        norms.add(norm);
      }
    }
    partials[begin / grain] = {losses.total(), norms.total()};
  });
  Partial sum = {0, 0};
  if (chunks > 0)
    sum = {sumPartials<double>(&partials->loss, chunks, 2), sumPartials<double>(&partials->norm, chunks, 2)};
  args.norm.as<T>()[0] = static_cast<T>(sum.norm);
  if (args.reduction == kReductionNone) return;
  // With no target left the mean is 0 / 0, NaN, as in PyTorch.
  args.loss.as<T>()[0] = static_cast<T>(args.reduction == kReductionMean ? sum.loss / sum.norm : sum.loss);
}

// dx_c = scale (softmax_c sum(q) - q_c) at one position with class index t.
template <class T, bool kUnit>
static void indexGradient(const Problem<T>& p, const T* x, T lse, int64_t t, T weightSum, T scale, T* dx,
                          int64_t dxStride) {
  const int64_t stride = p.logits.strides[1];
  const T hard = p.smooth ? p.keep * p.weightOf(t) : p.weightOf(t);
  const T mass = p.smooth ? hard + p.share * weightSum : hard;
  const VectorOf<T> shift = vset<T>(lse), masses = vset<T>(mass), scales = vset<T>(scale), share = vset<T>(p.share);
  eachVector<T>(
      p.C, [&](int64_t c, int count) __attribute__((always_inline)) {
        VectorOf<T> d = vexp(loadRow<kUnit>(x, stride, c, count, lse) - shift) * masses;
        if (p.smooth) d = d - share * weightsAt<T, kUnit>(p.weight, p.weightStride, c, count);
        storeRow<kUnit>(dx, dxStride, c, count, d * scales);
      });
  // The target's own class again, with its full share of q: formed before the scale, as the difference it is.
  T d = scalarExp<T>(x[t * stride] - lse) * mass;
  if (p.smooth) d = d - p.share * p.weightOf(t);
  dx[t * dxStride] = (d - hard) * scale;
}

template <class T, bool kUnit>
static void probabilityGradient(const Problem<T>& p, const T* x, T lse, const T* q, T scale, T* dx, int64_t dxStride) {
  const int64_t stride = p.logits.strides[1];
  const VectorOf<T> shift = vset<T>(lse), scales = vset<T>(scale), share = vset<T>(p.share), keep = vset<T>(p.keep);
  const auto goal = [&](int64_t c, int count) __attribute__((always_inline)) {
    const VectorOf<T> target = loadRow<kUnit>(q, p.target.strides[1], c, count, T{0}) * keep + share;
    return target * weightsAt<T, kUnit>(p.weight, p.weightStride, c, count);
  };
  const VectorOf<T> mass = vset<T>(sumRow<T>(p.C, goal));
  eachVector<T>(
      p.C, [&](int64_t c, int count) __attribute__((always_inline)) {
        const VectorOf<T> probability = vexp(loadRow<kUnit>(x, stride, c, count, lse) - shift);
        storeRow<kUnit>(dx, dxStride, c, count, (probability * mass - goal(c, count)) * scales);
      });
}

template <class T, bool kUnit>
static void backward(const CrossEntropyBackwardArgs& args, Context& context) {
  const Problem<T> p(args.logits, args.target, args.weight, args.ignoreIndex, args.labelSmoothing);
  const int64_t I = args.logits.sizes[2], dxStride = args.dlogits.strides[1];
  const T weightSum = sumRow<T>(
      p.C, [&](int64_t c, int count)
               __attribute__((always_inline)) { return weightsAt<T, kUnit>(p.weight, p.weightStride, c, count); });
  context.parallel(positions(args.logits), grainOf(args.logits), [&](int64_t begin, int64_t end, int) {
    T whole = T{0};
    if (args.reduction != kReductionNone) {
      whole = args.g.as<const T>()[0];
      if (args.reduction == kReductionMean) whole = whole / args.norm.as<const T>()[0];
    }
    for (int64_t position = begin; position < end && !context.cancelled(); ++position) {
      const int64_t n = I == 1 ? position : position / I, i = position - n * I;
      const T scale = args.reduction == kReductionNone ? at<const T>(args.g, n, i) : whole;
      const T* x = rowOf<const T>(args.logits, n, i);
      const T lse = at<const T>(args.lse, n, i);
      T* dx = rowOf<T>(args.dlogits, n, i);
      if (p.probabilities) {
        probabilityGradient<T, kUnit>(p, x, lse, rowOf<const T>(args.target, n, i), scale, dx, dxStride);
        continue;
      }
      const int64_t t = p.indexAt(n, i);
      if (t != p.ignoreIndex && t >= 0 && t < p.C) {
        indexGradient<T, kUnit>(p, x, lse, t, weightSum, scale, dx, dxStride);
      } else {
        // The forward pass has reported a target that is out of range; here, like an ignored one, it has no gradient.
        for (int64_t c = 0; c < p.C; ++c) dx[c * dxStride] = T{0};
      }
    }
  });
}

static bool checkTarget(Context& context, const char* op, const View& logits, const View& target) {
  return target.dtype == logits.dtype || checkIndices(context, op, target);
}

template <class T>
static void runForward(const CrossEntropyArgs& args, Context& context) {
  const Problem<T> p(args.logits, args.target, args.weight, args.ignoreIndex, args.labelSmoothing);
  if (p.unit()) {
    forward<T, true>(args, context);
  } else {
    forward<T, false>(args, context);
  }
}

template <class T>
static void runBackward(const CrossEntropyBackwardArgs& args, Context& context) {
  const Problem<T> p(args.logits, args.target, args.weight, args.ignoreIndex, args.labelSmoothing);
  if (p.unit() && unitStride(args.dlogits, 1)) {
    backward<T, true>(args, context);
  } else {
    backward<T, false>(args, context);
  }
}

}  // namespace losses

namespace ops {

int64_t crossEntropyScratch(const CrossEntropyArgs& args, int) {
  return losses::chunksOf(args.logits) * static_cast<int64_t>(sizeof(losses::Partial));
}

void crossEntropy(const CrossEntropyArgs& args, Context& context) {
  if (!checkFloats(context, "crossEntropy", args.logits, args.weight, args.loss, args.lse, args.norm)) return;
  if (!losses::checkTarget(context, "crossEntropy", args.logits, args.target)) return;
  withType<float, double>(args.logits.dtype, [&](auto zero) { losses::runForward<decltype(zero)>(args, context); });
}

void crossEntropyBackward(const CrossEntropyBackwardArgs& args, Context& context) {
  if (!checkFloats(context, "crossEntropyBackward", args.logits, args.g, args.weight, args.lse, args.norm,
                   args.dlogits)) {
    return;
  }
  if (!losses::checkTarget(context, "crossEntropyBackward", args.logits, args.target)) return;
  withType<float, double>(args.logits.dtype, [&](auto zero) { losses::runBackward<decltype(zero)>(args, context); });
}

}  // namespace ops

#endif
