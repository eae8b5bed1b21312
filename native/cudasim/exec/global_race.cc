#include "cudasim/exec/global_race.h"

#include <algorithm>

#include "cudasim/exec/access.h"
#include "cudasim/exec/race_shadow.h"

namespace warploom::cudasim {

namespace {

// Whom a mark stands for besides its thread.
enum Scope : uint64_t {
  kAlone,
  kMates,   // other lanes of its warp, in the same epoch, all on these bytes
  kMixed,   // the same, but each on some of the bytes
  kWarps,   // threads of other warps of the block, on these bytes
  kBlocks,  // threads of other blocks, on these bytes
};

constexpr uint32_t kMostEpochs = 0xffffff;

uint64_t blockIndex(const Block& block) {
  const uint32_t* n = block.run->launch.grid;
  return block.id[0] + uint64_t{n[0]} * (block.id[1] + uint64_t{n[1]} * block.id[2]);
}

std::string triple(uint64_t index, const uint32_t* n) {
  return "(" + std::to_string(index % n[0]) + ", " + std::to_string(index / n[0] % n[1]) + ", " +
         std::to_string(index / n[0] / n[1]) + ")";
}

void raise(uint32_t (&to)[kLanes], const uint32_t (&from)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) to[i] = std::max(to[i], from[i]);
}

}  // namespace

// One access in 64 bits: tag of the block 22 | thread 10 | epoch 24 | scope 3 | strong 1 | bytes of the word 4.
struct GlobalRaces::Mark {
  uint64_t bits;

  uint64_t tag() const { return bits >> 42; }
  uint32_t thread() const { return bits >> 32 & 0x3ff; }
  uint32_t warp() const { return thread() / kLanes; }
  uint32_t epoch() const { return bits >> 8 & kMostEpochs; }
  uint64_t scope() const { return bits >> 5 & 7; }
  bool strong() const { return (bits & 16) != 0; }
  uint64_t bytes() const { return bits & 15; }
  bool sameWarp(const Mark& other) const { return ((bits ^ other.bits) >> 37) == 0; }
  Mark with(Scope scope, uint64_t bytes) const { return {(bits & ~uint64_t{0xef}) | uint64_t{scope} << 5 | bytes}; }
};

GlobalRaces::GlobalRaces(const RunState& run)
    : run_(run), tags_(std::min<uint64_t>(run.blocks, RaceShadow::kMostTags)) {
  firstTag_ = RaceShadow::instance().takeTags(tags_);
}
GlobalRaces::~GlobalRaces() { RaceShadow::instance().giveBack(); }

void GlobalRaces::start(Block& block) const {
  const uint64_t index = blockIndex(block);
  std::fill(block.sent, block.sent + kLanes, 0);
  for (const auto& warp : block.warps) {
    warp->order = GlobalOrder{};
    if (index < tags_) warp->order.identity = (firstTag_ + index) << 42 | uint64_t{warp->index} * kLanes << 32;
  }
}

bool GlobalRaces::live(const Mark& mark) const { return mark.tag() - firstTag_ < tags_; }

// The read itself lies before this moment, and so does whatever it saw.
void GlobalRaces::settle(Warp& warp) const {
  GlobalOrder& order = warp.order;
  if (!order.receiving) return;
  order.receiving = false;
  order.received = time_.load(std::memory_order_acquire);
  raise(order.known, warp.block->sent);
}

void GlobalRaces::send(Warp& warp, bool releases) {
  GlobalOrder& order = warp.order;
  if (releases) fence(warp);
  raise(warp.block->sent, order.known);
  warp.block->sent[warp.index] = warp.epoch + 1;
  if (!order.unsent) return;
  order.unsent = false;
  Message message;
  std::copy(order.fenced, order.fenced + kLanes, message.fenced);
  const std::lock_guard<std::mutex> lock(mutex_);
  message.time = time_.fetch_add(1, std::memory_order_acq_rel) + 1;
  messages_[order.identity >> 42].push_back(message);
}

void GlobalRaces::fence(Warp& warp) {
  GlobalOrder& order = warp.order;
  raise(order.fenced, order.known);
  // What the warp does from now on is not behind this fence.
  order.fenced[warp.index] = ++warp.epoch;
  order.unsent = true;
}

