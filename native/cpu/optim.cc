// Optimizer updates: one pass over all parameters of a group, and the norm of the gradients for clipping.
//
// The parameters of a group, laid end to end, are one index space that is cut into chunks of fixed size; a chunk walks
// the segments it covers. What changes from step to step is read here, at run time, from `state` and `factor` (see
// args/optim.h). The arithmetic is that of PyTorch's single-tensor loops, but for Adam's constant factors, which are
// multiplied out; scalars are formed in float64 and rounded to the parameters' dtype once.
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/optim.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/dtypes.h"
#include "cpu/rows.h"

namespace optims {

constexpr int64_t kChunkElements = 16384;

// Fields of `state`.
enum State { kRate = 0, kStep = 1, kBeta1Power = 2, kBeta2Power = 3 };

// Calls fn(parameter, bucket offset, count) for the pieces of every segment, chunk by chunk.
template <class T, class Fn>
static void eachPiece(const Segments& params, Context& context, Fn&& fn) {
  int64_t total = 0;
  for (int s = 0; s < params.count; ++s) total += params.items[s].count;
  context.parallel(total, kChunkElements, [&](int64_t begin, int64_t end, int) {
    int64_t start = 0;  // of segment s in the index space
    for (int s = 0; s < params.count && start < end; start += params.items[s].count, ++s) {
      const Segment& segment = params.items[s];
      const int64_t first = begin > start ? begin - start : 0;
      const int64_t last = end - start < segment.count ? end - start : segment.count;
      if (first < last) fn(static_cast<T*>(segment.param) + first, segment.offset + first, last - first);
    }
  });
}

// What multiplies a raw gradient: the clip factor, negated to maximize.
template <class T>
static T gradientScale(const View& factor, bool maximize) {
  const T scale = factor.present() ? static_cast<T>(factor.as<const float>()[0]) : T{1};
  return maximize ? -scale : scale;
}

template <class T>
static void sgd(const SgdArgs& args, Context& context) {
  const double* state = args.state.as<const double>();
  const VectorOf<T> scale = vset<T>(gradientScale<T>(args.factor, args.maximize != 0));
  const VectorOf<T> rate = vset<T>(static_cast<T>(state[kRate]));
  const VectorOf<T> momentum = vset<T>(static_cast<T>(args.momentum));
  const VectorOf<T> undamped = vset<T>(static_cast<T>(1 - args.dampening));
  const VectorOf<T> decay = vset<T>(static_cast<T>(args.weightDecay));
  const bool first = state[kStep] == 1, decays = args.weightDecay != 0, nesterov = args.nesterov != 0;
  const T* grads = args.grads.as<const T>();
  T* buf = args.buf.present() ? args.buf.as<T>() : nullptr;
  eachPiece<T>(args.params, context, [&](T* param, int64_t offset, int64_t count) {
    eachVector<T>(
        count, [&](int64_t i, int lanes) __attribute__((always_inline)) {
          const VectorOf<T> p = loadRow<true>(static_cast<const T*>(param), 1, i, lanes, T{0});
          VectorOf<T> d = loadRow<true>(grads + offset, 1, i, lanes, T{0}) * scale;
          if (decays) d = d + decay * p;
          if (buf != nullptr) {
            VectorOf<T> b = d;
            if (!first)
              b = momentum * loadRow<true>(static_cast<const T*>(buf) + offset, 1, i, lanes, T{0}) + undamped * d;
            storeRow<true>(buf + offset, 1, i, lanes, b);
            d = nesterov ? d + momentum * b : b;
          }
          storeRow<true>(param, 1, i, lanes, p - rate * d);
        });
  });
}

template <class T>
static void adam(const AdamArgs& args, Context& context) {
  const double* state = args.state.as<const double>();
  const double rate = state[kRate];
  const VectorOf<T> scale = vset<T>(gradientScale<T>(args.factor, args.maximize != 0));
  // lr m' / (sqrt(v') + eps) with the moments' corrections m' = m / (1 - beta1^t), v' = v / correction^2, multiplied
  // out: one division an element instead of two, which are what the update costs where its buckets lie in the cache.
  const double correction = __builtin_sqrt(1 - state[kBeta2Power]);
  const VectorOf<T> stepSize = vset<T>(static_cast<T>(rate / (1 - state[kBeta1Power]) * correction));
  const VectorOf<T> eps = vset<T>(static_cast<T>(args.eps * correction));
  const VectorOf<T> beta1 = vset<T>(static_cast<T>(args.beta1)), rest1 = vset<T>(static_cast<T>(1 - args.beta1));
  const VectorOf<T> beta2 = vset<T>(static_cast<T>(args.beta2)), rest2 = vset<T>(static_cast<T>(1 - args.beta2));
  const VectorOf<T> decay = vset<T>(static_cast<T>(args.weightDecay));
  const VectorOf<T> shrink = vset<T>(static_cast<T>(1 - rate * args.weightDecay));
  const bool shrinks = args.weightDecay != 0 && args.decoupled != 0;
  const bool decays = args.weightDecay != 0 && args.decoupled == 0;
  const T* grads = args.grads.as<const T>();
  T* ms = args.m.as<T>();
  T* vs = args.v.as<T>();
  eachPiece<T>(args.params, context, [&](T* param, int64_t offset, int64_t count) {
    eachVector<T>(
        count, [&](int64_t i, int lanes) __attribute__((always_inline)) {
          VectorOf<T> p = loadRow<true>(static_cast<const T*>(param), 1, i, lanes, T{0});
          VectorOf<T> g = loadRow<true>(grads + offset, 1, i, lanes, T{0}) * scale;
          if (shrinks) p = p * shrink;
          if (decays) g = g + decay * p;
          const VectorOf<T> m =
              beta1 * loadRow<true>(static_cast<const T*>(ms) + offset, 1, i, lanes, T{0}) + rest1 * g;
          const VectorOf<T> v =
              beta2 * loadRow<true>(static_cast<const T*>(vs) + offset, 1, i, lanes, T{0}) + rest2 * g * g;
          storeRow<true>(ms + offset, 1, i, lanes, m);
          storeRow<true>(vs + offset, 1, i, lanes, v);
          storeRow<true>(param, 1, i, lanes, p - stepSize * m / (vsqrt(v) + eps));
        });
  });
}

static int64_t chunksOf(const View& x) { return (x.numel() + kChunkElements - 1) / kChunkElements; }

// The sum of squares in float64: sixteen running sums over 512 elements, folded in a fixed order, then pairwise.
template <class T>
static double sumSquaresOf(const T* x, int64_t count) {
  constexpr int64_t kBlock = 512;
  constexpr int kSums = 16;
  Cascade<double> blocks;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t length = begin + kBlock < count ? kBlock : count - begin;
    const T* block = x + begin;
    double sums[kSums] = {};
    int64_t i = 0;
    for (; i + kSums <= length; i += kSums) {
      for (int k = 0; k < kSums; ++k) {
        const double value = static_cast<double>(block[i + k]);
        sums[k] += value * value;
      }
    }
    for (int k = 0; i + k < length; ++k) {
      const double value = static_cast<double>(block[i + k]);
      sums[k] += value * value;
    }
    for (int half = kSums / 2; half > 0; half /= 2) {
      for (int k = 0; k < half; ++k) sums[k] += sums[k + half];
    }
    blocks.add(sums[0]);
  }
  return blocks.total(0);
}

