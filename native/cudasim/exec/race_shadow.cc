#include "cudasim/exec/race_shadow.h"

#include <sys/mman.h>

#include <new>

namespace warploom::cudasim {

namespace {

constexpr int kAddressBits = 47;  // of a process on x86-64
constexpr uint64_t kChunkBytes = (uint64_t{1} << RaceShadow::kChunkBits) / 4 * sizeof(RaceShadow::Cell);
constexpr std::size_t kMostChunks = 128;  // kept between launches: half a gigabyte, if all of it is in use

void* reserve(uint64_t bytes) {
  void* made = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED) throw std::bad_alloc();
  return made;
}

}  // namespace

RaceShadow& RaceShadow::instance() {
  static RaceShadow* shadow = new RaceShadow;  // never destroyed: launches may outlive main
  return *shadow;
}

RaceShadow::RaceShadow()
    : directory_(static_cast<Cell**>(reserve((uint64_t{1} << (kAddressBits - kChunkBits)) * sizeof(Cell*)))) {}

uint64_t RaceShadow::takeTags(uint64_t wanted) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto fits = [&] { return nextTag_ + wanted <= kMostTags + 1; };
  ended_.wait(lock, [&] { return launches_ == 0 || fits(); });
  if (!fits() || (chunks_.size() > kMostChunks && launches_ == 0)) {
    for (const uint64_t at : chunks_) {
      munmap(directory_[at], kChunkBytes);
      directory_[at] = nullptr;
    }
    chunks_.clear();
    nextTag_ = 1;
  }
  const uint64_t first = nextTag_;
  nextTag_ += wanted;
  ++launches_;
  return first;
}

void RaceShadow::giveBack() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --launches_;
  ended_.notify_all();
}

RaceShadow::Cell* RaceShadow::makeChunk(uint64_t address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t at = address >> kChunkBits;
  if (directory_[at] == nullptr) {
    __atomic_store_n(&directory_[at], static_cast<Cell*>(reserve(kChunkBytes)), __ATOMIC_RELEASE);
    chunks_.push_back(at);
  }
  return directory_[at];
}

}  // namespace warploom::cudasim