void GlobalRaces::join(Block& block, const Barrier& barrier) {
  GlobalOrder all;
  const auto waits = [&](const Warp& warp) { return barrier.syncMask[warp.index] != 0; };
  const auto takesPart = [&](const Warp& warp) { return waits(warp) || barrier.arriveMask[warp.index] != 0; };
  for (const auto& warp : block.warps) {
    if (!takesPart(*warp)) continue;
    settle(*warp);
    raise(all.known, warp->order.known);
    raise(all.fenced, warp->order.fenced);
    all.known[warp->index] = warp->epoch + 1;
    all.received = std::max(all.received, warp->order.received);
  }
  for (const auto& warp : block.warps) {
    if (!waits(*warp)) continue;
    GlobalOrder& order = warp->order;
    raise(order.known, all.known);
    order.unsent = order.unsent || !std::equal(all.fenced, all.fenced + kLanes, order.fenced);
    raise(order.fenced, all.fenced);
    order.received = all.received;
  }
}

// Whether the block of that write has told of it, and the warp may have heard.
bool GlobalRaces::sent(const Warp& warp, const Mark& before) const {
  const uint64_t received = warp.order.received;
  if (received == 0 || before.strong()) return received != 0;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = messages_.find(before.tag());
  if (found == messages_.end()) return false;
  for (const Message& message : found->second) {
    if (message.fenced[before.warp()] > before.epoch()) return message.time <= received;
  }
  return false;
}

// Whether `before`, a write of overlapping bytes, is ordered before `now`.
bool GlobalRaces::behind(const Warp& warp, const Mark& before, const Mark& now) const {
  if (before.tag() != now.tag()) return sent(warp, before);
  if (!before.sameWarp(now)) return before.epoch() < warp.order.known[before.warp()];
  if (before.epoch() < now.epoch()) return true;
  // Of lanes on different bytes it is not known which one was on these.
  return before.scope() == kAlone ? before.thread() == now.thread() : before.scope() != kMates;
}

// The same where `before` is a read.
bool GlobalRaces::readBehind(const Warp& warp, const Mark& before, const Mark& now) const {
  const bool received = warp.order.received != 0;
  if (before.tag() != now.tag()) return received;
  const bool laterEpoch = before.epoch() < now.epoch();
  if (before.scope() == kBlocks) {
    if (!received) return false;
    if (before.sameWarp(now)) return laterEpoch || before.thread() == now.thread();
  }
  // The reads of the other warps were not behind this warp's last one, and no barrier has come since.
  if (before.scope() == kWarps && before.sameWarp(now)) return laterEpoch || received;
  return behind(warp, before, now);
}

// What stands in the shadow after a read where `before` was the last one.
GlobalRaces::Mark GlobalRaces::joinReads(const Warp& warp, const Mark& before, Mark now) const {
  const bool sameBytes = before.bytes() == now.bytes();
  if (before.tag() != now.tag()) return sameBytes ? now.with(kBlocks, now.bytes()) : now;
  if (sameBytes && before.scope() >= kWarps) {
    // Reads of other warps are behind this one after a barrier; reads of other blocks never are.
    const bool isBehind = before.sameWarp(now) ? before.epoch() < now.epoch() : behind(warp, before, now);
    if (before.scope() == kBlocks || !isBehind) return now.with(static_cast<Scope>(before.scope()), now.bytes());
    return now;
  }
  if (!before.sameWarp(now)) {
    return sameBytes && !behind(warp, before, now) ? now.with(kWarps, now.bytes()) : now;
  }
  if (before.epoch() != now.epoch() || before.scope() >= kWarps) return now;
  const uint64_t bytes = before.bytes() | now.bytes();
  if (before.scope() == kAlone && before.thread() == now.thread()) return now.with(kAlone, bytes);
  return now.with(sameBytes && before.scope() != kMixed ? kMates : kMixed, bytes);
}

