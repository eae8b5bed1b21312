// Elementwise operations against plain double loops, for every layout that the loop treats differently.
#include "check.h"

using namespace warploom;
using namespace warploom::test;

namespace {

template <class T>
constexpr DType dtypeOf() {
  if constexpr (std::is_same_v<T, float>) return DType::float32;
  if constexpr (std::is_same_v<T, double>) return DType::float64;
  if constexpr (std::is_same_v<T, int32_t>) return DType::int32;
  if constexpr (std::is_same_v<T, int64_t>) return DType::int64;
  return DType::uint8;
}

// A fixed sequence of values in [low, high).
template <class T>
std::vector<T> values(std::size_t n, double low, double high, uint64_t seed = 1) {
  std::vector<T> v(n);
  uint64_t s = seed * 0x9E3779B97F4A7C15u + 1;
  for (T& x : v) {
    s ^= s << 13, s ^= s >> 7, s ^= s << 17;
    x = static_cast<T>(low + (high - low) * static_cast<double>(s >> 11) * 0x1p-53);
  }
  return v;
}

struct Layout {
  const char* name;
  std::vector<int64_t> sizes, a, b, y;  // strides
};
std::vector<Layout> layouts() {
  return {
      {"one", {1}, {1}, {1}, {1}},
      {"zero-dim", {}, {}, {}, {}},
      {"empty", {3, 0}, {0, 1}, {0, 1}, {0, 1}},
      {"tiny", {8}, {1}, {1}, {1}},
      {"odd", {4097}, {1}, {1}, {1}},
      {"long", {3, 40000}, {40000, 1}, {40000, 1}, {40000, 1}},
      {"row broadcast", {50, 33}, {33, 1}, {0, 1}, {33, 1}},
      {"column broadcast", {50, 33}, {33, 1}, {1, 0}, {33, 1}},
      {"both broadcast", {50, 33}, {1, 0}, {0, 1}, {33, 1}},
      {"expanded", {700, 100}, {0, 0}, {100, 1}, {100, 1}},
      {"transposed", {40, 31}, {1, 40}, {31, 1}, {31, 1}},
      {"transposed output", {40, 31}, {1, 40}, {31, 1}, {1, 40}},
      {"step", {1000}, {3}, {2}, {1}},
      {"rank 8",
       {2, 3, 1, 2, 3, 2, 1, 5},
       {180, 60, 9, 30, 10, 5, 7, 1},
       {0, 1, 0, 3, 0, 6, 0, 12},
       {180, 60, 60, 30, 10, 5, 5, 1}},
  };
}

// Calls visit(index into a, into b, into y) for each element.
void eachElement(const Layout& l, const std::function<void(std::size_t, std::size_t, std::size_t)>& visit) {
  int64_t n = 1;
  for (int64_t s : l.sizes) n *= s;
  for (int64_t i = 0; i < n; ++i) {
    int64_t rest = i, a = 0, b = 0, y = 0;
    for (std::size_t d = l.sizes.size(); d-- > 0;) {
      const int64_t at = rest % l.sizes[d];
      rest /= l.sizes[d];
      a += at * l.a[d], b += at * l.b[d], y += at * l.y[d];
    }
    visit(static_cast<std::size_t>(a), static_cast<std::size_t>(b), static_cast<std::size_t>(y));
  }
}

constexpr std::size_t kRoom = 130000;

// The same bits for 1, 2 and 3 threads of one instruction set.
class SameBits {
 public:
  void check(DeviceImpl& device, const void* data, std::size_t bytes) {
    const std::string isa = device.facts().isa;
    const std::string now(static_cast<const char*>(data), bytes);
    if (device.facts().threads == 1) {
      first_ = now;
    } else {
      CHECK(now == first_);
    }
  }

 private:
  std::string first_;
};

template <class T>
void testBinary(OpId op, const char* name, double (*expected)(double, double), double low, double high, double ulps) {
  const auto a = values<T>(kRoom, low, high, 1), b = values<T>(kRoom, low, high, 2);
  for (const Layout& l : layouts()) {
    Note where(std::string(name) + " " + l.name);
    SameBits same;
    forEachDevice([&](DeviceImpl& device) {
      // Views begin one element in, so that no pointer is aligned to a vector.
      std::vector<T> y(kRoom, T{77});
      BinaryArgs args{stridedView<OptIn>(const_cast<T*>(a.data()) + 1, dtypeOf<T>(), l.sizes, l.a),
                      stridedView<OptIn>(const_cast<T*>(b.data()) + 1, dtypeOf<T>(), l.sizes, l.b),
                      stridedView<Out>(y.data() + 1, dtypeOf<T>(), l.sizes, l.y), 0, 0};
      runOp(device, op, args);
      if (device.facts().threads == 1) {
        eachElement(l, [&](std::size_t i, std::size_t j, std::size_t k) {
          const double want = expected(static_cast<double>(a[i + 1]), static_cast<double>(b[j + 1]));
          CHECK_NEAR(static_cast<double>(y[k + 1]), want, ulps * ulpOf(want));
        });
        CHECK(y[0] == T{77} && y.back() == T{77});
      }
      same.check(device, y.data(), y.size() * sizeof(T));
    });
  }
}

}  // namespace

