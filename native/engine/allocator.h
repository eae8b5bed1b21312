// The caching allocator of one device. Used on the owning JavaScript thread only, in queue order: a block given back
// may be taken again at once, because the stream runs jobs in the order in which they were queued.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/backend.h"

namespace warploom {

class BlockPool;

struct Block {
  void* data = nullptr;
  std::size_t bytes = 0;      // capacity: the size of its class
  uint64_t lastUse = 0;       // ticket of the last queued job that touches it
  BlockPool* home = nullptr;  // the pool it goes back to
  bool slab = false;          // carved from a slab: never returned to the system on its own
  int32_t poison = 0;         // stream thread only: 1 + the number of the failure that spoiled it, 0 for none
};

// Free blocks by size class. The allocator has one; each recording has one of its own, so that memory which a recording
// will write again on replay is never lent to anybody else.
class BlockPool {
 public:
  static constexpr int kClasses = 64 * 8;
  Block* take(int sizeClass);
  void give(Block* block);
  // Moves all free blocks into `other`.
  void drainInto(BlockPool& other);

  std::vector<Block*> blocks;  // all that belong here, for recordings

 private:
  friend class Allocator;
  std::vector<std::vector<Block*>> free_ = std::vector<std::vector<Block*>>(kClasses);
};

struct MemoryStatistics {
  std::size_t active = 0;    // bytes of blocks in use
  std::size_t reserved = 0;  // bytes taken from the system
  std::size_t peak = 0;      // largest `active` since the last reset
  std::size_t limit = 0;
};

class Allocator {
 public:
  explicit Allocator(DeviceImpl& device);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // A block of at least `bytes`, or null: then the caller drains the stream, drops the cache and tries once more.
  Block* take(std::size_t bytes);
  void give(Block* block);

  // Returns free blocks to the system whose last use is at or before ticket `completed`.
  void dropCache(uint64_t completed);

  // Between these two, blocks come from `pool` first and new ones belong to it.
  void beginPrivate(BlockPool* pool) { private_ = pool; }
  void endPrivate() { private_ = nullptr; }
  // Hands everything a recording's pool owns to the common pool.
  void adopt(BlockPool& pool);

  const MemoryStatistics& statistics() const { return statistics_; }
  void resetPeak() { statistics_.peak = statistics_.active; }
  void setLimit(std::size_t bytes) { statistics_.limit = bytes; }

 private:
  Block* create(int sizeClass);
  Block* carve(int sizeClass);
  void destroy(Block* block);

  DeviceImpl& device_;
  BlockPool common_;
  BlockPool* private_ = nullptr;
  MemoryStatistics statistics_;
  std::vector<std::pair<void*, std::size_t>> slabs_;
  std::deque<Block> slabBlocks_;  // records of carved blocks; a deque never moves them
  char* slabNext_ = nullptr;
  std::size_t slabLeft_ = 0;
  std::unordered_map<Block*, std::unique_ptr<Block>> large_;
};

}  // namespace warploom
