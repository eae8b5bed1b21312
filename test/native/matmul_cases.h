// Matrix products with every operand that the op takes, and the loops that they are held to.
#pragma once

#include "native/check.h"

namespace warploom::test {

// A fixed sequence in [-0.5, 0.5), or in [0, 1) for sums of one sign.
template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed, bool positive = false) {
  std::vector<T> v(static_cast<std::size_t>(n));
  uint32_t s = seed * 2654435761u + 12345u;
  for (T& x : v) {
    s = s * 1664525u + 1013904223u;
    x = static_cast<T>(s >> 8) / static_cast<T>(1 << 24) - (positive ? T(0) : T(0.5));
  }
  return v;
}

template <class T>
constexpr DType dtypeOf() {
  if (std::is_same<T, float>::value) return DType::float32;
  if (std::is_same<T, double>::value) return DType::float64;
  return std::is_same<T, int32_t>::value ? DType::int32 : DType::int64;
}

inline double act(double x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return x < 0 ? 0 : x;
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::geluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    default:
      return x;
  }
}

struct Shape {
  int64_t m, n, k;
};

struct Options {
  bool transposeA = false, transposeB = false, bias = false, pre = false, accumulate = false, positive = false;
  int64_t offset = 0;  // elements before each operand
  int64_t gap = 0;     // extra elements after each row of a, b and y
  Activation activation = Activation::none;
};

template <class T>
struct Product {
  std::vector<T> a, b, bias, y, pre;
  MatmulArgs args = {};
  int64_t ldy = 0;

  Product(Shape s, Options o, uint32_t seed = 1) {
    const int64_t lda = (o.transposeA ? s.m : s.k) + o.gap;
    const int64_t ldb = (o.transposeB ? s.k : s.n) + o.gap;
    ldy = s.n + o.gap;
    a = numbers<T>(o.offset + lda * (o.transposeA ? s.k : s.m) + 1, seed, o.positive);
    b = numbers<T>(o.offset + ldb * (o.transposeB ? s.n : s.k) + 1, seed + 1, o.positive);
    bias = numbers<T>(s.n + 1, seed + 2);
    y = numbers<T>(o.offset + ldy * s.m + 1, seed + 3);
    pre.assign(y.size(), T(-7));
    const DType d = dtypeOf<T>();
    args.a = stridedView<In>(a.data() + o.offset, d, {s.m, s.k}, {o.transposeA ? 1 : lda, o.transposeA ? lda : 1});
    args.b = stridedView<In>(b.data() + o.offset, d, {s.k, s.n}, {o.transposeB ? 1 : ldb, o.transposeB ? ldb : 1});
    args.bias = o.bias ? viewOf<OptIn>(bias.data(), d, {s.n}) : absent<OptIn>();
    args.y = stridedView<Out>(y.data() + o.offset, d, {s.m, s.n}, {ldy, 1});
    args.pre = o.pre ? stridedView<OptOut>(pre.data() + o.offset, d, {s.m, s.n}, {ldy, 1}) : absent<OptOut>();
    args.activation = static_cast<int64_t>(o.activation);
    args.accumulate = o.accumulate;
  }
  double at(const View& v, int64_t i, int64_t j) const {
    return static_cast<double>(v.as<T>()[i * v.strides[0] + j * v.strides[1]]);
  }
};

// Runs the product and holds every element to 4 eps (|A| |B|), as well as what lies between the rows to what was there.
template <class T>
std::vector<T> checkProduct(DeviceImpl& device, Shape s, Options o) {
  Note shape("M " + std::to_string(s.m) + ", N " + std::to_string(s.n) + ", K " + std::to_string(s.k));
  Product<T> p(s, o);
  const std::vector<T> before = p.y;
  runOp(device, OpId::matmul, p.args);
  const double eps = std::numeric_limits<T>::epsilon();
  std::size_t untouched = static_cast<std::size_t>(o.offset);
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < s.k; ++k) {
        const double term = p.at(p.args.a, i, k) * p.at(p.args.b, k, j);
        sum += term;
        size += std::fabs(term);
      }
      const std::size_t at = static_cast<std::size_t>(o.offset + i * p.ldy + j);
      if (o.accumulate) sum += static_cast<double>(before[at]), size += std::fabs(static_cast<double>(before[at]));
      if (o.bias) sum += static_cast<double>(p.bias[static_cast<std::size_t>(j)]), size += 1;
      if (o.pre) CHECK_NEAR(static_cast<double>(p.pre[at]), sum, 4 * eps * size);
      CHECK_NEAR(static_cast<double>(p.y[at]), act(sum, o.activation),
                 4 * eps * size * (o.activation == Activation::none ? 1 : 2));
    }
    for (int64_t j = s.n; j < p.ldy; ++j) {
      untouched = static_cast<std::size_t>(o.offset + i * p.ldy + j);
      CHECK(p.y[untouched] == before[untouched]);
    }
  }
  CHECK(p.y.back() == before.back());
  return p.y;
}

// Results per instruction set, so that thread counts can be compared bit for bit.
template <class T>
class SameBits {
 public:
  void add(DeviceImpl& device, const std::vector<T>& y) {
    const std::string isa = device.facts().isa;
    if (isa != isa_) {
      isa_ = isa;
      first_ = y;
      return;
    }
    CHECK(first_.size() == y.size() && std::memcmp(first_.data(), y.data(), y.size() * sizeof(T)) == 0);
  }

 private:
  std::string isa_;
  std::vector<T> first_;
};

template <class T>
void checkShapes(const std::vector<Shape>& shapes, Options o) {
  for (const Shape& s : shapes) {
    SameBits<T> same;
    forEachDevice([&](DeviceImpl& device) { same.add(device, checkProduct<T>(device, s, o)); });
  }
}

}  // namespace warploom::test
