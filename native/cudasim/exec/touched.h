// Which words of global memory a launch read and wrote: for the driver's check of dependencies between streams, and for
// the traffic that the launch could not do without.
#pragma once

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>

#include "cudasim/counters.h"
#include "cudasim/executor.h"

namespace warploom::cudasim {

// A cell for each 4 bytes of the allocations that a launch touches.
class WordAreas {
 public:
  struct Free {
    void operator()(void* cells) const { std::free(cells); }
  };
  // One allocation. `low` is a multiple of 4.
  struct Area {
    uint64_t low = 1, high = 0;
    std::unique_ptr<std::atomic<uint8_t>[], Free> words;  // from calloc: what is never touched costs nothing

    uint64_t count() const { return (high - low + 3) / 4; }
  };

  explicit WordAreas(const Launch& launch) : launch_(launch) {}
  // The area that holds an address of a live allocation, `known` if that one does; null for others.
  const Area* area(uint64_t address, const Area* known) {
    if (known != nullptr && address - known->low < known->high - known->low) return known;
    return find(address);
  }

 protected:
  const std::map<uint64_t, Area>& all() const { return areas_; }

 private:
  const Area* find(uint64_t address);

  const Launch& launch_;
  std::mutex mutex_;
  std::map<uint64_t, Area> areas_;
};

class TouchedWords : public WordAreas {
 public:
  using WordAreas::WordAreas;
  static void mark(const Area& area, uint64_t address, uint32_t bytes, bool wrote) {
    const uint8_t bit = wrote ? 2 : 1;
    const uint64_t last = (address + bytes - 1 - area.low) / 4;
    for (uint64_t word = (address - area.low) / 4; word <= last; ++word) {
      std::atomic<uint8_t>& flags = area.words[word];
      if ((flags.load(std::memory_order_relaxed) & bit) == 0) flags.fetch_or(bit, std::memory_order_relaxed);
    }
  }
  // Neighbours merged. At most 1024 ranges of an allocation: what is scattered wider is compared no further, so that
  // the check may miss an overlap there, and never invents one.
  std::vector<Touched> ranges() const;
};

// The bytes of global memory that a launch read before it wrote them, and those that it wrote: each has to move once.
// Bits 0 to 3 of a cell: bytes read first; bits 4 to 7: bytes written.
class CompulsoryBytes : public WordAreas {
 public:
  using WordAreas::WordAreas;
  static void mark(const Area& area, uint64_t address, uint32_t bytes, bool reads, bool writes) {
    std::size_t word = (address - area.low) / 4;
    uint32_t mask = bytes >= 4 ? 15u : ((1u << bytes) - 1) << (address & 3);
    for (uint32_t done = 0; done < bytes; done += 4, ++word) {
      std::atomic<uint8_t>& cell = area.words[word];
      const uint32_t before = cell.load(std::memory_order_relaxed);
      const uint32_t fresh = ((reads ? mask & ~(before >> 4) : 0) | (writes ? mask << 4 : 0)) & ~before;
      if (fresh != 0) cell.fetch_or(static_cast<uint8_t>(fresh), std::memory_order_relaxed);
    }
  }
  void count(Counters& counters) const;
};

}  // namespace warploom::cudasim
