#include "engine/allocator.h"

namespace warploom {
namespace {

constexpr std::size_t kSmallest = 64;             // a cache line, and the alignment of every block
constexpr std::size_t kSlabBytes = 1 << 20;       // small blocks are carved from slabs of this size
constexpr std::size_t kLargestCarved = 32 << 10;  // larger ones come from the system one by one

// Whole cache lines, and above 512 bytes eight classes to each power of two: at most 12.5 % of a block is unused.
int classOf(std::size_t bytes) {
  if (bytes <= kSmallest) return 0;
  bytes = (bytes + kSmallest - 1) / kSmallest * kSmallest;
  const int exponent = 63 - __builtin_clzll(bytes - 1);  // 2^exponent < bytes <= 2^(exponent + 1)
  const std::size_t step = (std::size_t{1} << exponent) / 8;
  const int sub = static_cast<int>((bytes - (std::size_t{1} << exponent) + step - 1) / step);  // 1..8
  return (exponent - 6) * 8 + sub;
}

// The inverse, for classes that classOf gives: always whole cache lines.
std::size_t classBytes(int sizeClass) {
  if (sizeClass == 0) return kSmallest;
  const int exponent = (sizeClass - 1) / 8 + 6;
  const std::size_t sub = static_cast<std::size_t>((sizeClass - 1) % 8 + 1);
  return (std::size_t{1} << exponent) + sub * ((std::size_t{1} << exponent) / 8);
}

}  // namespace

Block* BlockPool::take(int sizeClass) {
  std::vector<Block*>& list = free_[sizeClass];
  if (list.empty()) return nullptr;
  Block* block = list.back();
  list.pop_back();
  return block;
}

void BlockPool::give(Block* block) { free_[classOf(block->bytes)].push_back(block); }

void BlockPool::drainInto(BlockPool& other) {
  for (int c = 0; c < kClasses; ++c) {
    for (Block* block : free_[c]) other.free_[c].push_back(block);
    free_[c].clear();
  }
}

Allocator::Allocator(DeviceImpl& device) : device_(device) { statistics_.limit = device.capacity(); }

Allocator::~Allocator() {
  for (auto& entry : large_) device_.release(entry.first->data, entry.first->bytes);
  for (auto& slab : slabs_) device_.release(slab.first, slab.second);
}

Block* Allocator::take(std::size_t bytes) {
  if (bytes > statistics_.limit) return nullptr;
  const int sizeClass = classOf(bytes);
  Block* block = private_ != nullptr ? private_->take(sizeClass) : nullptr;
  if (block == nullptr) {
    block = common_.take(sizeClass);
    if (block == nullptr) block = create(sizeClass);
    if (block == nullptr) return nullptr;
    block->home = &common_;
    if (private_ != nullptr) {
      block->home = private_;
      private_->blocks.push_back(block);
    }
  }
  statistics_.active += block->bytes;
  if (statistics_.active > statistics_.peak) statistics_.peak = statistics_.active;
  return block;
}

void Allocator::give(Block* block) {
  statistics_.active -= block->bytes;
  block->home->give(block);
}

Block* Allocator::create(int sizeClass) {
  const std::size_t bytes = classBytes(sizeClass);
  if (bytes <= kLargestCarved) return carve(sizeClass);
  if (statistics_.reserved + bytes > statistics_.limit) return nullptr;
  void* data = device_.allocate(bytes);
  if (data == nullptr) return nullptr;
  statistics_.reserved += bytes;
  auto owned = std::make_unique<Block>();
  Block* block = owned.get();
  block->data = data;
  block->bytes = bytes;
  large_.emplace(block, std::move(owned));
  return block;
}

Block* Allocator::carve(int sizeClass) {
  const std::size_t bytes = classBytes(sizeClass);
  if (slabLeft_ < bytes) {
    // The rest of the old slab is lost: under 3 % of it, since carved blocks are at most a 32nd of a slab.
    if (statistics_.reserved + kSlabBytes > statistics_.limit) return nullptr;
    void* slab = device_.allocate(kSlabBytes);
    if (slab == nullptr) return nullptr;
    statistics_.reserved += kSlabBytes;
    slabs_.emplace_back(slab, kSlabBytes);
    slabNext_ = static_cast<char*>(slab);
    slabLeft_ = kSlabBytes;
  }
  Block* block = &slabBlocks_.emplace_back();
  block->data = slabNext_;
  block->bytes = bytes;
  block->slab = true;
  slabNext_ += bytes;
  slabLeft_ -= bytes;
  return block;
}

void Allocator::destroy(Block* block) {
  device_.release(block->data, block->bytes);
  statistics_.reserved -= block->bytes;
  large_.erase(block);
}

void Allocator::dropCache(uint64_t completed) {
  for (auto& list : common_.free_) {
    std::size_t kept = 0;
    for (Block* block : list) {
      if (block->slab || block->lastUse > completed) {
        list[kept++] = block;
      } else {
        destroy(block);
      }
    }
    list.resize(kept);
  }
}

void Allocator::adopt(BlockPool& pool) {
  for (Block* block : pool.blocks) block->home = &common_;
  pool.blocks.clear();
  pool.drainInto(common_);
}

}  // namespace warploom
