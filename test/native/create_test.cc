// Constants, ramps, random draws and dropout. Draws are compared bit for bit with their definition, on every
// instruction set.
#include "check.h"
#include "engine/normal.h"

using namespace warploom;
using namespace warploom::test;

namespace {

constexpr int64_t kCount = 20007;  // several chunks, and no multiple of anything
constexpr int64_t kSeed = 0x123456789abcdef;
constexpr int64_t kOffset = (int64_t{1} << 32) - 3;  // the counter carries into its upper word

uint32_t word(int64_t i) {
  return philox4x32(static_cast<uint64_t>(kSeed), static_cast<uint64_t>(kOffset + i / 4)).lane[i % 4];
}

template <class T>
std::vector<T> draw(DeviceImpl& device, OpId op, DType dtype, double a, double b, int64_t n = kCount) {
  int64_t state[2] = {kSeed, kOffset};
  std::vector<T> y(static_cast<std::size_t>(n) + 1, T{99});
  runOp(device, op, RandomArgs{viewOf<InOut>(state, DType::int64, {2}), viewOf<Out>(y.data(), dtype, {n}), a, b});
  CHECK(state[0] == kSeed && state[1] == kOffset + (n + 3) / 4);
  CHECK(y.back() == T{99});
  y.pop_back();
  return y;
}

}  // namespace

TEST(philox_known_answers) {
  // From the authors' Random123 distribution: philox4x32-10 with zero counter and key.
  const Philox4 zero = philox4x32(0, 0);
  CHECK(zero.lane[0] == 0x6627e8d5 && zero.lane[1] == 0xe169c58d && zero.lane[2] == 0xbc57ac4c &&
        zero.lane[3] == 0x9b00dbd8);
}

TEST(uniform) {
  forEachDevice([](DeviceImpl& device) {
    const auto y = draw<float>(device, OpId::uniform, DType::float32, -2, 3);
    const auto wide = draw<double>(device, OpId::uniform, DType::float64, -2, 3);
    for (int64_t i = 0; i < kCount; ++i) {
      const float u = static_cast<float>(word(i) >> 8) * 0x1p-24f;
      const float scaled = u * 5.0f;
      const float want = scaled + -2.0f;
      CHECK(y[static_cast<std::size_t>(i)] == want && wide[static_cast<std::size_t>(i)] == want);
    }
    // The end is not reached, even where rounding would: 1 + (1 - 2^-24) is 2 in float32.
    CHECK(uniformBetween(1 - 0x1p-24f, 1, 1, std::nextafter(2.0f, 1.0f)) < 2);
    CHECK(draw<float>(device, OpId::uniform, DType::float32, 4, 4, 5)[4] == 4);
  });
}

TEST(normal) {
  forEachDevice([](DeviceImpl& device) {
    const auto y = draw<float>(device, OpId::normal, DType::float32, 1, 2);
    const auto wide = draw<double>(device, OpId::normal, DType::float64, 1, 2);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < kCount; ++i) {
      const NormalPair pair = normalPair(word(i / 2 * 2), word(i / 2 * 2 + 1));
      const float z = i % 2 == 0 ? pair.first : pair.second;
      const float scaled = z * 2.0f;
      const auto at = static_cast<std::size_t>(i);
      CHECK(y[at] == scaled + 1.0f && wide[at] == y[at]);
      const double u = (static_cast<double>(word(i / 2 * 2) >> 8) + 1) * 0x1p-24;
      const double angle = 2 * M_PI * static_cast<double>(word(i / 2 * 2 + 1) >> 8) * 0x1p-24;
      const double want = std::sqrt(-2 * std::log(u)) * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
      CHECK_NEAR(z, want, 1e-6);
      sum += y[at], squares += (y[at] - 1.0) * (y[at] - 1.0);
    }
    CHECK_NEAR(sum / kCount, 1, 5 * 2 / std::sqrt(kCount));
    CHECK_NEAR(squares / kCount, 4, 5 * 4 * std::sqrt(2.0 / kCount));
  });
}

