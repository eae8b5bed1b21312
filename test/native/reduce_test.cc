// Reductions against plain double loops, over layouts that take each path: rows, columns, several dims, chunks,
// gathers.
#include <algorithm>
#include <limits>

#include "check.h"

using namespace warploom;
using namespace warploom::test;

namespace {

struct Shape {
  const char* name;
  std::vector<int64_t> sizes, strides;
  int64_t kept;
};

std::vector<Shape> shapes() {
  return {
      {"one", {1}, {1}, 0},
      {"zero-dim", {}, {}, 0},
      {"nothing reduced", {7, 1}, {1, 1}, 1},
      {"rows of 33", {9, 33}, {33, 1}, 1},
      {"rows of 4097", {3, 4097}, {4097, 1}, 1},
      {"rows of 3", {50, 3}, {3, 1}, 1},
      {"rows of 15", {35, 15}, {15, 1}, 1},
      {"rows of 16, apart", {37, 16}, {21, 1}, 1},
      {"rows of 17", {16, 17}, {17, 1}, 1},
      {"rows of 64, shared out", {1100, 64}, {64, 1}, 1},
      {"rows of 512", {18, 512}, {512, 1}, 1},
      {"rows of 513", {18, 513}, {513, 1}, 1},
      {"everything, in chunks", {200003}, {1}, 0},
      {"the last chunk shorter than a block", {2 * 65536 + 100}, {1}, 0},
      {"two long rows", {2, 150001}, {150001, 1}, 1},
      {"columns", {33, 70}, {1, 33}, 1},
      {"few columns, in chunks", {3, 60000}, {1, 3}, 1},
      {"wide columns, in chunks", {300, 700}, {1, 300}, 1},
      {"channels", {5, 4, 91}, {91, 455, 1}, 1},
      {"wide columns with a rest", {500, 41}, {1, 500}, 1},
      {"middle", {6, 37, 11}, {407, 1, 37}, 2},
      {"outer and inner", {4, 3, 5, 6}, {6, 120, 24, 1}, 1},
      {"steps", {5, 1000}, {3000, 3}, 1},
      {"expanded", {5, 6, 40}, {1, 0, 5}, 1},
      {"kept dims turned", {5, 7, 40}, {1, 5, 35}, 2},
      {"chunks that begin within a row", {2, 300, 501}, {7, 510, 1}, 1},
      {"chunks of columns that begin within a run", {8, 130, 130}, {1, 1064, 8}, 1},
      {"no output", {0, 4}, {4, 1}, 1},
  };
}

int64_t product(const std::vector<int64_t>& sizes, std::size_t begin, std::size_t end) {
  int64_t n = 1;
  for (std::size_t i = begin; i < end; ++i) n *= sizes[i];
  return n;
}

std::size_t offsetOf(const Shape& s, int64_t index, std::size_t begin, std::size_t end) {
  int64_t offset = 0;
  for (std::size_t d = end; d-- > begin;) {
    offset += index % s.sizes[d] * s.strides[d];
    index /= s.sizes[d];
  }
  return static_cast<std::size_t>(offset);
}

template <class T>
std::vector<T> values(double low, double high) {
  std::vector<T> v(310000);
  uint64_t s = 88172645463325252u;
  for (T& x : v) {
    s ^= s << 13, s ^= s >> 7, s ^= s << 17;
    x = static_cast<T>(low + (high - low) * static_cast<double>(s >> 11) * 0x1p-53);
  }
  return v;
}

template <class T, class Y>
std::vector<Y> reduce(DeviceImpl& device, OpId op, const std::vector<T>& x, DType from, DType to, const Shape& s) {
  const std::vector<int64_t> kept(s.sizes.begin(), s.sizes.begin() + s.kept);
  std::vector<Y> y(static_cast<std::size_t>(product(kept, 0, kept.size())) + 1, Y{55});
  runOp(device, op,
        ReduceArgs{stridedView<In>(const_cast<T*>(x.data()), from, s.sizes, s.strides), viewOf<Out>(y.data(), to, kept),
                   s.kept});
  CHECK(y.back() == Y{55});
  y.pop_back();
  return y;
}

// Compares each output with expected(the elements behind it, in order), and threads with each other.
template <class T, class Y>
void testReduce(OpId op, DType from, DType to, double low, double high,
                const std::function<void(Y, const std::vector<T>&)>& expected) {
  const std::vector<T> x = values<T>(low, high);
  for (const Shape& s : shapes()) {
    Note where(s.name);
    const auto kept = static_cast<std::size_t>(s.kept);
    std::vector<Y> first;
    forEachDevice([&](DeviceImpl& device) {
      const std::vector<Y> y = reduce<T, Y>(device, op, x, from, to, s);
      if (device.facts().threads > 1) {
        CHECK(y.size() == first.size() &&
              (y.empty() || std::memcmp(y.data(), first.data(), y.size() * sizeof(Y)) == 0));
        return;
      }
      first = y;
      const int64_t count = product(s.sizes, kept, s.sizes.size());
      for (std::size_t o = 0; o < y.size(); ++o) {
        std::vector<T> behind(static_cast<std::size_t>(count));
        const std::size_t base = offsetOf(s, static_cast<int64_t>(o), 0, kept);
        for (int64_t i = 0; i < count; ++i) {
          behind[static_cast<std::size_t>(i)] = x[base + offsetOf(s, i, kept, s.sizes.size())];
        }
        expected(y[o], behind);
      }
    });
  }
}

template <class T>
void checkSum(T y, const std::vector<T>& x, double divisor) {
  long double sum = 0, magnitude = 0;
  for (T v : x) sum += v, magnitude += std::fabs(v);
  const double eps = std::numeric_limits<T>::epsilon();
  const double bound =
      eps * std::max(1.0, 4 * std::log2(static_cast<double>(x.size()))) * static_cast<double>(magnitude);
  CHECK_NEAR(y, static_cast<double>(sum) / divisor, bound / divisor);
}

}  // namespace

