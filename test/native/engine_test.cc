// The engine without Node: memory, queue order, failures, recordings.
#include "engine/device.h"
#include "engine/storage.h"
#include "native/check.h"

using namespace warploom;

namespace {

constexpr std::size_t kCapacity = std::size_t{64} << 20;

std::unique_ptr<Device> makeDevice(std::size_t capacity = kCapacity) {
  return std::make_unique<Device>("cpu", cpu::openDevice({2, ""}, capacity));
}

struct Waiter final : Completion {
  void post() override { posted = true; }
  void abandon() override { abandoned = true; }
  bool posted = false, abandoned = false;
};

View vector(Block* block, int64_t n) {
  View view{};
  view.data = block->data;
  view.dtype = DType::float32;
  view.rank = 1;
  view.sizes[0] = n;
  view.strides[0] = 1;
  return view;
}

// y = softmax(x) over n elements: stands for any op.
void queueSoftmax(Device& device, Block* x, Block* y, int64_t n, const OpEntry* entry = nullptr) {
  SoftmaxArgs args{};
  static_cast<View&>(args.x) = vector(x, n);
  for (View* view : {static_cast<View*>(&args.x), static_cast<View*>(&args.y)}) {
    view->data = view == &args.x ? x->data : y->data;
    view->dtype = DType::float32;
    view->rank = 3;
    view->sizes[0] = 1;
    view->sizes[1] = n;
    view->sizes[2] = 1;
    view->strides[0] = n;
    view->strides[1] = 1;
    view->strides[2] = 1;
  }
  const int id = static_cast<int>(OpId::softmax);
  const BlockUse uses[] = {BlockUse::of(x, Access::read), BlockUse::of(y, Access::fresh)};
  Error error;
  CHECK(device.queue(entry ? *entry : *device.impl().op(id), kOpCodecs[id], &args, uses, 2, error));
}

std::vector<float> download(Device& device, Block* block, int64_t n, Error* error = nullptr) {
  std::vector<float> values(static_cast<std::size_t>(n));
  Waiter waiter;
  device.read(block, 0, values.data(), values.size() * sizeof(float), &waiter);
  device.stream().drain();
  CHECK(waiter.posted);
  if (error != nullptr) *error = waiter.error;
  return values;
}

}  // namespace

TEST(blocks_are_reused_in_queue_order) {
  auto device = makeDevice();
  Error error;
  Block* first = device->take(1000, "test", error);
  CHECK(first != nullptr && first->bytes >= 1000);
  CHECK(reinterpret_cast<uintptr_t>(first->data) % 64 == 0);
  device->allocator().give(first);
  CHECK(device->take(1000, "test", error) == first);
  CHECK(device->allocator().statistics().active == first->bytes);
}

TEST(size_classes_waste_at_most_an_eighth) {
  auto device = makeDevice(std::size_t{1} << 40);
  Error error;
  for (std::size_t bytes = 1; bytes < (std::size_t{1} << 24); bytes = bytes * 9 / 8 + 1) {
    Block* block = device->take(bytes, "test", error);
    CHECK(block != nullptr && block->bytes >= bytes);
    CHECK(block->bytes <= bytes + bytes / 8 + 64);
    device->allocator().give(block);
    CHECK(device->take(bytes, "test", error) == block);
  }
}

TEST(memory_runs_out_with_the_numbers_and_comes_back) {
  auto device = makeDevice(std::size_t{8} << 20);
  Error error;
  Block* big = device->take(std::size_t{5} << 20, "first", error);
  CHECK(big != nullptr);
  CHECK(device->take(std::size_t{5} << 20, "second", error) == nullptr);
  CHECK(error.code == ErrorCode::outOfMemory && error.op == "second");
  CHECK(error.requested == (5 << 20) && error.limit == (8 << 20));
  // Another size class: only returning the cached block to the system makes room for it.
  device->allocator().give(big);
  error = Error();
  CHECK(device->take(std::size_t{7} << 20, "third", error) != nullptr);
}

TEST(a_block_returns_to_the_system_only_past_its_ticket) {
  auto device = makeDevice();
  Error error;
  Block* block = device->take(std::size_t{1} << 20, "test", error);
  block->lastUse = 100;
  const std::size_t reserved = device->allocator().statistics().reserved;
  device->allocator().give(block);
  device->allocator().dropCache(99);
  CHECK(device->allocator().statistics().reserved == reserved);
  device->allocator().dropCache(100);
  CHECK(device->allocator().statistics().reserved < reserved);
}

