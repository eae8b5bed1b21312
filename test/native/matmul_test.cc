// matmul against plain loops in double, over every instruction set and 1, 2 and 3 threads.
#include "native/matmul_cases.h"

using namespace warploom;
using namespace warploom::test;

namespace {

const std::vector<Shape> kShapes = {{1, 1, 1},    {1, 33, 65},     {33, 1, 65},   {31, 33, 65},  {65, 31, 33},
                                    {33, 65, 0},  {3, 5, 4097},    {1, 40, 4097}, {40, 1, 4097}, {100, 7, 70},
                                    {7, 100, 70}, {130, 129, 257}, {49, 50, 2000}};

}  // namespace

TEST(matmul_float32_all_layouts) {
  for (const bool transposeA : {false, true}) {
    for (const bool transposeB : {false, true}) {
      Options o;
      o.transposeA = transposeA;
      o.transposeB = transposeB;
      checkShapes<float>(kShapes, o);
    }
  }
}

TEST(matmul_float64) {
  Options o;
  o.transposeB = true;
  checkShapes<double>(kShapes, o);
}

TEST(matmul_offset_and_row_gaps) {
  Options o;
  o.offset = 1;
  o.gap = 3;
  checkShapes<float>(kShapes, o);
}

TEST(matmul_sums_of_one_sign) {
  Options o;
  o.positive = true;
  checkShapes<float>({{33, 40, 64}, {33, 40, 256}, {1, 700, 256}, {9, 33, 4097}}, o);
}

// Large enough for several blocks in each dimension, against a sample of the elements.
TEST(matmul_several_blocks) {
  const Shape s = {2000, 330, 300};
  SameBits<float> same;
  forEachDevice([&](DeviceImpl& device) {
    Product<float> p(s, Options{});
    runOp(device, OpId::matmul, p.args);
    for (int64_t e = 0; e < 3000; ++e) {
      const int64_t i = e * 7919 % s.m, j = e * 104729 % s.n;
      double sum = 0, size = 0;
      for (int64_t k = 0; k < s.k; ++k) {
        const double term = p.at(p.args.a, i, k) * p.at(p.args.b, k, j);
        sum += term;
        size += std::fabs(term);
      }
      CHECK_NEAR(p.at(p.args.y, i, j), sum, 4 * 1.2e-7 * size);
    }
    same.add(device, p.y);
  });
}

// A row or a column of a large product has the bits that it has alone: no path sums in another order.
TEST(matmul_element_does_not_depend_on_m_or_n) {
  for (const int64_t k : {1, 70, 300, 1025}) {
    for (const bool transposeB : {false, true}) {
      forEachDevice([&](DeviceImpl& device) {
        Note depth("K " + std::to_string(k));
        Options o;
        o.transposeB = transposeB;
        const Shape s = {210, 150, k};
        Product<float> whole(s, o);
        runOp(device, OpId::matmul, whole.args);
        for (const int64_t rows : {1, 2, 13, 60}) {
          for (const int64_t cols : {1, 3, 17, 40}) {
            const int64_t i0 = 91, j0 = 77;
            std::vector<float> y(static_cast<std::size_t>(rows * cols));
            MatmulArgs part = whole.args;
            part.a.data = whole.args.a.as<float>() + i0 * part.a.strides[0];
            part.b.data = whole.args.b.as<float>() + j0 * part.b.strides[1];
            part.a.sizes[0] = rows;
            part.b.sizes[1] = cols;
            part.y = viewOf<Out>(y.data(), DType::float32, {rows, cols});
            runOp(device, OpId::matmul, part);
            bool equal = true;
            for (int64_t i = 0; i < rows; ++i) {
              equal = equal && std::memcmp(&y[static_cast<std::size_t>(i * cols)],
                                           &whole.y[static_cast<std::size_t>((i0 + i) * s.n + j0)],
                                           static_cast<std::size_t>(cols) * sizeof(float)) == 0;
            }
            CHECK(equal);
          }
        }
      });
    }
  }
}

// The order of summation that other devices follow bit for bit: chains of 64 k by fma, added in order within blocks of
// 256 k, blocks in order, after what y held. The baseline has no fma: its products are rounded.
TEST(matmul_sums_in_the_stated_order) {
  for (const bool accumulate : {false, true}) {
    Options o;
    o.accumulate = accumulate;
    forEachDevice([&](DeviceImpl& device) {
      const bool fused = device.facts().isa != "baseline";
      for (const Shape s : {Shape{33, 37, 700}, Shape{1, 150, 300}, Shape{40, 5, 130}}) {
        Product<float> p(s, o);
        const std::vector<float> before = p.y;
        runOp(device, OpId::matmul, p.args);
        bool equal = true;
        for (int64_t i = 0; i < s.m; ++i) {
          for (int64_t j = 0; j < s.n; ++j) {
            float sum = accumulate ? before[static_cast<std::size_t>(i * s.n + j)] : 0;
            for (int64_t k0 = 0; k0 < s.k; k0 += 256) {
              float block = 0;
              for (int64_t k1 = k0; k1 < s.k && k1 < k0 + 256; k1 += 64) {
                float chain = 0;
                for (int64_t k = k1; k < s.k && k < k1 + 64; ++k) {
                  const float x = p.a[static_cast<std::size_t>(i * s.k + k)];
                  const float w = p.b[static_cast<std::size_t>(k * s.n + j)];
                  chain = fused ? std::fma(x, w, chain) : chain + x * w;
                }
                block = k1 == k0 ? chain : block + chain;
              }
              sum = k0 == 0 && !accumulate ? block : sum + block;
            }
            equal = equal && sum == p.y[static_cast<std::size_t>(i * s.n + j)];
          }
        }
        CHECK(equal);
      }
    });
  }
}

