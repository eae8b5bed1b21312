// The shadow of global memory that GlobalRaces works on: 16 bytes for each word of 4. It outlives launches, so that one
// need not clear it: every block of every launch has a tag of its own, and marks with tags of other launches mean
// nothing. Only when tags or memory run out is it wiped.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace warploom::cudasim {

class RaceShadow {
 public:
  static constexpr int kTagBits = 22;
  static constexpr uint64_t kMostTags = (uint64_t{1} << kTagBits) - 1;

  // Two packed marks: who wrote the word last, who read it last. 0: nobody.
  struct Cell {
    uint64_t write, read;
  };

  static RaceShadow& instance();
  // The first of `wanted` (at most kMostTags) tags in a row that no other launch has. Waits for other launches to end
  // if it must wipe.
  uint64_t takeTags(uint64_t wanted);
  // The launch is over.
  void giveBack();

  // The cell of the word at that address; the cells of a megabyte lie in a row.
  static constexpr int kChunkBits = 20;
  Cell* chunk(uint64_t address) {
    Cell* found = __atomic_load_n(&directory_[address >> kChunkBits], __ATOMIC_ACQUIRE);
    return found != nullptr ? found : makeChunk(address);
  }

 private:
  RaceShadow();
  Cell* makeChunk(uint64_t address);

  Cell** directory_;  // by address / 1 MB; unused pages of it cost nothing
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<uint64_t> chunks_;  // places in the directory
  uint64_t nextTag_ = 1;
  int launches_ = 0;
};

}  // namespace warploom::cudasim