TEST(jobs_run_in_order_and_the_queue_is_bounded) {
  auto device = makeDevice();
  Error error;
  Block* a = device->take(64 * 4, "test", error);
  Block* b = device->take(64 * 4, "test", error);
  std::vector<float> ones(64, 1.0f);
  device->upload(a, 0, ones.data(), 256, true);
  // Far more bytes of jobs than the ring holds.
  for (int i = 0; i < 20000; ++i) queueSoftmax(*device, i % 2 ? b : a, i % 2 ? a : b, 64);
  const std::vector<float> values = download(*device, a, 64);
  for (float value : values) CHECK(std::fabs(value - 1.0f / 64) < 1e-6f);
}

TEST(uploads_follow_the_queue) {
  auto device = makeDevice();
  Error error;
  Block* x = device->take(1 << 16, "test", error);
  Block* y = device->take(1 << 16, "test", error);
  std::vector<float> values(1 << 14, 0.0f);
  device->upload(x, 0, values.data(), 1 << 16, true);
  queueSoftmax(*device, x, y, 1 << 14);
  // Overwrites x for a later reader; the softmax before must still have seen zeros.
  values.assign(1 << 14, 5.0f);
  device->upload(x, 0, values.data(), 1 << 16, true);
  CHECK(std::fabs(download(*device, y, 16)[3] - 1.0f / (1 << 14)) < 1e-8f);
  CHECK(download(*device, x, 16)[3] == 5.0f);
}

TEST(a_failed_job_poisons_its_outputs_and_nothing_else) {
  auto device = makeDevice();
  Error error;
  Block* x = device->take(64, "test", error);
  Block* y = device->take(64, "test", error);
  Block* z = device->take(64, "test", error);
  std::vector<float> ones(16, 1.0f);
  device->upload(x, 0, ones.data(), 64, true);
  OpEntry failing;
  failing.run = [](const void*, Context& context) { context.fail("softmax", "on purpose"); };
  queueSoftmax(*device, x, y, 16, &failing);
  queueSoftmax(*device, y, z, 16);  // inherits the failure
  Error seen;
  download(*device, x, 16, &seen);
  CHECK(!seen);
  download(*device, z, 16, &seen);
  CHECK(seen.code == ErrorCode::failed && seen.op == "softmax");
  CHECK(seen.message.find("on purpose") != std::string::npos);
  download(*device, x, 16, &seen);
  CHECK(!seen);
  // Written anew, the block is good again.
  queueSoftmax(*device, x, y, 16);
  CHECK(std::fabs(download(*device, y, 16, &seen)[0] - 1.0f / 16) < 1e-7f);
  CHECK(!seen);
}

TEST(a_spoiled_block_is_good_again_in_its_next_life) {
  auto device = makeDevice();
  Error error;
  Block* x = device->take(60, "test", error);
  Block* y = device->take(60, "test", error);
  std::vector<float> ones(15, 1.0f);
  device->upload(x, 0, ones.data(), 60, true);
  OpEntry failing;
  failing.run = [](const void*, Context& context) { context.fail("softmax", "on purpose"); };
  queueSoftmax(*device, x, y, 15, &failing);
  device->allocator().give(y);
  CHECK(device->take(60, "test", error) == y);
  device->upload(y, 0, ones.data(), 60, true);
  Error seen;
  CHECK(download(*device, y, 15, &seen)[0] == 1.0f);
  CHECK(!seen);
}

TEST(an_exception_in_a_kernel_is_a_failure) {
  auto device = makeDevice();
  Error error;
  Block* x = device->take(64, "test", error);
  Block* y = device->take(64, "test", error);
  OpEntry throwing;
  throwing.run = [](const void*, Context&) { throw std::runtime_error("thrown"); };
  queueSoftmax(*device, x, y, 16, &throwing);
  Error seen;
  download(*device, y, 16, &seen);
  CHECK(seen.code == ErrorCode::failed && seen.message == "thrown");
}

