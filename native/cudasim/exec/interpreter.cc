#include <algorithm>

#include "cudasim/exec/block.h"

namespace warploom::cudasim {

namespace {

constexpr uint32_t kRotateAfter = 256;  // backward branches of one group while others wait behind it
constexpr uint64_t kSpinCost = 64;      // steps that a polling instruction counts for

uint32_t nextRandom(uint32_t& state) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

class WarpRunner {
 public:
  WarpRunner(Block& block, Warp& warp)
      : block_(block),
        warp_(warp),
        program_(block.run->program),
        code_(program_.code.data()),
        counting_(block.run->settings.counters) {
    const Settings& settings = block.run->settings;
    fuzz_ = settings.seed != 0;
    skipSource_ = settings.skipsSource();
    if (skipSource_ || settings.skipKernel == block.run->launch.kernel->name) skipLine_ = settings.skipLine;
  }

  bool isSkipped(uint32_t pc) const {
    const Place& place = program_.places[pc];
    if (!skipSource_) return place.ptxLine == skipLine_;
    if (place.line != skipLine_) return false;
    const std::string& file = program_.files[static_cast<std::size_t>(place.file)];
    const std::string name = "/" + block_.run->settings.skipKernel;
    if (file.size() < name.size() || file.compare(file.size() - name.size(), name.size(), name) != 0) return false;
    const std::string& opcode = program_.opcodes[pc];
    for (const char* wait : {"bar.", "barrier.", "cp.async.wait", "membar.", "fence.", "mbarrier.test_wait"}) {
      if (opcode.rfind(wait, 0) == 0) return true;
    }
    return false;
  }

  // Runs until nothing in the warp can go on or the credit is spent.
  void run() {
    while (block_.credit > 0) {
      const int index = pick();
      if (index < 0) return;
      runGroup(static_cast<std::size_t>(index));
    }
  }

 private:
  int pick() {
    std::vector<Group>& groups = warp_.groups;
    int best = -1;
    int ready = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (groups[i].state != GroupState::ready) continue;
      ++ready;
      if (best < 0 || groups[i].pc < groups[static_cast<std::size_t>(best)].pc) best = static_cast<int>(i);
    }
    if (ready > 1 && (warp_.backward >= kRotateAfter || (fuzz_ && nextRandom(warp_.rng) % 4 == 0))) {
      // A lane that spins must not keep the one that it waits for from running.
      warp_.backward = 0;
      uint32_t skip = nextRandom(warp_.rng) % static_cast<uint32_t>(ready);
      for (std::size_t i = 0; i < groups.size(); ++i) {
        if (groups[i].state == GroupState::ready && skip-- == 0) best = static_cast<int>(i);
      }
    }
    return best;
  }

  void runGroup(std::size_t index) {
    uint32_t pc = warp_.groups[index].pc;
    uint32_t mask = warp_.groups[index].mask;
    warp_.groups.erase(warp_.groups.begin() + static_cast<std::ptrdiff_t>(index));
    // The nearest instruction at which another group stands: meet it there.
    uint32_t limit = kNone;
    for (const Group& group : warp_.groups) {
      if (group.pc < limit && (group.pc > pc || (group.pc == pc))) limit = group.pc;
    }
    if (limit == pc) {
      if (merge(pc, mask)) {
        limit = kNone;
        for (const Group& group : warp_.groups) {
          if (group.pc > pc && group.pc < limit) limit = group.pc;
        }
      }
    }
    uint64_t credit = block_.credit;
    const bool others = !warp_.groups.empty();
    for (;;) {
      const Instruction& in = code_[pc];
      uint32_t active = mask;
      if (in.guard != kNone) {
        const uint32_t guard = predicateMask(warp_, in.guard);
        active &= in.guardNegated ? ~guard : guard;
      }
      const uint64_t cost = in.spinning ? kSpinCost : 1;
      credit = credit > cost ? credit - cost : 0;
      current_ = pc;
      if (counting_) count(pc, active);
      if (skipLine_ != 0 && isSkipped(pc)) {
        active = 0;
        if (in.flow != Flow::end) {
          ++pc;
          if (pc == limit || credit == 0) break;
          continue;
        }
      }
      if (in.flow == Flow::plain) {
        if (active != 0) in.fn(warp_, in, active);
        ++pc;
      } else if (in.flow == Flow::branch) {
        if (counting_) warp_.counters.branches += 1;
        if (active == mask) {
          if (in.target <= pc && (others || fuzz_)) ++warp_.backward;
          const bool back = in.target <= pc;
          pc = in.target;
          if (back && others) break;
          if (pc > limit) break;
        } else if (active == 0) {
          ++pc;
        } else {
          if (counting_) warp_.counters.divergentBranches += 1;
          if (in.target <= pc) ++warp_.backward;
          add(in.target, active);
          ++pc;
          mask &= ~active;
          break;
        }
      } else {
        block_.credit = credit;
        if (!special(in, pc, mask, active)) return;
        break;
      }
      if (pc == limit || credit == 0) break;
    }
    block_.credit = credit;
    add(pc, mask);
  }