TEST(arithmetic) {
  const auto add = [](double a, double b) { return a + b; };
  const auto sub = [](double a, double b) { return a - b; };
  const auto mul = [](double a, double b) { return a * b; };
  testBinary<float>(OpId::add, "add", add, -9, 9, 1);
  testBinary<float>(
      OpId::div, "div", [](double a, double b) { return a / b; }, 1, 9, 1);
  testBinary<double>(OpId::sub, "sub", sub, -9, 9, 0);
  testBinary<int32_t>(OpId::mul, "mul int32", mul, -90, 90, 0);
  testBinary<int64_t>(OpId::sub, "sub int64", sub, -90, 90, 0);
  testBinary<uint8_t>(OpId::add, "add uint8", add, 0, 120, 0);
  testBinary<int32_t>(
      OpId::maximum, "maximum int32", [](double a, double b) { return a > b ? a : b; }, -90, 90, 0);
  testBinary<float>(
      OpId::reluBackward, "reluBackward", [](double g, double x) { return x > 0 ? g : 0; }, -3, 3, 0);
  testBinary<float>(
      OpId::tanhBackward, "tanhBackward", [](double g, double y) { return g * (1 - y * y); }, -0.7, 0.7, 4);
}

TEST(comparisons) {
  const Layout l{"", {50, 33}, {33, 1}, {0, 1}, {33, 1}};
  const auto run = [&](auto zero, OpId op, bool (*expected)(double, double)) {
    using T = decltype(zero);
    const auto a = values<T>(kRoom, 0, 5, 1), b = values<T>(kRoom, 0, 5, 2);
    forEachDevice([&](DeviceImpl& device) {
      std::vector<uint8_t> y(50 * 33 + 1, 9);
      BinaryArgs args{stridedView<OptIn>(const_cast<T*>(a.data()), dtypeOf<T>(), l.sizes, l.a),
                      stridedView<OptIn>(const_cast<T*>(b.data()), dtypeOf<T>(), l.sizes, l.b),
                      stridedView<Out>(y.data(), DType::boolean, l.sizes, l.y), 0, 0};
      runOp(device, op, args);
      eachElement(l, [&](std::size_t i, std::size_t j, std::size_t k) {
        CHECK(y[k] == (expected(static_cast<double>(a[i]), static_cast<double>(b[j])) ? 1 : 0));
      });
      CHECK(y.back() == 9);
    });
  };
  run(float{}, OpId::lt, [](double a, double b) { return a < b; });
  run(double{}, OpId::ge, [](double a, double b) { return a >= b; });
  run(int32_t{}, OpId::eq, [](double a, double b) { return a == b; });
  run(int64_t{}, OpId::ne, [](double a, double b) { return a != b; });
  run(uint8_t{}, OpId::le, [](double a, double b) { return a <= b; });
}

TEST(scalars_wrap_and_nan) {
  forEachDevice([&](DeviceImpl& device) {
    const auto binary = [&](OpId op, auto a, double scalar, bool scalarFirst) {
      using T = decltype(a);
      T y{};
      const auto view = viewOf<OptIn>(&a, dtypeOf<T>(), {1});
      const auto none = absent<OptIn>();
      BinaryArgs args{scalarFirst ? none : view, scalarFirst ? view : none, viewOf<Out>(&y, dtypeOf<T>(), {1}), scalar,
                      scalar};
      runOp(device, op, args);
      return y;
    };
    CHECK(binary(OpId::sub, 5.0f, 2, false) == 3.0f);
    CHECK(binary(OpId::sub, 5.0f, 2, true) == -3.0f);
    CHECK(binary(OpId::add, uint8_t{5}, -1, false) == 4);
    CHECK(binary(OpId::add, INT32_MAX, 1, false) == INT32_MIN);
    CHECK(binary(OpId::mul, INT64_MAX, 2, false) == -2);
    for (bool first : {false, true}) {
      CHECK(std::isnan(binary(OpId::maximum, NAN, 1, first)));
      CHECK(std::isnan(binary(OpId::minimum, 1.0f, NAN, first)));
      CHECK(std::isnan(binary(OpId::maximum, static_cast<double>(NAN), 1, first)));
    }
    CHECK(binary(OpId::div, 1.0f, 0, false) == INFINITY);
    CHECK(std::signbit(binary(OpId::mul, 1.0f, -0.0, false)));
    CHECK(binary(OpId::reluBackward, NAN, 3, true) == 3);  // a NaN input lets the gradient through
    CHECK(binary(OpId::reluBackward, 0.0f, 3, true) == 0);
  });
}