template <class T>
static void sumSquares(const SumSquaresArgs& args, Context& context) {
  const T* x = args.x.as<const T>();
  double* partials = static_cast<double*>(context.scratch());
  context.parallel(args.x.numel(), kChunkElements, [&](int64_t begin, int64_t end, int) {
    partials[begin / kChunkElements] = sumSquaresOf<T>(x + begin, end - begin);
  });
  double total = sumPartials<double>(partials, chunksOf(args.x), 1);
  if (args.previous.present()) total += args.previous.as<const double>()[0];
  args.total.as<double>()[0] = total;
}

static bool isScalarState(Context& context, const char* op, const View& state) {
  if (state.dtype == DType::float64 && state.numel() >= 4) return true;
  return refuse(context, op, "the optimizer's state is float64[4]: learning rate, step, beta1^step, beta2^step");
}

static bool isFactor(Context& context, const char* op, const View& factor) {
  if (!factor.present() || factor.dtype == DType::float32) return true;
  return refuse(context, op, "the factor that scales the gradients is a float32 scalar");
}

// The dtype of the parameters as a view's, so that one check covers them and their buckets.
static View like(const Segments& params) {
  View view{};
  view.dtype = params.dtype;
  return view;
}

// True where every parameter's range lies inside every bucket that is present. Ranges come from the caller as plain
// numbers, so unlike views they have not been checked against memory yet.
template <class... Buckets>
static bool rangesFit(Context& context, const char* op, const Segments& params, const Buckets&... buckets) {
  for (int s = 0; s < params.count; ++s) {
    const int64_t end = params.items[s].offset + params.items[s].count;
    if ((... && (!buckets.present() || end <= buckets.numel()))) continue;
    return refuse(context, op, "a parameter's range reaches outside a bucket");
  }
  return true;
}

}  // namespace optims

