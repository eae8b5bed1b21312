// mbarrier: barriers that are objects in shared memory, and the arrivals that asynchronous copies owe them.
//
// A copy that an mbarrier tracks is done as late as PTX allows: when somebody waits for a phase that only such arrivals
// still lack. That wait says no, the next one yes: code that reads without a wait, or after a single test, meets a copy
// that is not done.
#include <algorithm>

#include "cudasim/exec/access.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

constexpr uint32_t kMostCount = (1u << 20) - 1;

// The 8 bytes, and the token that an arrival gives: pending 20 | expected 20 | phase 24.
struct State {
  uint32_t pending, expected, phase;

  static State of(uint64_t bits) {
    return {static_cast<uint32_t>(bits & kMostCount), static_cast<uint32_t>(bits >> 20 & kMostCount),
            static_cast<uint32_t>(bits >> 40)};
  }
  static State at(const uint8_t* object) {
    uint64_t bits;
    std::memcpy(&bits, object, sizeof(bits));
    return of(bits);
  }
  uint64_t bits() const { return pending | uint64_t{expected} << 20 | uint64_t{phase} << 40; }
  void write(uint8_t* object) const {
    const uint64_t value = bits();
    std::memcpy(object, &value, sizeof(value));
  }
};
constexpr uint32_t kPhases = 1u << 24;

[[noreturn]] void fault(int lane, const std::string& what) { throw Fault{"sync", 719, lane, what}; }

void raise(uint32_t (&to)[32], const uint32_t (&from)[32]) {
  for (int i = 0; i < 32; ++i) to[i] = std::max(to[i], from[i]);
}

// The warp's lanes at their objects.
class Objects {
 public:
  Objects(Warp& w, const Instruction& in, uint32_t mask, Access access) : w_(w), block_(*w.block), in_(in) {
    lanePointers(w, in, mask, 8, access, pointers_);
    eachLane(mask, [&](int lane) {
      if (pointers_[lane] < block_.shared || pointers_[lane] >= block_.shared + block_.run->sharedBytes) {
        throw Fault{"mem", 700, lane, "an mbarrier lies in shared memory, and this address does not"};
      }
    });
  }
  ~Objects() {
    // What the warp does from now on is not behind its arrivals.
    if (arrived_) advance(w_);
  }

  uint8_t* pointer(int lane) const { return pointers_[lane]; }
  uint32_t offset(int lane) const { return static_cast<uint32_t>(pointers_[lane] - block_.shared); }
  MBarrier& barrier(int lane) {
    const auto found = block_.mbarriers.find(offset(lane));
    if (found == block_.mbarriers.end()) fault(lane, "no mbarrier has been initialised at this address");
    if (block_.run->settings.race && !isBehindInit(found->second, lane)) {
      report(w_, in_, "race", lane, "race on an mbarrier: nothing orders this use behind its mbarrier.init");
    }
    return found->second;
  }

  // `count` arrivals of a lane. The state before.
  State arrive(int lane, uint32_t count, bool drop, bool complete) {
    MBarrier& barrier = this->barrier(lane);
    uint8_t* object = pointers_[lane];
    if (count == 0 || count > kMostCount) fault(lane, "a count of arrivals of " + std::to_string(count));
    // Where only copies' arrivals are lacking, this one is of the next phase.
    settleOwed(barrier, object);
    State state = State::at(object);
    const State before = state;
    if (state.pending < count) {
      fault(lane, std::to_string(count) + " arrivals at an mbarrier that lacks " + std::to_string(state.pending) +
                      " in this phase");
    }
    if (!complete && state.pending == count) fault(lane, "an arrival with .noComplete that completes the phase");
    if (drop && state.expected < count) fault(lane, "more threads drop out than the mbarrier expects");
    gather(barrier, w_);
    arrived_ = true;
    if (drop) state.expected -= count;
    take(barrier, object, state, count);
    return before;
  }
  // The copies of the lane so far owe the barrier an arrival; `more`: one that is not counted yet.
  void owe(int lane, bool more) {
    MBarrier& barrier = this->barrier(lane);
    State state = State::at(pointers_[lane]);
    if (more) {
      if (state.pending == kMostCount) fault(lane, "more arrivals than an mbarrier can count");
      ++state.pending;
      state.write(pointers_[lane]);
    }
    barrier.owed.push_back({w_.index, lane, w_.issued});
    for (AsyncCopies& copy : w_.copies) copy.tracked |= copy.pending & 1u << lane;
  }
  // Whether the phase that `isPast` asks for is complete; then the lane knows what those who arrived knew.
  bool test(int lane, bool past) {
    MBarrier& barrier = this->barrier(lane);
    if (!past) return false;
    const uint32_t now = State::at(pointers_[lane]).phase + 1;
    if (barrier.seen[w_.index] != now) {
      barrier.seen[w_.index] = now;
      learn(barrier.passed);
    }
    return true;
  }
  // Done behind a test that failed.
  void settleOwed(int lane) { settleOwed(barrier(lane), pointers_[lane]); }