TEST(functions) {
  struct Function {
    OpId op;
    const char* name;
    double (*expected)(double);
    double low, high;
  };
  const double s = std::sqrt(2 / M_PI);
  static double scale;
  scale = s;
  const Function functions[] = {
      {OpId::exp, "exp", [](double x) { return std::exp(x); }, -100, 88},
      {OpId::log, "log", [](double x) { return std::log(x); }, 1e-6, 50},
      {OpId::sqrt, "sqrt", [](double x) { return std::sqrt(x); }, 0, 1e6},
      {OpId::tanh, "tanh", [](double x) { return std::tanh(x); }, -9, 9},
      {OpId::sigmoid, "sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, -80, 80},
      {OpId::erf, "erf", [](double x) { return std::erf(x); }, -4, 4},
      {OpId::relu, "relu", [](double x) { return x > 0 ? x : 0; }, -4, 4},
      {OpId::neg, "neg", [](double x) { return -x; }, -4, 4},
      {OpId::abs, "abs", [](double x) { return std::fabs(x); }, -4, 4},
      {OpId::sign, "sign", [](double x) { return x > 0   ? 1.0
                                                 : x < 0 ? -1.0
                                                         : 0.0; }, -4, 4},
      {OpId::gelu, "gelu", [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, -11, 11},
      {OpId::geluTanh, "geluTanh", [](double x) { return x / (1 + std::exp(-2 * scale * (x + 0.044715 * x * x * x))); },
       -10, 10},
  };
  for (const Function& f : functions) {
    Note where(f.name);
    const std::size_t n = 20011;
    const auto x = values<float>(n, f.low, f.high);
    const auto xd = values<double>(n / 4, f.low, f.high);
    SameBits same;
    forEachDevice([&](DeviceImpl& device) {
      std::vector<float> y(n);
      const auto size = static_cast<int64_t>(n);
      runOp(device, f.op,
            UnaryArgs{viewOf<In>(const_cast<float*>(x.data()), DType::float32, {size}),
                      viewOf<Out>(y.data(), DType::float32, {size})});
      same.check(device, y.data(), n * sizeof(float));
      if (device.facts().threads != 1) return;
      for (std::size_t i = 0; i < n; ++i) CHECK_NEAR(y[i], f.expected(x[i]), 4 * ulpOf(f.expected(x[i])));
      // The bits of an element do not depend on where it stands.
      for (std::size_t begin : {1u, 5u, 4000u}) {
        float few[3];
        runOp(device, f.op,
              UnaryArgs{viewOf<In>(const_cast<float*>(x.data()) + begin, DType::float32, {3}),
                        viewOf<Out>(few, DType::float32, {3})});
        CHECK(std::memcmp(few, y.data() + begin, sizeof(few)) == 0);
      }
      std::vector<double> yd(xd.size());
      runOp(device, f.op,
            UnaryArgs{viewOf<In>(const_cast<double*>(xd.data()), DType::float64, {static_cast<int64_t>(xd.size())}),
                      viewOf<Out>(yd.data(), DType::float64, {static_cast<int64_t>(xd.size())})});
      for (std::size_t i = 0; i < xd.size(); ++i) {
        CHECK_NEAR(yd[i], f.expected(xd[i]), 1e-13 * std::fabs(f.expected(xd[i])));
      }
    });
  }
}

TEST(special_values) {
  forEachDevice([&](DeviceImpl& device) {
    const auto at = [&](OpId op, float x) {
      float y = 77;
      runOp(device, op, UnaryArgs{viewOf<In>(&x, DType::float32, {1}), viewOf<Out>(&y, DType::float32, {1})});
      return y;
    };
    for (OpId op : {OpId::neg, OpId::abs, OpId::exp, OpId::log, OpId::sqrt, OpId::tanh, OpId::sigmoid, OpId::erf,
                    OpId::relu, OpId::gelu, OpId::geluTanh}) {
      CHECK(std::isnan(at(op, NAN)));
    }
    CHECK(at(OpId::sign, NAN) == 0);
    CHECK(at(OpId::exp, -INFINITY) == 0 && at(OpId::exp, INFINITY) == INFINITY && at(OpId::exp, 0) == 1);
    CHECK(at(OpId::log, 0) == -INFINITY && at(OpId::log, INFINITY) == INFINITY && std::isnan(at(OpId::log, -1)) &&
          at(OpId::log, 1) == 0);
    CHECK_NEAR(at(OpId::log, 1e-40f), std::log(static_cast<double>(1e-40f)), 4 * ulpOf(92));
    CHECK(at(OpId::tanh, INFINITY) == 1 && at(OpId::tanh, -INFINITY) == -1 && std::signbit(at(OpId::tanh, -0.0f)));
    CHECK(at(OpId::sigmoid, INFINITY) == 1 && at(OpId::sigmoid, -INFINITY) == 0);
    CHECK(at(OpId::erf, INFINITY) == 1 && at(OpId::erf, -INFINITY) == -1);
    CHECK(at(OpId::gelu, INFINITY) == INFINITY && at(OpId::geluTanh, INFINITY) == INFINITY);
    CHECK(at(OpId::gelu, 1e30f) == 1e30f && at(OpId::geluTanh, 1e30f) == 1e30f);
  });
}

TEST(gelu_gradients) {
  const auto x = values<float>(3001, -6, 6), g = values<float>(3001, 0.5, 2, 3);
  forEachDevice([&](DeviceImpl& device) {
    std::vector<float> y(3001);
    const auto view = [](const std::vector<float>& v) {
      return viewOf<OptIn>(const_cast<float*>(v.data()), DType::float32, {3001});
    };
    runOp(device, OpId::geluBackward,
          BinaryArgs{view(g), view(x), viewOf<Out>(y.data(), DType::float32, {3001}), 0, 0});
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double v = x[i];
      const double want =
          g[i] * (0.5 * std::erfc(-v / std::sqrt(2.0)) + v * std::exp(-v * v / 2) / std::sqrt(2 * M_PI));
      CHECK_NEAR(y[i], want, 1e-6 * std::fabs(want) + 2e-7);
    }
    runOp(device, OpId::geluTanhBackward,
          BinaryArgs{view(g), view(x), viewOf<Out>(y.data(), DType::float32, {3001}), 0, 0});
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double v = x[i], c = std::sqrt(2 / M_PI), t = std::tanh(c * (v + 0.044715 * v * v * v));
      const double want = g[i] * (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * c * (1 + 3 * 0.044715 * v * v));
      CHECK_NEAR(y[i], want, 1e-6 * std::fabs(want) + 2e-7);
    }
  });
}

