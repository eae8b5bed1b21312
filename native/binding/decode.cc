#include "binding/decode.h"

namespace warploom::binding {
namespace {

constexpr double kLargest = 9007199254740992.0;  // 2^53: the largest count that a word holds exactly

}  // namespace

void Decoder::fail(ErrorCode code, const char* message) {
  if (error) return;
  error.code = code;
  error.op = op_;
  error.message = message;
}

double Decoder::next() {
  if (at_ >= kWords) {
    fail(ErrorCode::invalid, "the call does not fit into the command buffer");
    return 0;
  }
  return words_[at_++];
}

int64_t Decoder::readInteger() {
  const double value = next();
  if (!(value >= -kLargest && value <= kLargest)) {
    fail(ErrorCode::invalid, "an integer argument is NaN or beyond 2^53");
    return 0;
  }
  return static_cast<int64_t>(value);
}

Storage* Decoder::findStorage(double handle) {
  Storage* storage = storages_.find(handle);
  if (storage == nullptr) {
    fail(ErrorCode::invalid, "an operand's storage has been disposed of");
  } else if (storage->device != &device_) {
    fail(ErrorCode::invalid, "an operand lives on another device");
    return nullptr;
  }
  return storage;
}

bool Decoder::use(Storage& storage, int32_t handle, Access access) {
  if (useCount >= kMaxUses) {
    fail(ErrorCode::invalid, "too many operands");
    return false;
  }
  uses[useCount++] = BlockUse::of(storage.block, access);
  Recording* recording = device_.recording;
  // A recording keeps what it names from outside alive: its jobs hold plain addresses.
  if (recording != nullptr && storage.block->home != &recording->pool && storage.retainedBy != recording) {
    storage.retainedBy = recording;
    ++storage.references;
    recording->retained.push_back(handle);
  }
  return true;
}

// Reads dtype, and with `rank` the sizes; false when they make no sense.
bool Decoder::readSizes(View& view) {
  const double rank = next();
  if (!(rank >= 0 && rank <= kMaxRank)) {
    fail(ErrorCode::invalid, "a tensor has more than 8 dimensions");
    return false;
  }
  view.rank = static_cast<int32_t>(rank);
  for (int i = 0; i < view.rank; ++i) {
    const double size = next();
    if (!(size >= 0 && size <= kLargest)) {
      fail(ErrorCode::invalid, "a size is negative, NaN or beyond 2^53");
      return false;
    }
    view.sizes[i] = static_cast<int64_t>(size);
  }
  return true;
}

void Decoder::readView(View& view, Access access) {
  if (!ok()) return;
  const double handle = next();
  const double dtype = next();
  const int64_t offset = readInteger();
  if (!ok()) return;
  Storage* storage = findStorage(handle);
  if (storage == nullptr) return;
  if (!(dtype >= 0 && dtype < kDTypeCount)) return fail(ErrorCode::invalid, "unknown dtype");
  view.dtype = static_cast<DType>(static_cast<int32_t>(dtype));
  if (!readSizes(view)) return;
  // The last element that the view reaches; 128 bits, since a product of two counts below 2^53 may exceed 64.
  __int128 last = offset;
  bool empty = false;
  for (int i = 0; i < view.rank; ++i) {
    view.strides[i] = readInteger();
    if (view.strides[i] < 0) fail(ErrorCode::invalid, "a stride is negative");
    empty |= view.sizes[i] == 0;
    last += static_cast<__int128>(view.sizes[i] - 1) * view.strides[i];
  }
  if (!ok()) return;
  const int64_t item = itemSize(view.dtype);
  if (empty) {
    view.data = storage->block->data;
  } else {
    if (offset < 0 || (last + 1) * item > storage->bytes)
      return fail(ErrorCode::invalid, "a view reaches outside its storage");
    view.data = static_cast<char*>(storage->block->data) + offset * item;
  }
  use(*storage, static_cast<int32_t>(handle), access);
}

void Decoder::readOptional(View& view, Access access) {
  if (!ok()) return;
  if (peek() == kAbsent) {
    next();
    view.data = nullptr;
    view.rank = -1;
    view.dtype = DType::float32;
    return;
  }
  readView(view, access);
}

void Decoder::readOut(View& view) {
  if (!ok()) return;
  if (peek() != kAllocate) return readView(view, Access::write);
  const int at = at_;
  next();
  const double dtype = next();
  if (!(dtype >= 0 && dtype < kDTypeCount)) return fail(ErrorCode::invalid, "unknown dtype");
  view.dtype = static_cast<DType>(static_cast<int32_t>(dtype));
  if (!readSizes(view)) return;
  int64_t bytes = itemSize(view.dtype);
  bool overflow = false;
  for (int i = view.rank - 1; i >= 0; --i) {
    view.strides[i] = bytes / itemSize(view.dtype);
    if (view.sizes[i] != 0) overflow |= __builtin_mul_overflow(bytes, view.sizes[i], &bytes);
  }
  for (int i = 0; i < view.rank; ++i) {
    if (view.sizes[i] == 0) bytes = 0;
  }
  if (overflow || bytes > static_cast<int64_t>(kLargest)) {
    if (bytes != 0) {
      fail(ErrorCode::outOfMemory, "the output has more bytes than any device");
      error.requested = INT64_MAX;
      error.active = static_cast<int64_t>(device_.allocator().statistics().active);
      error.limit = static_cast<int64_t>(device_.allocator().statistics().limit);
      return;
    }
  }
  if (allocatedCount_ >= 4 || useCount >= kMaxUses) return fail(ErrorCode::invalid, "too many outputs");
  Block* block = device_.take(static_cast<std::size_t>(bytes), op_, error);
  if (block == nullptr) return;
  const int32_t handle = storages_.add(block, &device_, bytes);
  if (handle < 0) {
    device_.allocator().give(block);
    fail(ErrorCode::outOfMemory, "more than four million tensors are alive");
    return;
  }
  allocated_[allocatedCount_++] = handle;
  view.data = block->data;
  uses[useCount++] = BlockUse::of(block, Access::fresh);
  // Read back by outStorage() in src/addon.ts.
  words_[at] = handle;
  words_[at + 1] = static_cast<double>(bytes);
}

void Decoder::visit(Segments& segments) {
  if (!ok()) return;
  const double dtype = next();
  const double count = next();
  if (!(dtype >= 0 && dtype < kDTypeCount)) return fail(ErrorCode::invalid, "unknown dtype");
  if (!(count >= 0 && count <= kMaxSegments)) return fail(ErrorCode::invalid, "too many parameters in one update");
  segments.dtype = static_cast<DType>(static_cast<int32_t>(dtype));
  segments.count = static_cast<int32_t>(count);
  const int64_t item = itemSize(segments.dtype);
  for (int i = 0; i < segments.count; ++i) {
    const double handle = next();
    const int64_t offset = readInteger();
    const int64_t bucketOffset = readInteger();
    const int64_t elements = readInteger();
    if (!ok()) return;
    Storage* storage = findStorage(handle);
    if (storage == nullptr) return;
    const __int128 end = (static_cast<__int128>(offset) + elements) * item;
    if (offset < 0 || elements < 0 || bucketOffset < 0 || end > storage->bytes) {
      return fail(ErrorCode::invalid, "a parameter reaches outside its storage");
    }
    segments.items[i] = {static_cast<char*>(storage->block->data) + offset * item, bucketOffset, elements};
    if (!use(*storage, static_cast<int32_t>(handle), Access::write)) return;
  }
}

void Decoder::undo() {
  for (int i = 0; i < allocatedCount_; ++i) storages_.release(allocated_[i]);
}

}  // namespace warploom::binding