  // Takes in the ready group that stands at pc.
  bool merge(uint32_t pc, uint32_t& mask) {
    bool merged = false;
    for (std::size_t i = 0; i < warp_.groups.size();) {
      if (warp_.groups[i].pc == pc && warp_.groups[i].state == GroupState::ready) {
        mask |= warp_.groups[i].mask;
        warp_.groups.erase(warp_.groups.begin() + static_cast<std::ptrdiff_t>(i));
        merged = true;
      } else {
        ++i;
      }
    }
    return merged;
  }
  void add(uint32_t pc, uint32_t mask) {
    if (mask == 0) return;
    for (Group& group : warp_.groups) {
      if (group.pc == pc && group.state == GroupState::ready) {
        group.mask |= mask;
        return;
      }
    }
    Group made;
    made.pc = pc;
    made.mask = mask;
    warp_.groups.push_back(made);
  }
  void park(uint32_t pc, uint32_t mask, GroupState state, uint32_t members) {
    Group made;
    made.pc = pc;
    made.mask = mask;
    made.state = state;
    made.members = members;
    warp_.groups.push_back(made);
  }

  // Everything that is neither plain nor a branch. True: the group goes on at pc with mask; false: it is parked or
  // gone.
  bool special(const Instruction& in, uint32_t& pc, uint32_t& mask, uint32_t active) {
    if (in.flow != Flow::end && active == 0) {
      ++pc;
      return true;
    }
    switch (in.flow) {
      case Flow::exit:
      case Flow::end: {
        const uint32_t gone = in.flow == Flow::end ? mask : active;
        leave(gone);
        mask &= ~gone;
        ++pc;
        return mask != 0;
      }
      case Flow::trap:
        throw Fault{"trap", 719, __builtin_ctz(active), "the kernel executed a trap (a failed assertion, or __trap())"};
      case Flow::branchIndexed: {
        const uint32_t* index = reg<uint32_t>(warp_, in.a);
        for (uint32_t rest = active; rest != 0;) {
          const uint32_t value = index[__builtin_ctz(rest)];
          uint32_t same = 0;
          for (uint32_t look = rest; look != 0; look &= look - 1) {
            const int lane = __builtin_ctz(look);
            if (index[lane] == value) same |= 1u << lane;
          }
          if (value >= in.count) {
            throw Fault{"trap", 719, __builtin_ctz(same),
                        "brx.idx: index " + std::to_string(value) + " of a table of " + std::to_string(in.count)};
          }
          add(program_.lists[in.list + value], same);
          rest &= ~same;
        }
        mask &= ~active;
        ++pc;
        return mask != 0;
      }
      case Flow::warpSync:
        return warpSync(in, pc, mask, active);
      case Flow::warpBarrier:
        return warpBarrier(in, pc, mask, active);
      case Flow::blockBarrier:
        return blockBarrier(in, pc, mask, active);
      default:
        ++pc;
        return true;
    }
  }

  void leave(uint32_t lanes) {
    warp_.live &= ~lanes;
    for (AsyncCopies& copy : warp_.copies) {
      // Somebody else may wait where an mbarrier tracks the copy.
      reportUnawaited(warp_, copy, copy.pending & lanes & ~copy.tracked);
    }
    if (warp_.live == 0) warp_.finished = true;
    bool last = true;
    for (const auto& warp : block_.warps) last = last && warp->live == 0;
    for (std::size_t i = 0; last && i < block_.warps.size(); ++i) {
      for (AsyncCopies& copy : block_.warps[i]->copies) reportUnawaited(*block_.warps[i], copy, copy.pending);
    }
    // Those who waited for the leavers wait no longer.
    for (Group& group : warp_.groups) {
      if (group.state == GroupState::waitWarp) group.state = GroupState::ready;
    }
    for (uint32_t id = 0; id < 16; ++id) releaseBarrier(block_, id);
  }

