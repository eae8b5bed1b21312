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

// One window of the reference: its maximum and which element that is.
template <class T>
struct Winner {
  T value;
  int64_t tap, at;
};
template <class T>
Winner<T> winnerOf(const Pool& p, const T* plane, int64_t r, int64_t s) {
  Winner<T> best = {-std::numeric_limits<T>::infinity(), -1, -1};
  for (int64_t i = 0; i < p.kernel; ++i) {
    for (int64_t j = 0; j < p.kernel; ++j) {
      const int64_t h = r * p.stride - p.pad + i * p.dilation, w = s * p.stride - p.pad + j * p.dilation;
      if (h < 0 || h >= p.h || w < 0 || w >= p.w) continue;
      const T v = plane[h * p.w + w];
      if (best.at < 0 || v > best.value || std::isnan(v)) best = {v, i * p.kernel + j, h * p.w + w};
    }
  }
  return best;
}

template <class T, class Index>
void checkPool(const Pool& p, const std::vector<T>& x, DType dtype, DType indexType, bool relu) {
  Note which(relu ? "relu" : "plain");
  const int64_t oh = p.out(p.h), ow = p.out(p.w), outputs = p.n * p.c * oh * ow;
  const auto setGeometry = [&](auto& args) {
    args.kernelH = args.kernelW = p.kernel;
    args.strideH = args.strideW = p.stride;
    args.padH = args.padW = p.pad;
    args.dilationH = args.dilationW = p.dilation;
  };
  const std::vector<int64_t> xSizes = {p.n, p.c, p.h, p.w}, ySizes = {p.n, p.c, oh, ow};
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> y(static_cast<std::size_t>(outputs) + 1, T(77)), without = y;
    std::vector<Index> indices(y.size(), 77);
    MaxPool2dArgs args = {};
    args.x = viewOf<In>(const_cast<T*>(x.data()), dtype, xSizes);
    args.y = viewOf<Out>(y.data(), dtype, ySizes);
    args.indices = viewOf<OptOut>(indices.data(), indexType, ySizes);
    args.relu = relu;
    setGeometry(args);
    runOp(device, OpId::maxPool2d, args);
    args.y = viewOf<Out>(without.data(), dtype, ySizes);
    args.indices = absent<OptOut>();
    runOp(device, OpId::maxPool2d, args);
    CHECK(std::memcmp(without.data(), y.data(), y.size() * sizeof(T)) == 0);

    std::vector<T> dxExpected(x.size(), T(0)), g(static_cast<std::size_t>(outputs)), gatherExpected(g.size(), T(0));
    for (std::size_t i = 0; i < g.size(); ++i) g[i] = static_cast<T>(i % 7) + T(0.25);
    for (int64_t e = 0; e < outputs; ++e) {
      const int64_t plane = e / (oh * ow) * p.h * p.w;
      const Winner<T> best = winnerOf(p, x.data() + plane, e / ow % oh, e % ow);
      const bool none = relu && best.value <= T(0);
      const T value = none ? T(0) : best.value;
      const std::size_t i = static_cast<std::size_t>(e), at = static_cast<std::size_t>(plane + best.at);
      CHECK(std::memcmp(&y[i], &value, sizeof(T)) == 0);
      const bool bytes = indexType == DType::uint8;
      const int64_t index = bytes ? (none ? p.kernel * p.kernel : best.tap) : (none ? -1 : best.at);
      CHECK(indices[i] == static_cast<Index>(index));
      if (!none) dxExpected[at] += g[i];
      if (!none) gatherExpected[i] = x[at];
    }
    CHECK(y.back() == T(77) && indices.back() == 77);

    std::vector<T> dx(x.size() + 1, T(5));
    dxExpected.push_back(T(5));
    MaxPool2dBackwardArgs backward = {};
    backward.g = viewOf<In>(g.data(), dtype, ySizes);
    backward.indices = viewOf<In>(indices.data(), indexType, ySizes);
    backward.dx = viewOf<Out>(dx.data(), dtype, xSizes);
    setGeometry(backward);
    runOp(device, OpId::maxPool2dBackward, backward);
    CHECK(dx == dxExpected);
    dxExpected.pop_back();

    std::vector<T> gathered(static_cast<std::size_t>(outputs));
    MaxPool2dGatherArgs gather = {};
    gather.x = args.x;
    gather.indices = backward.indices;
    gather.y = viewOf<Out>(gathered.data(), dtype, ySizes);
    setGeometry(gather);
    runOp(device, OpId::maxPool2dGather, gather);
    CHECK(gathered.empty() || std::memcmp(gathered.data(), gatherExpected.data(), gathered.size() * sizeof(T)) == 0);
  });
}

