#include <cinttypes>
#include <cstdio>

#include "cudasim/exec/machine.h"

namespace warploom::cudasim {

namespace {

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%" PRIx64, value);
  return text;
}
const char* verb(Access access) {
  return access == Access::load ? "read" : access == Access::store ? "write" : "atomic";
}

[[noreturn]] void misaligned(int lane, uint64_t address, uint32_t bytes, Access access) {
  throw Fault{"mem", 716, lane,
              std::string("misaligned ") + verb(access) + " of " + std::to_string(bytes) + " bytes at " + hex(address)};
}

[[noreturn]] void outside(Warp& warp, int lane, uint64_t address, uint32_t bytes, Access access) {
  throw Fault{"mem", 700, lane,
              std::string("invalid ") + verb(access) + " of " + std::to_string(bytes) + " bytes at " + hex(address) +
                  ": " + warp.block->run->launch.memory->describe(address)};
}

// The bounds of the live allocation that holds the lane's bytes; kept in the warp.
void lookUp(Warp& warp, int lane, uint64_t address, uint32_t bytes, Access access) {
  const Launch& launch = warp.block->run->launch;
  const Allocation* found = launch.memory->findLive(address, bytes);
  for (std::size_t i = 0; found == nullptr && i < launch.peers.size(); ++i) {
    found = launch.peers[i]->findLive(address, bytes);
  }
  if (found == nullptr) outside(warp, lane, address, bytes, access);
  if (found->kind == AllocationKind::constant && access != Access::load) {
    throw Fault{"mem", 700, lane, std::string(verb(access)) + " to the constant " + found->label};
  }
  warp.low = found->address;
  warp.high = found->address + found->size;
  if (found->kind == AllocationKind::constant) warp.low = 1, warp.high = 0;
}

void countGlobal(Warp& warp, uint32_t mask, uint32_t bytes, Access access, uint8_t* const (&pointers)[kLanes]) {
  uint64_t sectors[64];
  int many = 0;
  uint64_t lanes = 0;
  eachLane(mask, [&](int lane) {
    ++lanes;
    const uint64_t first = reinterpret_cast<uint64_t>(pointers[lane]) / 32;
    const uint64_t last = (reinterpret_cast<uint64_t>(pointers[lane]) + bytes - 1) / 32;
    for (uint64_t s = first; s <= last; ++s) {
      bool known = false;
      for (int k = many - 1; k >= 0 && !known; --k) known = sectors[k] == s;
      if (!known && many < 64) sectors[many++] = s;
    }
  });
  Counters& c = warp.counters;
  if (access == Access::load) {
    c.globalLoadRequests += 1;
    c.globalLoadSectors += static_cast<uint64_t>(many);
    c.globalLoadBytes += lanes * bytes;
  } else {
    c.globalStoreRequests += 1;
    c.globalStoreSectors += static_cast<uint64_t>(many);
    c.globalStoreBytes += lanes * bytes;
  }
}

// Bank cycles: 32 banks of 4 bytes; wide accesses go in 2 or 4 parts of the warp.
void countShared(Warp& warp, uint32_t mask, uint32_t bytes, uint8_t* const (&pointers)[kLanes]) {
  const int parts = bytes <= 4 ? 1 : bytes <= 8 ? 2 : 4;
  const int width = kLanes / parts;
  for (int part = 0; part < parts; ++part) {
    uint64_t words[kLanes * 4];
    int many = 0;
    uint32_t perBank[32] = {};
    for (int lane = part * width; lane < (part + 1) * width; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      const uint64_t offset = static_cast<uint64_t>(pointers[lane] - warp.block->shared);
      for (uint64_t word = offset / 4; word <= (offset + bytes - 1) / 4; ++word) {
        bool known = false;
        for (int k = 0; k < many && !known; ++k) known = words[k] == word;
        if (known) continue;
        words[many++] = word;
        ++perBank[word % 32];
      }
    }
    uint32_t most = 0;
    for (uint32_t count : perBank) most = count > most ? count : most;
    warp.counters.sharedCycles += most;
    warp.counters.sharedIdealCycles += many > 0 ? 1 + static_cast<uint64_t>(many - 1) / 32 : 0;
  }
  warp.counters.sharedBytes += bytes * static_cast<uint64_t>(__builtin_popcount(mask));
}

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

// Vector clocks by warp: an access is behind another when the other warp's clock, as this warp knows it, has moved on
// since. Inside a warp __syncwarp moves the epoch. Where several warps have read, the latest clock stands for all.
void checkRaces(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
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

// Whether a cp.async that is still under way will write the byte.
bool awaited(const Block& block, const uint8_t* byte) {
  for (const auto& warp : block.warps) {
    for (const auto& copies : warp->copies) {
      for (const AsyncCopy& copy : copies) {
        if (byte >= copy.to && byte < copy.to + copy.bytes) return true;
      }
    }
  }
  return false;
}

void checkInitialised(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access, Space space,
                      uint8_t* const (&pointers)[kLanes]) {
  Block& block = *warp.block;
  const Launch& launch = block.run->launch;
  eachLane(mask, [&](int lane) {
    uint8_t* p = pointers[lane];
    uint8_t* valid = nullptr;
    if (space == Space::shared) {
      valid = block.sharedValid.data() + (p - block.shared);
    } else if (space == Space::local) {
      valid = warp.localValid.data() + (p - warp.local);
    } else {
      const uint64_t address = reinterpret_cast<uint64_t>(p);
      valid = launch.memory->validity(address);
      for (std::size_t i = 0; valid == nullptr && i < launch.peers.size(); ++i)
        valid = launch.peers[i]->validity(address);
    }
    if (valid == nullptr) return;
    if (access != Access::store) {
      const void* hole = std::memchr(valid, 0, bytes);
      if (hole != nullptr && space == Space::shared &&
          awaited(block, p + (static_cast<const uint8_t*>(hole) - valid))) {
        report(warp, in, "sync", lane, "read of the destination of a cp.async that has not been waited for");
      } else if (hole != nullptr) {
        report(warp, in, "init", lane,
               std::string("read of uninitialised ") +
                   (space == Space::shared  ? "shared"
                    : space == Space::local ? "local"
                                            : "global") +
                   " memory at byte " + std::to_string(static_cast<const uint8_t*>(hole) - valid) + " of " +
                   std::to_string(bytes) +
                   (space == Space::shared || space == Space::local
                        ? ""
                        : ", " + launch.memory->describe(reinterpret_cast<uint64_t>(p))));
      }
    }
    if (access != Access::load) std::memset(valid, 1, bytes);
  });
}

}  // namespace

void lanePointers(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
                  uint8_t* (&pointers)[kLanes]) {
  Block& block = *warp.block;
  RunState& run = *block.run;
  uint64_t addresses[kLanes];
  if (in.addressWide) {
    const uint64_t* a = reg<uint64_t>(warp, in.a);
    for (int i = 0; i < kLanes; ++i) addresses[i] = a[i] + static_cast<uint64_t>(in.imm);
  } else {
    const uint32_t* a = reg<uint32_t>(warp, in.a);
    for (int i = 0; i < kLanes; ++i) addresses[i] = static_cast<uint32_t>(a[i] + static_cast<uint32_t>(in.imm));
  }
  const uint64_t alignment = bytes - 1;
  Space space = in.space;
  const uint64_t sharedLow = reinterpret_cast<uint64_t>(block.shared);
  const uint32_t localBytes = run.launch.kernel->localBytes;
  const uint64_t localLow = reinterpret_cast<uint64_t>(warp.local);
  if (space == Space::generic) {
    // Most often all lanes are in one space; mixed ones are legal, and are checked lane by lane.
    bool anyShared = false, anyLocal = false, anyGlobal = false;
    eachLane(mask, [&](int lane) {
      const uint64_t at = addresses[lane];
      if (at - sharedLow < run.sharedBytes) {
        anyShared = true;
      } else if (at - localLow < uint64_t{localBytes} * kLanes) {
        anyLocal = true;
      } else {
        anyGlobal = true;
      }
    });
    if (anyShared + anyLocal + anyGlobal > 1) {
      eachLane(mask, [&](int lane) {
        uint8_t* one[kLanes];
        lanePointers(warp, in, 1u << lane, bytes, access, one);
        pointers[lane] = one[lane];
      });
      return;
    }
    if (anyShared) {
      space = Space::shared;
      for (uint64_t& at : addresses) at -= sharedLow;
    } else if (anyLocal) {
      space = Space::local;
      for (int i = 0; i < kLanes; ++i) addresses[i] -= localLow + uint64_t{localBytes} * static_cast<uint64_t>(i);
    } else {
      space = Space::global;
    }
  }
  if (space == Space::global || space == Space::constant) {
    const uint64_t now = run.launch.memory->generation();
    if (now != warp.generation) {
      warp.generation = now;
      warp.low = 1;
      warp.high = 0;
    }
    if (mask == 0xffffffffu && warp.high > warp.low) {
      const uint64_t room = warp.high - warp.low;
      uint64_t bad = 0;
      if (room >= bytes) {
        const uint64_t limit = room - bytes;
        for (int i = 0; i < kLanes; ++i) {
          pointers[i] = reinterpret_cast<uint8_t*>(addresses[i]);
          bad |= static_cast<uint64_t>(addresses[i] - warp.low > limit) | (addresses[i] & alignment);
        }
        if (bad == 0 && !run.fullChecks) return;
      } else {
        bad = 1;
      }
    }
    eachLane(mask, [&](int lane) {
      const uint64_t at = addresses[lane];
      if (at < warp.low || at + bytes > warp.high || at + bytes < at) lookUp(warp, lane, at, bytes, access);
      if ((at & alignment) != 0) misaligned(lane, at, bytes, access);
      pointers[lane] = reinterpret_cast<uint8_t*>(at);
    });
  } else if (space == Space::shared) {
    const uint64_t size = run.sharedBytes;
    uint64_t bad = 0;
    for (int i = 0; i < kLanes; ++i) {
      pointers[i] = block.shared + addresses[i];
      bad |=
          ((addresses[i] + bytes > size) | ((addresses[i] & alignment) != 0) | (addresses[i] >> 32)) & (mask >> i & 1);
    }
    if (bad != 0) {
      eachLane(mask, [&](int lane) {
        const uint64_t at = addresses[lane];
        if ((at & alignment) != 0) misaligned(lane, at, bytes, access);
        if (at >= size || at + bytes > size) {
          throw Fault{"mem", 700, lane,
                      std::string("invalid ") + verb(access) + " of " + std::to_string(bytes) + " bytes at " + hex(at) +
                          " of shared memory, which has " + std::to_string(size) + " bytes"};
        }
      });
    }
  } else {
    eachLane(mask, [&](int lane) {
      const uint64_t at = addresses[lane];
      if ((at & alignment) != 0) misaligned(lane, at, bytes, access);
      if (at >= localBytes || at + bytes > localBytes) {
        throw Fault{"mem", 700, lane,
                    std::string("invalid ") + verb(access) + " of " + std::to_string(bytes) + " bytes at " + hex(at) +
                        " of local memory, which has " + std::to_string(localBytes) + " bytes a thread"};
      }
      pointers[lane] = warp.local + uint64_t{localBytes} * static_cast<uint64_t>(lane) + at;
    });
  }
  if (!run.fullChecks) return;
  if (run.touched != nullptr && space == Space::global) {
    eachLane(mask, [&](int lane) {
      const uint64_t at = reinterpret_cast<uint64_t>(pointers[lane]);
      if (warp.touched == nullptr || at < warp.touched->low || at >= warp.touched->high) {
        warp.touched = run.touched->area(at);
      }
      if (warp.touched != nullptr) TouchedWords::mark(*warp.touched, at, bytes, access != Access::load);
    });
  }
  const Settings& settings = run.settings;
  if (settings.counters) {
    if (space == Space::shared) {
      countShared(warp, mask, bytes, pointers);
    } else if (space == Space::local) {
      warp.counters.localBytes += bytes * static_cast<uint64_t>(__builtin_popcount(mask));
    } else {
      countGlobal(warp, mask, bytes, access, pointers);
    }
  }
  if (settings.race && space == Space::shared) checkRaces(warp, in, mask, bytes, access, pointers);
  if (settings.init) checkInitialised(warp, in, mask, bytes, access, space, pointers);
}

void report(Warp& warp, const Instruction& in, const char* check, int lane, const std::string& message) {
  Block& block = *warp.block;
  RunState& run = *block.run;
  const Program& program = run.program;
  const std::size_t pc = static_cast<std::size_t>(&in - program.code.data());
  const std::lock_guard<std::mutex> lock(run.mutex);
  std::string kind = message.substr(0, message.find_first_of("0123456789"));
  if (!run.seen.insert(std::string(check) + ":" + std::to_string(pc) + ":" + kind).second) return;
  Finding finding;
  finding.check = check;
  finding.kernel = run.launch.kernel->name;
  const Place& place = program.places[pc];
  finding.message = message + " [" + program.opcodes[pc] + "]";
  finding.ptxLine = place.ptxLine;
  finding.line = place.line;
  if (place.file >= 0 && static_cast<std::size_t>(place.file) < program.files.size()) {
    finding.file = program.files[static_cast<std::size_t>(place.file)];
  }
  const uint32_t thread = warp.index * kLanes + static_cast<uint32_t>(lane < 0 ? 0 : lane);
  const uint32_t* n = run.launch.block;
  finding.thread[0] = thread % n[0];
  finding.thread[1] = thread / n[0] % n[1];
  finding.thread[2] = thread / n[0] / n[1];
  for (int i = 0; i < 3; ++i) finding.block[i] = block.id[i];
  run.result.findings.push_back(finding);
}

}  // namespace warploom::cudasim
