// Convolution and its gradients against plain loops in double, over every instruction set and 1, 2 and 3 threads.
#include "native/check.h"

using namespace warploom;
using namespace warploom::test;

namespace {

template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed) {
  std::vector<T> v(static_cast<std::size_t>(n));
  uint32_t s = seed * 2654435761u + 12345u;
  for (T& x : v) {
    s = s * 1664525u + 1013904223u;
    x = static_cast<T>(s >> 8) / static_cast<T>(1 << 24) - T(0.5);
  }
  return v;
}

template <class T>
constexpr DType dtypeOf() {
  return std::is_same<T, float>::value ? DType::float32 : DType::float64;
}

struct Geometry {
  int64_t n, c, h, w, o, kh, kw;
  int64_t strideH = 1, strideW = 1, padH = 0, padW = 0, dilationH = 1, dilationW = 1, groups = 1;
  int64_t outH() const { return (h + 2 * padH - dilationH * (kh - 1) - 1) / strideH + 1; }
  int64_t outW() const { return (w + 2 * padW - dilationW * (kw - 1) - 1) / strideW + 1; }
  std::string text() const {
    std::string s;
    for (int64_t v : {n, c, h, w, o, kh, kw, strideH, strideW, padH, padW, dilationH, dilationW, groups}) {
      s += std::to_string(v) + " ";
    }
    return s;
  }
};

template <class Args>
void setGeometry(Args& args, const Geometry& g) {
  args.strideH = g.strideH;
  args.strideW = g.strideW;
  args.padH = g.padH;
  args.padW = g.padW;
  args.dilationH = g.dilationH;
  args.dilationW = g.dilationW;
  args.groups = g.groups;
}

// Calls visit(y index, x index, w index) for every product that the convolution sums.
template <class Visit>
void forEachTerm(const Geometry& g, Visit visit) {
  const int64_t cg = g.c / g.groups, og = g.o / g.groups, oh = g.outH(), ow = g.outW();
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t o = 0; o < g.o; ++o)
      for (int64_t r = 0; r < oh; ++r)
        for (int64_t s = 0; s < ow; ++s)
          for (int64_t c = 0; c < cg; ++c)
            for (int64_t i = 0; i < g.kh; ++i)
              for (int64_t j = 0; j < g.kw; ++j) {
                const int64_t h = r * g.strideH + i * g.dilationH - g.padH;
                const int64_t w = s * g.strideW + j * g.dilationW - g.padW;
                if (h < 0 || h >= g.h || w < 0 || w >= g.w) continue;
                visit(static_cast<std::size_t>(((n * g.o + o) * oh + r) * ow + s),
                      static_cast<std::size_t>(((n * g.c + o / og * cg + c) * g.h + h) * g.w + w),
                      static_cast<std::size_t>(((o * cg + c) * g.kh + i) * g.kw + j));
              }
}

// A sum and the sum of its terms' sizes, from which the bound comes.
struct Sum {
  double value = 0, size = 0;
  void add(double term) {
    value += term;
    size += std::fabs(term);
  }
};

template <class T>
void checkSums(const std::vector<T>& actual, const std::vector<Sum>& expected, const char* what) {
  Note which(what);
  const double eps = std::numeric_limits<T>::epsilon();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK_NEAR(static_cast<double>(actual[i]), expected[i].value, 4 * eps * expected[i].size);
  }
  CHECK(actual.back() == T(77));  // the guard behind the output
}