TEST(bernoulli_and_randint) {
  forEachDevice([](DeviceImpl& device) {
    const auto bits = draw<uint8_t>(device, OpId::bernoulli, DType::boolean, 0.3, 0);
    const auto floats = draw<float>(device, OpId::bernoulli, DType::float32, 0.3, 0);
    const auto dice = draw<int64_t>(device, OpId::randint, DType::int64, -3, 4);
    const auto full = draw<int64_t>(device, OpId::randint, DType::int64, 0, 4294967296.0);
    const auto bytes = draw<uint8_t>(device, OpId::randint, DType::uint8, 0, 256);
    for (int64_t i = 0; i < kCount; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool hit = static_cast<float>(word(i) >> 8) * 0x1p-24f < 0.3f;
      CHECK(bits[at] == (hit ? 1 : 0) && floats[at] == (hit ? 1.0f : 0.0f));
      CHECK(dice[at] == -3 + static_cast<int64_t>(uint64_t{word(i)} * 7 >> 32));
      CHECK(full[at] == int64_t{word(i)} && bytes[at] == word(i) >> 24);
    }
    CHECK(draw<float>(device, OpId::bernoulli, DType::float32, 1, 0, 9)[8] == 1);
    CHECK(draw<float>(device, OpId::bernoulli, DType::float32, 0, 0, 9)[8] == 0);
    int64_t state[2] = {1, 0}, y = 7;
    runOp(device, OpId::randint,
          RandomArgs{viewOf<InOut>(state, DType::int64, {2}), viewOf<Out>(&y, DType::int64, {1}), 5, 5});
    std::string message;
    CHECK(device.context().takeFailure(message) && message.find("[randint]") == 0);
  });
}

TEST(dropout) {
  std::vector<float> x(kCount);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.1f * static_cast<float>(i % 100) - 3;
  x[5] = NAN;
  forEachDevice([&](DeviceImpl& device) {
    for (double p : {0.0, 0.25, 1.0}) {
      int64_t state[2] = {kSeed, kOffset};
      std::vector<float> y(x.size()), dx(x.size());
      std::vector<uint8_t> mask(x.size());
      runOp(device, OpId::dropout,
            DropoutArgs{viewOf<In>(x.data(), DType::float32, {kCount}), viewOf<InOut>(state, DType::int64, {2}),
                        viewOf<Out>(y.data(), DType::float32, {kCount}),
                        viewOf<Out>(mask.data(), DType::boolean, {kCount}), p});
      runOp(device, OpId::dropoutBackward,
            DropoutBackwardArgs{viewOf<In>(x.data(), DType::float32, {kCount}),
                                viewOf<In>(mask.data(), DType::boolean, {kCount}),
                                viewOf<Out>(dx.data(), DType::float32, {kCount}), p});
      CHECK(state[1] == kOffset + (kCount + 3) / 4);
      for (int64_t i = 0; i < kCount; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const bool kept = static_cast<double>(word(i) >> 8) * 0x1p-24 >= p;
        const float want = kept ? x[at] * static_cast<float>(1 / (1 - p)) : 0.0f;
        CHECK(mask[at] == (kept ? 1 : 0));
        CHECK((y[at] == want && dx[at] == want) || (std::isnan(want) && std::isnan(y[at]) && std::isnan(dx[at])));
      }
    }
  });
}

TEST(fill_and_arange) {
  forEachDevice([](DeviceImpl& device) {
    std::vector<float> y(100, 0);
    runOp(device, OpId::fill, FillArgs{stridedView<Out>(y.data(), DType::float32, {4, 5}, {20, 2}), -0.0});
    CHECK(std::signbit(y[0]) && std::signbit(y[68]) && !std::signbit(y[1]) && !std::signbit(y[10]));
    std::vector<uint8_t> bytes(70, 9);
    runOp(device, OpId::fill, FillArgs{viewOf<Out>(bytes.data(), DType::uint8, {69}), 258});
    CHECK(bytes[0] == 2 && bytes[68] == 2 && bytes[69] == 9);
    runOp(device, OpId::fill, FillArgs{viewOf<Out>(bytes.data(), DType::boolean, {69}), 0.5});
    CHECK(bytes[0] == 1 && bytes[68] == 1);

    std::vector<float> ramp(70001);
    runOp(device, OpId::arange, ArangeArgs{viewOf<Out>(ramp.data(), DType::float32, {70001}), 1, 0.1});
    for (std::size_t i = 0; i < ramp.size(); ++i)
      CHECK(ramp[i] == static_cast<float>(1 + static_cast<double>(i) * 0.1));
    std::vector<int64_t> whole(9);
    runOp(device, OpId::arange, ArangeArgs{viewOf<Out>(whole.data(), DType::int64, {9}), 9007199254740992.0, -3});
    CHECK(whole[8] == 9007199254740968);
    std::vector<int32_t> steps(4);
    runOp(device, OpId::arange, ArangeArgs{viewOf<Out>(steps.data(), DType::int32, {4}), 0, 1.5});
    CHECK((steps == std::vector<int32_t>{0, 1, 3, 4}));
  });
}
