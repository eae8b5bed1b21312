// Storages by handle. A handle is a 31-bit integer, so that JavaScript keeps it unboxed: a slot and a generation, which
// makes a stale handle an error instead of somebody else's memory.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/device.h"

namespace warploom {

struct Storage {
  Block* block = nullptr;
  Device* device = nullptr;
  int64_t bytes = 0;
  uint32_t generation = 0;
  int32_t references = 0;                 // JavaScript's one, and one for each recording that names it
  const Recording* retainedBy = nullptr;  // the recording under way that has it in its list already
};

class StorageTable {
 public:
  // A new slot with one reference, or -1 when all handles are in use.
  int32_t add(Block* block, Device* device, int64_t bytes) {
    uint32_t index;
    if (!free_.empty()) {
      index = free_.back();
      free_.pop_back();
    } else {
      if (slots_.size() >= kSlots) return -1;
      index = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    }
    Storage& slot = slots_[index];
    slot.block = block;
    slot.device = device;
    slot.bytes = bytes;
    slot.references = 1;
    slot.retainedBy = nullptr;
    return static_cast<int32_t>(slot.generation << kIndexBits | index);
  }

  // Null for a handle that names nothing (any number is safe).
  Storage* find(double handle) {
    if (!(handle >= 0 && handle < 2147483648.0)) return nullptr;
    const uint32_t value = static_cast<uint32_t>(handle);
    const uint32_t index = value & (kSlots - 1);
    if (index >= slots_.size()) return nullptr;
    Storage& slot = slots_[index];
    return slot.references > 0 && slot.generation == value >> kIndexBits ? &slot : nullptr;
  }

  // Drops one reference; with the last, the block goes back to its pool.
  void release(int32_t handle) {
    Storage* slot = find(handle);
    if (slot == nullptr || --slot->references > 0) return;
    slot->device->allocator().give(slot->block);
    slot->block = nullptr;
    slot->generation = (slot->generation + 1) & kGenerationMask;
    free_.push_back(static_cast<uint32_t>(handle) & (kSlots - 1));
  }

  int64_t live(const Device* device) const {
    int64_t count = 0;
    for (const Storage& slot : slots_) count += slot.references > 0 && slot.device == device;
    return count;
  }

 private:
  static constexpr int kIndexBits = 22;
  static constexpr uint32_t kSlots = 1u << kIndexBits;
  static constexpr uint32_t kGenerationMask = (1u << (31 - kIndexBits)) - 1;

  std::vector<Storage> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace warploom