TEST(sum_and_mean) {
  testReduce<float, float>(OpId::sum, DType::float32, DType::float32, -1, 3,
                           [](float y, const std::vector<float>& x) { checkSum(y, x, 1); });
  testReduce<double, double>(OpId::sum, DType::float64, DType::float64, -1, 3,
                             [](double y, const std::vector<double>& x) { checkSum(y, x, 1); });
  testReduce<float, float>(OpId::mean, DType::float32, DType::float32, -1, 3,
                           [](float y, const std::vector<float>& x) { checkSum(y, x, static_cast<double>(x.size())); });
}

TEST(integer_sums) {
  const auto exact = [](auto y, const auto& x) {
    int64_t sum = 0;
    for (auto v : x) sum += v;
    CHECK(y == static_cast<decltype(y)>(sum));
  };
  testReduce<int32_t, int32_t>(OpId::sum, DType::int32, DType::int32, -2e9, 2e9,
                               [&](int32_t y, const std::vector<int32_t>& x) { exact(y, x); });
  testReduce<int32_t, int64_t>(OpId::sum, DType::int32, DType::int64, -2e9, 2e9,
                               [&](int64_t y, const std::vector<int32_t>& x) { exact(y, x); });
  testReduce<uint8_t, int64_t>(OpId::sum, DType::uint8, DType::int64, 0, 256,
                               [&](int64_t y, const std::vector<uint8_t>& x) { exact(y, x); });
  testReduce<uint8_t, int32_t>(OpId::sum, DType::boolean, DType::int32, 0, 2,
                               [&](int32_t y, const std::vector<uint8_t>& x) { exact(y, x); });
}

