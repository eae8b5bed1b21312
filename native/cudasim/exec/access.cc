#include "cudasim/exec/access.h"

#include <cinttypes>
#include <cstdio>

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
  throw Fault{"mem", 700, lane,
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

// Whether a cp.async that is still under way will write the byte.
bool awaited(const Block& block, const uint8_t* byte) {
  for (const auto& warp : block.warps) {
    for (const AsyncCopies& copy : warp->copies) {
      for (uint32_t rest = copy.pending; rest != 0; rest &= rest - 1) {
        const uint8_t* to = copy.to[__builtin_ctz(rest)];
        if (byte >= to && byte < to + copy.bytes) return true;
      }
    }
  }
  return false;
}

// The map of valid bytes that belongs to a pointer; null where there is none.
uint8_t* validity(const Warp& warp, Space space, const uint8_t* p) {
  const Block& block = *warp.block;
  if (space == Space::shared) return const_cast<uint8_t*>(block.sharedValid.data()) + (p - block.shared);
  if (space == Space::local) return const_cast<uint8_t*>(warp.localValid.data()) + (p - warp.local);
  const Launch& launch = block.run->launch;
  const uint64_t address = reinterpret_cast<uint64_t>(p);
  uint8_t* valid = launch.memory->validity(address);
  for (std::size_t i = 0; valid == nullptr && i < launch.peers.size(); ++i) {
    valid = launch.peers[i]->validity(address);
  }
  return valid;
}

// A word of the map, aligned as the access is. Threads of the host that simulate neighbours or writers of the same
// value meet in it: it is read and written whole and relaxed, which costs what a plain access does.
template <class Bytes>
struct ValidWord {
  static Bytes load(const uint8_t* at) { return __atomic_load_n(reinterpret_cast<const Bytes*>(at), __ATOMIC_RELAXED); }
  static void store(uint8_t* at, Bytes value) {
    __atomic_store_n(reinterpret_cast<Bytes*>(at), value, __ATOMIC_RELAXED);
  }
};
template <>
struct ValidWord<unsigned __int128> {
  static unsigned __int128 load(const uint8_t* at) {
    return ValidWord<uint64_t>::load(at) | static_cast<unsigned __int128>(ValidWord<uint64_t>::load(at + 8)) << 64;
  }
  static void store(uint8_t* at, unsigned __int128 value) {
    ValidWord<uint64_t>::store(at, static_cast<uint64_t>(value));
    ValidWord<uint64_t>::store(at + 8, static_cast<uint64_t>(value >> 64));
  }
};
// The first byte of the map that is 0, or null.
const uint8_t* firstHole(const uint8_t* valid, uint32_t bytes) {
  for (const uint8_t* at = valid; at != valid + bytes; ++at) {
    if (ValidWord<uint8_t>::load(at) == 0) return at;
  }
  return nullptr;
}
void setValid(uint8_t* valid, uint32_t bytes) {
  for (uint8_t* at = valid; at != valid + bytes; ++at) ValidWord<uint8_t>::store(at, 1);
}

// The whole warp at once, where every lane's map lies at one distance from its bytes. False: look lane by lane.
template <class Bytes>
bool validLanes(const uint8_t* const (&pointers)[kLanes], Access access, uint64_t distance) {
  const auto at = [&](int lane) {
    return reinterpret_cast<uint8_t*>(reinterpret_cast<uint64_t>(pointers[lane]) + distance);
  };
  Bytes ones;
  std::memset(&ones, 1, sizeof(ones));
  if (access == Access::store) {
    for (int i = 0; i < kLanes; ++i) ValidWord<Bytes>::store(at(i), ones);
    return true;
  }
  Bytes all = ones;
  for (int i = 0; i < kLanes; ++i) all &= ValidWord<Bytes>::load(at(i));
  // An atomic's bytes are valid afterwards as they were before.
  return all == ones;
}
bool warpIsValid(const Warp& warp, uint32_t bytes, Access access, Space space,
                 const uint8_t* const (&pointers)[kLanes]) {
  const uint8_t* first = validity(warp, space, pointers[0]);
  if (first == nullptr) return false;
  const uint64_t distance = reinterpret_cast<uint64_t>(first) - reinterpret_cast<uint64_t>(pointers[0]);
  if (space != Space::shared && space != Space::local) {
    const Memory& memory = *warp.block->run->launch.memory;
    bool all = true;
    for (const uint8_t* p : pointers) all &= memory.inArena(reinterpret_cast<uint64_t>(p));
    if (!all) return false;
  }
  switch (bytes) {
    case 1:
      return validLanes<uint8_t>(pointers, access, distance);
    case 2:
      return validLanes<uint16_t>(pointers, access, distance);
    case 4:
      return validLanes<uint32_t>(pointers, access, distance);
    case 8:
      return validLanes<uint64_t>(pointers, access, distance);
    case 16:
      return validLanes<unsigned __int128>(pointers, access, distance);
    default:
      return false;
  }
}

void checkInitialised(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access, Space space,
                      uint8_t* const (&pointers)[kLanes]) {
  if (mask == 0xffffffffu && warpIsValid(warp, bytes, access, space, pointers)) return;
  Block& block = *warp.block;
  const Launch& launch = block.run->launch;
  eachLane(mask, [&](int lane) {
    uint8_t* p = pointers[lane];
    uint8_t* valid = validity(warp, space, p);
    if (valid == nullptr) return;
    if (access != Access::store) {
      const uint8_t* hole = firstHole(valid, bytes);
      if (hole != nullptr && space == Space::shared && awaited(block, p + (hole - valid))) {
        report(warp, in, "sync", lane, "read of the destination of a cp.async that has not been waited for");
      } else if (hole != nullptr) {
        report(warp, in, "init", lane,
               std::string("read of uninitialised ") +
                   (space == Space::shared  ? "shared"
                    : space == Space::local ? "local"
                                            : "global") +
                   " memory at byte " + std::to_string(hole - valid) + " of " + std::to_string(bytes) +
                   (space == Space::shared || space == Space::local
                        ? ""
                        : ", " + launch.memory->describe(reinterpret_cast<uint64_t>(p))));
      }
    }
    if (access != Access::load) setValid(valid, bytes);
  });
}

// What is asked beyond the bounds.
void checkAccess(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access, Space space,
                 uint8_t* const (&pointers)[kLanes]) {
  RunState& run = *warp.block->run;
  if (run.touched != nullptr && space == Space::global) {
    eachLane(mask, [&](int lane) {
      const uint64_t at = reinterpret_cast<uint64_t>(pointers[lane]);
      warp.touched = run.touched->area(at, warp.touched);
      if (warp.touched != nullptr) TouchedWords::mark(*warp.touched, at, bytes, access != Access::load);
    });
  }
  const Settings& settings = run.settings;
  if (settings.counters) {
    if (space == Space::shared) {
      countShared(warp, mask, bytes, pointers);
    } else if (space == Space::local) {
      warp.counters.localBytes += bytes * static_cast<uint64_t>(__builtin_popcount(mask));
    } else if (space == Space::global) {
      countGlobal(warp, mask, bytes, access, pointers);
    }
  }
  if (settings.race && space == Space::global) run.races->check(warp, in, mask, bytes, access, pointers);
  if (settings.race && space == Space::shared) checkSharedRaces(warp, in, mask, bytes, access, pointers);
  // What an mbarrier tells, and to whom, is for its own instructions to say.
  const bool tells = in.spinning && in.kind != Class::control;
  if (settings.race && space == Space::shared && tells) run.races->noteShared(warp, in, access);
  if (settings.init) checkInitialised(warp, in, mask, bytes, access, space, pointers);
}

// The most frequent case: a full warp and offsets into shared memory, all of them inside. False: look closer.
bool sharedPointers(const Warp& warp, const Instruction& in, uint32_t bytes, uint8_t* (&pointers)[kLanes]) {
  const Block& block = *warp.block;
  const uint32_t size = block.run->sharedBytes;
  if (size < bytes) return false;
  const uint32_t limit = size - bytes, alignment = bytes - 1, add = static_cast<uint32_t>(in.imm);
  const uint32_t* a = reinterpret_cast<const uint32_t*>(warp.regs + in.a);
  uint32_t bad = 0;
  for (int i = 0; i < kLanes; ++i) {
    const uint32_t at = a[i] + add;
    bad |= static_cast<uint32_t>(at > limit) | (at & alignment);
    pointers[i] = block.shared + at;
  }
  return bad == 0;
}

}  // namespace

void lanePointers(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
                  uint8_t* (&pointers)[kLanes]) {
  Block& block = *warp.block;
  RunState& run = *block.run;
  if (in.space == Space::shared && !in.addressWide && mask == 0xffffffffu &&
      sharedPointers(warp, in, bytes, pointers)) {
    if (run.fullChecks) checkAccess(warp, in, mask, bytes, access, Space::shared, pointers);
    return;
  }
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
  if (run.fullChecks) checkAccess(warp, in, mask, bytes, access, space, pointers);
}

void report(Warp& warp, const Instruction& in, const char* check, int lane, const std::string& message) {
  Block& block = *warp.block;
  RunState& run = *block.run;
  const Program& program = run.program;
  const Instruction* at = warp.standsFor != nullptr ? warp.standsFor : &in;
  const std::size_t pc = static_cast<std::size_t>(at - program.code.data());
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
