// Optimizer updates against PyTorch's single-tensor loops written out in long double, several steps in a row.
#include <cmath>

#include "check.h"
#include "values.h"

namespace warploom::test {
namespace {

// Three steps on one group whose parameters are separate buffers and whose buckets leave gaps between them.
constexpr int kSteps = 3;

struct Options {
  double rate = 0.05;
  double momentum = 0, dampening = 0;            // sgd
  double beta1 = 0.9, beta2 = 0.99, eps = 1e-8;  // adam
  double weightDecay = 0;
  bool nesterov = false, maximize = false, decoupled = false;
  double factor = 1;
  bool hasFactor = false;

  std::string text() const {
    return "momentum " + std::to_string(momentum) + " dampening " + std::to_string(dampening) + " decay " +
           std::to_string(weightDecay) + (nesterov ? " nesterov" : "") + (maximize ? " maximize" : "") +
           (decoupled ? " decoupled" : "") + (hasFactor ? " factor" : "");
  }
};

template <class T>
struct Group {
  std::vector<std::vector<T>> params;
  std::vector<int64_t> offsets;
  int64_t bucket = 0;
  Segments segments{};

  explicit Group(const std::vector<int64_t>& counts) {
    segments.dtype = kDType<T>;
    for (int64_t count : counts) {
      offsets.push_back(bucket);
      params.push_back(values<T>(count, 100 + params.size()));
      bucket += (count + 15) / 16 * 16 + 3;
    }
  }
  Segments& bind() {
    segments.count = static_cast<int32_t>(params.size());
    for (std::size_t s = 0; s < params.size(); ++s) {
      segments.items[s] = {params[s].data(), offsets[s], static_cast<int64_t>(params[s].size())};
    }
    return segments;
  }
  std::vector<T> flat() const {
    std::vector<T> all;
    for (const std::vector<T>& param : params) all.insert(all.end(), param.begin(), param.end());
    return all;
  }
};

// One element through kSteps of PyTorch's loop.
struct Element {
  long double p, buf = 0, m = 0, v = 0;
};

void sgdReference(Element& e, long double gradient, const Options& o, int step) {
  long double d = (o.maximize ? -gradient : gradient) * static_cast<long double>(static_cast<float>(o.factor));
  d += o.weightDecay * e.p;
  if (o.momentum != 0) {
    e.buf = step == 1 ? d : o.momentum * e.buf + (1 - o.dampening) * d;
    d = o.nesterov ? d + o.momentum * e.buf : e.buf;
  }
  e.p -= o.rate * d;
}

void adamReference(Element& e, long double gradient, const Options& o, int step) {
  long double g = (o.maximize ? -gradient : gradient) * static_cast<long double>(static_cast<float>(o.factor));
  if (o.decoupled) {
    e.p *= 1 - o.rate * o.weightDecay;
  } else {
    g += o.weightDecay * e.p;
  }
  e.m = o.beta1 * e.m + (1 - o.beta1) * g;
  e.v = o.beta2 * e.v + (1 - o.beta2) * g * g;
  const long double correction1 = 1 - std::pow(static_cast<long double>(o.beta1), step);
  const long double correction2 = 1 - std::pow(static_cast<long double>(o.beta2), step);
  e.p -= o.rate / correction1 * e.m / (std::sqrt(e.v) / std::sqrt(correction2) + o.eps);
}

template <class T>
void updateCase(bool adam, const Options& o, const std::vector<int64_t>& counts) {
  Note note((adam ? "adam " : "sgd ") + o.text() + (sizeof(T) == 4 ? " float32" : " float64"));
  const Group<T> initial(counts);
  std::vector<std::vector<T>> grads;
  for (int step = 0; step < kSteps; ++step)
    grads.push_back(values<T>(initial.bucket, 50 + static_cast<uint64_t>(step)));

  std::vector<double> want;
  for (std::size_t s = 0; s < counts.size(); ++s) {
    for (std::size_t i = 0; i < initial.params[s].size(); ++i) {
      Element e{initial.params[s][i]};
      for (int step = 1; step <= kSteps; ++step) {
        const long double g =
            grads[static_cast<std::size_t>(step - 1)][static_cast<std::size_t>(initial.offsets[s]) + i];
        adam ? adamReference(e, g, o, step) : sgdReference(e, g, o, step);
      }
      want.push_back(static_cast<double>(e.p));
    }
  }

  ThreadWatch<T> watch;
  forEachDevice([&](DeviceImpl& device) {
    Group<T> group = initial;
    const std::size_t size = static_cast<std::size_t>(group.bucket);
    // The momentum of step 1 must not be read: NaN would show it.
    std::vector<T> buf(size, static_cast<T>(NAN)), m(size, T(0)), v(size, T(0));
    std::vector<double> state = {o.rate, 0, 1, 1};
    float factor = static_cast<float>(o.factor);
    const OptIn factorView = o.hasFactor ? viewOf<OptIn>(&factor, DType::float32, {}) : absent<OptIn>();
    for (int step = 0; step < kSteps; ++step) {
      OptimAdvanceArgs advance{viewOf<InOut>(state.data(), DType::float64, {4}), o.beta1, o.beta2};
      runOp(device, OpId::optimAdvance, advance);
      const In stateView = viewOf<In>(state.data(), DType::float64, {4});
      const In gradsView = viewOf<In>(grads[static_cast<std::size_t>(step)].data(), kDType<T>, {group.bucket});
      if (adam) {
        AdamArgs args{group.bind(),
                      gradsView,
                      viewOf<InOut>(m.data(), kDType<T>, {group.bucket}),
                      viewOf<InOut>(v.data(), kDType<T>, {group.bucket}),
                      stateView,
                      factorView,
                      o.beta1,
                      o.beta2,
                      o.eps,
                      o.weightDecay,
                      o.decoupled,
                      o.maximize};
        runOp(device, OpId::adam, args);
      } else {
        SgdArgs args{group.bind(),
                     gradsView,
                     o.momentum != 0 ? viewOf<OptInOut>(buf.data(), kDType<T>, {group.bucket}) : absent<OptInOut>(),
                     stateView,
                     factorView,
                     o.momentum,
                     o.dampening,
                     o.weightDecay,
                     o.nesterov,
                     o.maximize};
        runOp(device, OpId::sgd, args);
      }
    }
    CHECK(state[0] == o.rate && state[1] == kSteps);
    CHECK_NEAR(state[3], std::pow(o.beta2, kSteps), 1e-15);
    const std::vector<T> got = group.flat();
    CHECK(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i)
      CHECK_NEAR(got[i], want[i], 64 * kEps<T> * (0.1 + std::fabs(want[i])));
    // The gaps between the buckets' ranges belong to nobody.
    for (std::size_t s = 0; adam && s < counts.size(); ++s) {
      const std::size_t gap = static_cast<std::size_t>(group.offsets[s] + counts[s]);
      for (std::size_t i = gap; i < gap + 3; ++i) CHECK(m[i] == 0 && v[i] == 0);
    }
    watch.check(device, got);
  });
}

template <class T>
void everyOption() {
  // Segments that begin and end inside chunks, an empty one, and one over several chunks.
  const std::vector<int64_t> mixed = {1, 31, 0, 33, 4097}, large = {10, 40000, 7};
  for (bool maximize : {false, true}) {
    for (double decay : {0.0, 0.1}) {
      for (bool factor : {false, true}) {
        Options o;
        o.maximize = maximize;
        o.weightDecay = decay;
        o.hasFactor = factor;
        o.factor = factor ? 0.3 : 1;
        updateCase<T>(false, o, mixed);
        o.momentum = 0.9;
        updateCase<T>(false, o, mixed);
        o.dampening = 0.5;
        updateCase<T>(false, o, mixed);
        o.dampening = 0;
        o.nesterov = true;
        updateCase<T>(false, o, mixed);
        o.eps = 1e-3;  // gradients of weight decay alone may cancel to nearly 0, where Adam divides by what is left
        updateCase<T>(true, o, mixed);
        o.decoupled = true;
        updateCase<T>(true, o, mixed);
      }
    }
  }
  Options plain;
  plain.momentum = 0.9;
  plain.eps = 1e-3;
  updateCase<T>(false, plain, large);
  updateCase<T>(true, plain, large);
  updateCase<T>(false, plain, {});
}

TEST(float32) { everyOption<float>(); }
TEST(float64) { everyOption<double>(); }

// Each element is updated as if alone: where a segment lies in its group or a chunk does not show in its bits.
TEST(positionDoesNotMatter) {
  Options o;
  forEachDevice([&](DeviceImpl& device) {
    std::vector<double> state = {o.rate, 1, o.beta1, o.beta2};
    std::vector<float> g = values<float>(200, 7), m(200), v(200);
    const std::vector<float> start = values<float>(100, 8);
    std::vector<float> a = start, b = start;
    Segments segments{};
    segments.dtype = DType::float32;
    segments.count = 3;
    segments.items[0] = {a.data(), 0, 100};
    segments.items[1] = {b.data(), 100, 37};
    segments.items[2] = {b.data() + 37, 137, 63};
    for (std::size_t i = 0; i < 100; ++i) g[100 + i] = g[i];
    AdamArgs args{segments,
                  viewOf<In>(g.data(), DType::float32, {200}),
                  viewOf<InOut>(m.data(), DType::float32, {200}),
                  viewOf<InOut>(v.data(), DType::float32, {200}),
                  viewOf<In>(state.data(), DType::float64, {4}),
                  absent<OptIn>(),
                  o.beta1,
                  o.beta2,
                  o.eps,
                  0,
                  0,
                  0};
    runOp(device, OpId::adam, args);
    CHECK(sameBits(a, b));
  });
}

template <class T>
void sumCase(int64_t count, bool previous) {
  Note note("sumSquares " + std::to_string(count));
  std::vector<T> x = values<T>(count + 1, 1);
  long double want = previous ? 2.5L : 0;
  for (int64_t i = 1; i <= count; ++i)
    want += static_cast<long double>(x[static_cast<std::size_t>(i)]) * x[static_cast<std::size_t>(i)];
  ThreadWatch<double> watch;
  forEachDevice([&](DeviceImpl& device) {
    std::vector<double> total(1, NAN);
    double before = 2.5;
    SumSquaresArgs args{viewOf<In>(x.data() + 1, kDType<T>, {count}),
                        previous ? viewOf<OptIn>(&before, DType::float64, {}) : absent<OptIn>(),
                        viewOf<Out>(total.data(), DType::float64, {})};
    runOp(device, OpId::sumSquares, args);
    CHECK_NEAR(total[0], static_cast<double>(want), 8 * kEps<double> * static_cast<double>(want));
    watch.check(device, total);
  });
}

TEST(sumSquares) {
  for (int64_t count : {0, 1, 31, 33, 4097, 100000}) {
    sumCase<float>(count, false);
    sumCase<float>(count, true);
    sumCase<double>(count, count % 2 == 0);
  }
}

TEST(a_range_outside_a_bucket_fails_the_job_and_writes_nothing) {
  forEachDevice([&](DeviceImpl& device) {
    std::vector<float> param(8, 1.0f), grads(8, 1.0f), m(8, 0.0f), v(8, 0.0f);
    std::vector<double> state = {0.1, 1, 0.9, 0.999};
    Segments params{};
    params.dtype = DType::float32;
    params.count = 1;
    params.items[0] = {param.data(), 4, 8};
    AdamArgs args{params,
                  viewOf<In>(grads.data(), DType::float32, {8}),
                  viewOf<InOut>(m.data(), DType::float32, {8}),
                  viewOf<InOut>(v.data(), DType::float32, {8}),
                  viewOf<In>(state.data(), DType::float64, {4}),
                  absent<OptIn>(),
                  0.9,
                  0.999,
                  1e-8,
                  0,
                  0,
                  0};
    device.op(static_cast<int>(OpId::adam))->run(&args, device.context());
    std::string message;
    CHECK(device.context().takeFailure(message) && message.find("outside a bucket") != std::string::npos);
    CHECK(param == std::vector<float>(8, 1.0f));
  });
}

TEST(clipFactor) {
  forEachDevice([&](DeviceImpl& device) {
    const auto clip = [&](double total, double maxNorm, float& norm) {
      float factor = -1;
      ClipFactorArgs args{viewOf<In>(&total, DType::float64, {}), viewOf<Out>(&norm, DType::float32, {}),
                          viewOf<Out>(&factor, DType::float32, {}), maxNorm};
      runOp(device, OpId::clipFactor, args);
      return factor;
    };
    float norm = 0;
    CHECK_NEAR(clip(16, 1, norm), 1 / (4 + 1e-6), 1e-7);
    CHECK(norm == 4);
    CHECK(clip(0.25, 1, norm) == 1 && norm == 0.5f);
    CHECK(clip(0, 1, norm) == 1 && norm == 0);
    CHECK(clip(INFINITY, 1, norm) == 0 && std::isinf(norm));
    CHECK(std::isnan(clip(NAN, 1, norm)) && std::isnan(norm));
  });
}

}  // namespace
}  // namespace warploom::test
