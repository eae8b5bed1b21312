#include "cudasim/memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace warploom::cudasim {

namespace {
constexpr uint64_t kGap = 4096;  // unused addresses behind each allocation
constexpr uint64_t kAlign = 256;
uint64_t roundUp(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }
}  // namespace

// Four times the capacity of addresses: freed ones rest before they are used again.
Memory::Memory(uint64_t capacity) : capacity_(capacity), reserved_(roundUp(capacity * 4 + (64 << 20), 4096)) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* arena = mmap(nullptr, reserved_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (arena == MAP_FAILED) throw std::bad_alloc();
  void* shadow = mmap(nullptr, reserved_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (shadow == MAP_FAILED) {
    munmap(arena, reserved_);
    throw std::bad_alloc();
  }
  base_ = reinterpret_cast<uint64_t>(arena);
  shadow_ = static_cast<uint8_t*>(shadow);
  next_ = base_ + kGap;
}

Memory::~Memory() {
  munmap(reinterpret_cast<void*>(base_), reserved_);
  munmap(shadow_, reserved_);
}

uint64_t Memory::takeRange(uint64_t bytes) {
  const auto hole = holes_.lower_bound(bytes);
  if (hole != holes_.end() && hole->first <= bytes * 2) {
    const auto [size, address] = *hole;
    holes_.erase(hole);
    if (size > bytes) holes_.emplace(size - bytes, address + bytes);
    return address;
  }
  if (next_ + bytes > base_ + reserved_) return 0;
  const uint64_t address = next_;
  next_ += bytes;
  return address;
}

void Memory::reclaim() {
  // Half of the freed, the oldest: the rest still answers as "was freed".
  const std::size_t many = (quarantine_.size() + 1) / 2;
  for (std::size_t i = 0; i < many; ++i) {
    const auto found = allocations_.find(quarantine_[i]);
    holes_.emplace(roundUp(found->second.size, kAlign) + kGap, found->first);
    allocations_.erase(found);
  }
  quarantine_.erase(quarantine_.begin(), quarantine_.begin() + static_cast<std::ptrdiff_t>(many));
  // Neighbouring holes become one.
  std::map<uint64_t, uint64_t> byAddress;
  for (const auto& hole : holes_) byAddress[hole.second] = hole.first;
  holes_.clear();
  for (auto it = byAddress.begin(); it != byAddress.end();) {
    uint64_t start = it->first, size = it->second;
    for (++it; it != byAddress.end() && it->first == start + size; ++it) size += it->second;
    holes_.emplace(size, start);
  }
}

uint64_t Memory::alloc(uint64_t bytes, AllocationKind kind, const std::string& label) {
  if (bytes == 0 || bytes > capacity_) return 0;
  std::unique_lock lock(mutex_);
  if (used_ + bytes > capacity_) return 0;
  const uint64_t range = roundUp(bytes, kAlign) + kGap;
  uint64_t address = takeRange(range);
  while (address == 0 && !quarantine_.empty()) {
    reclaim();
    const auto hole = holes_.lower_bound(range);
    if (hole != holes_.end()) {
      const auto [size, start] = *hole;
      holes_.erase(hole);
      if (size > range) holes_.emplace(size - range, start + range);
      address = start;
    }
  }
  if (address == 0) return 0;
  used_ += bytes;
  Allocation& made = allocations_[address];
  made.address = address;
  made.size = bytes;
  made.id = ++ids_;
  made.kind = kind;
  made.label = label;
  std::memset(reinterpret_cast<void*>(address), 0xff, bytes);
  std::memset(shadow_ + (address - base_), 0, bytes);
  generation_ = generation_ + 1;
  return address;
}

bool Memory::free(uint64_t address) {
  std::unique_lock lock(mutex_);
  const auto found = allocations_.find(address);
  if (found == allocations_.end() || found->second.freed || found->second.registered) return false;
  found->second.freed = true;
  used_ -= found->second.size;
  // Large ranges go back to the system and read as zeros then; a page of poison in front is enough to be noticed.
  const uint64_t size = found->second.size;
  if (size > (1 << 20)) {
    madvise(reinterpret_cast<void*>(roundUp(address, 4096)), (size - 4096) / 4096 * 4096, MADV_DONTNEED);
  } else {
    std::memset(reinterpret_cast<void*>(address), 0xff, size);
  }
  quarantine_.push_back(address);
  if (quarantine_.size() > 4096) reclaim();
  generation_ = generation_ + 1;
  return true;
}

bool Memory::registerHost(void* data, uint64_t bytes) {
  const uint64_t address = reinterpret_cast<uint64_t>(data);
  if (bytes == 0) return false;
  std::unique_lock lock(mutex_);
  auto after = allocations_.upper_bound(address);
  if (after != allocations_.end() && after->first < address + bytes) return false;
  if (after != allocations_.begin() && std::prev(after)->first + std::prev(after)->second.size > address) return false;
  Allocation& made = allocations_[address];
  made.address = address;
  made.size = bytes;
  made.id = ++ids_;
  made.kind = AllocationKind::pinned;
  made.registered = true;
  generation_ = generation_ + 1;
  return true;
}

bool Memory::unregisterHost(void* data) {
  std::unique_lock lock(mutex_);
  const auto found = allocations_.find(reinterpret_cast<uint64_t>(data));
  if (found == allocations_.end() || !found->second.registered) return false;
  allocations_.erase(found);
  generation_ = generation_ + 1;
  return true;
}

const Allocation* Memory::find(uint64_t address) const {
  std::shared_lock lock(mutex_);
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return nullptr;
  const Allocation& before = std::prev(after)->second;
  return address - before.address < before.size ? &before : nullptr;
}

const Allocation* Memory::findLive(uint64_t address, uint64_t bytes) const {
  const Allocation* found = find(address);
  if (found == nullptr || found->freed || address - found->address + bytes > found->size) return nullptr;
  return found;
}

std::string Memory::describe(uint64_t address) const {
  std::shared_lock lock(mutex_);
  const auto title = [](const Allocation& one) {
    return "allocation " + std::to_string(one.id) + (one.label.empty() ? "" : " (" + one.label + ")") + " of " +
           std::to_string(one.size) + " bytes";
  };
  auto after = allocations_.upper_bound(address);
  if (after != allocations_.begin()) {
    const Allocation& before = std::prev(after)->second;
    const uint64_t offset = address - before.address;
    if (offset < before.size) {
      return "at byte " + std::to_string(offset) + " of " + title(before) + (before.freed ? ", which was freed" : "");
    }
    if (offset - before.size < (1 << 20)) {
      return std::to_string(offset - before.size) + " bytes past the end of " + title(before) +
             (before.freed ? ", which was freed" : "");
    }
  }
  if (after != allocations_.end() && after->first - address < (1 << 20)) {
    return std::to_string(after->first - address) + " bytes before the start of " + title(after->second);
  }
  return "no allocation is near";
}

std::vector<Allocation> Memory::live() const {
  std::shared_lock lock(mutex_);
  std::vector<Allocation> list;
  for (const auto& entry : allocations_) {
    if (!entry.second.freed) list.push_back(entry.second);
  }
  return list;
}

void Memory::setInitialised(uint64_t address, uint64_t bytes, bool value) {
  if (uint8_t* map = validity(address)) std::memset(map, value ? 1 : 0, bytes);
}
void Memory::copyInitialised(uint64_t to, uint64_t from, uint64_t bytes) {
  uint8_t* target = validity(to);
  const uint8_t* origin = validity(from);
  if (target == nullptr) return;
  if (origin == nullptr) {
    std::memset(target, 1, bytes);
  } else {
    std::memmove(target, origin, bytes);
  }
}
void Memory::poison(uint64_t address, uint64_t bytes) {
  std::memset(reinterpret_cast<void*>(address), 0xff, bytes);
  setInitialised(address, bytes, false);
}
int64_t Memory::firstUninitialised(uint64_t address, uint64_t bytes) const {
  const uint8_t* map = validity(address);
  if (map == nullptr) return -1;
  const void* found = std::memchr(map, 0, bytes);
  return found == nullptr ? -1 : static_cast<const uint8_t*>(found) - map;
}

}  // namespace warploom::cudasim