TEST(extremes) {
  const auto best = [](auto y, const auto& x) { CHECK(y == *std::max_element(x.begin(), x.end())); };
  testReduce<float, float>(OpId::max, DType::float32, DType::float32, -3, -1,
                           [&](float y, const std::vector<float>& x) { best(y, x); });
  testReduce<int64_t, int64_t>(OpId::max, DType::int64, DType::int64, -300, -100,
                               [&](int64_t y, const std::vector<int64_t>& x) { best(y, x); });
  testReduce<uint8_t, uint8_t>(OpId::max, DType::boolean, DType::boolean, 0, 2,
                               [&](uint8_t y, const std::vector<uint8_t>& x) { best(y, x); });
  testReduce<uint8_t, uint8_t>(
      OpId::min, DType::uint8, DType::uint8, 3, 250,
      [](uint8_t y, const std::vector<uint8_t>& x) { CHECK(y == *std::min_element(x.begin(), x.end())); });
}

TEST(positions) {
  // Few distinct values, so that ties are common and the first must win.
  const auto first = [](int32_t y, const auto& x) { CHECK(y == std::max_element(x.begin(), x.end()) - x.begin()); };
  testReduce<float, int32_t>(OpId::argmax, DType::float32, DType::int32, -300, -100,
                             [&](int32_t y, const std::vector<float>& x) { first(y, x); });
  testReduce<int32_t, int32_t>(OpId::argmax, DType::int32, DType::int32, 0, 20,
                               [&](int32_t y, const std::vector<int32_t>& x) { first(y, x); });
  testReduce<uint8_t, int32_t>(OpId::argmax, DType::uint8, DType::int32, 0, 9,
                               [&](int32_t y, const std::vector<uint8_t>& x) { first(y, x); });
  testReduce<uint8_t, int32_t>(OpId::argmax, DType::boolean, DType::int32, 0, 2,
                               [&](int32_t y, const std::vector<uint8_t>& x) { first(y, x); });
  testReduce<double, int32_t>(
      OpId::argmin, DType::float64, DType::int32, -1, 1,
      [](int32_t y, const std::vector<double>& x) { CHECK(y == std::min_element(x.begin(), x.end()) - x.begin()); });
}

// A NaN or an infinity of one short row touches no other, wherever the rows are taken together.
TEST(short_rows_apart) {
  forEachDevice([](DeviceImpl& device) {
    for (int64_t n : {1, 5, 8, 16, 17, 64, 500}) {
      Note note("rows of " + std::to_string(n));
      const int64_t rows = 21;
      const Shape shape{"", {rows, n}, {n, 1}, 1};
      std::vector<float> x(static_cast<std::size_t>(rows * n), 1);
      const auto at = [&](int64_t row, int64_t k) { return static_cast<std::size_t>(row * n + k); };
      x[at(3, n - 1)] = NAN;
      for (int64_t k = 0; k < n; ++k) x[at(4, k)] = -INFINITY;
      x[at(18, n / 2)] = INFINITY;
      x[at(20, 0)] = NAN;
      const auto run = [&](OpId op) {
        return reduce<float, float>(device, op, x, DType::float32, DType::float32, shape);
      };
      const auto where = [&](OpId op) {
        return reduce<float, int32_t>(device, op, x, DType::float32, DType::int32, shape);
      };
      const std::vector<float> sum = run(OpId::sum), most = run(OpId::max), least = run(OpId::min);
      const std::vector<int32_t> first = where(OpId::argmax), last = where(OpId::argmin);
      for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
        if (row == 3 || row == 20) {
          CHECK(std::isnan(sum[row]) && std::isnan(most[row]) && std::isnan(least[row]));
          CHECK(first[row] == (row == 3 ? n - 1 : 0) && last[row] == first[row]);
        } else if (row == 4) {
          CHECK(sum[row] == -INFINITY && most[row] == -INFINITY && least[row] == -INFINITY && first[row] == 0);
        } else if (row == 18) {
          CHECK(sum[row] == INFINITY && most[row] == INFINITY && first[row] == n / 2);
          CHECK(least[row] == (n == 1 ? INFINITY : 1) && last[row] == (n / 2 == 0 && n > 1 ? 1 : 0));
        } else {
          CHECK(sum[row] == static_cast<float>(n) && most[row] == 1 && least[row] == 1 && first[row] == 0);
        }
      }
    }
  });
}

