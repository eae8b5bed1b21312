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

}  // namespace

// Vector clocks by warp: an access is behind another when the other warp's clock, as this warp knows it, has moved on
// since. Inside a warp __syncwarp moves the epoch. Where several warps have read, the latest clock stands for all.
void checkSharedRaces(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
                      uint8_t* const (&pointers)[kLanes]) {
  Block& block = *warp.block;
  const uint32_t own = warp.clock[warp.index];
  const bool atomic = access == Access::atomic;
  const auto ordered = [&](uint32_t other, uint32_t clock, uint32_t epoch) {
    return other == warp.index ? epoch < warp.epoch : clock < warp.clock[other];
  };
  eachLane(mask, [&](int lane) {
    const int thread = static_cast<int>(warp.index) * kLanes + lane;
    const uint64_t offset = static_cast<uint64_t>(pointers[lane] - block.shared);
    for (uint64_t byte = offset; byte < offset + bytes; ++byte) {
      Granule& g = block.granules[byte];
      if (g.writer >= 0 && g.writer != thread && !(atomic && g.atomicWrite) &&
          !ordered(static_cast<uint32_t>(g.writer) / 32, g.writeClock, g.writeEpoch)) {
        race(warp, in, lane, access == Access::load ? "read-after-write" : "write-after-write", offset, g.writer);
      }
      const uint32_t bit = 1u << warp.index;
      if (access == Access::load) {
        const bool stale = g.readerWarps == 0 || own > g.readClock;
        g.readerWarps = stale ? bit : g.readerWarps | bit;
        g.reader = static_cast<int16_t>(stale || g.reader == thread ? thread : -2);
        g.readClock = own > g.readClock ? own : g.readClock;
        g.readEpoch = warp.epoch;
        continue;
      }
      if (g.readerWarps == bit) {
        if (g.reader != thread && g.readEpoch >= warp.epoch) {
          race(warp, in, lane, "write-after-read", offset, g.reader);
        }
      } else {
        for (uint32_t rest = g.readerWarps & ~bit; rest != 0; rest &= rest - 1) {
          if (g.readClock < warp.clock[__builtin_ctz(rest)]) continue;
          race(warp, in, lane, "write-after-read", offset, g.reader);
          break;
        }
      }
      g.writer = static_cast<int16_t>(thread);
      g.writeClock = own;
      g.writeEpoch = warp.epoch;
      g.atomicWrite = atomic;
      g.readerWarps = 0;
      g.reader = -1;
    }
  });
}

}  // namespace warploom::cudasim
