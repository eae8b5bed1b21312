// Barriers that are objects in shared memory. What a program can read of one are its 8 bytes; the rest stands here.
#pragma once

#include <cstdint>
#include <vector>

namespace warploom::cudasim {

// What warps knew when they arrived: of it all who wait know afterwards. See Warp::clock and GlobalOrder.
struct Knowledge {
  uint32_t clock[32] = {}, known[32] = {}, fenced[32] = {};
  uint64_t received = 0;
};

// An arrival that the system owes for a lane, once the copies that the lane had issued before number `issued` are done.
struct OwedArrival {
  uint32_t warp = 0;
  int lane = 0;
  uint32_t issued = 0;
};

struct MBarrier {
  Knowledge gathered, passed;  // by all arrivals so far, and by those of completed phases
  uint32_t seen[32] = {};      // by warp: one more than the last phase that it saw complete
  std::vector<OwedArrival> owed;
  uint32_t thread = 0, clock = 0, epoch = 0;  // who initialised it, and when
};

}  // namespace warploom::cudasim