template <class T>
void checkPool(const Pool& p, const std::vector<T>& x) {
  const DType dtype = std::is_same<T, float>::value ? DType::float32 : DType::float64;
  Note shape(std::to_string(p.h) + " x " + std::to_string(p.w) + ", window " + std::to_string(p.kernel));
  for (const bool relu : {false, true}) {
    if (p.kernel * p.kernel <= 255) checkPool<T, uint8_t>(p, x, dtype, DType::uint8, relu);
    checkPool<T, int32_t>(p, x, dtype, DType::int32, relu);
  }
}

}  // namespace

TEST(pool_windows) {
  for (const Pool& p :
       {Pool{3, 5, 28, 28, 2, 2, 0, 1}, Pool{2, 33, 9, 11, 3, 2, 1, 1}, Pool{1, 2, 12, 13, 3, 1, 1, 2},
        Pool{2, 1, 1, 1, 1, 1, 0, 1}, Pool{1, 3, 7, 65, 3, 3, 0, 1}, Pool{0, 3, 4, 4, 2, 2, 0, 1},
        Pool{1, 1, 19, 600, 16, 1, 8, 1}, Pool{1, 2, 3, 700, 2, 1, 1, 1}, Pool{1, 2, 13, 14, 5, 1, 2, 2}}) {
    checkPool(p, image<float>(p.n * p.c * p.h * p.w));
    checkPool(p, image<double>(p.n * p.c * p.h * p.w));
  }
}

// Windows of 2 x 2 that touch: rows of every length about a vector's, odd sizes, many small planes, one large.
TEST(pool_halving) {
  for (int64_t w = 2; w <= 37; ++w) {
    const Pool p = {2, 3, w % 3 + 4, w, 2, 2, 0, 1};
    checkPool(p, image<float>(p.n * p.c * p.h * p.w));
  }
  for (const Pool& p : {Pool{33, 32, 14, 14, 2, 2, 0, 1}, Pool{1, 2, 301, 203, 2, 2, 0, 1}}) {
    checkPool(p, image<float>(p.n * p.c * p.h * p.w));
  }
}

TEST(pool_nan_and_infinity) {
  const Pool p = {1, 1, 6, 6, 2, 2, 0, 1};
  std::vector<float> x = image<float>(36);
  x[0] = x[7] = NAN;  // two in one window: the last wins
  for (std::size_t i : {4, 5, 10, 11}) x[i] = -INFINITY;
  x[14] = INFINITY;
  checkPool(p, x);
  for (const int64_t stride : {1, 2, 3}) {
    const Pool wide = {1, 1, 6, 6, 3, stride, 1, 1};
    checkPool(wide, x);
    checkPool(wide, std::vector<double>(x.begin(), x.end()));
  }
}

// A NaN at each place of a window alone.
TEST(pool_nan_anywhere) {
  const Pool halving = {1, 1, 4, 40, 2, 2, 0, 1}, apart = {1, 1, 4, 40, 2, 3, 0, 1};
  for (std::size_t at : {0, 1, 40, 41}) {
    std::vector<float> x = image<float>(160);
    for (std::size_t column = 0; column < 40; column += 6) x[column + at] = NAN;
    checkPool(halving, x);
    checkPool(apart, x);
    checkPool(apart, std::vector<double>(x.begin(), x.end()));
  }
}

// Where nothing beats -infinity the first element inside the plane wins: at each border, and behind a block of outputs.
TEST(pool_infinity_at_the_border) {
  for (const Pool& p : {Pool{1, 2, 5, 6, 3, 1, 1, 1}, Pool{1, 1, 3, 600, 3, 1, 1, 1}, Pool{1, 1, 9, 9, 5, 2, 2, 2}}) {
    checkPool(p, std::vector<float>(static_cast<std::size_t>(p.c * p.h * p.w), -INFINITY));
    checkPool(p, std::vector<double>(static_cast<std::size_t>(p.c * p.h * p.w), -INFINITY));
  }
}

// relu makes 0 of -0.
TEST(pool_relu_of_minus_zero) {
  std::vector<float> x(48, -0.0f);
  x[5] = 1;
  checkPool(Pool{1, 1, 4, 12, 2, 2, 0, 1}, x);
  checkPool(Pool{1, 1, 4, 12, 3, 1, 1, 1}, x);
}