// The same values, laid out in every way that takes another path (in place, copied, packed once for all, in several
// rounds of k and of columns), give the same bits. 1024 elements between rows are what caches like least.
template <class T>
void checkLayouts(const std::vector<Shape>& shapes) {
  struct Layout {
    int64_t row, col;  // strides; 0: as many as the matrix has
  };
  const std::vector<Layout> layouts = {{0, 1}, {1, 0}, {1024, 1}, {1, 1024}, {8192, 2}, {2, 8192}};
  for (const Shape& s : shapes) {
    const auto a = numbers<T>(s.m * s.k, 1);
    const auto b = numbers<T>(s.k * s.n, 2);
    SameBits<T> same;
    forEachDevice([&](DeviceImpl& device) {
      for (const Layout& la : layouts) {
        for (const Layout& lb : layouts) {
          if (&la != &lb && &la != &layouts[0] && &lb != &layouts[0]) continue;
          const auto lay = [](const std::vector<T>& v, int64_t rows, int64_t cols, Layout& l) {
            if (l.row == 0) l.row = cols;
            if (l.col == 0) l.col = rows;
            // Rows that are longer than their distance would run into each other.
            if (l.row > l.col && l.row < cols * l.col) l.row = (cols * l.col + 1023) / 1024 * 1024;
            if (l.col > l.row && l.col < rows * l.row) l.col = (rows * l.row + 1023) / 1024 * 1024;
            std::vector<T> out(static_cast<std::size_t>((rows - 1) * l.row + (cols - 1) * l.col + 1), T(NAN));
            for (int64_t i = 0; i < rows * cols; ++i) {
              out[static_cast<std::size_t>(i / cols * l.row + i % cols * l.col)] = v[static_cast<std::size_t>(i)];
            }
            return out;
          };
          Layout ofA = la, ofB = lb;
          auto laidA = lay(a, s.m, s.k, ofA);
          auto laidB = lay(b, s.k, s.n, ofB);
          std::vector<T> y(static_cast<std::size_t>(s.m * s.n));
          MatmulArgs args = {};
          const DType d = dtypeOf<T>();
          args.a = stridedView<In>(laidA.data(), d, {s.m, s.k}, {ofA.row, ofA.col});
          args.b = stridedView<In>(laidB.data(), d, {s.k, s.n}, {ofB.row, ofB.col});
          args.bias = absent<OptIn>();
          args.pre = absent<OptOut>();
          args.y = viewOf<Out>(y.data(), d, {s.m, s.n});
          runOp(device, OpId::matmul, args);
          Note where("a's strides " + std::to_string(ofA.row) + ", " + std::to_string(ofA.col) + ", b's " +
                     std::to_string(ofB.row) + ", " + std::to_string(ofB.col));
          same.add(device, y);
        }
      }
    });
  }
}

TEST(matmul_bits_do_not_depend_on_layouts) {
  checkLayouts<float>({{1, 300, 300}, {20, 70, 300}, {130, 150, 300}, {130, 11, 70}, {1100, 70, 130}});
#ifndef __SANITIZE_THREAD__  // there it takes minutes, and its threads do what those of the case before do
  checkLayouts<float>({{260, 500, 4200}});
#endif
  checkLayouts<double>({{130, 150, 300}});
}

// [2, 3, M, K] x [K, N] broadcast in several ways, and the views of attention: [B, T, H, D] seen as [B, H, T, D].
TEST(matmul_batches) {
  const int64_t m = 9, n = 21, k = 34;
  const auto a = numbers<float>(6 * m * k, 1);
  const auto b = numbers<float>(6 * k * n, 2);
  struct Case {
    std::vector<int64_t> a, b;  // strides
  };
  const std::vector<Case> all = {
      {{3 * m * k, m * k, k, 1}, {3 * k * n, k * n, n, 1}},  // plain
      {{3 * m * k, m * k, k, 1}, {0, 0, n, 1}},              // one b: rows run on
      {{3 * m * k, m * k, k, 1}, {0, 0, 1, k}},              // one transposed b
      {{0, m * k, k, 1}, {k * n, 0, n, 1}},                  // each broadcast along one dim
      {{3 * m * k, k, 3 * k, 1}, {3 * k * n, n, 3 * n, 1}},  // heads between rows
  };
  for (const Case& c : all) {
    SameBits<float> same;
    forEachDevice([&](DeviceImpl& device) {
      std::vector<float> y(static_cast<std::size_t>(6 * m * n));
      MatmulArgs args = {};
      args.a = stridedView<In>(const_cast<float*>(a.data()), DType::float32, {2, 3, m, k}, c.a);
      args.b = stridedView<In>(const_cast<float*>(b.data()), DType::float32, {2, 3, k, n}, c.b);
      args.bias = absent<OptIn>();
      args.pre = absent<OptOut>();
      args.y = viewOf<Out>(y.data(), DType::float32, {2, 3, m, n});
      runOp(device, OpId::matmul, args);
      for (int64_t e = 0; e < 6 * m * n; ++e) {
        const int64_t j = e % n, i = e / n % m, q = e / n / m % 3, p = e / n / m / 3;
        double sum = 0;
        for (int64_t t = 0; t < k; ++t) {
          sum += static_cast<double>(a[static_cast<std::size_t>(p * c.a[0] + q * c.a[1] + i * c.a[2] + t * c.a[3])]) *
                 static_cast<double>(b[static_cast<std::size_t>(p * c.b[0] + q * c.b[1] + t * c.b[2] + j * c.b[3])]);
        }
        CHECK_NEAR(static_cast<double>(y[static_cast<std::size_t>(e)]), sum, 2e-6);
      }
      same.add(device, y);
    });
  }
}

