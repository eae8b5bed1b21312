// Layer norm and its gradients against plain long double loops.
#include <cmath>

#include "check.h"
#include "values.h"

namespace warploom::test {
namespace {

constexpr double kEpsilon = 1e-5;

template <class T>
struct Problem {
  int64_t R, C;
  std::vector<T> x, g, weight, bias;
  std::vector<long double> mean, rstd;

  Problem(int64_t R, int64_t C, double shift)
      : R(R),
        C(C),
        x(values<T>(R * C, 1, shift - 2, shift + 2)),
        g(values<T>(R * C, 2)),
        weight(values<T>(C, 3, 0.5, 2)),
        bias(values<T>(C, 4)) {
    for (int64_t r = 0; r < R; ++r) {
      long double sum = 0, squares = 0;
      for (int64_t c = 0; c < C; ++c) sum += at(r, c);
      const long double m = sum / static_cast<long double>(C);
      for (int64_t c = 0; c < C; ++c) squares += (at(r, c) - m) * (at(r, c) - m);
      mean.push_back(m);
      rstd.push_back(1 / std::sqrt(squares / static_cast<long double>(C) + kEpsilon));
    }
  }
  long double at(int64_t r, int64_t c) const { return x[static_cast<std::size_t>(r * C + c)]; }
  long double gradient(int64_t r, int64_t c) const { return g[static_cast<std::size_t>(r * C + c)]; }
  long double normal(int64_t r, int64_t c) const {
    return (at(r, c) - mean[static_cast<std::size_t>(r)]) * rstd[static_cast<std::size_t>(r)];
  }
};

template <class Role>
Role optional(bool present, void* data, DType dtype, const std::vector<int64_t>& sizes) {
  return present ? viewOf<Role>(data, dtype, sizes) : absent<Role>();
}

template <class T>
void forwardCase(int64_t R, int64_t C, bool affine, double shift = 0) {
  Note note("layerNorm " + std::to_string(R) + "x" + std::to_string(C) + (sizeof(T) == 4 ? " float32" : " float64"));
  Problem<T> p(R, C, shift);
  ThreadWatch<T> watch;
  // What a shift far from 0 takes from x - mean before any arithmetic of ours is lost already.
  const double tolerance = (16 + 8 * std::fabs(shift)) * kEps<T>;
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> y(p.x.size()), mean(static_cast<std::size_t>(R)), rstd(static_cast<std::size_t>(R));
    LayerNormArgs args{viewOf<In>(p.x.data(), kDType<T>, {R, C}),
                       optional<OptIn>(affine, p.weight.data(), kDType<T>, {C}),
                       optional<OptIn>(affine, p.bias.data(), kDType<T>, {C}),
                       viewOf<Out>(y.data(), kDType<T>, {R, C}),
                       viewOf<Out>(mean.data(), kDType<T>, {R}),
                       viewOf<Out>(rstd.data(), kDType<T>, {R}),
                       kEpsilon};
    runOp(device, OpId::layerNorm, args);
    for (int64_t r = 0; r < R; ++r) {
      const std::size_t row = static_cast<std::size_t>(r);
      CHECK_NEAR(mean[row], static_cast<double>(p.mean[row]), tolerance);
      CHECK_NEAR(rstd[row], static_cast<double>(p.rstd[row]), tolerance * static_cast<double>(p.rstd[row]));
      for (int64_t c = 0; c < C; ++c) {
        const long double w = affine ? p.weight[static_cast<std::size_t>(c)] : 1;
        const long double b = affine ? p.bias[static_cast<std::size_t>(c)] : 0;
        const double want = static_cast<double>(p.normal(r, c) * w + b);
        CHECK_NEAR(y[static_cast<std::size_t>(r * C + c)], want,
                   4 * tolerance * static_cast<double>(std::fmax(1, p.rstd[row])));
      }
    }
    watch.check(device, y);
  });
}

template <class T>
void backwardCase(int64_t R, int64_t C, bool affine, bool wantX, bool wantWeight, bool wantBias) {
  Note note("layerNormBackward " + std::to_string(R) + "x" + std::to_string(C) +
            (sizeof(T) == 4 ? " float32" : " float64"));
  Problem<T> p(R, C, 0);
  std::vector<T> mean(p.mean.begin(), p.mean.end()), rstd(p.rstd.begin(), p.rstd.end());
  ThreadWatch<T> watchX, watchWeight, watchBias;
  forEachDevice([&](DeviceImpl& device) {
    const T guard = T(77);
    std::vector<T> dx(p.x.size(), guard), dweight(static_cast<std::size_t>(C), guard), dbias(dweight);
    LayerNormBackwardArgs args{viewOf<In>(p.g.data(), kDType<T>, {R, C}),
                               viewOf<In>(p.x.data(), kDType<T>, {R, C}),
                               viewOf<In>(mean.data(), kDType<T>, {R}),
                               viewOf<In>(rstd.data(), kDType<T>, {R}),
                               optional<OptIn>(affine, p.weight.data(), kDType<T>, {C}),
                               optional<OptOut>(wantX, dx.data(), kDType<T>, {R, C}),
                               optional<OptOut>(wantWeight, dweight.data(), kDType<T>, {C}),
                               optional<OptOut>(wantBias, dbias.data(), kDType<T>, {C})};
    runOp(device, OpId::layerNormBackward, args);
    for (int64_t r = 0; wantX && r < R; ++r) {
      long double h = 0, hn = 0;
      const auto weighted = [&](int64_t c) {
        return p.gradient(r, c) * (affine ? p.weight[static_cast<std::size_t>(c)] : T(1));
      };
      for (int64_t c = 0; c < C; ++c) {
        h += weighted(c);
        hn += weighted(c) * p.normal(r, c);
      }
      const long double scale = p.rstd[static_cast<std::size_t>(r)], count = static_cast<long double>(C);
      for (int64_t c = 0; c < C; ++c) {
        const long double want = scale * (weighted(c) - h / count - p.normal(r, c) * hn / count);
        CHECK_NEAR(dx[static_cast<std::size_t>(r * C + c)], static_cast<double>(want),
                   64 * kEps<T> * static_cast<double>(std::fmax(1, scale)));
      }
    }
    for (int64_t c = 0; c < C; ++c) {
      long double w = 0, b = 0, magnitude = 0;
      for (int64_t r = 0; r < R; ++r) {
        w += p.gradient(r, c) * p.normal(r, c);
        b += p.gradient(r, c);
        magnitude += std::fabs(p.gradient(r, c)) * (1 + std::fabs(p.normal(r, c)));
      }
      const double bound = 4 * kEps<T> * (std::log2(static_cast<double>(R) + 2) + 2) * static_cast<double>(magnitude);
      const std::size_t column = static_cast<std::size_t>(c);
      if (wantWeight) CHECK_NEAR(dweight[column], static_cast<double>(w), bound);
      if (wantBias) CHECK_NEAR(dbias[column], static_cast<double>(b), bound);
    }
    CHECK(wantX || untouchedOutside(dx, 0, 0, guard));
    CHECK(wantWeight || untouchedOutside(dweight, 0, 0, guard));
    CHECK(wantBias || untouchedOutside(dbias, 0, 0, guard));
    watchX.check(device, dx);
    watchWeight.check(device, dweight);
    watchBias.check(device, dbias);
  });
}