template <class T>
bool sameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
void checkGeometry(const Geometry& g) {
  Note geometry(g.text());
  const DType d = dtypeOf<T>();
  const std::vector<int64_t> xSizes = {g.n, g.c, g.h, g.w}, wSizes = {g.o, g.c / g.groups, g.kh, g.kw},
                             ySizes = {g.n, g.o, g.outH(), g.outW()};
  const auto count = [](const std::vector<int64_t>& s) { return s[0] * s[1] * s[2] * s[3]; };
  auto x = numbers<T>(count(xSizes), 1), w = numbers<T>(count(wSizes), 2), b = numbers<T>(g.o, 3);
  auto dy = numbers<T>(count(ySizes), 4);
  std::vector<Sum> y(dy.size()), dx(x.size()), dw(w.size()), db(b.size());
  const std::size_t plane = static_cast<std::size_t>(g.outH() * g.outW());
  const auto channelOf = [&](std::size_t i) { return i / plane % b.size(); };
  for (std::size_t i = 0; i < y.size(); ++i) y[i].add(static_cast<double>(b[channelOf(i)]));
  for (std::size_t i = 0; i < y.size(); ++i) db[channelOf(i)].add(static_cast<double>(dy[i]));
  forEachTerm(g, [&](std::size_t iy, std::size_t ix, std::size_t iw) {
    y[iy].add(static_cast<double>(x[ix]) * static_cast<double>(w[iw]));
    dx[ix].add(static_cast<double>(dy[iy]) * static_cast<double>(w[iw]));
    dw[iw].add(static_cast<double>(dy[iy]) * static_cast<double>(x[ix]));
  });
  std::string isa;
  std::vector<T> first[4];
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> out[4] = {std::vector<T>(y.size() + 1, T(77)), std::vector<T>(dx.size() + 1, T(77)),
                             std::vector<T>(dw.size() + 1, T(77)), std::vector<T>(db.size() + 1, T(77))};
    Conv2dArgs forward = {};
    forward.x = viewOf<In>(x.data(), d, xSizes);
    forward.w = viewOf<In>(w.data(), d, wSizes);
    forward.bias = viewOf<OptIn>(b.data(), d, {g.o});
    forward.y = viewOf<Out>(out[0].data(), d, ySizes);
    setGeometry(forward, g);
    runOp(device, OpId::conv2d, forward);
    checkSums(out[0], y, "y");
    std::vector<T> rectified = out[0];
    for (std::size_t i = 0; i + 1 < rectified.size(); ++i) rectified[i] = rectified[i] > T(0) ? rectified[i] : T(0);
    std::vector<T> relu(out[0].size(), T(77));
    forward.y = viewOf<Out>(relu.data(), d, ySizes);
    forward.activation = static_cast<int64_t>(Activation::relu);
    runOp(device, OpId::conv2d, forward);
    CHECK(sameBits(relu, rectified));

    Conv2dBackwardInputArgs input = {};
    input.g = viewOf<In>(dy.data(), d, ySizes);
    input.w = viewOf<In>(w.data(), d, wSizes);
    input.dx = viewOf<Out>(out[1].data(), d, xSizes);
    setGeometry(input, g);
    runOp(device, OpId::conv2dBackwardInput, input);
    checkSums(out[1], dx, "dx");

    Conv2dBackwardWeightArgs weight = {};
    weight.g = viewOf<In>(dy.data(), d, ySizes);
    weight.x = viewOf<In>(x.data(), d, xSizes);
    weight.dw = viewOf<Out>(out[2].data(), d, wSizes);
    weight.dbias = viewOf<OptOut>(out[3].data(), d, {g.o});
    setGeometry(weight, g);
    runOp(device, OpId::conv2dBackwardWeight, weight);
    checkSums(out[2], dw, "dw");
    checkSums(out[3], db, "dbias");
    std::vector<T> without(out[2].size(), T(77));
    weight.dw = viewOf<Out>(without.data(), d, wSizes);
    weight.dbias = absent<OptOut>();
    runOp(device, OpId::conv2dBackwardWeight, weight);
    CHECK(sameBits(without, out[2]));

    if (device.facts().isa == isa) {
      for (int i = 0; i < 4; ++i) CHECK(sameBits(out[i], first[i]));
    } else {
      isa = device.facts().isa;
      for (int i = 0; i < 4; ++i) first[i] = out[i];
    }
  });
}

Geometry make(int64_t n, int64_t c, int64_t h, int64_t w, int64_t o, int64_t kh, int64_t kw, int64_t stride = 1,
              int64_t pad = 0, int64_t dilation = 1, int64_t groups = 1) {
  return {n, c, h, w, o, kh, kw, stride, stride, pad, pad, dilation, dilation, groups};
}

}  // namespace

TEST(conv_digits_layers) {
  checkGeometry<float>(make(5, 1, 28, 28, 16, 5, 5, 1, 2));
  checkGeometry<float>(make(3, 16, 14, 14, 32, 5, 5, 1, 2));
}

TEST(conv_stride_padding_dilation) {
  checkGeometry<float>(make(2, 3, 9, 11, 5, 3, 3, 1, 1));
  checkGeometry<float>(make(2, 3, 17, 15, 7, 3, 3, 2, 1));
  checkGeometry<float>(make(1, 4, 16, 16, 6, 3, 3, 3, 0));
  checkGeometry<float>(make(2, 2, 20, 19, 3, 3, 3, 1, 2, 2));
  checkGeometry<float>(make(1, 2, 23, 21, 3, 4, 4, 2, 3, 3));
  checkGeometry<float>(make(1, 3, 32, 32, 8, 8, 8, 8, 0));
  checkGeometry<float>(make(1, 3, 10, 10, 4, 2, 2, 5, 0));
  Geometry uneven = make(2, 4, 13, 18, 6, 5, 2, 1, 0);
  uneven.strideH = 3;
  uneven.strideW = 2;
  uneven.padH = 4;
  uneven.padW = 1;
  uneven.dilationH = 2;
  uneven.dilationW = 3;
  checkGeometry<float>(uneven);
  checkGeometry<double>(uneven);
}