TEST(matmul_rank_eight_and_empty) {
  forEachDevice([&](DeviceImpl& device) {
    const std::vector<int64_t> sizes = {2, 1, 2, 1, 2, 2, 2, 3};
    auto a = numbers<double>(16 * 2 * 3, 1);
    auto b = numbers<double>(16 * 3 * 2, 2);
    std::vector<double> y(16 * 4, -1);
    MatmulArgs args = {};
    args.a = viewOf<In>(a.data(), DType::float64, {2, 1, 2, 1, 2, 2, 2, 3});
    args.b = viewOf<In>(b.data(), DType::float64, {2, 1, 2, 1, 2, 2, 3, 2});
    args.bias = absent<OptIn>();
    args.pre = absent<OptOut>();
    args.y = viewOf<Out>(y.data(), DType::float64, {2, 1, 2, 1, 2, 2, 2, 2});
    runOp(device, OpId::matmul, args);
    for (std::size_t e = 0; e < y.size(); ++e) {
      const std::size_t batch = e / 4, i = e / 2 % 2, j = e % 2;
      double sum = 0;
      for (std::size_t t = 0; t < 3; ++t) sum += a[batch * 6 + i * 3 + t] * b[batch * 6 + t * 2 + j];
      CHECK_NEAR(y[e], sum, 1e-14);
    }
    for (const Shape s : {Shape{0, 3, 4}, Shape{3, 0, 4}, Shape{0, 0, 0}}) {
      Product<float> p(s, Options{});
      runOp(device, OpId::matmul, p.args);
    }
  });
}

TEST(matmul_infinity_and_nan_pass) {
  forEachDevice([&](DeviceImpl& device) {
    Product<float> p({17, 19, 40}, Options{});
    p.a[3 * 40 + 5] = INFINITY;
    p.a[9 * 40 + 1] = NAN;
    p.args.activation = static_cast<int64_t>(Activation::relu);
    runOp(device, OpId::matmul, p.args);
    for (std::size_t j = 0; j < 19; ++j) {
      CHECK(p.y[3 * 19 + j] == (p.b[5 * 19 + j] > 0 ? INFINITY : 0));
      CHECK(std::isnan(p.y[9 * 19 + j]));
      CHECK(std::isfinite(p.y[8 * 19 + j]));
    }
  });
}

template <class T>
void checkIntegers(bool accumulate) {
  forEachDevice([&](DeviceImpl& device) {
    for (const Shape s : {Shape{5, 7, 9}, Shape{40, 3, 70}}) {
      std::vector<T> a(static_cast<std::size_t>(s.m * s.k)), b(static_cast<std::size_t>(s.k * s.n));
      for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i * 37 % 19) - 9;
      for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(i * 53 % 23) - 11;
      std::vector<T> y(static_cast<std::size_t>(s.m * s.n), T(100));
      MatmulArgs args = {};
      args.a = viewOf<In>(a.data(), dtypeOf<T>(), {s.m, s.k});
      args.b = viewOf<In>(b.data(), dtypeOf<T>(), {s.k, s.n});
      args.bias = absent<OptIn>();
      args.pre = absent<OptOut>();
      args.y = viewOf<Out>(y.data(), dtypeOf<T>(), {s.m, s.n});
      args.accumulate = accumulate;
      runOp(device, OpId::matmul, args);
      for (int64_t e = 0; e < s.m * s.n; ++e) {
        T sum = accumulate ? 100 : 0;
        for (int64_t k = 0; k < s.k; ++k) {
          sum += a[static_cast<std::size_t>(e / s.n * s.k + k)] * b[static_cast<std::size_t>(k * s.n + e % s.n)];
        }
        CHECK(y[static_cast<std::size_t>(e)] == sum);
      }
    }
  });
}

TEST(matmul_integers) {
  for (const bool accumulate : {false, true}) {
    checkIntegers<int32_t>(accumulate);
    checkIntegers<int64_t>(accumulate);
  }
}