TEST(copy_converts) {
  forEachDevice([&](DeviceImpl& device) {
    const auto convert = [&](auto zero, const std::vector<float>& x) {
      using T = decltype(zero);
      std::vector<T> y(x.size());
      const auto n = static_cast<int64_t>(x.size());
      runOp(device, OpId::copy,
            UnaryArgs{viewOf<In>(const_cast<float*>(x.data()), DType::float32, {n}),
                      viewOf<Out>(y.data(), dtypeOf<T>(), {n})});
      return y;
    };
    const std::vector<float> x{0, 1.9f, -1.9f, 300.5f, NAN, INFINITY, -INFINITY, 3e9f, -3e9f, 1e20f, -1};
    const auto i32 = convert(int32_t{}, x);
    CHECK((i32 == std::vector<int32_t>{0, 1, -1, 300, 0, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, INT32_MAX, -1}));
    const auto i64 = convert(int64_t{}, x);
    CHECK(
        (i64 == std::vector<int64_t>{0, 1, -1, 300, 0, INT64_MAX, INT64_MIN, 3000000000, -3000000000, INT64_MAX, -1}));
    CHECK(convert(uint8_t{}, x)[3] == 44 && convert(uint8_t{}, x)[10] == 255);

    // To bool, and bytes to floats, long enough for the vector path and its tail.
    std::vector<float> many(77, 0);
    many[3] = -0.0f, many[4] = 0.25f, many[76] = NAN;
    std::vector<uint8_t> flags(77, 9);
    runOp(device, OpId::copy,
          UnaryArgs{viewOf<In>(many.data(), DType::float32, {77}), viewOf<Out>(flags.data(), DType::boolean, {77})});
    for (std::size_t i = 0; i < 77; ++i) CHECK(flags[i] == (i == 4 || i == 76));
    std::vector<uint8_t> bytes(301);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
    std::vector<float> floats(301);
    runOp(device, OpId::copy,
          UnaryArgs{viewOf<In>(bytes.data(), DType::uint8, {301}), viewOf<Out>(floats.data(), DType::float32, {301})});
    for (std::size_t i = 0; i < bytes.size(); ++i) CHECK(floats[i] == static_cast<float>(bytes[i]));
    std::vector<int64_t> big(100, (int64_t{1} << 53) - 1);
    std::vector<double> doubles(100);
    runOp(device, OpId::copy,
          UnaryArgs{viewOf<In>(big.data(), DType::int64, {100}), viewOf<Out>(doubles.data(), DType::float64, {100})});
    CHECK(doubles[0] == 9007199254740991.0 && doubles[99] == 9007199254740991.0);
  });
}

