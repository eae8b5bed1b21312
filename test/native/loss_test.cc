// Cross-entropy and mean squared error, with gradients, against plain long double loops written from PyTorch's
// definitions.
#include <cmath>

#include "check.h"
#include "values.h"

namespace warploom::test {
namespace {

enum Reduction : int64_t { kNone = 0, kMean = 1, kSum = 2 };

struct Options {
  int64_t N, C, I;
  int64_t reduction = kMean;
  bool weighted = false;
  bool probabilities = false;
  double smoothing = 0;
  int64_t ignoreIndex = -100;
  bool classLast = false;  // logits as an [N, I, C] buffer seen as [N, C, I]
  int64_t offset = 0;
  DType index = DType::int64;
  int64_t ignoredEvery = 0;  // every so many targets are ignored; 0: none

  std::string text() const {
    return std::to_string(N) + "x" + std::to_string(C) + "x" + std::to_string(I) + " reduction " +
           std::to_string(reduction) + (weighted ? " weighted" : "") + (probabilities ? " probabilities" : "") +
           (classLast ? " class last" : "") + " smoothing " + std::to_string(smoothing);
  }
  int64_t positions() const { return N * I; }
};

template <class T>
struct Problem {
  Options options;
  std::vector<T> logits, weight, probabilities, g;
  std::vector<int64_t> target;
  std::vector<int32_t> target32;
  std::vector<uint8_t> target8;
  int64_t strides[3];

  explicit Problem(const Options& o)
      : options(o),
        logits(values<T>(o.offset + o.N * o.C * o.I, 1, -5, 5)),
        weight(values<T>(o.C, 2, 0.25, 2)),
        probabilities(values<T>(o.N * o.C * o.I, 3, 0, 1)),
        g(values<T>(o.reduction == kNone ? o.positions() : 1, 4, 0.5, 1.5)),
        strides{o.C * o.I, o.classLast ? 1 : o.I, o.classLast ? o.C : 1} {
    int64_t position = 0;
    for (double u : values<double>(o.positions(), 5, 0, 1)) {
      const bool ignored = o.ignoredEvery > 0 && position++ % o.ignoredEvery == 0;
      target.push_back(ignored ? o.ignoreIndex : static_cast<int64_t>(u * static_cast<double>(o.C)));
      target32.push_back(static_cast<int32_t>(target.back()));
      target8.push_back(static_cast<uint8_t>(target.back()));
    }
  }

  std::size_t at(int64_t n, int64_t c, int64_t i) const {
    return static_cast<std::size_t>(n * strides[0] + c * strides[1] + i * strides[2]);
  }
  long double x(int64_t n, int64_t c, int64_t i) const {
    return logits[static_cast<std::size_t>(options.offset) + at(n, c, i)];
  }
  long double w(int64_t c) const { return options.weighted ? weight[static_cast<std::size_t>(c)] : T(1); }
  int64_t t(int64_t n, int64_t i) const { return target[static_cast<std::size_t>(n * options.I + i)]; }
  long double p(int64_t n, int64_t c, int64_t i) const {
    return probabilities[static_cast<std::size_t>((n * options.C + c) * options.I + i)];
  }
  bool ignored(int64_t n, int64_t i) const { return !options.probabilities && t(n, i) == options.ignoreIndex; }

