// Softmax, log-softmax and their gradients against plain double loops.
#include <cmath>

#include "check.h"
#include "values.h"

namespace warploom::test {
namespace {

// How a case lays (outer, n, inner) out: strides of the three dims in elements of a buffer, and the first element.
struct Layout {
  int64_t outer, n, inner;
  int64_t strides[3];
  int64_t offset;
  int64_t at(int64_t o, int64_t k, int64_t i) const {
    return offset + o * strides[0] + k * strides[1] + i * strides[2];
  }
  int64_t extent() const {
    if (outer == 0 || n == 0 || inner == 0) return offset;
    return at(outer - 1, n - 1, inner - 1) + 1;
  }
  View view(void* data, DType dtype) const {
    return stridedView(static_cast<char*>(data) + offset * itemSize(dtype), dtype, {outer, n, inner},
                       {strides[0], strides[1], strides[2]});
  }
};

Layout dense(int64_t outer, int64_t n, int64_t inner, int64_t offset = 0) {
  return {outer, n, inner, {n * inner, inner, 1}, offset};
}

template <class Role>
Role as(const View& view) {
  Role role{};
  static_cast<View&>(role) = view;
  return role;
}

// The row (o, i) in double.
template <class T>
std::vector<double> rowOf(const std::vector<T>& data, const Layout& layout, int64_t o, int64_t i) {
  std::vector<double> row;
  for (int64_t k = 0; k < layout.n; ++k)
    row.push_back(static_cast<double>(data[static_cast<std::size_t>(layout.at(o, k, i))]));
  return row;
}

void referenceForward(std::vector<double>& row, bool log) {
  long double greatest = -INFINITY, sum = 0;  // wider than what is tested
  for (double x : row) greatest = std::fmax(greatest, static_cast<long double>(x));
  for (double x : row) sum += std::exp(x - greatest);
  for (double& x : row) x = static_cast<double>(log ? x - greatest - std::log(sum) : std::exp(x - greatest) / sum);
}

template <class T>
void forwardCase(const Layout& in, const Layout& out, bool log) {
  Note note(std::string(log ? "logSoftmax " : "softmax ") + (sizeof(T) == 4 ? "float32 " : "float64 ") +
            std::to_string(in.outer) + "x" + std::to_string(in.n) + "x" + std::to_string(in.inner));
  std::vector<T> x = values<T>(in.extent() + 3, 11, -6, 6);
  const T guard = T(77);
  std::vector<std::vector<double>> wanted;
  for (int64_t r = 0; r < in.outer * in.inner; ++r) {
    wanted.push_back(rowOf(x, in, r / in.inner, r % in.inner));
    referenceForward(wanted.back(), log);
  }
  ThreadWatch<T> watch;
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> y(static_cast<std::size_t>(out.extent() + 3), guard);
    SoftmaxArgs args{as<In>(in.view(x.data(), kDType<T>)), as<Out>(out.view(y.data(), kDType<T>))};
    runOp(device, log ? OpId::logSoftmax : OpId::softmax, args);
    for (int64_t o = 0; o < in.outer; ++o) {
      for (int64_t i = 0; i < in.inner; ++i) {
        const std::vector<double>& want = wanted[static_cast<std::size_t>(o * in.inner + i)];
        const std::vector<double> got = rowOf(y, out, o, i);
        for (std::size_t k = 0; k < want.size(); ++k) {
          // The exponential's own error, the sum's, and that of its argument x - max <= 12.
          CHECK_NEAR(got[k], want[k], (log ? 8 : 16) * kEps<T> * std::fabs(want[k]) + (log ? 8 * kEps<T> : 0));
        }
      }
    }
    CHECK(untouchedOutside(y, out.offset, out.extent(), guard));
    watch.check(device, y);
  });
}

