// When a block barrier opens, and what crosses it.
#include <algorithm>

#include "cudasim/exec/block.h"

namespace warploom::cudasim {

namespace {

// Lanes that left the kernel while others of their warp meet at a barrier: the hardware's behaviour is not defined.
void checkLeft(Block& block, const Barrier& barrier, uint32_t id) {
  for (const auto& warp : block.warps) {
    const uint32_t here = barrier.syncMask[warp->index] | barrier.arriveMask[warp->index];
    const uint32_t first = warp->index * kLanes;
    const uint32_t all = block.threads - first >= kLanes ? 0xffffffffu : (1u << (block.threads - first)) - 1;
    if (here == 0 || here == all) continue;
    for (const Group& group : warp->groups) {
      if (group.state != GroupState::waitBlock || group.members != id) continue;
      const Instruction& in = block.run->program.code[group.pc];
      if (in.size != 1) continue;
      report(*warp, in, "sync", __builtin_ctz(all & ~here),
             "divergent barrier: this thread ended without it, while " + std::to_string(__builtin_popcount(here)) +
                 " others of its warp wait here");
    }
  }
}

}  // namespace

// A warp counts as arrived as a whole once all its live lanes have: the hardware's barrier counts warps.
void releaseBarrier(Block& block, uint32_t id) {
  Barrier& barrier = block.barriers[id];
  if (!barrier.any) return;
  uint32_t arrived = 0, needed = 0;
  for (const auto& warp : block.warps) {
    const uint32_t here = barrier.syncMask[warp->index] | barrier.arriveMask[warp->index];
    const bool complete = here != 0 && (here & warp->live) == warp->live;
    if (barrier.expected == 0) {
      if (warp->live != 0) {
        ++needed;
        if (complete) ++arrived;
      }
    } else if (complete) {
      ++arrived;
    }
  }
  if (barrier.expected != 0) needed = barrier.expected / 32;
  if (arrived < needed || arrived == 0) return;
  if (block.run->settings.sync) checkLeft(block, barrier, id);
  if (block.run->races != nullptr) block.run->races->join(block, barrier);
  const uint32_t reduced = barrier.reduced;
  // What any participant did or knew before is behind every one that waited; the clocks of all move to one value.
  uint32_t joined[32] = {};
  uint32_t most = 0;
  const auto takesPart = [&](uint32_t i) { return (barrier.syncMask[i] | barrier.arriveMask[i]) != 0; };
  for (const auto& warp : block.warps) {
    if (!takesPart(warp->index)) continue;
    for (int i = 0; i < 32; ++i) joined[i] = std::max(joined[i], warp->clock[i]);
    most = std::max(most, warp->clock[warp->index]);
  }
  for (const auto& warp : block.warps) {
    if (takesPart(warp->index)) joined[warp->index] = most + 1;
  }
  for (const auto& warp : block.warps) {
    const uint32_t i = warp->index;
    if (barrier.syncMask[i] != 0) std::copy(joined, joined + 32, warp->clock);
    if (takesPart(i)) {
      warp->clock[i] = most + 1;
      ++warp->epoch;
    }
    if (barrier.syncMask[i] == 0) continue;
    std::vector<Group> released;
    for (std::size_t k = 0; k < warp->groups.size();) {
      const Group& group = warp->groups[k];
      if (group.state == GroupState::waitBlock && group.members == id) {
        released.push_back(group);
        warp->groups.erase(warp->groups.begin() + static_cast<std::ptrdiff_t>(k));
      } else {
        ++k;
      }
    }
    for (const Group& group : released) {
      const Instruction& in = block.run->program.code[group.pc];
      if (in.mode >= 2) {
        const uint32_t value = in.mode == 2 ? reduced : (in.mode == 3) == (reduced == 0) ? 0xffffffffu : 0u;
        eachLane(group.mask, [&](int lane) { reg<uint32_t>(*warp, in.d)[lane] = value; });
      }
      bool merged = false;
      for (Group& other : warp->groups) {
        if (other.pc == group.pc + 1 && other.state == GroupState::ready) {
          other.mask |= group.mask;
          merged = true;
        }
      }
      if (!merged) {
        Group next;
        next.pc = group.pc + 1;
        next.mask = group.mask;
        warp->groups.push_back(next);
      }
    }
  }
  barrier = Barrier{};
}

}  // namespace warploom::cudasim