 private:
  // The map of shared memory knows the last access only, and that one is another arrival most often.
  bool isBehindInit(const MBarrier& barrier, int lane) const {
    const uint32_t warp = barrier.thread / kLanes;
    if (warp == w_.index) {
      return barrier.epoch < w_.epoch || barrier.thread % kLanes == static_cast<uint32_t>(lane);
    }
    return barrier.clock < w_.clock[warp] || barrier.epoch < w_.order.known[warp];
  }
  static void advance(Warp& w) {
    ++w.clock[w.index];
    ++w.epoch;
  }
  static void gather(MBarrier& barrier, Warp& w) {
    Knowledge& all = barrier.gathered;
    if (w.block->run->races != nullptr) w.block->run->races->settle(w);
    raise(all.clock, w.clock);
    raise(all.known, w.order.known);
    raise(all.fenced, w.order.fenced);
    all.clock[w.index] = std::max(all.clock[w.index], w.clock[w.index] + 1);
    all.known[w.index] = std::max(all.known[w.index], w.epoch + 1);
    all.received = std::max(all.received, w.order.received);
  }
  void learn(const Knowledge& passed) {
    GlobalOrder& order = w_.order;
    for (uint32_t i = 0; i < 32; ++i) {
      if (i != w_.index) w_.clock[i] = std::max(w_.clock[i], passed.clock[i]);
    }
    raise(order.known, passed.known);
    order.unsent = order.unsent || !std::equal(passed.fenced, passed.fenced + 32, order.fenced);
    raise(order.fenced, passed.fenced);
    order.received = std::max(order.received, passed.received);
    advance(w_);  // lanes of the warp that arrived are ordered before those that waited
  }
  void take(MBarrier& barrier, uint8_t* object, State state, uint32_t count) {
    state.pending -= count;
    if (state.pending == 0) {
      state.phase = (state.phase + 1) % kPhases;
      state.pending = state.expected;
      barrier.passed = barrier.gathered;
    }
    state.write(object);
  }
  // The owed arrivals, if they are all that the phase lacks.
  void settleOwed(MBarrier& barrier, uint8_t* object) {
    const State start = State::at(object);
    if (start.pending == 0 || barrier.owed.size() < start.pending) return;
    for (uint32_t i = 0; i < start.pending; ++i) {
      const OwedArrival& owed = barrier.owed[i];
      Warp& of = *block_.warps[owed.warp];
      finishAsyncCopies(of, owed.lane, owed.issued);
      gather(barrier, of);
      advance(of);
      take(barrier, object, State::at(object), 1);
    }
    barrier.owed.erase(barrier.owed.begin(), barrier.owed.begin() + start.pending);
  }

  Warp& w_;
  Block& block_;
  const Instruction& in_;
  uint8_t* pointers_[kLanes];
  bool arrived_ = false;
};

void initialise(Warp& w, const Instruction& in, uint32_t mask) {
  Objects objects(w, in, mask, Access::store);
  const uint32_t* counts = reg<uint32_t>(w, in.b);
  keepReadClocks(*w.block);
  eachLane(mask, [&](int lane) {
    if (counts[lane] == 0 || counts[lane] > kMostCount) {
      fault(lane, "an mbarrier for " + std::to_string(counts[lane]) + " arrivals");
    }
    const auto made = w.block->mbarriers.emplace(objects.offset(lane), MBarrier{});
    if (!made.second) fault(lane, "there is an mbarrier at this address already, and mbarrier.inval has not ended it");
    MBarrier& barrier = made.first->second;
    barrier.thread = w.index * kLanes + static_cast<uint32_t>(lane);
    barrier.clock = w.clock[w.index];
    barrier.epoch = w.epoch;
    State{counts[lane], counts[lane], 0}.write(objects.pointer(lane));
  });
}

void invalidate(Warp& w, const Instruction& in, uint32_t mask) {
  Objects objects(w, in, mask, Access::store);
  eachLane(mask, [&](int lane) {
    if (!objects.barrier(lane).owed.empty()) fault(lane, "copies under way are to arrive at this mbarrier");
    w.block->mbarriers.erase(objects.offset(lane));
    std::memset(objects.pointer(lane), 0xff, 8);
    if (w.block->run->settings.init) std::memset(&w.block->sharedValid[objects.offset(lane)], 0, 8);
  });
}