template <class T>
void backwardCase(const Layout& layout, bool log) {
  Note note(std::string(log ? "logSoftmax" : "softmax") + "Backward " + (sizeof(T) == 4 ? "float32 " : "float64 ") +
            std::to_string(layout.outer) + "x" + std::to_string(layout.n) + "x" + std::to_string(layout.inner));
  std::vector<T> g = values<T>(layout.extent(), 5);
  std::vector<T> y = values<T>(layout.extent(), 6, -3, 3);
  for (int64_t o = 0; o < layout.outer; ++o) {
    for (int64_t i = 0; i < layout.inner; ++i) {
      std::vector<double> row = rowOf(y, layout, o, i);
      referenceForward(row, log);
      for (int64_t k = 0; k < layout.n; ++k) {
        y[static_cast<std::size_t>(layout.at(o, k, i))] = static_cast<T>(row[static_cast<std::size_t>(k)]);
      }
    }
  }
  ThreadWatch<T> watch;
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> dx(static_cast<std::size_t>(layout.extent()), T(77));
    SoftmaxBackwardArgs args{as<In>(layout.view(g.data(), kDType<T>)), as<In>(layout.view(y.data(), kDType<T>)),
                             as<Out>(layout.view(dx.data(), kDType<T>))};
    runOp(device, log ? OpId::logSoftmaxBackward : OpId::softmaxBackward, args);
    for (int64_t o = 0; o < layout.outer; ++o) {
      for (int64_t i = 0; i < layout.inner; ++i) {
        const std::vector<double> gs = rowOf(g, layout, o, i), ys = rowOf(y, layout, o, i),
                                  got = rowOf(dx, layout, o, i);
        long double sum = 0;
        double magnitude = 0;
        for (std::size_t k = 0; k < gs.size(); ++k) {
          sum += log ? gs[k] : gs[k] * ys[k];
          magnitude += std::fabs(log ? gs[k] : gs[k] * ys[k]);
        }
        for (std::size_t k = 0; k < gs.size(); ++k) {
          const double factor = log ? std::exp(ys[k]) : ys[k];
          const double want = static_cast<double>(log ? gs[k] - factor * sum : factor * (gs[k] - sum));
          const double scale = std::fabs(gs[k]) * (log ? 1 : factor) + factor * magnitude;
          CHECK_NEAR(got[k], want, 16 * kEps<T> * scale);
        }
      }
    }
    watch.check(device, dx);
  });
}

template <class T>
void everyShape() {
  for (bool log : {false, true}) {
    for (int64_t n : {0, 1, 2, 8, 15, 16, 17, 31, 33, 64, 128, 129, 2049, 4097})
      forwardCase<T>(dense(n > 100 ? 9 : 41, n, 1), dense(n > 100 ? 9 : 41, n, 1), log);
    forwardCase<T>(dense(0, 5, 1), dense(0, 5, 1), log);
    forwardCase<T>(dense(3, 5, 0), dense(3, 5, 0), log);
    forwardCase<T>(dense(3, 33, 1, 1), dense(3, 33, 1, 1), log);  // one element past alignment
    forwardCase<T>(dense(2, 31, 33), dense(2, 31, 33), log);      // columns with a tail
    forwardCase<T>(dense(1, 130, 331), dense(1, 130, 331), log);  // strips of every width, blocks
    forwardCase<T>(dense(1, 4097, 18), dense(1, 4097, 18), log);  // as many blocks as there are
    backwardCase<T>(dense(1, 37, 331), log);
    forwardCase<T>(dense(70, 300, 2, 1), dense(70, 300, 2), log);                   // more strips than one chunk
    forwardCase<T>({5, 7, 1, {1, 5, 1}, 2}, dense(5, 7, 1), log);                   // transposed
    forwardCase<T>({2, 19, 6, {114, 1, 19}, 0}, {2, 19, 6, {240, 2, 40}, 1}, log);  // gathered rows, strided output
    forwardCase<T>({4, 9, 3, {0, 3, 1}, 0}, dense(4, 9, 3), log);                   // expanded
    for (int64_t n : {1, 15, 16, 17, 31, 33, 128, 129, 4097}) backwardCase<T>(dense(n > 100 ? 9 : 41, n, 1), log);
    backwardCase<T>(dense(2, 31, 33), log);
    backwardCase<T>({2, 19, 6, {114, 1, 19}, 3}, log);
    backwardCase<T>({2, 19, 6, {240, 2, 40}, 1}, log);
    backwardCase<T>(dense(3, 0, 4), log);
  }
}

