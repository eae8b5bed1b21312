// What follows a matrix product: accumulation, bias, the values before the activation, the activation.
#include "native/matmul_cases.h"

using namespace warploom;
using namespace warploom::test;

namespace {

// Batches that share b, of a, y and pre whose rows run on from batch to batch, or where one of them leaves a gap; a
// bias whose elements lie apart, or are one element.
struct Gaps {
  int64_t a, y, pre;
};

void checkStrides(int64_t m, int64_t n, int64_t biasStride, Gaps gaps) {
  Note where("M " + std::to_string(m) + ", N " + std::to_string(n) + ", bias's stride " + std::to_string(biasStride) +
             ", gaps " + std::to_string(gaps.a) + ", " + std::to_string(gaps.y) + ", " + std::to_string(gaps.pre));
  const int64_t k = 70, batches = 3, yRow = n + 2, preRow = n + 1;
  const int64_t aBatch = m * k + gaps.a, yBatch = m * yRow + gaps.y, preBatch = m * preRow + gaps.pre;
  auto a = numbers<float>(batches * aBatch, 1), b = numbers<float>(k * n, 2), bias = numbers<float>(2 * n, 3);
  forEachDevice([&](DeviceImpl& device) {
    std::vector<float> y(static_cast<std::size_t>(batches * yBatch), 77);
    std::vector<float> pre(static_cast<std::size_t>(batches * preBatch), 77);
    MatmulArgs args = {};
    args.a = stridedView<In>(a.data(), DType::float32, {batches, m, k}, {aBatch, k, 1});
    args.b = stridedView<In>(b.data(), DType::float32, {batches, k, n}, {0, n, 1});
    args.bias = stridedView<OptIn>(bias.data(), DType::float32, {n}, {biasStride});
    args.y = stridedView<Out>(y.data(), DType::float32, {batches, m, n}, {yBatch, yRow, 1});
    args.pre = stridedView<OptOut>(pre.data(), DType::float32, {batches, m, n}, {preBatch, preRow, 1});
    args.activation = static_cast<int64_t>(Activation::relu);
    runOp(device, OpId::matmul, args);
    for (int64_t e = 0; e < batches * m * n; ++e) {
      const int64_t j = e % n, i = e / n % m, batch = e / n / m;
      double sum = static_cast<double>(bias[static_cast<std::size_t>(j * biasStride)]);
      for (int64_t t = 0; t < k; ++t) {
        sum += static_cast<double>(a[static_cast<std::size_t>(batch * aBatch + i * k + t)]) *
               static_cast<double>(b[static_cast<std::size_t>(t * n + j)]);
      }
      CHECK_NEAR(pre[static_cast<std::size_t>(batch * preBatch + i * preRow + j)], sum, 1e-5);
      CHECK_NEAR(y[static_cast<std::size_t>(batch * yBatch + i * yRow + j)], sum < 0 ? 0 : sum, 1e-5);
    }
    int64_t untouched = 0;
    for (float v : y) untouched += v == 77 ? 1 : 0;
    CHECK(untouched == batches * (yBatch - m * n));
  });
}

}  // namespace

TEST(matmul_epilogues) {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu, Activation::geluTanh}) {
    Options o;
    o.bias = true;
    o.pre = true;
    o.gap = 1;
    o.activation = activation;
    checkShapes<float>({{5, 37, 300}, {37, 5, 300}, {4, 3, 0}, {1, 1, 1}}, o);
    checkShapes<double>({{5, 37, 300}}, o);
  }
  Options bias, pre, activation;
  bias.bias = true;
  pre.pre = true;
  activation.activation = Activation::gelu;
  for (const Options& alone : {bias, pre, activation})
    checkShapes<float>({{37, 64, 300}, {37, 5, 300}, {1, 64, 9}}, alone);
}

TEST(matmul_accumulates) {
  Options o;
  o.accumulate = true;
  checkShapes<float>({{33, 31, 600}, {31, 3, 65}, {3, 31, 0}}, o);
  o.bias = o.pre = true;
  o.gap = 2;
  o.activation = Activation::relu;
  checkShapes<float>({{33, 31, 600}, {31, 3, 600}, {3, 31, 0}, {1, 40, 300}}, o);
  checkShapes<double>({{33, 31, 600}, {31, 1, 600}}, o);
}

// The fused activation is the elementwise op, bit for bit.
TEST(matmul_activation_equals_the_op) {
  forEachDevice([&](DeviceImpl& device) {
    for (const auto& [activation, id] :
         {std::make_pair(Activation::relu, OpId::relu), std::make_pair(Activation::gelu, OpId::gelu),
          std::make_pair(Activation::geluTanh, OpId::geluTanh)}) {
      Options o;
      o.bias = true;
      o.pre = true;
      o.activation = activation;
      Product<float> p({37, 41, 90}, o);
      for (float& x : p.bias) x *= 16;
      runOp(device, OpId::matmul, p.args);
      std::vector<float> y(p.y.size() - 1);
      UnaryArgs unary = {};
      unary.x = viewOf<In>(p.pre.data(), DType::float32, {37, 41});
      unary.y = viewOf<Out>(y.data(), DType::float32, {37, 41});
      runOp(device, id, unary);
      CHECK(std::memcmp(y.data(), p.y.data(), y.size() * sizeof(float)) == 0);
    }
  });
}

// Several rounds, of k and of columns, of the path that packs b once for all: bias and activation come after the last,
// and what y held before the first. Against a sample of the elements.
TEST(matmul_several_rounds) {
#ifndef __SANITIZE_THREAD__
  Options o;
  o.transposeB = o.bias = o.pre = o.accumulate = true;
  o.activation = Activation::gelu;
  const Shape s = {200, 300, 4200};
  SameBits<float> same;
  forEachDevice([&](DeviceImpl& device) {
    Product<float> p(s, o);
    const std::vector<float> before = p.y;
    runOp(device, OpId::matmul, p.args);
    for (int64_t e = 0; e < 1000; ++e) {
      const int64_t i = e * 7919 % s.m, j = e * 104729 % s.n;
      const std::size_t at = static_cast<std::size_t>(i * s.n + j);
      double sum = static_cast<double>(before[at]) + static_cast<double>(p.bias[static_cast<std::size_t>(j)]),
             size = 1.5;
      for (int64_t k = 0; k < s.k; ++k) {
        const double term = p.at(p.args.a, i, k) * p.at(p.args.b, k, j);
        sum += term;
        size += std::fabs(term);
      }
      CHECK_NEAR(static_cast<double>(p.pre[at]), sum, 4 * 1.2e-7 * size);
      CHECK_NEAR(static_cast<double>(p.y[at]), act(sum, o.activation), 2 * 4 * 1.2e-7 * size);
    }
    same.add(device, p.y);
  });
#endif
}

TEST(matmul_epilogue_strides) {
  for (const int64_t m : {1, 9}) {
    for (const int64_t n : {3, 40}) {
      for (const int64_t biasStride : {0, 1, 2}) {
        for (const Gaps& gaps : {Gaps{0, 0, 0}, Gaps{5, 0, 0}, Gaps{0, 5, 0}, Gaps{0, 0, 7}}) {
          checkStrides(m, n, biasStride, gaps);
        }
        checkStrides(m, n, biasStride, {3, 5, 7});
      }
    }
  }
}
