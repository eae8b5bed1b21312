// Max pooling against plain loops, over every instruction set and 1, 2 and 3 threads. Every result is exact.
#include "native/check.h"

using namespace warploom;
using namespace warploom::test;

namespace {

struct Pool {
  int64_t n, c, h, w, kernel, stride, pad, dilation;
  int64_t out(int64_t size) const { return (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1; }
};

template <class T>
std::vector<T> image(int64_t n) {
  std::vector<T> v(static_cast<std::size_t>(n));
  uint32_t s = 99;
  for (T& x : v) {
    s = s * 1664525u + 1013904223u;
    x = static_cast<T>(s >> 28) - T(8);  // few values: many ties
  }
  return v;
}

template <class T>
void checkPool(const Pool& p, const std::vector<T>& x, DType dtype) {
  const int64_t oh = p.out(p.h), ow = p.out(p.w), outputs = p.n * p.c * oh * ow;
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> y(static_cast<std::size_t>(outputs) + 1, T(77));
    std::vector<int32_t> indices(y.size(), 77);
    MaxPool2dArgs args = {};
    args.x = viewOf<In>(const_cast<T*>(x.data()), dtype, {p.n, p.c, p.h, p.w});
    args.y = viewOf<Out>(y.data(), dtype, {p.n, p.c, oh, ow});
    args.indices = viewOf<Out>(indices.data(), DType::int32, {p.n, p.c, oh, ow});
    args.kernelH = args.kernelW = p.kernel;
    args.strideH = args.strideW = p.stride;
    args.padH = args.padW = p.pad;
    args.dilationH = args.dilationW = p.dilation;
    runOp(device, OpId::maxPool2d, args);
    std::vector<T> dxExpected(x.size(), T(0)), g(static_cast<std::size_t>(outputs));
    for (std::size_t i = 0; i < g.size(); ++i) g[i] = static_cast<T>(i % 7) + T(0.25);
    for (int64_t e = 0; e < outputs; ++e) {
      const int64_t plane = e / (oh * ow), r = e / ow % oh, s = e % ow;
      T best = -std::numeric_limits<T>::infinity();
      int64_t at = -1;
      for (int64_t i = 0; i < p.kernel; ++i) {
        for (int64_t j = 0; j < p.kernel; ++j) {
          const int64_t h = r * p.stride - p.pad + i * p.dilation, w = s * p.stride - p.pad + j * p.dilation;
          if (h < 0 || h >= p.h || w < 0 || w >= p.w) continue;
          const T v = x[static_cast<std::size_t>((plane * p.h + h) * p.w + w)];
          if (at < 0 || v > best || std::isnan(v)) {
            best = v;
            at = h * p.w + w;
          }
        }
      }
      const std::size_t i = static_cast<std::size_t>(e);
      CHECK(std::memcmp(&y[i], &best, sizeof(T)) == 0);
      CHECK(indices[i] == at);
      dxExpected[static_cast<std::size_t>(plane * p.h * p.w + at)] += g[i];
    }
    CHECK(y.back() == T(77) && indices.back() == 77);

    std::vector<T> dx(x.size(), T(5));
    MaxPool2dBackwardArgs backward = {};
    backward.g = viewOf<In>(g.data(), dtype, {p.n, p.c, oh, ow});
    backward.indices = viewOf<In>(indices.data(), DType::int32, {p.n, p.c, oh, ow});
    backward.dx = viewOf<Out>(dx.data(), dtype, {p.n, p.c, p.h, p.w});
    runOp(device, OpId::maxPool2dBackward, backward);
    CHECK(dx == dxExpected);

    std::vector<T> gathered(static_cast<std::size_t>(outputs));
    MaxPool2dGatherArgs gather = {};
    gather.x = args.x;
    gather.indices = backward.indices;
    gather.y = viewOf<Out>(gathered.data(), dtype, {p.n, p.c, oh, ow});
    runOp(device, OpId::maxPool2dGather, gather);
    CHECK(gathered.empty() || std::memcmp(gathered.data(), y.data(), gathered.size() * sizeof(T)) == 0);
  });
}

}  // namespace

TEST(pool_windows) {
  for (const Pool& p : {Pool{3, 5, 28, 28, 2, 2, 0, 1}, Pool{2, 33, 9, 11, 3, 2, 1, 1}, Pool{1, 2, 12, 13, 3, 1, 1, 2},
                        Pool{2, 1, 1, 1, 1, 1, 0, 1}, Pool{1, 3, 7, 65, 3, 3, 0, 1}, Pool{0, 3, 4, 4, 2, 2, 0, 1}}) {
    checkPool<float>(p, image<float>(p.n * p.c * p.h * p.w), DType::float32);
    checkPool<double>(p, image<double>(p.n * p.c * p.h * p.w), DType::float64);
  }
}

TEST(pool_nan_and_infinity) {
  const Pool p = {1, 1, 6, 6, 2, 2, 0, 1};
  std::vector<float> x = image<float>(36);
  x[0] = x[7] = NAN;  // two in one window: the last wins
  for (std::size_t i : {4, 5, 10, 11}) x[i] = -INFINITY;
  x[14] = INFINITY;
  checkPool<float>(p, x, DType::float32);
}

TEST(pool_index_out_of_range) {
  forEachDevice([&](DeviceImpl& device) {
    std::vector<float> g = {1, 2, 3, 4}, dx(16, 9.0f), y(4, 9.0f);
    std::vector<int32_t> indices = {0, 16, -1, 15};
    MaxPool2dBackwardArgs backward = {};
    backward.g = viewOf<In>(g.data(), DType::float32, {1, 1, 2, 2});
    backward.indices = viewOf<In>(indices.data(), DType::int32, {1, 1, 2, 2});
    backward.dx = viewOf<Out>(dx.data(), DType::float32, {1, 1, 4, 4});
    runOp(device, OpId::maxPool2dBackward, backward);
    IndexErrorInfo info = {};
    CHECK(device.context().takeIndexError(info));
    CHECK(dx[0] == 1 && dx[15] == 4 && dx[5] == 0);
    MaxPool2dGatherArgs gather = {};
    gather.x = viewOf<In>(dx.data(), DType::float32, {1, 1, 4, 4});
    gather.indices = backward.indices;
    gather.y = viewOf<Out>(y.data(), DType::float32, {1, 1, 2, 2});
    runOp(device, OpId::maxPool2dGather, gather);
    CHECK(device.context().takeIndexError(info));
    CHECK(y[0] == 1 && y[1] == 0 && y[2] == 0 && y[3] == 4);
  });
}
