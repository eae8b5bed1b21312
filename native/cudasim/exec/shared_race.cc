// Races on shared memory.
#include "cudasim/exec/access.h"

namespace warploom::cudasim {

namespace {

std::string threadName(const Block& block, int thread) {
  const uint32_t* n = block.run->launch.block;
  const uint32_t t = static_cast<uint32_t>(thread);
  return "(" + std::to_string(t % n[0]) + ", " + std::to_string(t / n[0] % n[1]) + ", " +
         std::to_string(t / n[0] / n[1]) + ")";
}

void race(Warp& warp, const Instruction& in, int lane, const char* kind, uint64_t offset, int other) {
  const std::string with = other >= 0 ? "thread " + threadName(*warp.block, other) : "several threads";
  report(warp, in, "race", lane,
         std::string(kind) + " race on shared memory at byte " + std::to_string(offset) + " with " + with +
             ": no barrier stands between the two");
}

// Halves the granules until an access of `bytes` covers whole ones. What a large one knew holds for each of its parts.
void refine(Block& block, uint32_t bytes) {
  const uint32_t before = block.granuleShift;
  while ((1u << block.granuleShift) > bytes) --block.granuleShift;
  const uint32_t parts = before - block.granuleShift;
  if (!block.readClocks.empty()) {
    const std::size_t warps = block.warps.size();
    std::vector<uint32_t> clocks(block.readClocks.size() << parts);
    for (std::size_t i = 0; i < clocks.size(); ++i) {
      clocks[i] = block.readClocks[(i / warps >> parts) * warps + i % warps];
    }
    block.readClocks.swap(clocks);
  }
  std::vector<Granule> fine(block.granules.size() << parts);
  for (std::size_t i = 0; i < fine.size(); ++i) fine[i] = block.granules[i >> parts];
  block.granules.swap(fine);
}

class Checker {
 public:
  Checker(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
          uint8_t* const (&pointers)[kLanes])
      : warp_(warp),
        in_(in),
        pointers_(pointers),
        mask_(mask),
        bytes_(bytes),
        own_(warp.clock[warp.index]),
        bit_(1u << warp.index),
        stamp_((warp.epoch << 5 | warp.index) + 1),
        strong_(in.spinning),
        atomic_(access == Access::atomic) {}

  // A read by a lane and the lanes of `others`, who read the same.
  void repeatOrRead(Granule& g, uint64_t offset, int lane, uint32_t others) {
    const int thread = others != 0 ? -2 : static_cast<int>(warp_.index) * kLanes + lane;
    if (g.readStamp != stamp_) {
      read(g, offset, lane);
      // Behind the writer: then so are the others.
      if (g.readStamp != stamp_) {
        for (uint32_t rest = others; rest != 0; rest &= rest - 1) read(g, offset, __builtin_ctz(rest));
        return;
      }
      if (others == 0) return;
    }
    if (g.reader != thread) g.reader = -2;
  }

  void write(Granule& g, uint64_t offset, int lane) {
    const int thread = static_cast<int>(warp_.index) * kLanes + lane;
    if (g.writer >= 0 && g.writer != thread && !bothStrong(g) && !behindWriter(g) && !repeats(g, lane)) {
      race(warp_, in_, lane, "write-after-write", offset, g.writer);
    }
    if (g.readerWarps == bit_) {
      if (g.reader != thread && g.readEpoch >= warp_.epoch) {
        race(warp_, in_, lane, "write-after-read", offset, g.reader);
      }
    } else {
      for (uint32_t rest = g.readerWarps & ~bit_; rest != 0; rest &= rest - 1) {
        if (behindReader(g, static_cast<uint32_t>(__builtin_ctz(rest)))) continue;
        race(warp_, in_, lane, "write-after-read", offset, g.reader);
        break;
      }
    }
    g.writer = static_cast<int16_t>(thread);
    g.writeClock = own_;
    g.writeEpoch = warp_.epoch;
    g.strongWrite = strong_;
    g.atomicWrite = atomic_;
    g.readerWarps = 0;
    g.reader = -1;
    g.readStamp = 0;
  }

 private:
  bool exact() const { return !warp_.block->readClocks.empty(); }
  uint32_t& clockOf(const Granule& g, uint32_t warp) const {
    Block& block = *warp_.block;
    const std::size_t index = static_cast<std::size_t>(&g - block.granules.data());
    return block.readClocks[index * block.warps.size() + warp];
  }
  bool behindWriter(const Granule& g) const {
    const uint32_t other = static_cast<uint32_t>(g.writer) / kLanes;
    if (other == warp_.index) return g.writeEpoch < warp_.epoch;
    return g.writeClock < warp_.clock[other] || g.writeEpoch < warp_.order.known[other];
  }
  // Of several warps that have read only the last one's epoch is known.
  bool behindReader(const Granule& g, uint32_t other) const {
    const uint32_t clock = exact() ? clockOf(g, other) : g.readClock;
    if (clock < warp_.clock[other]) return true;
    const bool alone = (g.readerWarps & (g.readerWarps - 1)) == 0;
    return alone ? g.readEpoch < warp_.order.known[other] : warp_.order.received != 0;
  }
  // Warps may talk through volatile words. Lanes of one warp that rely on them for their order lack a __syncwarp.
  bool bothStrong(const Granule& g) const {
    const bool sameWarp = static_cast<uint32_t>(g.writer) / kLanes == warp_.index;
    return sameWarp ? atomic_ && g.atomicWrite : strong_ && g.strongWrite;
  }
  bool repeats(const Granule& g, int lane) const {
    return !atomic_ && static_cast<uint32_t>(g.writer) / kLanes == warp_.index &&
           repeatsStore(warp_, in_, mask_, bytes_, lane, g.writer % kLanes, pointers_);
  }
  void read(Granule& g, uint64_t offset, int lane) {
    const int thread = static_cast<int>(warp_.index) * kLanes + lane;
    const bool behind = g.writer < 0 || behindWriter(g);
    if (!behind && g.writer != thread && !bothStrong(g)) {
      race(warp_, in_, lane, "read-after-write", offset, g.writer);
    }
    if (strong_) return;
    const bool stale = g.readerWarps == 0 || (own_ > g.readClock && !exact());
    if (exact()) clockOf(g, warp_.index) = own_;
    g.readerWarps = stale ? bit_ : g.readerWarps | bit_;
    g.reader = static_cast<int16_t>(stale || g.reader == thread ? thread : -2);
    g.readClock = own_ > g.readClock ? own_ : g.readClock;
    g.readEpoch = warp_.epoch;
    // Only what orders the writer before every lane of this warp clears them all until the next barrier.
    g.readStamp = behind ? stamp_ : 0;
  }

