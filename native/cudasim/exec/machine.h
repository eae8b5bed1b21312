// The state of a running launch: warps, blocks, and what handlers need of them.
#pragma once

#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "cudasim/exec/global_race.h"
#include "cudasim/exec/mbarrier.h"
#include "cudasim/exec/program.h"
#include "cudasim/exec/touched.h"
#include "cudasim/executor.h"

namespace warploom::cudasim {

constexpr int kLanes = 32;
// What every block of compute_80 has for the system; cooperative groups of several warps keep their barriers there.
constexpr uint32_t kReservedShared = 1024;

// Ends the launch: a finding of one lane.
struct Fault {
  const char* check;
  int status;
  int lane;
  std::string message;
};

struct RunState {
  RunState(const Launch& l, const Settings& s, const Program& p) : launch(l), settings(s), program(p) {}
  const Launch& launch;
  const Settings& settings;
  const Program& program;
  uint64_t gridId = 0;  // counts launches
  // What a cooperative launch hands to cooperative groups: their size, and the barrier of the grid. Null otherwise.
  const uint32_t* gridWorkspace = nullptr;
  std::atomic<uint64_t> nextBlock{0};
  uint64_t blocks = 0;
  std::atomic<uint64_t> steps{0};
  std::atomic<bool> stop{false};
  uint32_t sharedBytes = 0;  // static and dynamic, and what the kernel uses of the system's own
  bool fullChecks = false;   // init, race, counters or touched: the slow way through memory
  std::unique_ptr<TouchedWords> touched;
  std::unique_ptr<CompulsoryBytes> compulsory;  // for the counters
  std::unique_ptr<GlobalRaces> races;           // null unless asked for
  std::mutex mutex;
  LaunchResult result;
  std::set<std::string> seen;  // kind and instruction of findings made so far
};

enum class GroupState : uint8_t { ready, waitWarp, waitBlock };

// Lanes that stand at the same instruction.
struct Group {
  uint32_t pc = 0, mask = 0;
  GroupState state = GroupState::ready;
  uint32_t members = 0;  // waitWarp: who must come; waitBlock: the barrier
};

// A cp.async of a warp that has been issued and is not yet done for the lanes in `pending`.
struct AsyncCopies {
  uint32_t pending = 0;
  uint32_t tracked = 0;  // lanes for which an mbarrier stands for the wait
  uint32_t issued = 0;   // which copy of the warp
  uint8_t bytes = 0;
  int pc = 0;
  uint8_t* to[kLanes];
  const uint8_t* from[kLanes];
  uint8_t sourceBytes[kLanes];  // what lies behind is filled with zeros
  uint32_t group[kLanes];       // how many groups the lane had committed before
};

// One granule of shared memory, for racecheck: who wrote and read it last, and when by their warp's clock.
struct Granule {
  uint32_t writeClock = 0, readClock = 0;
  uint32_t writeEpoch = 0, readEpoch = 0;
  uint32_t readStamp = 0;            // warp and epoch of a read that any lane of that warp may repeat unchecked
  int16_t writer = -1, reader = -1;  // threads; reader -2: several
  uint32_t readerWarps = 0;          // of several readers
  bool strongWrite = false, atomicWrite = false;
};

// How often an instruction was executed: by warps, by warps with a lane whose guard held, by lanes.
struct Executed {
  uint64_t warps = 0, active = 0, lanes = 0;
};

struct Block;
struct Warp {
  uint8_t* regs = nullptr;
  Block* block = nullptr;
  uint32_t index = 0;
  uint32_t live = 0;
  uint32_t backward = 0;  // branches since the groups were last rotated
  std::vector<Group> groups;
  uint8_t* local = nullptr;  // [lane][localBytes]
  const uint8_t* params = nullptr;
  uint64_t low = 1, high = 0;  // the allocation that was hit last
  uint64_t generation = 0;
  const WordAreas::Area *touched = nullptr, *compulsory = nullptr;  // where the last access was noted
  uint32_t clock[32] = {};  // vector clock over the warps of the block, moved by barriers
  uint32_t epoch = 0;       // moved by __syncwarp, barriers and fences
  GlobalOrder order;
  uint32_t carry = 0;  // the condition code of add.cc and its kin, a bit a lane
  uint32_t rng = 1;
  bool finished = false;
  const Instruction* standsFor = nullptr;  // what a report names while a handler works with an altered copy of it
  std::vector<AsyncCopies> copies;         // oldest first
  uint32_t committed[kLanes] = {};         // groups of cp.async
  uint32_t issued = 0;                     // copies
  std::vector<uint8_t> registerStore, localStore, localValid;
  Counters counters;
};

struct Barrier {
  uint32_t arrived = 0;                             // threads
  uint32_t expected = 0;                            // threads; 0: all of the block
  uint32_t syncMask[32] = {}, arriveMask[32] = {};  // by warp
  uint32_t reduced = 0;
  bool any = false;
};

struct Block {
  RunState* run = nullptr;
  uint32_t id[3] = {0, 0, 0};
  uint32_t threads = 0;
  uint64_t credit = 0;  // steps left of this turn
  std::vector<uint8_t> sharedStore, sharedValid;
  uint8_t* shared = nullptr;
  std::vector<Granule> granules;
  // [granule][warp], in blocks with an mbarrier: the clock of each warp's last read. Granule::readClock stands for them
  // all only as long as barriers move the clocks of all.
  std::vector<uint32_t> readClocks;
  uint32_t sent[kLanes] = {};  // by warp: epochs below are known to who reads a message of this block
  // A granule is 1 << granuleShift bytes: 4, until something narrower is accessed.
  uint32_t granuleShift = 2;
  std::vector<Executed> executed;  // by instruction, for the counters
  std::vector<std::unique_ptr<Warp>> warps;
  Barrier barriers[16];
  std::map<uint32_t, MBarrier> mbarriers;  // by offset in shared memory
  std::size_t cursor = 0;
};

template <class T>
inline T* reg(Warp& warp, uint32_t offset) {
  return reinterpret_cast<T*>(warp.regs + offset);
}

// Applies f to every lane of the mask. Source and destination registers are the same or do not overlap.
template <class F>
inline void eachLane(uint32_t mask, F&& f) {
  if (mask == 0xffffffffu) {
    for (int i = 0; i < kLanes; ++i) f(i);
  } else {
    for (uint32_t rest = mask; rest != 0; rest &= rest - 1) f(__builtin_ctz(rest));
  }
}

// d = f(a...) lane by lane. R is the type that a lane of the result is stored as (uint32_t or uint64_t for narrow
// types).
template <class D, class A, class F>
inline void map1(Warp& w, const Instruction& in, uint32_t mask, F f) {
  D* d = reg<D>(w, in.d);
  const A* a = reg<A>(w, in.a);
  if (mask == 0xffffffffu) {
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) d[i] = f(a[i]);
  } else {
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) {
      const D r = f(a[i]);
      d[i] = (mask >> i) & 1 ? r : d[i];
    }
  }
}
template <class D, class A, class B, class F>
inline void map2(Warp& w, const Instruction& in, uint32_t mask, F f) {
  D* d = reg<D>(w, in.d);
  const A* a = reg<A>(w, in.a);
  const B* b = reg<B>(w, in.b);
  if (mask == 0xffffffffu) {
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) d[i] = f(a[i], b[i]);
  } else {
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) {
      const D r = f(a[i], b[i]);
      d[i] = (mask >> i) & 1 ? r : d[i];
    }
  }
}
template <class D, class A, class B, class C, class F>
inline void map3(Warp& w, const Instruction& in, uint32_t mask, F f) {
  D* d = reg<D>(w, in.d);
  const A* a = reg<A>(w, in.a);
  const B* b = reg<B>(w, in.b);
  const C* c = reg<C>(w, in.c);
  if (mask == 0xffffffffu) {
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) d[i] = f(a[i], b[i], c[i]);
  } else {
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) {
      const D r = f(a[i], b[i], c[i]);
      d[i] = (mask >> i) & 1 ? r : d[i];
    }
  }
}

// The lanes of a predicate (0 or -1 each) as bits.
inline uint32_t predicateMask(Warp& warp, uint32_t offset) {
  const int32_t* p = reg<int32_t>(warp, offset);
  uint32_t mask = 0;
#ifdef __AVX2__
  typedef float Eight __attribute__((vector_size(32)));
  for (int i = 0; i < 4; ++i) {
    Eight v;
    std::memcpy(&v, p + 8 * i, 32);
    mask |= static_cast<uint32_t>(__builtin_ia32_movmskps256(v)) << (8 * i);
  }
#else
  for (int i = 0; i < kLanes; ++i) mask |= static_cast<uint32_t>(p[i] & 1) << i;
#endif
  return mask;
}

// Where the lanes' operands lie. Throws Fault for what the hardware would not survive, and reports the rest.
// `bytes` of the whole access (element size times vector length).
enum class Access : uint8_t { load, store, atomic };
void lanePointers(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
                  uint8_t* (&pointers)[kLanes]);

// Adds a finding once an instruction.
void report(Warp& warp, const Instruction& in, const char* check, int lane, const std::string& message);

}  // namespace warploom::cudasim