TEST(copy_moves) {
  const auto x = values<float>(kRoom, -1, 1);
  for (const Layout& l : layouts()) {
    Note where(l.name);
    forEachDevice([&](DeviceImpl& device) {
      std::vector<float> y(kRoom);
      runOp(device, OpId::copy,
            UnaryArgs{stridedView<In>(const_cast<float*>(x.data()), DType::float32, l.sizes, l.a),
                      stridedView<Out>(y.data(), DType::float32, l.sizes, l.y)});
      eachElement(l, [&](std::size_t i, std::size_t, std::size_t k) { CHECK(y[k] == x[i]); });
    });
  }
  // A batch of transposes that spans several chunks.
  const Layout l{"", {3, 201, 190}, {201 * 190, 1, 201}, {0, 0, 0}, {201 * 190, 190, 1}};
  forEachDevice([&](DeviceImpl& device) {
    std::vector<float> y(kRoom);
    runOp(device, OpId::copy,
          UnaryArgs{stridedView<In>(const_cast<float*>(x.data()), DType::float32, l.sizes, l.a),
                    stridedView<Out>(y.data(), DType::float32, l.sizes, l.y)});
    eachElement(l, [&](std::size_t i, std::size_t, std::size_t k) { CHECK(y[k] == x[i]); });
  });
}

TEST(where_and_in_place) {
  const int64_t n = 1003;
  auto a = values<float>(1003, -1, 1), b = values<float>(1003, -1, 1, 2);
  auto cond = values<uint8_t>(1003, 0, 2, 3);
  forEachDevice([&](DeviceImpl& device) {
    std::vector<float> y(1003);
    runOp(device, OpId::where,
          WhereArgs{viewOf<In>(cond.data(), DType::boolean, {n}), viewOf<OptIn>(a.data(), DType::float32, {n}),
                    absent<OptIn>(), viewOf<Out>(y.data(), DType::float32, {n}), 0, -7});
    for (std::size_t i = 0; i < 1003; ++i) CHECK(y[i] == (cond[i] ? a[i] : -7.0f));
    runOp(device, OpId::where,
          WhereArgs{stridedView<In>(cond.data(), DType::boolean, {17, 59}, {59, 1}),
                    stridedView<OptIn>(a.data(), DType::float32, {17, 59}, {0, 1}),
                    stridedView<OptIn>(b.data(), DType::float32, {17, 59}, {1, 17}),
                    viewOf<Out>(y.data(), DType::float32, {17, 59}), 0, 0});
    for (std::size_t i = 0; i < 1003; ++i) CHECK(y[i] == (cond[i] ? a[i % 59] : b[i / 59 + i % 59 * 17]));

    std::vector<float> x = a;
    runOp(device, OpId::mul,
          BinaryArgs{viewOf<OptIn>(x.data(), DType::float32, {n}), viewOf<OptIn>(x.data(), DType::float32, {n}),
                     viewOf<Out>(x.data(), DType::float32, {n}), 0, 0});
    for (std::size_t i = 0; i < 1003; ++i) CHECK(x[i] == a[i] * a[i]);
    x = a;
    runOp(device, OpId::neg,
          UnaryArgs{stridedView<In>(x.data(), DType::float32, {59, 17}, {1, 59}),
                    stridedView<Out>(x.data(), DType::float32, {59, 17}, {1, 59})});
    for (std::size_t i = 0; i < 1003; ++i) CHECK(x[i] == -a[i]);
  });
}

TEST(unsupported_dtype_fails_the_job) {
  cpu::Options options;
  options.threads = 1;
  auto device = cpu::openDevice(options, 1 << 20);
  int32_t x = 1, y = 0;
  runOp(*device, OpId::exp, UnaryArgs{viewOf<In>(&x, DType::int32, {1}), viewOf<Out>(&y, DType::int32, {1})});
  std::string message;
  CHECK(device->context().takeFailure(message));
  CHECK(message.find("[exp]") == 0 && message.find("int32") != std::string::npos);
  CHECK(!device->context().takeFailure(message));
}
