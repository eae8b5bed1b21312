// Results so large that they are stored past the caches: other stores, the same elements. Moves are compared exactly,
// sums with the one rounding of float32.
#include "check.h"
#include "values.h"

namespace warploom::test {
namespace {

// 32 MiB and a little of float32; rows of 4099 begin anywhere in a cache line.
constexpr int64_t kRows = 2051, kColumns = 4099, kCount = kRows * kColumns;
constexpr float kGuard = 77;

// A result of kCount elements that begins `skip` elements after a cache line, with guards around it.
class Result {
 public:
  explicit Result(int64_t skip) : data_(static_cast<std::size_t>(kCount + 64), kGuard) {
    const auto misplaced = static_cast<int64_t>(reinterpret_cast<uintptr_t>(data_.data()) % 64 / sizeof(float));
    first_ = (16 - misplaced) % 16 + 16 + skip;
  }
  float* get() { return data_.data() + first_; }
  float operator[](int64_t i) const { return data_[static_cast<std::size_t>(first_ + i)]; }
  bool guarded() const { return (*this)[-1] == kGuard && (*this)[kCount] == kGuard; }

 private:
  std::vector<float> data_;
  int64_t first_;
};

// Each instruction set once, and results on a cache line and off it.
void forEachResult(const std::function<void(DeviceImpl&, Result&)>& body) {
  forEachDevice([&](DeviceImpl& device) {
    if (device.facts().threads != 2) return;
    for (int64_t skip : {0, 1}) {
      Note where("skip " + std::to_string(skip));
      Result y(skip);
      body(device, y);
      CHECK(y.guarded());
    }
  });
}

template <class Fn>
void checkAll(const Result& y, const Fn& expected) {
  int64_t wrong = 0;
  for (int64_t i = 0; i < kCount; ++i) wrong += y[i] != expected(i);
  CHECK(wrong == 0);
}

const std::vector<float>& a() {
  static const std::vector<float> all = values<float>(kCount, 1);
  return all;
}
const std::vector<float>& b() {
  static const std::vector<float> all = values<float>(kCount, 2);
  return all;
}
float at(const std::vector<float>& x, int64_t i) { return x[static_cast<std::size_t>(i)]; }
template <class Role>
Role input(const std::vector<float>& x, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  return stridedView<Role>(const_cast<float*>(x.data()), DType::float32, sizes, strides);
}

TEST(sums) {
  forEachResult([](DeviceImpl& device, Result& y) {
    runOp(device, OpId::add,
          BinaryArgs{input<OptIn>(a(), {kCount}, {1}), input<OptIn>(b(), {kCount}, {1}),
                     viewOf<Out>(y.get(), DType::float32, {kCount}), 0, 0});
    checkAll(y, [](int64_t i) { return at(a(), i) + at(b(), i); });
    runOp(device, OpId::add,
          BinaryArgs{input<OptIn>(a(), {kRows, kColumns}, {kColumns, 1}), input<OptIn>(b(), {kRows, kColumns}, {0, 1}),
                     viewOf<Out>(y.get(), DType::float32, {kRows, kColumns}), 0, 0});
    checkAll(y, [](int64_t i) { return at(a(), i) + at(b(), i % kColumns); });
  });
}

TEST(inPlace) {
  forEachResult([](DeviceImpl& device, Result& y) {
    std::copy(a().begin(), a().end(), y.get());
    const auto same = viewOf<OptIn>(y.get(), DType::float32, {kCount});
    runOp(device, OpId::add,
          BinaryArgs{same, input<OptIn>(b(), {kCount}, {1}), viewOf<Out>(y.get(), DType::float32, {kCount}), 0, 0});
    checkAll(y, [](int64_t i) { return at(a(), i) + at(b(), i); });
  });
}

TEST(moves) {
  forEachResult([](DeviceImpl& device, Result& y) {
    runOp(device, OpId::copy, UnaryArgs{input<In>(a(), {kCount}, {1}), viewOf<Out>(y.get(), DType::float32, {kCount})});
    checkAll(y, [](int64_t i) { return at(a(), i); });
    runOp(device, OpId::fill, FillArgs{viewOf<Out>(y.get(), DType::float32, {kCount}), 5});
    checkAll(y, [](int64_t) { return 5.0f; });
    std::vector<uint8_t> cond(static_cast<std::size_t>(kCount));
    for (std::size_t i = 0; i < cond.size(); ++i) cond[i] = i * 2654435761u >> 7 & 1;
    runOp(device, OpId::where,
          WhereArgs{viewOf<In>(cond.data(), DType::boolean, {kCount}), input<OptIn>(a(), {kCount}, {1}),
                    input<OptIn>(b(), {kCount}, {1}), viewOf<Out>(y.get(), DType::float32, {kCount}), 0, 0});
    checkAll(y, [&](int64_t i) { return at(cond[static_cast<std::size_t>(i)] != 0 ? a() : b(), i); });
  });
}

TEST(transposes) {
  forEachResult([](DeviceImpl& device, Result& y) {
    runOp(device, OpId::copy,
          UnaryArgs{input<In>(a(), {kRows, kColumns}, {1, kRows}),
                    viewOf<Out>(y.get(), DType::float32, {kRows, kColumns})});
    checkAll(y, [](int64_t i) { return at(a(), i / kColumns + i % kColumns * kRows); });
  });
  // Rows of whole cache lines.
  constexpr int64_t rows = 2049, columns = 4096;
  forEachResult([](DeviceImpl& device, Result& y) {
    runOp(device, OpId::copy,
          UnaryArgs{input<In>(a(), {rows, columns}, {1, rows}), viewOf<Out>(y.get(), DType::float32, {rows, columns})});
    int64_t wrong = 0;
    for (int64_t i = 0; i < rows * columns; ++i) wrong += y[i] != at(a(), i / columns + i % columns * rows);
    CHECK(wrong == 0);
    CHECK(y[rows * columns] == kGuard);
  });
}

}  // namespace
}  // namespace warploom::test
