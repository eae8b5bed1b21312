#include "cudasim/exec/touched.h"

#include <algorithm>
#include <new>

namespace warploom::cudasim {

const WordAreas::Area* WordAreas::find(uint64_t address) {
  const Allocation* found = launch_.memory->findLive(address, 1);
  for (std::size_t i = 0; found == nullptr && i < launch_.peers.size(); ++i) {
    found = launch_.peers[i]->findLive(address, 1);
  }
  if (found == nullptr || found->kind == AllocationKind::constant) return nullptr;
  const std::lock_guard<std::mutex> lock(mutex_);
  Area& area = areas_[found->address];
  if (area.words == nullptr) {
    static_assert(sizeof(std::atomic<uint8_t>) == 1, "zeroed memory is an array of cells");
    area.low = found->address & ~uint64_t{3};
    area.high = found->address + found->size;
    area.words.reset(static_cast<std::atomic<uint8_t>*>(std::calloc(area.count(), 1)));
    if (area.words == nullptr) throw std::bad_alloc();
  }
  return &area;
}
std::vector<Touched> TouchedWords::ranges() const {
  constexpr int kMost = 1024;
  std::vector<Touched> ranges;
  for (const auto& entry : all()) {
    const Area& area = entry.second;
    const uint64_t words = area.count();
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

void CompulsoryBytes::count(Counters& counters) const {
  for (const auto& entry : all()) {
    const Area& area = entry.second;
    for (uint64_t i = 0; i < area.count(); ++i) {
      const uint32_t cell = area.words[i].load(std::memory_order_relaxed);
      if (cell == 0) continue;
      counters.compulsoryLoadBytes += static_cast<uint64_t>(__builtin_popcount(cell & 15));
      counters.compulsoryStoreBytes += static_cast<uint64_t>(__builtin_popcount(cell >> 4));
    }
  }
}

}  // namespace warploom::cudasim
