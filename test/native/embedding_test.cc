// Embedding and its gradient against plain loops.
#include "check.h"
#include "values.h"

namespace warploom::test {
namespace {

template <class I>
constexpr DType kIndexType = sizeof(I) == 8   ? DType::int64
                             : sizeof(I) == 4 ? DType::int32
                                              : DType::uint8;

template <class I>
std::vector<I> indices(int64_t N, int64_t V) {
  std::vector<I> out;
  for (double u : values<double>(N, 9, 0, 1)) out.push_back(static_cast<I>(u * u * static_cast<double>(V)));
  return out;
}

template <class T, class I>
void roundTrip(int64_t V, int64_t D, int64_t N, int64_t paddingIdx) {
  Note note(std::to_string(V) + "x" + std::to_string(D) + " at " + std::to_string(N));
  std::vector<T> weight = values<T>(V * D, 1), g = values<T>(N * D, 2);
  std::vector<I> index = V > 0 ? indices<I>(N, V) : std::vector<I>();
  // The sum in ascending order of position, in the kernel's own dtype: exact.
  std::vector<T> sums(weight.size(), T(0));
  for (int64_t p = 0; p < N; ++p) {
    const int64_t v = static_cast<int64_t>(index[static_cast<std::size_t>(p)]);
    for (int64_t d = 0; v != paddingIdx && d < D; ++d) {
      sums[static_cast<std::size_t>(v * D + d)] += g[static_cast<std::size_t>(p * D + d)];
    }
  }
  forEachDevice([&](DeviceImpl& device) {
    std::vector<T> y(static_cast<std::size_t>(N * D), T(77)), dweight(weight.size(), T(77));
    EmbeddingArgs forward{viewOf<In>(weight.data(), kDType<T>, {V, D}), viewOf<In>(index.data(), kIndexType<I>, {N}),
                          viewOf<Out>(y.data(), kDType<T>, {N, D})};
    runOp(device, OpId::embedding, forward);
    for (int64_t i = 0; i < N * D; ++i) {
      const int64_t v = static_cast<int64_t>(index[static_cast<std::size_t>(i / D)]);
      CHECK(y[static_cast<std::size_t>(i)] == weight[static_cast<std::size_t>(v * D + i % D)]);
    }
    EmbeddingBackwardArgs backward{viewOf<In>(g.data(), kDType<T>, {N, D}),
                                   viewOf<In>(index.data(), kIndexType<I>, {N}),
                                   viewOf<Out>(dweight.data(), kDType<T>, {V, D}), paddingIdx};
    runOp(device, OpId::embeddingBackward, backward);
    CHECK(sameBits(dweight, sums));
  });
}

template <class T>
void everyShape() {
  roundTrip<T, int64_t>(7, 33, 40, -1);
  roundTrip<T, int32_t>(7, 31, 40, 2);
  roundTrip<T, uint8_t>(200, 1, 500, 0);
  roundTrip<T, int32_t>(3000, 97, 800, 5);  // several owners
  roundTrip<T, int64_t>(5, 4097, 9, -1);
  roundTrip<T, int64_t>(5, 8, 0, -1);
  roundTrip<T, int64_t>(0, 8, 0, -1);
}

TEST(float32) { everyShape<float>(); }
TEST(float64) { everyShape<double>(); }

TEST(outOfRange) {
  forEachDevice([&](DeviceImpl& device) {
    std::vector<float> weight = values<float>(4 * 5, 1), y(20, 77.0f), dweight(20, 77.0f), g(20, 1.0f);
    std::vector<int64_t> index = {3, 4, -1, INT64_MAX};
    Context& context = device.context();
    IndexErrorInfo info;
    EmbeddingArgs forward{viewOf<In>(weight.data(), DType::float32, {4, 5}),
                          viewOf<In>(index.data(), DType::int64, {4}), viewOf<Out>(y.data(), DType::float32, {4, 5})};
    runOp(device, OpId::embedding, forward);
    CHECK(context.takeIndexError(info) && std::string(info.op) == "embedding" && info.value == 4 && info.bound == 4);
    for (std::size_t i = 0; i < 20; ++i) CHECK(y[i] == (i < 5 ? weight[15 + i] : 0.0f));
    EmbeddingBackwardArgs backward{viewOf<In>(g.data(), DType::float32, {4, 5}),
                                   viewOf<In>(index.data(), DType::int64, {4}),
                                   viewOf<Out>(dweight.data(), DType::float32, {4, 5}), -1};
    runOp(device, OpId::embeddingBackward, backward);
    CHECK(context.takeIndexError(info) && std::string(info.op) == "embeddingBackward");
    for (std::size_t i = 0; i < 20; ++i) CHECK(dweight[i] == (i < 15 ? 0.0f : 1.0f));
    std::string message;
    CHECK(!context.takeFailure(message));
    forward.index.dtype = DType::float32;
    runOp(device, OpId::embedding, forward);
    CHECK(context.takeFailure(message) && message.find("int64") != std::string::npos);
  });
}

}  // namespace
}  // namespace warploom::test