void GlobalRaces::check(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
                        uint8_t* const (&pointers)[kLanes]) {
  GlobalOrder& order = warp.order;
  if (order.identity == 0 || warp.epoch >= kMostEpochs) return;
  settle(warp);
  const bool strong = in.spinning;
  const bool reads = access == Access::load || (access == Access::atomic && in.d != kNone);
  const Mark self{order.identity | uint64_t{warp.epoch} << 8 | (strong ? 16u : 0u)};
  RaceShadow& shadow = RaceShadow::instance();
  RaceShadow::Cell* chunk = nullptr;
  uint64_t chunkIndex = ~uint64_t{0};
  eachLane(mask, [&](int lane) {
    const uint64_t address = reinterpret_cast<uint64_t>(pointers[lane]);
    if (address >> RaceShadow::kChunkBits != chunkIndex) {
      chunkIndex = address >> RaceShadow::kChunkBits;
      chunk = shadow.chunk(address);
    }
    RaceShadow::Cell* cell = chunk + (address & ((1 << RaceShadow::kChunkBits) - 1)) / 4;
    const uint64_t ofWord = bytes >= 4 ? 15 : ((1u << bytes) - 1) << (address & 3);
    const Mark now{(self.bits | ofWord) + (static_cast<uint64_t>(lane) << 32)};
    for (uint32_t word = 0; word < bytes; word += 4, ++cell) {
      const Mark write{__atomic_load_n(&cell->write, __ATOMIC_RELAXED)};
      const bool written = live(write) && (write.bytes() & ofWord) != 0;
      if (access == Access::load) {
        if (written && !write.strong() && !behind(warp, write, now)) {
          race(warp, in, lane, "read-after-write", write, address + word);
        }
        if (strong) continue;
        const Mark read{__atomic_load_n(&cell->read, __ATOMIC_RELAXED)};
        const Mark next = live(read) ? joinReads(warp, read, now) : now;
        if (next.bits != read.bits) __atomic_store_n(&cell->read, next.bits, __ATOMIC_RELAXED);
        continue;
      }
      if (written && !(strong && write.strong()) && !behind(warp, write, now) &&
          !(access == Access::store && write.sameWarp(now) &&
            repeatsStore(warp, in, mask, bytes, lane, static_cast<int>(write.thread() % kLanes), pointers))) {
        race(warp, in, lane, "write-after-write", write, address + word);
      }
      const Mark read{__atomic_load_n(&cell->read, __ATOMIC_RELAXED)};
      if (live(read) && (read.bytes() & ofWord) != 0) {
        if (!strong && !readBehind(warp, read, now)) {
          race(warp, in, lane, "write-after-read", read, address + word);
        }
        __atomic_store_n(&cell->read, uint64_t{0}, __ATOMIC_RELAXED);
      }
      // Neighbours in a word of narrow elements are most often lanes of one store.
      const bool shares = live(write) && !written && write.sameWarp(now) && write.epoch() == now.epoch() &&
                          write.strong() == now.strong();
      const Mark next = shares ? now.with(kMixed, write.bytes() | ofWord) : now;
      __atomic_store_n(&cell->write, next.bits, __ATOMIC_RELAXED);
    }
  });
  if (!strong) return;
  if (access != Access::load) send(warp, in.releases);
  order.receiving = reads;
}

void GlobalRaces::noteShared(Warp& warp, const Instruction& in, Access access) {
  settle(warp);
  if (access != Access::load) send(warp, in.releases);
  warp.order.receiving = access == Access::load || in.d != kNone;
}

void GlobalRaces::race(Warp& warp, const Instruction& in, int lane, const char* kind, const Mark& before,
                       uint64_t address) const {
  const bool own = before.tag() - firstTag_ == blockIndex(*warp.block);
  std::string with = "thread " + triple(before.thread(), run_.launch.block);
  if (!own) {
    with += " of block " + triple(before.tag() - firstTag_, run_.launch.grid) + ": nothing orders the two blocks";
  } else if (before.scope() == kBlocks) {
    with = "threads of other blocks: nothing orders them";
  } else if (before.scope() == kWarps) {
    with = "threads of several warps: no barrier stands between";
  } else {
    with += " of this block: no barrier stands between the two";
  }
  report(warp, in, "race", lane,
         std::string(kind) + " race on global memory with " + with + ", " + run_.launch.memory->describe(address));
}

}  // namespace warploom::cudasim