// The first NaN wins, over other NaNs behind it: within a row, down a column, and where a chunk of either has its own.
TEST(the_first_nan) {
  struct Case {
    Shape shape;
    int64_t first, second;  // positions of the NaNs of each output
  };
  const std::vector<Case> all = {{{"row", {3, 70}, {70, 1}, 1}, 21, 67},
                                 {{"row in chunks", {2, 150000}, {150000, 1}, 1}, 65530, 140001},
                                 {{"column", {35, 40}, {1, 35}, 1}, 3, 30},
                                 {{"column in chunks", {3, 60000}, {1, 3}, 1}, 21000, 59999}};
  for (const Case& c : all) {
    Note where(c.shape.name);
    const int64_t outputs = c.shape.sizes[0], count = c.shape.sizes[1];
    std::vector<float> x(static_cast<std::size_t>(outputs * count));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13);
    for (int64_t o = 0; o < outputs; ++o) {
      for (int64_t k : {c.first, c.second}) {
        x[static_cast<std::size_t>(o * c.shape.strides[0] + k * c.shape.strides[1])] = NAN;
      }
    }
    const std::vector<double> wide(x.begin(), x.end());
    forEachDevice([&](DeviceImpl& device) {
      for (OpId op : {OpId::argmax, OpId::argmin}) {
        for (int32_t y : reduce<float, int32_t>(device, op, x, DType::float32, DType::int32, c.shape)) {
          CHECK(y == c.first);
        }
        for (int32_t y : reduce<double, int32_t>(device, op, wide, DType::float64, DType::int32, c.shape)) {
          CHECK(y == c.first);
        }
      }
    });
  }
}

TEST(nan_infinity_and_empty) {
  forEachDevice([](DeviceImpl& device) {
    for (int64_t n : {5, 70, 140000}) {
      const auto size = static_cast<std::size_t>(n);
      const Shape row{"", {n}, {1}, 0}, columns{"", {2, n / 2}, {1, 2}, 1};
      std::vector<float> x(size, 1);
      x[size - 2] = NAN, x[size - 1] = NAN, x[0] = INFINITY;
      for (OpId op : {OpId::max, OpId::min, OpId::sum}) {
        CHECK(std::isnan(reduce<float, float>(device, op, x, DType::float32, DType::float32, row)[0]));
      }
      for (OpId op : {OpId::argmax, OpId::argmin}) {
        CHECK(reduce<float, int32_t>(device, op, x, DType::float32, DType::int32, row)[0] == n - 2);
      }
      if (n % 2 == 0) {
        CHECK(std::isnan(reduce<float, float>(device, OpId::max, x, DType::float32, DType::float32, columns)[0]));
        CHECK(reduce<float, int32_t>(device, OpId::argmax, x, DType::float32, DType::int32, columns)[1] == n / 2 - 1);
      }
      std::fill(x.begin(), x.end(), -INFINITY);
      CHECK(reduce<float, float>(device, OpId::max, x, DType::float32, DType::float32, row)[0] == -INFINITY);
      CHECK(reduce<float, int32_t>(device, OpId::argmax, x, DType::float32, DType::int32, row)[0] == 0);
      if (n % 2 == 0)
        CHECK(reduce<float, int32_t>(device, OpId::argmax, x, DType::float32, DType::int32, columns)[1] == 0);
    }
    const Shape empty{"", {3, 0}, {1, 1}, 1};
    const std::vector<float> none(1, 9);
    CHECK(reduce<float, float>(device, OpId::sum, none, DType::float32, DType::float32, empty)[2] == 0);
    CHECK(std::isnan(reduce<float, float>(device, OpId::mean, none, DType::float32, DType::float32, empty)[2]));
    CHECK(reduce<int32_t, int32_t>(device, OpId::sum, {1}, DType::int32, DType::int32, empty)[2] == 0);
  });
}