template <class T>
void everyShape() {
  for (int64_t C : {1, 15, 16, 17, 31, 33, 64, 128, 129, 4097}) {
    forwardCase<T>(C > 1000 ? 7 : 19, C, true);
    forwardCase<T>(C > 1000 ? 7 : 19, C, false);
    backwardCase<T>(C > 1000 ? 7 : 19, C, true, true, true, true);
  }
  forwardCase<T>(3, 500, true, 100);  // a variance from squares alone would be gone
  forwardCase<T>(0, 8, true);
  backwardCase<T>(0, 8, true, true, true, true);
  backwardCase<T>(700, 70, true, true, true, true);   // several partials, the last a part
  backwardCase<T>(21, 4097, true, true, true, true);  // long rows: whole tiles and a rest
  backwardCase<T>(11, 4200, false, true, false, false);
  backwardCase<T>(11, 4200, true, false, true, true);
  backwardCase<T>(40, 33, false, true, false, false);
  backwardCase<T>(40, 33, true, false, true, false);
  backwardCase<T>(40, 33, true, false, false, true);
}

TEST(float32) { everyShape<float>(); }
TEST(float64) { everyShape<double>(); }

void nanStaysInItsRow(int64_t C) {
  forEachDevice([&](DeviceImpl& device) {
    const int64_t R = 11;
    std::vector<float> x = values<float>(R * C, 1), y(x.size()), mean(R), rstd(R);
    x[static_cast<std::size_t>(C + 5)] = NAN;
    LayerNormArgs args{viewOf<In>(x.data(), DType::float32, {R, C}),
                       absent<OptIn>(),
                       absent<OptIn>(),
                       viewOf<Out>(y.data(), DType::float32, {R, C}),
                       viewOf<Out>(mean.data(), DType::float32, {R}),
                       viewOf<Out>(rstd.data(), DType::float32, {R}),
                       kEpsilon};
    runOp(device, OpId::layerNorm, args);
    const auto onlyRow1 = [&](const std::vector<float>& values) {
      bool right = true;
      for (int64_t i = 0; i < R * C; ++i)
        right = right && std::isnan(values[static_cast<std::size_t>(i)]) == (i / C == 1);
      return right;
    };
    CHECK(onlyRow1(y));
    std::vector<float> g = values<float>(R * C, 2), dx(x.size());
    LayerNormBackwardArgs back{viewOf<In>(g.data(), DType::float32, {R, C}),
                               viewOf<In>(x.data(), DType::float32, {R, C}),
                               viewOf<In>(mean.data(), DType::float32, {R}),
                               viewOf<In>(rstd.data(), DType::float32, {R}),
                               absent<OptIn>(),
                               viewOf<OptOut>(dx.data(), DType::float32, {R, C}),
                               absent<OptOut>(),
                               absent<OptOut>()};
    runOp(device, OpId::layerNormBackward, back);
    CHECK(onlyRow1(dx));
    // A row alone has the bits that it has among others.
    for (int64_t r = 0; r < R; ++r) {
      const auto at = static_cast<std::size_t>(r * C);
      std::vector<float> alone(static_cast<std::size_t>(C));
      LayerNormBackwardArgs one{viewOf<In>(&g[at], DType::float32, {1, C}),
                                viewOf<In>(&x[at], DType::float32, {1, C}),
                                viewOf<In>(&mean[static_cast<std::size_t>(r)], DType::float32, {1}),
                                viewOf<In>(&rstd[static_cast<std::size_t>(r)], DType::float32, {1}),
                                absent<OptIn>(),
                                viewOf<OptOut>(alone.data(), DType::float32, {1, C}),
                                absent<OptOut>(),
                                absent<OptOut>()};
      runOp(device, OpId::layerNormBackward, one);
      if (r != 1) CHECK(std::memcmp(alone.data(), &dx[at], alone.size() * sizeof(float)) == 0);
    }
  });
}

TEST(nanStaysInItsRow) {
  for (int64_t C : {20, 300, 5000}) nanStaysInItsRow(C);
}

}  // namespace
}  // namespace warploom::test