TEST(conv_points_and_full_kernels) {
  checkGeometry<float>(make(3, 33, 7, 5, 31, 1, 1));
  checkGeometry<float>(make(2, 20, 9, 9, 13, 1, 1, 2));
  checkGeometry<float>(make(4, 6, 5, 5, 9, 5, 5));
  checkGeometry<float>(make(7, 3, 1, 1, 2, 1, 1));
  checkGeometry<float>(make(2, 1, 1, 65, 1, 1, 3, 1, 1));
  checkGeometry<float>(make(1, 2, 2, 2, 3, 3, 3, 1, 4));  // outputs that see padding alone
}

TEST(conv_groups_and_depthwise) {
  checkGeometry<float>(make(2, 6, 9, 9, 8, 3, 3, 1, 1, 1, 2));
  checkGeometry<float>(make(2, 19, 11, 10, 19, 3, 3, 1, 1, 1, 19));
  checkGeometry<float>(make(2, 5, 12, 12, 10, 3, 3, 2, 1, 1, 5));
  checkGeometry<double>(make(1, 4, 8, 8, 12, 3, 3, 1, 2, 2, 4));
}

// More taps than one block of k, more channels than one share, strips of rows, a single image.
TEST(conv_many_channels) {
  checkGeometry<float>(make(1, 70, 12, 13, 40, 3, 3, 1, 1));
  checkGeometry<float>(make(1, 200, 6, 6, 70, 2, 2));
  checkGeometry<float>(make(1, 1, 150, 140, 3, 3, 3, 1, 1));
  checkGeometry<double>(make(2, 40, 9, 9, 17, 3, 3, 1, 1));
  // Few outputs, hence tiles of runs, over several blocks of taps: forward, and backward with a stride.
  checkGeometry<float>(make(1, 150, 7, 9, 3, 3, 3, 1, 1));
  checkGeometry<float>(make(1, 3, 9, 9, 150, 3, 3, 2, 1));
  // Strips of rows, and rows that two chains do not divide evenly, of the gradient of many taps.
  checkGeometry<float>(make(1, 2, 150, 140, 3, 3, 3, 1, 1));
  checkGeometry<float>(make(1, 3, 3, 131, 4, 5, 5, 1, 2));
}

// Every width of a tile: of pixels, of rows of channels, of runs of taps; one vector of channels and two, and an odd
// one.
TEST(conv_tiles) {
  for (int64_t w = 1; w <= 36; w += w < 18 ? 1 : 5) {
    checkGeometry<float>(make(1, 1, 3, w, 5 + w, 3, 3, 1, 1));
    checkGeometry<float>(make(2, 9, 4, w, 16, 3, 3, 1, 1));
    checkGeometry<float>(make(1, 12, 3, w, 32 + w % 5 * 4, 3, 3, 1, 1));
  }
  for (int64_t w = 1; w <= 17; ++w) checkGeometry<float>(make(1, 20, 3, w, 2, 3, 3, 1, 1));
  checkGeometry<float>(make(16, 20, 5, 5, 2, 3, 3, 1, 1));  // runs of 33 columns
  // Few taps, whose gradient runs along rows: every number of outputs and of taps of a tile, rows beyond one chain.
  for (int64_t taps = 1; taps <= 16; ++taps) checkGeometry<float>(make(2, 1, 3, 40 + taps, taps % 7 + 1, 1, taps));
  checkGeometry<float>(make(1, 2, 2, 1100, 3, 1, 2));
  checkGeometry<float>(make(2, 3, 130, 17, 5, 2, 2, 1, 1));
  checkGeometry<double>(make(2, 1, 28, 28, 16, 3, 3, 1, 1));
  checkGeometry<float>(make(2, 40, 6, 6, 48, 3, 3, 1, 1));
  checkGeometry<float>(make(2, 17, 9, 30, 33, 5, 5, 1, 2));
  checkGeometry<float>(make(1, 3, 5, 70, 4, 5, 5, 1, 2));
  checkGeometry<float>(make(2, 33, 9, 9, 34, 3, 3, 2, 1));
  checkGeometry<double>(make(1, 12, 5, 23, 24, 3, 3, 1, 1));
  checkGeometry<double>(make(1, 1, 9, 19, 16, 5, 5, 1, 2));
}