// mode: bits kDrop, kNoComplete
constexpr int kDrop = 1, kNoComplete = 2;
void arrive(Warp& w, const Instruction& in, uint32_t mask) {
  Objects objects(w, in, mask, Access::atomic);
  uint64_t* d = reg<uint64_t>(w, in.d);
  const uint32_t* counts = in.b == kNone ? nullptr : reg<uint32_t>(w, in.b);
  eachLane(mask, [&](int lane) {
    const uint32_t count = counts == nullptr ? 1 : counts[lane];
    d[lane] = objects.arrive(lane, count, (in.mode & kDrop) != 0, (in.mode & kNoComplete) == 0).bits();
  });
}

void testState(Warp& w, const Instruction& in, uint32_t mask) {
  Objects objects(w, in, mask, Access::atomic);
  const uint64_t* tokens = reg<uint64_t>(w, in.b);
  uint32_t* d = reg<uint32_t>(w, in.d);
  uint32_t waiting = 0;
  eachLane(mask, [&](int lane) {
    objects.barrier(lane);
    const uint32_t behind = (State::at(objects.pointer(lane)).phase - State::of(tokens[lane]).phase) % kPhases;
    if (behind > 1) fault(lane, "a wait for a phase that is neither the current one nor the one before");
    d[lane] = objects.test(lane, behind == 1) ? 0xffffffffu : 0;
    if (behind == 0) waiting |= 1u << lane;
  });
  eachLane(waiting, [&](int lane) { objects.settleOwed(lane); });
}

void testParity(Warp& w, const Instruction& in, uint32_t mask) {
  Objects objects(w, in, mask, Access::atomic);
  const uint32_t* parities = reg<uint32_t>(w, in.b);
  uint32_t* d = reg<uint32_t>(w, in.d);
  uint32_t waiting = 0;
  eachLane(mask, [&](int lane) {
    if (parities[lane] > 1) fault(lane, "a parity of " + std::to_string(parities[lane]));
    const bool past = (State::at(objects.pointer(lane)).phase & 1) != parities[lane];
    d[lane] = objects.test(lane, past) ? 0xffffffffu : 0;
    if (!past) waiting |= 1u << lane;
  });
  eachLane(waiting, [&](int lane) { objects.settleOwed(lane); });
}

void pendingCount(Warp& w, const Instruction& in, uint32_t mask) {
  const uint64_t* tokens = reg<uint64_t>(w, in.a);
  uint32_t* d = reg<uint32_t>(w, in.d);
  eachLane(mask, [&](int lane) { d[lane] = State::of(tokens[lane]).pending; });
}

// mode 1: .noinc
void arriveBehindCopies(Warp& w, const Instruction& in, uint32_t mask) {
  Objects objects(w, in, mask, Access::atomic);
  eachLane(mask, [&](int lane) { objects.owe(lane, in.mode == 0); });
}

}  // namespace

void addMBarrierForms(FormTable& table) {
  const auto add = [&table](const std::string& name, const char* signature, Handler fn, int mode = 0) {
    for (const char* space : {"", ".shared"}) {
      Form form;
      form.fn = fn;
      form.signature = signature;
      form.kind = Class::control;
      form.space = *space == '\0' ? Space::generic : Space::shared;
      form.size = 8;
      form.mode = static_cast<uint8_t>(mode);
      table.add(name + space + ".b64", form);
    }
  };
  add("mbarrier.init", "MB4", &initialise);
  add("mbarrier.inval", "M", &invalidate);
  add("mbarrier.arrive", "D8M", &arrive);
  add("mbarrier.arrive_drop", "D8M", &arrive, kDrop);
  add("mbarrier.arrive.noComplete", "D8MB4", &arrive, kNoComplete);
  add("mbarrier.arrive_drop.noComplete", "D8MB4", &arrive, kDrop | kNoComplete);
  add("mbarrier.test_wait", "D1MB8", &testState);
  add("mbarrier.test_wait.parity", "D1MB4", &testParity);
  add("cp.async.mbarrier.arrive", "M", &arriveBehindCopies);
  add("cp.async.mbarrier.arrive.noinc", "M", &arriveBehindCopies, 1);
  table.add("mbarrier.pending_count.b64", "D4A8", &pendingCount, Class::control);
}

}  // namespace warploom::cudasim
