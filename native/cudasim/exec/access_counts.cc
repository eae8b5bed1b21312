// Modelled traffic of an access: sectors of global memory, bank cycles of shared memory.
#include "cudasim/exec/access.h"

namespace warploom::cudasim {

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

}  // namespace warploom::cudasim
