#include "cuda/conv_choose.h"

#include <set>

#include "cuda/conv_plan.h"
#include "native/check.h"

using namespace warploom::cuda;
using namespace warploom::test;

namespace {

ConvSide side(int64_t source, int64_t kernel, int64_t stride = 1, int64_t pad = 0, int64_t dilation = 1) {
  return {source, (source + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1, kernel, stride, pad, dilation};
}
// Square images and windows.
ConvShape layer(int64_t images, int64_t channels, int64_t outputs, int64_t size, int64_t kernel, int64_t stride = 1,
                int64_t groups = 1) {
  const ConvSide s = side(size, kernel, stride, kernel / 2);
  return {images, groups, channels / groups, outputs / groups, s, s};
}
// The same seen from dx.
ConvShape backward(ConvShape s) {
  std::swap(s.channels, s.outputs);
  std::swap(s.h.source, s.h.out);
  std::swap(s.w.source, s.w.out);
  return s;
}
std::string name(const ConvChoice& choice) { return choice.entry == nullptr ? "simple" : choice.entry; }

}  // namespace

TEST(quotients) {
  for (const int divisor :
       {1, 2, 3, 5, 7, 9, 25, 31, 64, 641, 65535, 65536, 65537, 1 << 30, (1 << 30) + 1, INT32_MAX}) {
    const FastDivide by = fastDivide(divisor);
    for (const int64_t near : {int64_t{0}, int64_t{divisor}, int64_t{divisor} * 2,
                               int64_t{INT32_MAX} / divisor * divisor, int64_t{INT32_MAX}, int64_t{123456789}}) {
      for (int64_t n = near - 2; n <= near + 2; ++n) {
        if (n < 0 || n > INT32_MAX) continue;
        Note where(std::to_string(n) + " / " + std::to_string(divisor));
        CHECK(by.quotient(static_cast<int>(n)) == static_cast<int>(n) / divisor);
      }
    }
  }
}

TEST(phases_hold_every_tap_that_reaches_a_line) {
  for (int kernel = 1; kernel <= 5; ++kernel) {
    for (int stride = 1; stride <= 6; ++stride) {
      for (int dilation = 1; dilation <= 6; ++dilation) {
        for (int pad = 0; pad <= 3; ++pad) {
          const int out = 14;
          Note where("kernel " + std::to_string(kernel) + ", stride " + std::to_string(stride) + ", dilation " +
                     std::to_string(dilation) + ", padding " + std::to_string(pad));
          ConvAxis axis = {20, out, kernel, stride, pad, dilation, 0};
          int lines = 0;
          for (int phase = 0; phase < std::min(stride, out); ++phase) {
            const ConvPhase p = convPhase(axis, true, phase);
            lines += p.lines;
            for (int l = 0; l < p.lines; ++l) {
              // (source, tap) of a line of dx: what scatters to it.
              std::set<std::pair<int, int>> expected, found;
              for (int t = 0; t < kernel; ++t) {
                const int from = l * stride + phase + pad - t * dilation;
                if (from % stride == 0) expected.insert({from / stride, t});
              }
              for (int t = 0; t < p.taps; ++t)
                found.insert({p.origin + l * p.lineStep + t * p.tapStep, p.firstTap + t * p.tapSkips});
              CHECK(found == expected);
            }
          }
          CHECK(lines == out);
        }
      }
    }
  }
}

TEST(tile_follows_the_channels) {
  const struct {
    int64_t channels, outputs;
    const char *forward, *input, *weight;
  } cases[] = {
      {256, 256, "conv_f32_128x128", "conv_f32_128x128", "conv_weight_f32_128x128"},
      {64, 32, "conv_f32_128x32", "conv_f32_64x64", "conv_weight_f32_128x32"},
      {16, 64, "conv_f32_64x64", "conv_f32_128x16", "conv_weight_f32_64x64"},
      {1, 16, "conv_f32_128x16", "conv_f32_128x4", "conv_weight_f32_32x16_exchanged"},
      {3, 64, "conv_f32_64x64", "conv_f32_128x4", "conv_weight_f32_128x32_exchanged"},
      {1, 256, "conv_f32_128x128", "conv_f32_128x4", "conv_weight_f32_128x16_exchanged"},
      {32, 10, "conv_f32_128x16", "conv_f32_128x32", "conv_weight_f32_128x16"},
  };
  for (const auto& c : cases) {
    Note where(std::to_string(c.channels) + " to " + std::to_string(c.outputs));
    const ConvShape s = layer(64, c.channels, c.outputs, 32, 3);
    CHECK(name(chooseConv(s, false)) == c.forward);
    CHECK(name(chooseConv(backward(s), true)) == c.input);
    CHECK(name(chooseConvWeight(s)) == c.weight);
  }
}

TEST(depthwise_and_tiny_layers_take_no_tiles) {
  const ConvShape depthwise = layer(64, 96, 96, 32, 3, 1, 96);
  CHECK(name(chooseConv(depthwise, false)) == "simple");
  CHECK(name(chooseConv(backward(depthwise), true)) == "simple");
  CHECK(!chooseConv(depthwise, false).wide);
  const ConvChoice dw = chooseConvWeight(depthwise);
  CHECK(name(dw) == "conv_weight_f32_direct" && dw.segment == 16384 && dw.shares == 4 && dw.blocks == 96 * 4);
  // Nine of 25 taps a block; few pairs share out the pixels.
  const ConvChoice few = chooseConvWeight(layer(64, 2, 2, 32, 5, 1, 2));
  CHECK(name(few) == "conv_weight_f32_direct" && few.shares == 43 && few.blocks == 2 * 3 * few.shares);
  CHECK(few.partialBytes == few.shares * 50 * 4);
  CHECK(name(chooseConv(layer(1, 1, 4, 8, 3), false)) == "simple");
}

TEST(blocks_share_long_sums) {
  // 36 tiles, 49 segments.
  const ConvShape s = layer(64, 256, 512, 14, 3);
  const ConvChoice dw = chooseConvWeight(s);
  CHECK(dw.blocks >= 128);
  // One block of few rows: 18 segments of 256.
  const ConvChoice y = chooseConv(layer(1, 512, 512, 7, 3), false);
  CHECK(y.shares > 1 && y.shares * y.segments >= segmentsOf(512 * 9) &&
        (y.shares - 1) * y.segments < segmentsOf(512 * 9));
  CHECK(y.partialBytes == y.shares * 512 * 49 * 4);
  CHECK(chooseConv(layer(256, 512, 512, 14, 3), false).shares == 1);
  // Partial sums stay within a few times what two waves of blocks hold.
  for (const int64_t channels : {8, 64, 512}) {
    for (const int64_t outputs : {8, 64, 512, 2048}) {
      for (const int64_t images : {1, 16, 1024}) {
        Note where(std::to_string(images) + " images, " + std::to_string(channels) + " to " + std::to_string(outputs));
        CHECK(chooseConvWeight(layer(images, channels, outputs, 28, 3)).partialBytes <= int64_t{64} << 20);
        CHECK(chooseConv(layer(images, channels, outputs, 28, 3), false).partialBytes <= int64_t{64} << 20);
      }
    }
  }
}

TEST(sizes_beyond_32_bits) {
  ConvShape s = {1, 1, 1, 16, side(1, 1), side(int64_t{3} << 30, 3)};
  CHECK(name(chooseConv(s, false)) == "simple" && chooseConv(s, false).wide);
  CHECK(chooseConv(backward(s), true).wide && chooseConvWeight(s).wide);
  // Many images are no matter for tiles: only positions within an image and the number of pixels count.
  const ConvShape many = {4096, 1, 128, 128, side(128, 3, 1, 1), side(128, 3, 1, 1)};
  CHECK(name(chooseConv(many, false)) == "conv_f32_128x128");
  // Each image is too large by itself.
  const ConvShape deep = {1, 1, 4096, 4096, side(1024, 3, 1, 1), side(1024, 3, 1, 1)};
  CHECK(chooseConv(deep, false).wide);
}

TEST(sums_of_nothing) {
  CHECK(name(chooseConv(layer(4, 0, 8, 8, 3), false)) == "simple");
  CHECK(name(chooseConvWeight(layer(0, 8, 8, 8, 3))) == "simple");
}