namespace ops {

void optimAdvance(const OptimAdvanceArgs& args, Context& context) {
  if (!optims::isScalarState(context, "optimAdvance", args.state)) return;
  double* state = args.state.as<double>();
  state[optims::kStep] += 1;
  state[optims::kBeta1Power] *= args.beta1;
  state[optims::kBeta2Power] *= args.beta2;
}

void sgd(const SgdArgs& args, Context& context) {
  if (!checkFloats(context, "sgd", optims::like(args.params), args.grads, args.buf)) return;
  if (!optims::isScalarState(context, "sgd", args.state) || !optims::isFactor(context, "sgd", args.factor)) return;
  if (!optims::rangesFit(context, "sgd", args.params, args.grads, args.buf)) return;
  withType<float, double>(args.params.dtype, [&](auto zero) { optims::sgd<decltype(zero)>(args, context); });
}

void adam(const AdamArgs& args, Context& context) {
  if (!checkFloats(context, "adam", optims::like(args.params), args.grads, args.m, args.v)) return;
  if (!optims::isScalarState(context, "adam", args.state) || !optims::isFactor(context, "adam", args.factor)) return;
  if (!optims::rangesFit(context, "adam", args.params, args.grads, args.m, args.v)) return;
  withType<float, double>(args.params.dtype, [&](auto zero) { optims::adam<decltype(zero)>(args, context); });
}

int64_t sumSquaresScratch(const SumSquaresArgs& args, int) {
  return optims::chunksOf(args.x) * static_cast<int64_t>(sizeof(double));
}

void sumSquares(const SumSquaresArgs& args, Context& context) {
  if (!checkFloats(context, "sumSquares", args.x)) return;
  if (args.total.dtype != DType::float64 || !sameDType(DType::float64, args.previous)) {
    refuse(context, "sumSquares", "the running total is a float64 scalar");
    return;
  }
  withType<float, double>(args.x.dtype, [&](auto zero) { optims::sumSquares<decltype(zero)>(args, context); });
}

// In float32 from the norm on, like PyTorch. A NaN norm gives a NaN factor: the comparison leaves it alone.
void clipFactor(const ClipFactorArgs& args, Context& context) {
  if (args.total.dtype != DType::float64 || !sameDType(DType::float32, args.norm, args.factor)) {
    refuse(context, "clipFactor", "the total is a float64 scalar, norm and factor are float32 scalars");
    return;
  }
  const float norm = static_cast<float>(__builtin_sqrt(args.total.as<const double>()[0]));
  const float factor = static_cast<float>(args.maxNorm) / (norm + 1e-6f);
  args.norm.as<float>()[0] = norm;
  args.factor.as<float>()[0] = factor > 1.0f ? 1.0f : factor;
}

}  // namespace ops

#endif