TEST(pool_index_out_of_range) {
  forEachDevice([&](DeviceImpl& device) {
    for (const int32_t outside : {16, -2}) {
      std::vector<float> g = {1, 2, 3, 4}, dx(16, 9.0f), y(4, 9.0f);
      std::vector<int32_t> indices = {0, outside, -1, 15};  // -1 is none, and no offence
      MaxPool2dBackwardArgs backward = {};
      backward.g = viewOf<In>(g.data(), DType::float32, {1, 1, 2, 2});
      backward.indices = viewOf<In>(indices.data(), DType::int32, {1, 1, 2, 2});
      backward.dx = viewOf<Out>(dx.data(), DType::float32, {1, 1, 4, 4});
      runOp(device, OpId::maxPool2dBackward, backward);
      IndexErrorInfo info = {};
      CHECK(device.context().takeIndexError(info) && info.value == outside);
      CHECK(dx[0] == 1 && dx[15] == 4 && dx[5] == 0);
      MaxPool2dGatherArgs gather = {};
      gather.x = viewOf<In>(dx.data(), DType::float32, {1, 1, 4, 4});
      gather.indices = backward.indices;
      gather.y = viewOf<Out>(y.data(), DType::float32, {1, 1, 2, 2});
      runOp(device, OpId::maxPool2dGather, gather);
      CHECK(device.context().takeIndexError(info) && info.value == outside);
      CHECK(y[0] == 1 && y[1] == 0 && y[2] == 0 && y[3] == 4);
    }
  });
}

// Bytes that name no element of the plane add nothing and read nothing.
TEST(pool_bytes_outside) {
  forEachDevice([&](DeviceImpl& device) {
    for (const int64_t pad : {0, 1}) {  // both ways through the kernel
      const std::vector<int64_t> small = {1, 1, 2, 2}, large = {1, 1, 4 - 2 * pad, 4 - 2 * pad};
      const std::size_t pixels = static_cast<std::size_t>(large[2] * large[3]);
      std::vector<float> g = {1, 2, 3, 4}, dx(pixels, 9.0f), y(4, 9.0f);
      std::vector<uint8_t> taps = {4, 255, 3, 77};
      if (pad == 1) taps[2] = 2;  // in the padding of the window at the lower left
      MaxPool2dBackwardArgs backward = {};
      backward.g = viewOf<In>(g.data(), DType::float32, small);
      backward.indices = viewOf<In>(taps.data(), DType::uint8, small);
      backward.dx = viewOf<Out>(dx.data(), DType::float32, large);
      backward.kernelH = backward.kernelW = backward.strideH = backward.strideW = 2;
      backward.padH = backward.padW = pad;
      backward.dilationH = backward.dilationW = 1;
      runOp(device, OpId::maxPool2dBackward, backward);
      std::vector<float> expected(pixels, 0.0f);
      if (pad == 0) expected[13] = 3;
      CHECK(dx == expected);
      MaxPool2dGatherArgs gather = {};
      gather.x = viewOf<In>(dx.data(), DType::float32, large);
      gather.indices = backward.indices;
      gather.y = viewOf<Out>(y.data(), DType::float32, small);
      gather.kernelH = gather.kernelW = gather.strideH = gather.strideW = 2;
      gather.padH = gather.padW = pad;
      gather.dilationH = gather.dilationW = 1;
      runOp(device, OpId::maxPool2dGather, gather);
      CHECK(y == std::vector<float>({0, 0, pad == 0 ? 3.0f : 0.0f, 0}));
    }
  });
}

// Each side of the plane: of a window in its corner one element lies inside, the others above, below or beside it.
TEST(pool_bytes_beside_the_plane) {
  forEachDevice([&](DeviceImpl& device) {
    for (uint8_t tap = 0; tap < 4; ++tap) {
      const std::vector<int64_t> sizes = {1, 1, 2, 2};
      std::vector<float> g = {1, 2, 3, 4}, dx(8, 9.0f), expected = {0, 0, 0, 0, 9, 9, 9, 9};
      std::vector<uint8_t> taps(4, tap);
      for (std::size_t window = 0; window < 4; ++window) {
        const int64_t row = static_cast<int64_t>(window) / 2 * 2 - 1 + tap / 2;
        const int64_t col = static_cast<int64_t>(window) % 2 * 2 - 1 + tap % 2;
        const bool inside = row >= 0 && row < 2 && col >= 0 && col < 2;
        if (inside) expected[static_cast<std::size_t>(row * 2 + col)] += g[window];
      }
      MaxPool2dBackwardArgs backward = {};
      backward.g = viewOf<In>(g.data(), DType::float32, sizes);
      backward.indices = viewOf<In>(taps.data(), DType::uint8, sizes);
      backward.dx = viewOf<Out>(dx.data(), DType::float32, sizes);
      backward.kernelH = backward.kernelW = backward.strideH = backward.strideW = 2;
      backward.padH = backward.padW = backward.dilationH = backward.dilationW = 1;
      runOp(device, OpId::maxPool2dBackward, backward);
      CHECK(dx == expected);
    }
  });
}