TEST(an_index_error_is_reported_once_by_the_next_read) {
  auto device = makeDevice();
  Error error;
  Block* x = device->take(64, "test", error);
  Block* y = device->take(64, "test", error);
  OpEntry entry;
  entry.run = [](const void*, Context& context) {
    context.indexError("embedding", 12, 10);
    context.indexError("embedding", 13, 10);
  };
  queueSoftmax(*device, x, y, 16, &entry);
  Error seen;
  download(*device, x, 16, &seen);
  CHECK(seen.code == ErrorCode::index && seen.value == 12 && seen.bound == 10);
  download(*device, x, 16, &seen);
  CHECK(!seen);
}

TEST(a_recording_replays_and_keeps_its_memory_to_itself) {
  auto device = makeDevice();
  Error error;
  Block* x = device->take(64, "test", error);
  std::vector<float> values(16, 0.0f);
  values[0] = 3.0f;
  auto recording = std::make_unique<Recording>();
  device->beginRecording(recording.get());
  Block* middle = device->take(64, "test", error);
  Block* y = device->take(64, "test", error);
  device->upload(x, 0, values.data(), 64, true);  // recorded with its bytes
  queueSoftmax(*device, x, middle, 16);
  queueSoftmax(*device, middle, y, 16);
  device->allocator().give(middle);
  device->endRecording();
  // Nobody else may get what the recording writes.
  CHECK(device->take(64, "test", error) != middle);
  const std::vector<float> first = download(*device, y, 16);
  values.assign(16, 0.0f);
  device->upload(x, 0, values.data(), 64, true);
  device->replay(*recording);
  const std::vector<float> second = download(*device, y, 16);
  CHECK(std::memcmp(first.data(), second.data(), 64) == 0);
  device->forget(std::move(recording));
  CHECK(device->take(64, "test", error) == middle);
}

TEST(stopping_abandons_what_has_not_begun) {
  auto device = makeDevice();
  Error error;
  Block* x = device->take(64, "test", error);
  static std::atomic<bool> began{false};
  OpEntry slow;
  slow.run = [](const void*, Context& context) {
    began = true;
    while (!context.cancelled()) {
    }
  };
  queueSoftmax(*device, x, x, 16, &slow);
  float value;
  Waiter waiter;
  device->read(x, 0, &value, 4, &waiter);
  while (!began) {
  }
  device->stream().stop();
  CHECK(!waiter.posted && waiter.abandoned);
}

TEST(handles_go_stale) {
  auto device = makeDevice();
  Error error;
  StorageTable table;
  const int32_t first = table.add(device->take(64, "test", error), device.get(), 64);
  CHECK(table.find(first) != nullptr);
  table.release(first);
  CHECK(table.find(first) == nullptr);
  const int32_t second = table.add(device->take(64, "test", error), device.get(), 64);
  CHECK(second != first && table.find(first) == nullptr && table.find(second) != nullptr);
  for (double bad : {-1.0, 1e18, 2147483648.0, std::nan("")}) CHECK(table.find(bad) == nullptr);
}

TEST(arguments_survive_the_queue) {
  MatmulArgs args{};
  for (View* view : {static_cast<View*>(&args.a), static_cast<View*>(&args.b), static_cast<View*>(&args.y)}) {
    view->data = view;
    view->dtype = DType::float64;
    view->rank = 5;
    for (int i = 0; i < 5; ++i) {
      view->sizes[i] = 10 * i + 1;
      view->strides[i] = 7 * i;
    }
  }
  args.bias.rank = args.pre.rank = -1;
  args.activation = 2;
  args.accumulate = 1;
  const OpCodec& codec = kOpCodecs[static_cast<int>(OpId::matmul)];
  alignas(16) unsigned char packed[4096];
  CHECK(codec.pack(&args, packed) <= codec.bytes);
  MatmulArgs copy;
  std::memset(&copy, 0xAB, sizeof(copy));
  codec.unpack(packed, &copy);
  CHECK(copy.b.data == &args.b && copy.b.dtype == DType::float64 && copy.b.rank == 5);
  for (int i = 0; i < 5; ++i) CHECK(copy.y.sizes[i] == 10 * i + 1 && copy.y.strides[i] == 7 * i);
  CHECK(!copy.bias.present() && !copy.pre.present() && copy.activation == 2 && copy.accumulate == 1);
}
