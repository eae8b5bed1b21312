// A second device that proves the seam between engine and back ends: a shared library that the addon has never heard
// of, with memory of its own, one lane, and two kernels entered in the op table.
#include <cstdlib>
#include <cstring>
#include <utility>

#include "engine/backend.h"
#include "engine/ops.h"

namespace {

using namespace warploom;

class FakeContext final : public Context {
 public:
  int lanes() const override { return 1; }
  void indexError(const char* op, int64_t value, int64_t bound) override {
    if (!hasIndexError_) indexError_ = {op, value, bound};
    hasIndexError_ = true;
  }
  void fail(const char*, const std::string& message) override { failure_ = message; }
  bool cancelled() const override { return false; }
  bool takeIndexError(IndexErrorInfo& info) override {
    info = indexError_;
    return std::exchange(hasIndexError_, false);
  }
  bool takeFailure(std::string& message) override {
    message = std::exchange(failure_, {});
    return !message.empty();
  }
  void cancel() override {}

 protected:
  void runChunks(int64_t chunks, void* data, void (*fn)(void*, int64_t, int)) override {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) fn(data, chunk, 0);
  }

 private:
  bool hasIndexError_ = false;
  IndexErrorInfo indexError_;
  std::string failure_;
};

// The element of `view` at the row-major position `index` of `like`'s sizes.
float& at(const View& view, const View& like, int64_t index) {
  int64_t offset = 0;
  for (int dim = like.rank - 1; dim >= 0; --dim) {
    offset += index % like.sizes[dim] * view.strides[dim];
    index /= like.sizes[dim];
  }
  return view.as<float>()[offset];
}

bool isFloat(const View& view, Context& context, const char* op) {
  if (view.dtype == DType::float32) return true;
  context.fail(op, "the fake device computes float32 only");
  return false;
}

void add(const void* data, Context& context) {
  const auto& args = *static_cast<const BinaryArgs*>(data);
  if (!isFloat(args.y, context, "add")) return;
  const int64_t n = args.y.numel();
  for (int64_t i = 0; i < n; ++i) {
    const float a = args.a.present() ? at(args.a, args.y, i) : static_cast<float>(args.aScalar);
    const float b = args.b.present() ? at(args.b, args.y, i) : static_cast<float>(args.bScalar);
    at(args.y, args.y, i) = a + b;
  }
}

void copy(const void* data, Context& context) {
  const auto& args = *static_cast<const UnaryArgs*>(data);
  if (!isFloat(args.x, context, "copy") || !isFloat(args.y, context, "copy")) return;
  const int64_t n = args.y.numel();
  for (int64_t i = 0; i < n; ++i) at(args.y, args.y, i) = at(args.x, args.y, i);
}

class FakeDevice final : public DeviceImpl {
 public:
  FakeDevice() {
    table_[static_cast<int>(OpId::add)].run = add;
    table_[static_cast<int>(OpId::copy)].run = copy;
  }
  void* allocate(std::size_t bytes) override { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); }
  void release(void* data, std::size_t) override { std::free(data); }
  std::size_t capacity() const override { return std::size_t{64} << 20; }
  void copyFromHost(void* device, const void* host, std::size_t bytes) override { std::memcpy(device, host, bytes); }
  bool copyToHost(void* host, const void* device, std::size_t bytes, Arrival&) override {
    if (bytes > 0) std::memcpy(host, device, bytes);
    return true;
  }
  bool hostVisible() const override { return false; }
  const OpEntry* op(int id) const override { return &table_[id]; }
  Context& context() override { return context_; }

 private:
  OpEntry table_[kOpCount];
  FakeContext context_;
};

class FakeBackend final : public Backend {
 public:
  const char* name() const override { return "fake"; }
  int deviceCount() override { return 2; }
  std::unique_ptr<DeviceImpl> open(int) override { return std::make_unique<FakeDevice>(); }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) warploom::Backend* warploomBackend(int version) {
  static FakeBackend backend;
  return version == warploom::kBackendVersion ? &backend : nullptr;
}