TEST(float32) { everyShape<float>(); }
TEST(float64) { everyShape<double>(); }

// As PyTorch: a row of -infinity or with a NaN or with +infinity is NaN throughout, others are not touched by it.
template <class T>
void notNumbers(int64_t n, int64_t inner) {
  Note note("n " + std::to_string(n) + ", inner " + std::to_string(inner));
  const T infinity = static_cast<T>(INFINITY), nan = static_cast<T>(NAN);
  forEachDevice([&](DeviceImpl& device) {
    for (OpId op : {OpId::softmax, OpId::logSoftmax}) {
      std::vector<T> x = values<T>(5 * n * inner, 3), y(x.size());
      const auto at = [&](int64_t o, int64_t k) { return static_cast<std::size_t>((o * n + k) * inner); };
      for (int64_t k = 0; k < n; ++k) x[at(1, k)] = -infinity;
      x[at(2, n - 1)] = nan;
      x[at(3, 4)] = infinity;
      for (int64_t k = 1; k < n; ++k) x[at(4, k)] = -infinity;
      SoftmaxArgs args{viewOf<In>(x.data(), kDType<T>, {5, n, inner}), viewOf<Out>(y.data(), kDType<T>, {5, n, inner})};
      runOp(device, op, args);
      for (int64_t k = 0; k < n; ++k) {
        CHECK(std::isfinite(y[at(0, k)]));
        for (int64_t o : {1, 2, 3}) CHECK(std::isnan(y[at(o, k)]));
        if (inner > 1) CHECK(std::isfinite(y[at(1, k) + 1]) && std::isfinite(y[at(2, k) + 1]));
      }
      CHECK(y[at(4, 0)] == (op == OpId::softmax ? 1 : 0));
      CHECK(y[at(4, 9)] == (op == OpId::softmax ? T(0) : -infinity));
    }
  });
}

TEST(notNumbers) {
  for (int64_t n : {37, 130, 5000}) {
    notNumbers<float>(n, 1);
    notNumbers<float>(n, 3);
    notNumbers<double>(n, 1);
    notNumbers<double>(n, 3);
  }
}

// Rows of several blocks whose greatest element stands in the last, in the first, or behind a block of -infinity; the
// longest have more elements than blocks of the usual size can hold.
template <class T>
void greatestAnywhere(int64_t n, bool log) {
  const T infinity = static_cast<T>(INFINITY);
  Note note(std::to_string(n) + (log ? " log" : ""));
  std::vector<T> x = values<T>(3 * n, 21, -2, 2);
  const auto at = [&](int64_t o, int64_t k) { return static_cast<std::size_t>(o * n + k); };
  x[at(0, n - 1)] = T(30);
  x[at(1, 0)] = T(30);
  for (int64_t k = 0; k < n - 2; ++k) x[at(2, k)] = -infinity;
  std::vector<std::vector<double>> wanted;
  for (int64_t o = 0; o < 3; ++o) {
    wanted.push_back(rowOf(x, dense(3, n, 1), o, 0));
    referenceForward(wanted.back(), log);
  }
  ThreadWatch<T> watch;
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> y(x.size());
    SoftmaxArgs args{viewOf<In>(x.data(), kDType<T>, {3, n, 1}), viewOf<Out>(y.data(), kDType<T>, {3, n, 1})};
    runOp(device, log ? OpId::logSoftmax : OpId::softmax, args);
    for (int64_t o = 0; o < 3; ++o) {
      for (int64_t k = 0; k < n; ++k) {
        const double goal = wanted[static_cast<std::size_t>(o)][static_cast<std::size_t>(k)];
        CHECK_NEAR(y[at(o, k)], goal, (log ? 8 : 16) * kEps<T> * std::fabs(goal) + (log ? 8 * kEps<T> : 0));
      }
    }
    std::vector<T> inPlace = x;
    SoftmaxArgs same{viewOf<In>(inPlace.data(), kDType<T>, {3, n, 1}),
                     viewOf<Out>(inPlace.data(), kDType<T>, {3, n, 1})};
    runOp(device, log ? OpId::logSoftmax : OpId::softmax, same);
    CHECK(sameBits(y, inPlace));
    watch.check(device, y);
  });
}

