// Every tile of the convolution and of its gradients against the kernels of one thread an element: equal bits, whatever
// the stride, padding, dilation, groups and edges, and whether one block or several sum over k. And what tiles move.
#include <cstdlib>

#include "cuda/conv_plan.h"
#include "engine/args/conv.h"
#include "kernel_harness.h"

using namespace warploom;
using namespace warploom::cuda;
using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {

constexpr Tile kConv[] = {{"128x128", 128, 128, 256},
                          {"64x64", 64, 64, 128},
                          {"128x32", 128, 32, 128},
                          {"128x16", 128, 16, 64},
                          {"128x4", 128, 4, 128}};
constexpr Tile kWeight[] = {{"128x128", 128, 128, 256}, {"64x64", 64, 64, 128},
                            {"128x32", 128, 32, 128},   {"128x32_exchanged", 128, 32, 128},
                            {"128x16", 128, 16, 128},   {"128x16_exchanged", 128, 16, 128},
                            {"32x16", 32, 16, 32},      {"32x16_exchanged", 32, 16, 32}};

Family& simple() {
  static Family only("conv_simple");
  return only;
}
Family& conv() {
  static Family only("conv");
  return only;
}
Family& weight() {
  static Family only("conv_weight");
  return only;
}

// A side of a convolution of `source` elements.
ConvSide side(int64_t source, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  return {source, (source + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1, kernel, stride, pad, dilation};
}
ConvSide turned(ConvSide s) {
  std::swap(s.source, s.out);
  return s;
}

// x, y and w of a convolution.
struct Layer {
  ConvShape s;
  int64_t xCount() const { return s.images * s.groups * s.channels * s.h.source * s.w.source; }
  int64_t yCount() const { return s.images * s.groups * s.outputs * s.h.out * s.w.out; }
  int64_t wCount() const { return s.groups * s.outputs * s.channels * s.h.kernel * s.w.kernel; }
  template <class V>
  void view(V& view, void* data, int64_t a, int64_t b, int64_t c, int64_t d) const {
    view.data = data;
    view.rank = 4;
    const int64_t sizes[] = {a, b, c, d};
    std::memcpy(view.sizes, sizes, sizeof(sizes));
  }
  template <class V>
  void xView(V& to, void* data) const {
    view(to, data, s.images, s.groups * s.channels, s.h.source, s.w.source);
  }
  template <class V>
  void yView(V& to, void* data) const {
    view(to, data, s.images, s.groups * s.outputs, s.h.out, s.w.out);
  }
  template <class V>
  void wView(V& to, void* data) const {
    view(to, data, s.groups * s.outputs, s.channels, s.h.kernel, s.w.kernel);
  }
  template <class Args>
  void geometry(Args& args) const {
    args.strideH = s.h.stride, args.strideW = s.w.stride;
    args.padH = s.h.pad, args.padW = s.w.pad;
    args.dilationH = s.h.dilation, args.dilationW = s.w.dilation;
    args.groups = s.groups;
  }
  std::vector<float> x() const { return floats(static_cast<std::size_t>(xCount()), 1); }
  std::vector<float> w() const { return floats(static_cast<std::size_t>(wCount()), 2); }
  std::vector<float> g() const { return floats(static_cast<std::size_t>(yCount()), 3); }
  std::vector<float> bias() const { return floats(static_cast<std::size_t>(s.groups * s.outputs), 4); }
  // The same seen from dx.
  ConvShape backward() const { return {s.images, s.groups, s.outputs, s.channels, turned(s.h), turned(s.w)}; }
};

std::vector<float> simpleForward(const Layer& l, int segments, const char* suffix, bool clamps = false) {
  Conv2dArgs args = {};
  args.activation = static_cast<int64_t>(clamps ? Activation::relu : Activation::none);
  l.xView(args.x, simple().put(l.x()));
  l.wView(args.w, simple().put(l.w()));
  args.bias.data = simple().put(l.bias());
  args.bias.rank = 1;
  l.yView(args.y, simple().room(l.yCount()));
  l.geometry(args);
  simple().sim.clean(std::string("conv2d_f32_simple_") + suffix, {blocksOf(l.yCount())}, {256}, 0, args, l.yCount(),
                     segments);
  const std::vector<float> y = simple().get(args.y.data, l.yCount());
  simple().release();
  return y;
}
std::vector<float> simpleInput(const Layer& l, int segments, const char* suffix) {
  Conv2dBackwardInputArgs args = {};
  l.yView(args.g, simple().put(l.g()));
  l.wView(args.w, simple().put(l.w()));
  l.xView(args.dx, simple().room(l.xCount()));
  l.geometry(args);
  simple().sim.clean(std::string("conv2d_backward_input_f32_simple_") + suffix, {blocksOf(l.xCount())}, {256}, 0, args,
                     l.xCount(), segments);
  const std::vector<float> dx = simple().get(args.dx.data, l.xCount());
  simple().release();
  return dx;
}
std::vector<float> simpleWeight(const Layer& l, int segments, const char* suffix) {
  Conv2dBackwardWeightArgs args = {};
  l.yView(args.g, simple().put(l.g()));
  l.xView(args.x, simple().put(l.x()));
  l.wView(args.dw, simple().room(l.wCount()));
  l.geometry(args);
  simple().sim.clean(std::string("conv2d_backward_weight_f32_simple_") + suffix, {blocksOf(l.wCount())}, {256}, 0, args,
                     l.wCount(), segments);
  const std::vector<float> dw = simple().get(args.dw.data, l.wCount());
  simple().release();
  return dw;
}

// How a sum of `depth` is shared out.
ConvChoice shared(int64_t depth, int64_t segments) {
  ConvChoice choice = {};
  const int64_t all = segmentsOf(depth);
  choice.segment = segmentOf(depth);
  choice.segments = segments == 0 ? all : segments;
  choice.shares = (all + choice.segments - 1) / choice.segments;
  return choice;
}

LaunchResult last;

std::vector<float> tiled(const Layer& l, const Tile& tile, bool backward, int64_t segments, bool clamps = false) {
  const ConvShape s = backward ? l.backward() : l.s;
  const ConvChoice choice = shared(s.channels * s.h.kernel * s.w.kernel, segments);
  const int64_t n = backward ? l.xCount() : l.yCount();
  ConvArgs args = convArgs(s, choice, backward, true);
  args.source = conv().put(backward ? l.g() : l.x());
  args.weights = conv().put(l.w());
  args.bias = backward ? nullptr : conv().put(l.bias());
  args.y = conv().room(n);
  args.relu = clamps;
  if (choice.shares > 1) args.partials = conv().room(n * choice.shares);
  const int64_t pixels =
      s.images * ((s.h.out + args.h.phases - 1) / args.h.phases) * ((s.w.out + args.w.phases - 1) / args.w.phases);
  const int64_t tiles = blocksOf(pixels, tile.rows) * static_cast<int64_t>(blocksOf(s.outputs, tile.cols));
  const int64_t products = s.groups * args.h.phases * args.w.phases * choice.shares;
  last = conv().sim.clean(std::string("conv_f32_") + tile.name, {static_cast<uint32_t>(tiles * products)},
                          {static_cast<uint32_t>(tile.threads)}, 0, args);
  if (choice.shares > 1) {
    conv().sim.clean("conv_f32_combine", {blocksOf(n)}, {256}, 0, args.partials, args.y, args.bias, n, args.shares,
                     s.h.out * s.w.out, s.groups * s.outputs, static_cast<int>(clamps));
  }
  const std::vector<float> y = conv().get(args.y, n);
  conv().release();
  return y;
}

std::vector<float> tiledWeight(const Layer& l, const Tile& tile, int64_t segments) {
  const ConvShape& s = l.s;
  const ConvChoice choice = shared(s.images * s.h.out * s.w.out, segments);
  ConvWeightArgs args = convWeightArgs(s, choice, true);
  args.g = weight().put(l.g());
  args.x = weight().put(l.x());
  args.dw = weight().room(l.wCount());
  if (choice.shares > 1) args.partials = weight().room(l.wCount() * choice.shares);
  const bool exchanged = std::string(tile.name).find("exchanged") != std::string::npos;
  const int64_t taps = s.channels * s.h.kernel * s.w.kernel;
  const int64_t tiles = blocksOf(exchanged ? s.outputs : taps, tile.rows) *
                        static_cast<int64_t>(blocksOf(exchanged ? taps : s.outputs, tile.cols));
  last = weight().sim.clean(std::string("conv_weight_f32_") + tile.name,
                            {static_cast<uint32_t>(tiles * s.groups * choice.shares)},
                            {static_cast<uint32_t>(tile.threads)}, 0, args);
  std::vector<float> dw;
  if (choice.shares > 1) {
    const std::vector<float> partials = weight().get(args.partials, l.wCount() * choice.shares);
    float* y = conv().room(l.wCount());
    const auto* from = conv().put(partials);
    conv().sim.clean("conv_f32_combine", {blocksOf(l.wCount())}, {256}, 0, from, y, static_cast<const float*>(nullptr),
                     l.wCount(), args.shares, int64_t{1}, int64_t{1}, 0);
    dw = conv().get(y, l.wCount());
    conv().release();
  } else {
    dw = weight().get(args.dw, l.wCount());
  }
  weight().release();
  return dw;
}

struct Named {
  const char* name;
  Layer layer;
};
const Named kLayers[] = {
    {"3x3, padding 1", {{2, 1, 5, 6, side(9, 3, 1, 1, 1), side(8, 3, 1, 1, 1)}}},
    {"planes of whole vectors, many channels", {{1, 1, 40, 37, side(8, 3, 1, 1, 1), side(8, 3, 1, 1, 1)}}},
    {"stride 2", {{2, 1, 3, 70, side(11, 3, 2, 1, 1), side(10, 4, 2, 1, 1)}}},
    {"stride beyond the kernel", {{1, 1, 4, 5, side(13, 1, 3, 0, 1), side(11, 2, 3, 0, 1)}}},
    {"dilation and stride", {{2, 1, 3, 5, side(14, 3, 3, 3, 2), side(13, 3, 2, 3, 4)}}},
    {"groups", {{2, 3, 4, 5, side(6, 3, 1, 1, 1), side(7, 2, 1, 1, 1)}}},
    {"depthwise", {{2, 7, 1, 1, side(6, 3, 2, 1, 1), side(7, 3, 1, 1, 1)}}},
    {"1x1", {{3, 1, 33, 18, side(5, 1, 1, 0, 1), side(5, 1, 1, 0, 1)}}},
    {"a kernel larger than the image", {{1, 1, 2, 3, side(3, 7, 1, 3, 1), side(2, 5, 1, 2, 1)}}},
    {"more taps than bits", {{1, 1, 2, 3, side(14, 20, 1, 4, 1), side(9, 13, 1, 3, 1)}}},
    {"one element", {{1, 1, 1, 1, side(1, 1, 1, 0, 1), side(1, 1, 1, 0, 1)}}},
    {"a window with a stride far beyond the image", {{2, 1, 2, 2, side(3, 2, 50, 0, 1), side(4, 3, 50, 0, 1)}}},
    {"long sums", {{5, 1, 30, 3, side(12, 3, 1, 1, 1), side(12, 3, 1, 1, 1)}}},
};

template <std::size_t N, class Expected, class Actual>
void compare(const Tile (&tiles)[N], Expected expected, Actual actual) {
  uint64_t seed = 0;
  for (const Named& layer : kLayers) {
    for (const int segments : {0, 1, 2}) {
      const int run = segments == 0 ? INT32_MAX : segments;
      const std::vector<float> right = expected(layer.layer, run, "32");
      CHECK(sameBits(right, expected(layer.layer, run, "64")));
      for (const Tile& tile : tiles) {
        Note where(std::string(layer.name) + ", " + tile.name + ", segments " + std::to_string(segments));
        conv().sim.settings.seed = weight().sim.settings.seed = ++seed;
        CHECK(sameBits(actual(layer.layer, tile, segments), right));
      }
    }
  }
}

}  // namespace

TEST(forward_tiles_give_the_bits_of_the_simple_kernel) {
  compare(
      kConv, [](const Layer& l, int run, const char* suffix) { return simpleForward(l, run, suffix); },
      [](const Layer& l, const Tile& tile, int64_t n) { return tiled(l, tile, false, n); });
}
TEST(relu_is_that_of_the_sums) {
  const auto rectified = [](std::vector<float> y) {
    for (float& v : y) v = v > 0.0f ? v : 0.0f;
    return y;
  };
  compare(
      kConv, [&](const Layer& l, int run, const char* suffix) { return rectified(simpleForward(l, run, suffix)); },
      [](const Layer& l, const Tile& tile, int64_t n) { return tiled(l, tile, false, n, true); });
  for (const Named& named : kLayers) {
    Note where(named.name);
    const std::vector<float> right = rectified(simpleForward(named.layer, 1, "32"));
    for (const char* suffix : {"32", "64"}) CHECK(sameBits(simpleForward(named.layer, 1, suffix, true), right));
  }
}
TEST(input_gradient_tiles_give_the_bits_of_the_simple_kernel) {
  compare(kConv, simpleInput, [](const Layer& l, const Tile& tile, int64_t n) { return tiled(l, tile, true, n); });
}
TEST(weight_gradient_tiles_give_the_bits_of_the_simple_kernel) { compare(kWeight, simpleWeight, tiledWeight); }

// Its order is another, so the bits are: plain loops in double.
TEST(direct_weight_gradient_matches_plain_loops) {
  static Family direct("conv_weight_direct");
  for (const Named& named : kLayers) {
    const Layer& l = named.layer;
    const ConvShape& s = l.s;
    for (const int64_t segment : {int64_t{16384}, int64_t{40}}) {
      Note where(std::string(named.name) + ", segment " + std::to_string(segment));
      const int64_t depth = s.images * s.h.out * s.w.out, taps = s.h.kernel * s.w.kernel;
      ConvChoice choice = {};
      choice.segment = segment;
      choice.segments = 1;
      choice.shares = (depth + segment - 1) / segment;
      ConvWeightArgs args = convWeightArgs(s, choice, true);
      args.g = direct.put(l.g());
      args.x = direct.put(l.x());
      // Without shares there are no partial sums; with them they are [shares] of dw's.
      float* to = direct.room(l.wCount() * choice.shares);
      (choice.shares > 1 ? args.partials : args.dw) = to;
      const int64_t blocks = s.groups * s.outputs * s.channels * blocksOf(taps, kConvDirectTaps) * choice.shares;
      direct.sim.settings.seed = static_cast<uint64_t>(segment);
      direct.sim.clean("conv_weight_f32_direct", {static_cast<uint32_t>(blocks)}, {256}, 0, args);
      const std::vector<float> found = direct.get(to, l.wCount() * choice.shares), g = l.g(), x = l.x();
      direct.release();
      for (int64_t i = 0; i < l.wCount(); ++i) {
        const int64_t kw = i % s.w.kernel, kh = i / s.w.kernel % s.h.kernel, c = i / taps % s.channels,
                      o = i / taps / s.channels, group = o / s.outputs;
        double sum = 0, size = 0, dw = 0;
        for (int64_t k = 0; k < depth; ++k) {
          const int64_t q = k % s.w.out, r = k / s.w.out % s.h.out, n = k / s.w.out / s.h.out;
          const int64_t row = r * s.h.stride - s.h.pad + kh * s.h.dilation,
                        column = q * s.w.stride - s.w.pad + kw * s.w.dilation;
          if (row < 0 || row >= s.h.source || column < 0 || column >= s.w.source) continue;
          const double term =
              static_cast<double>(
                  g[static_cast<std::size_t>(((n * s.groups * s.outputs + o) * s.h.out + r) * s.w.out + q)]) *
              static_cast<double>(x[static_cast<std::size_t>(
                  ((n * s.groups * s.channels + group * s.channels + c) * s.h.source + row) * s.w.source + column)]);
          sum += term;
          size += std::fabs(term);
        }
        for (int64_t share = 0; share < choice.shares; ++share)
          dw += static_cast<double>(found[static_cast<std::size_t>(share * l.wCount() + i)]);
        CHECK_NEAR(dw, sum, 4 * 0x1p-23 * size);
      }
    }
  }
}

namespace {

// Of the last launch.
void report(const char* what, const Tile& tile, double flops) {
  const Counters& n = last.counters;
  const double ratio = static_cast<double>(n.sharedCycles) / static_cast<double>(n.sharedIdealCycles);
  CHECK(ratio <= 1.1);
  CHECK(n.localBytes == 0);
  if (std::getenv("WARPLOOM_FIGURES") == nullptr) return;
  std::printf(
      "%s %-16s shared %.3f bytes/FLOP, bank cycles %.3f of ideal, global %.4f bytes/FLOP, %.2f sectors a load (%.2f "
      "of ideal), %.2f a store (%.2f of ideal), %.2f warp instructions a warp FMA\n",
      what, tile.name, static_cast<double>(n.sharedBytes) / flops, ratio,
      static_cast<double>(n.globalLoadSectors + n.globalStoreSectors) * 32 / flops,
      static_cast<double>(n.globalLoadSectors) / static_cast<double>(n.globalLoadRequests),
      static_cast<double>(n.globalLoadSectors) * 32 / static_cast<double>(n.globalLoadBytes),
      static_cast<double>(n.globalStoreSectors) / static_cast<double>(n.globalStoreRequests),
      static_cast<double>(n.globalStoreSectors) * 32 / static_cast<double>(n.globalStoreBytes),
      static_cast<double>(n.warpInstructions) / (flops / 64));
}

}  // namespace

// 3x3 on planes of 16 x 16, as many channels as the tile has columns.
TEST(traffic) {
  conv().sim.settings.counters = weight().sim.settings.counters = true;
  const auto layerOf = [](int64_t channels, int64_t outputs) {
    return Layer{{2, 1, channels, outputs, side(16, 3, 1, 1, 1), side(16, 3, 1, 1, 1)}};
  };
  const auto flops = [](const Layer& l) {
    return 2.0 * static_cast<double>(l.s.images * l.s.h.out * l.s.w.out * l.wCount());
  };
  for (const Tile& tile : kConv) {
    const Layer forward = layerOf(32, tile.cols), backward = layerOf(tile.cols, 32);
    tiled(forward, tile, false, 0);
    report("y ", tile, flops(forward));
    tiled(backward, tile, true, 0);
    report("dx", tile, flops(backward));
  }
  for (const Tile& tile : kWeight) {
    const bool exchanged = std::string(tile.name).find("exchanged") != std::string::npos;
    const Layer l = exchanged ? layerOf(tile.cols / 8, tile.rows) : layerOf(tile.rows / 8, tile.cols);
    tiledWeight(l, tile, 0);
    report("dw", tile, flops(l));
  }
  conv().sim.settings.counters = weight().sim.settings.counters = false;
}

#endif