  In logitsView() {
    return stridedView<In>(logits.data() + options.offset, kDType<T>, {options.N, options.C, options.I},
                           {strides[0], strides[1], strides[2]});
  }
  In targetView() {
    if (options.probabilities) return viewOf<In>(probabilities.data(), kDType<T>, {options.N, options.C, options.I});
    void* data = target.data();
    if (options.index == DType::int32) data = target32.data();
    if (options.index == DType::uint8) data = target8.data();
    return viewOf<In>(data, options.index, {options.N, options.I});
  }
  OptIn weightView() {
    return options.weighted ? viewOf<OptIn>(weight.data(), kDType<T>, {options.C}) : absent<OptIn>();
  }
  std::vector<int64_t> lossShape() const {
    return options.reduction == kNone ? std::vector<int64_t>{options.N, options.I} : std::vector<int64_t>{};
  }
};

// One position from the definition: log-probabilities first, then PyTorch's formula for the kind of target.
struct Position {
  std::vector<long double> logp;
  long double lse = 0, loss = 0, norm = 0;
};

template <class T>
Position reference(const Problem<T>& problem, int64_t n, int64_t i) {
  const Options& o = problem.options;
  Position out;
  long double greatest = -INFINITY, sum = 0;
  for (int64_t c = 0; c < o.C; ++c) greatest = std::fmax(greatest, problem.x(n, c, i));
  for (int64_t c = 0; c < o.C; ++c) sum += std::exp(problem.x(n, c, i) - greatest);
  out.lse = greatest + std::log(sum);
  for (int64_t c = 0; c < o.C; ++c) out.logp.push_back(problem.x(n, c, i) - out.lse);
  if (problem.ignored(n, i)) return out;
  const long double s = o.smoothing, count = static_cast<long double>(o.C);
  if (o.probabilities) {
    for (int64_t c = 0; c < o.C; ++c) {
      out.loss -= problem.w(c) * (problem.p(n, c, i) * (1 - s) + s / count) * out.logp[static_cast<std::size_t>(c)];
    }
    out.norm = 1;
    return out;
  }
  const int64_t t = problem.t(n, i);
  long double smooth = 0;
  for (int64_t c = 0; c < o.C; ++c) smooth -= problem.w(c) * out.logp[static_cast<std::size_t>(c)];
  out.loss = (1 - s) * -problem.w(t) * out.logp[static_cast<std::size_t>(t)] + s / count * smooth;
  out.norm = problem.w(t);
  return out;
}

template <class T>
void crossEntropyCase(const Options& o) {
  Note note(o.text() + (sizeof(T) == 4 ? " float32" : " float64"));
  Problem<T> p(o);
  std::vector<Position> positions;
  long double total = 0, norm = 0;
  for (int64_t n = 0; n < o.N; ++n) {
    for (int64_t i = 0; i < o.I; ++i) {
      positions.push_back(reference(p, n, i));
      total += positions.back().loss;
      norm += positions.back().norm;
    }
  }
  ThreadWatch<T> watchLoss, watchGradient;
  forEachDevice([&](DeviceImpl& device) {
    const std::size_t count = static_cast<std::size_t>(o.positions());
    std::vector<T> loss(o.reduction == kNone ? count : 1), lse(count), divisor(1);
    CrossEntropyArgs args{p.logitsView(),
                          p.targetView(),
                          p.weightView(),
                          viewOf<Out>(loss.data(), kDType<T>, p.lossShape()),
                          viewOf<Out>(lse.data(), kDType<T>, {o.N, o.I}),
                          viewOf<Out>(divisor.data(), kDType<T>, {}),
                          o.ignoreIndex,
                          o.smoothing,
                          o.reduction};
    runOp(device, OpId::crossEntropy, args);
    CHECK_NEAR(divisor[0], static_cast<double>(norm), 8 * kEps<T> * static_cast<double>(norm));
    if (o.reduction != kNone) {
      const double want = static_cast<double>(o.reduction == kMean ? total / norm : total);
      CHECK_NEAR(loss[0], want, 16 * kEps<T> * std::fabs(want));
    }
    for (std::size_t k = 0; k < count; ++k) {
      CHECK_NEAR(lse[k], static_cast<double>(positions[k].lse), 16 * kEps<T> * 4);
      if (o.reduction == kNone) {
        CHECK_NEAR(loss[k], static_cast<double>(positions[k].loss),
                   16 * kEps<T> * (1 + std::fabs(static_cast<double>(positions[k].loss))));
      }
    }
    watchLoss.check(device, loss);

    std::vector<T> dlogits(p.logits.size(), T(77));
    Out dview{};
    static_cast<View&>(dview) = stridedView<View>(dlogits.data() + o.offset, kDType<T>, {o.N, o.C, o.I},
                                                  {p.strides[0], p.strides[1], p.strides[2]});
    CrossEntropyBackwardArgs back{viewOf<In>(p.g.data(), kDType<T>, p.lossShape()),
                                  p.logitsView(),
                                  p.targetView(),
                                  p.weightView(),
                                  viewOf<In>(lse.data(), kDType<T>, {o.N, o.I}),
                                  viewOf<In>(divisor.data(), kDType<T>, {}),
                                  dview,
                                  o.ignoreIndex,
                                  o.smoothing,
                                  o.reduction};
    runOp(device, OpId::crossEntropyBackward, back);
    for (int64_t n = 0; n < o.N; ++n) {
      for (int64_t i = 0; i < o.I; ++i) {
        const Position& position = positions[static_cast<std::size_t>(n * o.I + i)];
        long double scale = p.g[o.reduction == kNone ? static_cast<std::size_t>(n * o.I + i) : 0];
        if (o.reduction == kMean) scale /= norm;
        // -sum_k q_k logp_k by x_c, term by term.
        const long double s = o.smoothing, classes = static_cast<long double>(o.C);
        std::vector<long double> q;
        long double mass = 0;
        for (int64_t c = 0; c < o.C; ++c) {
          const long double goal = o.probabilities ? p.p(n, c, i) : c == p.t(n, i) ? 1 : 0;
          // Smoothing weighs each class by its own weight; the hard part by the target's, which is this class's own.
          q.push_back(p.w(c) * (goal * (1 - s) + s / classes));
          mass += q.back();
        }
        for (int64_t c = 0; c < o.C; ++c) {
          const long double softmax = std::exp(position.logp[static_cast<std::size_t>(c)]);
          const double want =
              p.ignored(n, i) ? 0 : static_cast<double>(scale * (softmax * mass - q[static_cast<std::size_t>(c)]));
          const double bound =
              32 * kEps<T> * static_cast<double>(scale * (softmax * mass + q[static_cast<std::size_t>(c)]));
          CHECK_NEAR(dlogits[static_cast<std::size_t>(o.offset) + p.at(n, c, i)], want, bound);
        }
      }
    }
    CHECK(untouchedOutside(dlogits, o.offset, static_cast<int64_t>(dlogits.size()), T(77)));
    watchGradient.check(device, dlogits);
  });
}

template <class T>
void everyOption() {
  for (int64_t reduction : {kNone, kMean, kSum}) {
    for (bool weighted : {false, true}) {
      for (double smoothing : {0.0, 0.1}) {
        for (bool probabilities : {false, true}) {
          Options o{37, 33, 1};
          o.reduction = reduction;
          o.weighted = weighted;
          o.smoothing = smoothing;
          o.probabilities = probabilities;
          o.ignoredEvery = 5;
          crossEntropyCase<T>(o);
          o.N = 3, o.I = 7, o.C = 5, o.index = DType::int32, o.ignoreIndex = 2;
          crossEntropyCase<T>(o);
        }
      }
    }
  }
}

template <class T>
void everyShape() {
  for (int64_t C : {1, 16, 17, 31, 128, 129, 1000, 2049, 4097}) {
    Options o{C > 100 ? 40 : 300, C, 1};
    crossEntropyCase<T>(o);
    o.offset = 1;
    o.smoothing = 0.2;
    crossEntropyCase<T>(o);
  }
  Options last{6, 17, 9};
  last.classLast = true;
  last.index = DType::uint8;
  crossEntropyCase<T>(last);
  Options many{9000, 10, 1};
  many.weighted = true;
  crossEntropyCase<T>(many);
}

TEST(optionsFloat32) { everyOption<float>(); }
TEST(optionsFloat64) { everyOption<double>(); }
TEST(shapesFloat32) { everyShape<float>(); }
TEST(shapesFloat64) { everyShape<double>(); }

// The mean over no target is NaN and its gradient 0; the sum is 0. Also for an empty batch.
TEST(nothingLeft) {
  for (int64_t N : {0, 3}) {
    forEachDevice([&](DeviceImpl& device) {
      Options o{N, 4, 1};
      o.ignoredEvery = 1;
      Problem<float> p(o);
      std::vector<float> loss(1), lse(3), norm(1), dlogits(12, 77.0f);
      for (int64_t reduction : {kMean, kSum}) {
        CrossEntropyArgs args{p.logitsView(),
                              p.targetView(),
                              p.weightView(),
                              viewOf<Out>(loss.data(), DType::float32, {}),
                              viewOf<Out>(lse.data(), DType::float32, {N, 1}),
                              viewOf<Out>(norm.data(), DType::float32, {}),
                              o.ignoreIndex,
                              0,
                              reduction};
        runOp(device, OpId::crossEntropy, args);
        CHECK(norm[0] == 0);
        CHECK(reduction == kMean ? std::isnan(loss[0]) : loss[0] == 0);
      }
      CrossEntropyBackwardArgs back{viewOf<In>(p.g.data(), DType::float32, {}),
                                    p.logitsView(),
                                    p.targetView(),
                                    p.weightView(),
                                    viewOf<In>(lse.data(), DType::float32, {N, 1}),
                                    viewOf<In>(norm.data(), DType::float32, {}),
                                    viewOf<Out>(dlogits.data(), DType::float32, {N, 4, 1}),
                                    o.ignoreIndex,
                                    0,
                                    kMean};
      runOp(device, OpId::crossEntropyBackward, back);
      for (int64_t k = 0; k < N * 4; ++k) CHECK(dlogits[static_cast<std::size_t>(k)] == 0);
    });
  }
}

TEST(targetOutOfRange) {
  for (int64_t bad : {int64_t{4}, int64_t{-1}, INT64_MIN, INT64_MAX}) {
    forEachDevice([&](DeviceImpl& device) {
      Options o{3, 4, 1};
      Problem<float> p(o);
      p.target[1] = bad;
      std::vector<float> loss(3), lse(3), norm(1), dlogits(12, 77.0f), g(3, 1.0f);
      CrossEntropyArgs args{p.logitsView(),
                            p.targetView(),
                            p.weightView(),
                            viewOf<Out>(loss.data(), DType::float32, {3, 1}),
                            viewOf<Out>(lse.data(), DType::float32, {3, 1}),
                            viewOf<Out>(norm.data(), DType::float32, {}),
                            o.ignoreIndex,
                            0.1,
                            kNone};
      runOp(device, OpId::crossEntropy, args);
      IndexErrorInfo info;
      CHECK(device.context().takeIndexError(info) && info.value == bad && info.bound == 4);
      CHECK(std::string(info.op) == "crossEntropy");
      CHECK(loss[0] > 0 && loss[1] == 0 && loss[2] > 0 && norm[0] == 2);
      CrossEntropyBackwardArgs back{viewOf<In>(g.data(), DType::float32, {3, 1}),
                                    p.logitsView(),
                                    p.targetView(),
                                    p.weightView(),
                                    viewOf<In>(lse.data(), DType::float32, {3, 1}),
                                    viewOf<In>(norm.data(), DType::float32, {}),
                                    viewOf<Out>(dlogits.data(), DType::float32, {3, 4, 1}),
                                    o.ignoreIndex,
                                    0.1,
                                    kNone};
      runOp(device, OpId::crossEntropyBackward, back);
      for (std::size_t k = 4; k < 8; ++k) CHECK(dlogits[k] == 0);
      CHECK(dlogits[0] != 0 && dlogits[8] != 0);
    });
  }
}

// A large common shift must not swallow the loss; infinite logits behave as in PyTorch.
TEST(extremes) {
  forEachDevice([&](DeviceImpl& device) {
    std::vector<float> x = {10000.0f, 10001.0f, INFINITY, 0.0f, -INFINITY, 0.0f, NAN, 0.0f}, loss(4), lse(4), norm(1);
    std::vector<uint8_t> target = {1, 0, 0, 0};
    CrossEntropyArgs args{viewOf<In>(x.data(), DType::float32, {4, 2, 1}),
                          viewOf<In>(target.data(), DType::uint8, {4, 1}),
                          absent<OptIn>(),
                          viewOf<Out>(loss.data(), DType::float32, {4, 1}),
                          viewOf<Out>(lse.data(), DType::float32, {4, 1}),
                          viewOf<Out>(norm.data(), DType::float32, {}),
                          -100,
                          0,
                          kNone};
    runOp(device, OpId::crossEntropy, args);
    CHECK_NEAR(loss[0], std::log1p(std::exp(-1.0)), 4 * kEps<float>);
    CHECK(std::isnan(loss[1]) && std::isinf(loss[2]) && loss[2] > 0 && std::isnan(loss[3]));
  });
}

template <class T>
void mseCase(int64_t count, int64_t reduction, int64_t offset) {
  Note note("mse " + std::to_string(count) + " reduction " + std::to_string(reduction));
  std::vector<T> x = values<T>(count + offset, 1), y = values<T>(count + offset, 2);
  std::vector<T> g = values<T>(reduction == kNone ? count : 1, 3, 0.5, 1.5);
  const std::vector<int64_t> shape = reduction == kNone ? std::vector<int64_t>{count} : std::vector<int64_t>{};
  ThreadWatch<T> watchLoss, watchGradient;
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> loss(reduction == kNone ? static_cast<std::size_t>(count) : 1), dx(x.size(), T(77));
    MseArgs args{viewOf<In>(x.data() + offset, kDType<T>, {count}), viewOf<In>(y.data() + offset, kDType<T>, {count}),
                 viewOf<Out>(loss.data(), kDType<T>, shape), reduction};
    runOp(device, OpId::mse, args);
    MseBackwardArgs back{viewOf<In>(g.data(), kDType<T>, shape), viewOf<In>(x.data() + offset, kDType<T>, {count}),
                         viewOf<In>(y.data() + offset, kDType<T>, {count}),
                         viewOf<Out>(dx.data() + offset, kDType<T>, {count}), reduction};
    runOp(device, OpId::mseBackward, back);
    long double total = 0;
    for (int64_t i = 0; i < count; ++i) {
      const std::size_t k = static_cast<std::size_t>(i), from = static_cast<std::size_t>(i + offset);
      const long double d = static_cast<long double>(x[from]) - y[from];
      total += d * d;
      if (reduction == kNone) CHECK_NEAR(loss[k], static_cast<double>(d * d), 4 * kEps<T> * static_cast<double>(d * d));
      const long double want = 2 * d * g[reduction == kNone ? k : 0] / (reduction == kMean ? count : 1);
      CHECK_NEAR(dx[from], static_cast<double>(want), 4 * kEps<T> * std::fabs(static_cast<double>(want)));
    }
    if (reduction != kNone) {
      const double want = static_cast<double>(reduction == kMean ? total / count : total);
      CHECK_NEAR(loss[0], want, 4 * kEps<T> * std::log2(static_cast<double>(count) + 2) * want);
    }
    CHECK(untouchedOutside(dx, offset, count + offset, T(77)));
    watchLoss.check(device, loss);
    watchGradient.check(device, dx);
  });
}

TEST(meanSquaredError) {
  for (int64_t reduction : {kNone, kMean, kSum}) {
    for (int64_t count : {0, 1, 31, 33, 4097, 40000}) {
      mseCase<float>(count, reduction, count % 2);
      mseCase<double>(count, reduction, count % 2);
    }
  }
}

}  // namespace
}  // namespace warploom::test