TEST(greatestAnywhere) {
  for (bool log : {false, true}) {
    for (int64_t n : {16, 100, 2049, 4097, 600001}) greatestAnywhere<float>(n, log);
    for (int64_t n : {16, 1025, 300001}) greatestAnywhere<double>(n, log);
  }
}

// The greatest element of a row anywhere, so far above the others, and below zero, that any other shift of the
// exponents would give NaN or 0 / 0: exactly 1 there and 0 elsewhere.
template <class T>
void greatestFarAbove(int64_t n, int64_t inner) {
  Note note("n " + std::to_string(n) + ", inner " + std::to_string(inner));
  const int64_t step = n <= 150 ? 1 : n / 40;
  std::vector<int64_t> places;
  for (int64_t k = 0; k < n; k += step) places.push_back(k);
  if (places.back() != n - 1) places.push_back(n - 1);
  const int64_t outer = static_cast<int64_t>(places.size());
  std::vector<T> x(static_cast<std::size_t>(outer * n * inner), T(-2000));
  const auto at = [&](int64_t o, int64_t k, int64_t i) { return static_cast<std::size_t>((o * n + k) * inner + i); };
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) x[at(o, places[static_cast<std::size_t>(o)], i)] = T(-1000);
  }
  const std::vector<int64_t> sizes = {outer, n, inner};
  forEachDevice([&](DeviceImpl& device) {
    for (const bool log : {false, true}) {
      std::vector<T> y(x.size());
      SoftmaxArgs args{viewOf<In>(x.data(), kDType<T>, sizes), viewOf<Out>(y.data(), kDType<T>, sizes)};
      runOp(device, log ? OpId::logSoftmax : OpId::softmax, args);
      int64_t wrong = 0;
      for (int64_t o = 0; o < outer; ++o) {
        for (int64_t k = 0; k < n; ++k) {
          const bool here = k == places[static_cast<std::size_t>(o)];
          const T want = log ? T(here ? 0 : -1000) : T(here ? 1 : 0);
          for (int64_t i = 0; i < inner; ++i) wrong += y[at(o, k, i)] == want ? 0 : 1;
        }
      }
      CHECK(wrong == 0);
    }
  });
}

TEST(greatestFarAbove) {
  for (int64_t n : {1, 3, 7, 17, 33, 70, 130, 533, 4300}) {
    greatestFarAbove<float>(n, 1);
    greatestFarAbove<double>(n, 1);
  }
  for (int64_t n : {1, 7, 70, 130, 4300}) {
    greatestFarAbove<float>(n, 3);
    greatestFarAbove<double>(n, 3);
  }
  greatestFarAbove<float>(150, 131);  // strips of several widths
}

// A row has the same bits wherever it stands and by whichever stride it is reached.
void sameByAnyStride(int64_t n) {
  std::vector<float> row = values<float>(n, 8, -4, 4), x(static_cast<std::size_t>(3 * n * 2 + 1)), first(row.size());
  forEachDevice([&](DeviceImpl& device) {
    SoftmaxArgs alone{viewOf<In>(row.data(), DType::float32, {1, n, 1}),
                      viewOf<Out>(first.data(), DType::float32, {1, n, 1})};
    runOp(device, OpId::softmax, alone);
    for (int64_t k = 0; k < n; ++k) x[static_cast<std::size_t>(1 + 2 * k)] = row[static_cast<std::size_t>(k)];
    std::vector<float> second(row.size());
    SoftmaxArgs strided{stridedView<In>(x.data() + 1, DType::float32, {1, n, 1}, {1, 2, 1}),
                        viewOf<Out>(second.data(), DType::float32, {1, n, 1})};
    runOp(device, OpId::softmax, strided);
    CHECK(sameBits(first, second));
  });
}

TEST(positionDoesNotMatter) {
  for (int64_t n : {5, 45, 129, 5000}) sameByAnyStride(n);
}

}  // namespace
}  // namespace warploom::test