  Warp& warp_;
  const Instruction& in_;
  uint8_t* const (&pointers_)[kLanes];
  const uint32_t mask_, bytes_;
  const uint32_t own_, bit_, stamp_;
  const bool strong_, atomic_;
};

// Lanes often read the same as their neighbour, or as the lane some places before: the distance at which the first
// does.
int periodOf(uint32_t mask, uint8_t* const (&pointers)[kLanes]) {
  const int first = __builtin_ctz(mask);
  for (int period = 1; first + period < kLanes; period *= 2) {
    if ((mask >> (first + period) & 1) != 0 && pointers[first + period] == pointers[first]) return period;
  }
  return 1;
}
// The lanes that read what the lane a period before reads too.
uint32_t repeats(uint32_t mask, int period, uint8_t* const (&pointers)[kLanes]) {
  uint32_t found = 0;
  for (uint32_t rest = mask & mask << period; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    if (pointers[lane] == pointers[lane - period]) found |= 1u << lane;
  }
  return found;
}

}  // namespace

bool repeatsStore(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, int lane, int other,
                  uint8_t* const (&pointers)[kLanes]) {
  // Only st names its values this way.
  if (in.kind != Class::memory || uint32_t{in.size} * in.count != bytes) return false;
  if (other >= lane || (mask >> other & 1) == 0 || pointers[other] != pointers[lane]) return false;
  const uint32_t* list = warp.block->run->program.lists.data() + in.list;
  for (uint32_t k = 0; k < in.count; ++k) {
    // Narrow values are in the low bits of a lane's 32.
    const std::size_t stride = in.size == 8 ? 8 : 4;
    const uint8_t* values = warp.regs + list[k];
    if (std::memcmp(values + stride * static_cast<std::size_t>(other), values + stride * static_cast<std::size_t>(lane),
                    in.size) != 0) {
      return false;
    }
  }
  return true;
}

// Vector clocks by warp: an access is behind another when the other warp's clock, as this warp knows it, has moved on
// since. Inside a warp __syncwarp moves the epoch. Where several warps have read, the latest clock stands for all.
// Messages through strong words order too, by the rules of global_race.h.
void checkSharedRaces(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
                      uint8_t* const (&pointers)[kLanes]) {
  Block& block = *warp.block;
  block.run->races->settle(warp);
  if (bytes < 1u << block.granuleShift) refine(block, bytes);
  const uint32_t count = bytes >> block.granuleShift;
  Checker checker(warp, in, mask, bytes, access, pointers);
  const int period = access == Access::load && mask != 0 ? periodOf(mask, pointers) : 1;
  const uint32_t repeating = access == Access::load ? repeats(mask, period, pointers) : 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    const uint64_t offset = static_cast<uint64_t>(pointers[lane] - block.shared);
    Granule* granules = &block.granules[offset >> block.granuleShift];
    if (access != Access::load) {
      for (uint32_t i = 0; i < count; ++i) checker.write(granules[i], offset, lane);
      continue;
    }
    if ((repeating >> lane & 1) != 0) continue;
    uint32_t others = 0;
    for (int next = lane + period; next < kLanes && (repeating >> next & 1) != 0; next += period) others |= 1u << next;
    for (uint32_t i = 0; i < count; ++i) checker.repeatOrRead(granules[i], offset, lane, others);
  }
}

void keepReadClocks(Block& block) {
  if (block.granules.empty() || !block.readClocks.empty()) return;
  const std::size_t warps = block.warps.size();
  block.readClocks.resize(block.granules.size() * warps);
  for (std::size_t i = 0; i < block.readClocks.size(); ++i) {
    block.readClocks[i] = block.granules[i / warps].readClock;
  }
}

void noteAsyncWrite(Warp& warp, int lane, const uint8_t* to, uint32_t bytes) {
  Block& block = *warp.block;
  Granule* granules = &block.granules[static_cast<std::size_t>(to - block.shared) >> block.granuleShift];
  for (uint32_t i = 0; i < bytes >> block.granuleShift; ++i) {
    granules[i].writer = static_cast<int16_t>(warp.index * kLanes + static_cast<uint32_t>(lane));
    granules[i].writeClock = warp.clock[warp.index];
    granules[i].writeEpoch = warp.epoch;
    granules[i].readStamp = 0;
  }
}

}  // namespace warploom::cudasim
