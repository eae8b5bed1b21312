// Which words of global memory a launch read and wrote, for the driver's check of dependencies between streams.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "cudasim/executor.h"

namespace warploom::cudasim {

class TouchedWords {
 public:
  // One allocation: a byte for each 4 of its bytes; bit 0 read, bit 1 written.
  struct Area {
    uint64_t low = 1, high = 0;
    std::unique_ptr<std::atomic<uint8_t>[]> words;
  };

  explicit TouchedWords(const Launch& launch) : launch_(launch) {}
  // The area that holds an address of a live allocation; null for others.
  const Area* area(uint64_t address);
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

 private:
  const Launch& launch_;
  std::mutex mutex_;
  std::map<uint64_t, Area> areas_;
};

}  // namespace warploom::cudasim