// As in PyTorch, in each kind of tile.
TEST(conv_relu_lets_nan_through) {
  for (const Geometry& g : {make(1, 1, 3, 40, 5, 3, 3, 1, 1), make(1, 40, 9, 9, 48, 3, 3, 1, 1),
                            make(1, 20, 6, 3, 3, 3, 3, 1, 1), make(2, 3, 9, 11, 5, 3, 3, 2, 1)}) {
    Note geometry(g.text());
    const auto x = numbers<float>(g.n * g.c * g.h * g.w, 1), w = numbers<float>(g.o * g.c * g.kh * g.kw, 2);
    auto bias = numbers<float>(g.o, 3);
    bias[1] = std::numeric_limits<float>::quiet_NaN();
    const std::size_t plane = static_cast<std::size_t>(g.outH() * g.outW());
    forEachDevice([&](DeviceImpl& device) {
      std::vector<float> y(static_cast<std::size_t>(g.n * g.o) * plane);
      Conv2dArgs args = {};
      setGeometry(args, g);
      args.x = viewOf<In>(const_cast<float*>(x.data()), DType::float32, {g.n, g.c, g.h, g.w});
      args.w = viewOf<In>(const_cast<float*>(w.data()), DType::float32, {g.o, g.c, g.kh, g.kw});
      args.bias = viewOf<OptIn>(bias.data(), DType::float32, {g.o});
      args.y = viewOf<Out>(y.data(), DType::float32, {g.n, g.o, g.outH(), g.outW()});
      args.activation = static_cast<int64_t>(Activation::relu);
      runOp(device, OpId::conv2d, args);
      for (std::size_t i = 0; i < y.size(); ++i) {
        CHECK(std::isnan(y[i]) == (i / plane % bias.size() == 1));
        if (!std::isnan(y[i])) CHECK(y[i] >= 0.0f);
      }
    });
  }
}

// The element types are read from one operand, so the others must agree.
TEST(conv_refuses_operands_of_two_dtypes) {
  const Geometry g = make(1, 1, 1, 1, 1, 1, 1);
  double one[1] = {1};
  forEachDevice([&](DeviceImpl& device) {
    const auto refused = [&](OpId op, const auto& args) {
      std::string message;
      runOp(device, op, args);
      return device.context().takeFailure(message) && message.find("one dtype") != std::string::npos;
    };
    const std::vector<int64_t> image = {1, 1, 1, 1}, channel = {1};
    Conv2dArgs forward = {};
    setGeometry(forward, g);
    forward.x = viewOf<In>(one, DType::float64, image);
    forward.w = viewOf<In>(one, DType::float64, image);
    forward.bias = viewOf<OptIn>(one, DType::float32, channel);
    forward.y = viewOf<Out>(one, DType::float64, image);
    CHECK(refused(OpId::conv2d, forward));
    Conv2dBackwardInputArgs input = {};
    setGeometry(input, g);
    input.g = viewOf<In>(one, DType::float32, image);
    input.w = viewOf<In>(one, DType::float64, image);
    input.dx = viewOf<Out>(one, DType::float64, image);
    CHECK(refused(OpId::conv2dBackwardInput, input));
    Conv2dBackwardWeightArgs weight = {};
    setGeometry(weight, g);
    weight.g = viewOf<In>(one, DType::float64, image);
    weight.x = viewOf<In>(one, DType::float32, image);
    weight.dw = viewOf<Out>(one, DType::float64, image);
    weight.dbias = absent<OptOut>();
    CHECK(refused(OpId::conv2dBackwardWeight, weight));
  });
}

TEST(conv_no_images) {
  Geometry g = make(0, 3, 8, 8, 4, 3, 3);
  checkGeometry<float>(g);
}

// An image's result does not depend on its place in a batch.
TEST(conv_image_does_not_depend_on_the_batch) {
  const Geometry g = make(9, 3, 14, 14, 10, 3, 3, 1, 1);
  const auto x = numbers<float>(g.n * g.c * g.h * g.w, 1), w = numbers<float>(g.o * g.c * 9, 2);
  forEachDevice([&](DeviceImpl& device) {
    const int64_t plane = g.o * g.outH() * g.outW();
    std::vector<float> whole(static_cast<std::size_t>(g.n * plane)), alone(static_cast<std::size_t>(plane));
    Conv2dArgs args = {};
    setGeometry(args, g);
    args.x = viewOf<In>(const_cast<float*>(x.data()), DType::float32, {g.n, g.c, g.h, g.w});
    args.w = viewOf<In>(const_cast<float*>(w.data()), DType::float32, {g.o, g.c, 3, 3});
    args.bias = absent<OptIn>();
    args.y = viewOf<Out>(whole.data(), DType::float32, {g.n, g.o, g.outH(), g.outW()});
    runOp(device, OpId::conv2d, args);
    args.x = viewOf<In>(const_cast<float*>(x.data()) + 7 * g.c * g.h * g.w, DType::float32, {1, g.c, g.h, g.w});
    args.y = viewOf<Out>(alone.data(), DType::float32, {1, g.o, g.outH(), g.outW()});
    runOp(device, OpId::conv2d, args);
    CHECK(std::memcmp(alone.data(), whole.data() + 7 * plane, alone.size() * sizeof(float)) == 0);
  });
}
