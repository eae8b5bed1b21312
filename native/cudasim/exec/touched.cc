#include "cudasim/exec/touched.h"

#include <algorithm>

namespace warploom::cudasim {

const TouchedWords::Area* TouchedWords::area(uint64_t address) {
  const Allocation* found = launch_.memory->findLive(address, 1);
  for (std::size_t i = 0; found == nullptr && i < launch_.peers.size(); ++i) {
    found = launch_.peers[i]->findLive(address, 1);
  }
  if (found == nullptr || found->kind == AllocationKind::constant) return nullptr;
  const std::lock_guard<std::mutex> lock(mutex_);
  Area& area = areas_[found->address];
  if (area.words == nullptr) {
    area.low = found->address;
    area.high = found->address + found->size;
    area.words.reset(new std::atomic<uint8_t>[(found->size + 3) / 4]());
  }
  return &area;
}

std::vector<Touched> TouchedWords::ranges() const {
  constexpr int kMost = 1024;
  std::vector<Touched> ranges;
  for (const auto& entry : areas_) {
    const Area& area = entry.second;
    const uint64_t words = (area.high - area.low + 3) / 4;
    int many = 0;
    for (uint64_t i = 0; i < words && many < kMost;) {
      const uint8_t flags = area.words[i].load(std::memory_order_relaxed);
      uint64_t end = i + 1;
      while (end < words && area.words[end].load(std::memory_order_relaxed) == flags) ++end;
      if (flags != 0) {
        const uint64_t from = area.low + 4 * i;
        ranges.push_back({from, std::min(area.low + 4 * end, area.high) - from, (flags & 2) != 0});
        ++many;
      }
      i = end;
    }
  }
  return ranges;
}

}  // namespace warploom::cudasim