  void reportUnawaited(Warp& warp, AsyncCopies& copy, uint32_t lanes) {
    if (lanes == 0) return;
    report(warp, code_[static_cast<std::size_t>(copy.pc)], "sync", __builtin_ctz(lanes),
           "the thread ended without waiting for this cp.async");
    copy.pending &= ~lanes;
  }

  // Lanes that name another member mask than the first go on as a group of their own. The mask of the rest.
  uint32_t splitByMembers(const Instruction& in, uint32_t pc, uint32_t& mask, uint32_t& active) {
    if (in.e == kNone) return 0xffffffffu;
    const uint32_t* given = reg<uint32_t>(warp_, in.e);
    const uint32_t members = given[__builtin_ctz(active)];
    uint32_t same = 0;
    for (uint32_t rest = active; rest != 0; rest &= rest - 1) {
      if (given[__builtin_ctz(rest)] == members) same |= rest & (0 - rest);
    }
    if (same != active) {
      Group other;
      other.pc = pc;
      other.mask = mask & ~same;
      warp_.groups.push_back(other);
      mask = active = same;
    }
    return members;
  }

  // shfl, vote, ...: all live members come to the same instruction before it is executed.
  bool warpSync(const Instruction& in, uint32_t& pc, uint32_t& mask, uint32_t active) {
    const uint32_t members = splitByMembers(in, pc, mask, active);
    if ((active & ~members) != 0 && block_.run->settings.sync) {
      report(warp_, in, "sync", __builtin_ctz(active & ~members),
             "the lane is not in the member mask of the instruction that it executes");
    }
    const uint32_t needed = members & warp_.live;
    uint32_t present = active;
    for (const Group& group : warp_.groups) {
      if (group.pc == pc && group.state == GroupState::waitWarp && group.members == members) present |= group.mask;
    }
    if ((present & needed) != needed) {
      park(pc, active, GroupState::waitWarp, members);
      mask &= ~active;
      ++pc;
      return mask != 0;
    }
    for (std::size_t i = 0; i < warp_.groups.size();) {
      const Group& group = warp_.groups[i];
      if (group.pc == pc && group.state == GroupState::waitWarp && group.members == members) {
        warp_.groups.erase(warp_.groups.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    mask |= present;
    in.fn(warp_, in, present);
    ++pc;
    return true;
  }

  // __syncwarp: the members may stand at different instructions.
  bool warpBarrier(const Instruction& in, uint32_t& pc, uint32_t& mask, uint32_t active) {
    const uint32_t members = splitByMembers(in, pc, mask, active);
    if ((active & ~members) != 0 && block_.run->settings.sync) {
      report(warp_, in, "sync", __builtin_ctz(active & ~members),
             "the lane is not in the member mask of bar.warp.sync");
    }
    const uint32_t needed = members & warp_.live;
    uint32_t present = active;
    for (const Group& group : warp_.groups) {
      if (isWarpBarrier(group) && group.members == members) present |= group.mask;
    }
    if ((present & needed) != needed) {
      park(pc, active, GroupState::waitWarp, members);
      mask &= ~active;
      ++pc;
      return mask != 0;
    }
    ++warp_.epoch;
    std::vector<Group> released;
    for (std::size_t i = 0; i < warp_.groups.size();) {
      if (isWarpBarrier(warp_.groups[i]) && warp_.groups[i].members == members) {
        released.push_back(warp_.groups[i]);
        warp_.groups.erase(warp_.groups.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    for (const Group& group : released) add(group.pc + 1, group.mask);
    ++pc;
    return true;
  }
  bool isWarpBarrier(const Group& group) const {
    return group.state == GroupState::waitWarp && code_[group.pc].flow == Flow::warpBarrier;
  }

  // bar.sync, bar.arrive, bar.red. mode: 0 sync, 1 arrive, 2 popc, 3 and, 4 or.
  bool blockBarrier(const Instruction& in, uint32_t& pc, uint32_t& mask, uint32_t active) {
    const int lane = __builtin_ctz(active);
    const uint32_t id = reg<uint32_t>(warp_, in.a)[lane];
    if (id > 15) throw Fault{"sync", 719, lane, "barrier " + std::to_string(id) + ": there are 16"};
    Barrier& barrier = block_.barriers[id];
    const uint32_t expected = in.b == kNone ? 0 : reg<uint32_t>(warp_, in.b)[lane];
    if (expected % 32 != 0 || (expected > 0 && expected > roundedThreads(block_))) {
      throw Fault{
          "sync", 719, lane,
          "a barrier for " + std::to_string(expected) + " threads in a block of " + std::to_string(block_.threads)};
    }
    if (block_.run->settings.sync && in.size == 1) {
      // .aligned: the lanes of a warp meet at one instruction. They may come one after another, as ptxas would join
      // them.
      for (const Group& group : warp_.groups) {
        if (group.state == GroupState::waitBlock && group.members == id && group.pc != pc) {
          report(warp_, in, "sync", lane,
                 "divergent barrier: other lanes of the warp wait at another barrier instruction");
        }
      }
    }
    if (counting_) warp_.counters.barriers += 1;
    if (barrier.any && barrier.expected != expected && block_.run->settings.sync) {
      report(warp_, in, "sync", lane, "threads name different thread counts for barrier " + std::to_string(id));
    }
    barrier.any = true;
    barrier.expected = expected;
    if (in.mode >= 2) {
      uint32_t votes = predicateMask(warp_, in.c) & active;
      if (in.mode == 2) barrier.reduced += static_cast<uint32_t>(__builtin_popcount(votes));
      if (in.mode == 3) barrier.reduced += static_cast<uint32_t>(__builtin_popcount(active & ~votes));
      if (in.mode == 4) barrier.reduced += votes != 0;
    }
    if (in.mode == 1) {
      barrier.arriveMask[warp_.index] |= active;
      ++pc;
    } else {
      barrier.syncMask[warp_.index] |= active;
      park(pc, active, GroupState::waitBlock, id);
      mask &= ~active;
      ++pc;
    }
    releaseBarrier(block_, id);
    return mask != 0;
  }

 public:
  static uint32_t roundedThreads(const Block& block) { return (block.threads + 31) / 32 * 32; }

  uint32_t current() const { return current_; }

 private:
  void count(uint32_t pc, uint32_t active) {
    Executed& executed = block_.executed[pc];
    executed.warps += 1;
    executed.active += active != 0;
    executed.lanes += static_cast<uint64_t>(__builtin_popcount(active));
  }

  Block& block_;
  Warp& warp_;
  const Program& program_;
  const Instruction* code_;
  bool counting_ = false, fuzz_ = false;
  int skipLine_ = 0;
  bool skipSource_ = false;  // the line is one of a .cu or .cuh file, of which the waits are left out
  uint32_t current_ = 0;
};

void deadlock(Block& block) {
  for (const auto& warp : block.warps) {
    for (const Group& group : warp->groups) {
      const char* why = group.state == GroupState::waitBlock
                            ? "deadlock: threads wait at this barrier for others that never come"
                            : "deadlock: lanes wait here for members of their mask that never come";
      report(*warp, block.run->program.code[group.pc], "sync", __builtin_ctz(group.mask), why);
    }
  }
  throw Fault{"sync", 719, -1, "deadlock"};
}

}  // namespace

bool runBlock(Block& block) {
  const std::size_t count = block.warps.size();
  RunState& run = *block.run;
  const bool fuzz = run.settings.seed != 0;
  while (block.credit > 0) {
    bool progress = false, finished = true;
    for (std::size_t turn = 0; turn < count && block.credit > 0; ++turn) {
      Warp& warp = *block.warps[(block.cursor + turn) % count];
      if (warp.finished) continue;
      finished = false;
      bool ready = false;
      for (const Group& group : warp.groups) ready = ready || group.state == GroupState::ready;
      if (!ready) continue;
      progress = true;
      // With a seed, a warp runs for a while only, so that others overtake it.
      const uint64_t before = block.credit;
      const uint64_t slice = fuzz ? 1 + nextRandom(warp.rng) % 256 : before < 100000 ? before : 100000;
      block.credit = slice < before ? slice : before;
      const uint64_t granted = block.credit;
      WarpRunner runner(block, warp);
      try {
        runner.run();
      } catch (const Fault& fault) {
        report(warp, run.program.code[runner.current()], fault.check, fault.lane, fault.message);
        throw;
      }
      block.credit = before - (granted - block.credit);
      if (block.credit == 0 && !fuzz) {
        // The next turn of the block begins behind this warp, or warps that spin would keep the others from running.
        block.cursor = (block.cursor + turn + 1) % count;
        break;
      }
    }
    if (finished) return true;
    if (!progress) deadlock(block);
    if (fuzz) block.cursor = nextRandom(block.warps[0]->rng) % count;
  }
  for (const auto& warp : block.warps) {
    if (!warp->finished) return false;
  }
  return true;
}

}  // namespace warploom::cudasim
