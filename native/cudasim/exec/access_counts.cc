// Modelled traffic of an access: sectors of global memory, bank cycles of shared memory; and what instructions count
// as.
#include "cudasim/exec/access.h"
#include "cudasim/exec/block.h"

namespace warploom::cudasim {

void countGlobal(Warp& warp, uint32_t mask, uint32_t bytes, Access access, uint8_t* const (&pointers)[kLanes]) {
  uint64_t sectors[64];
  int many = 0;
  uint64_t lanes = 0, highest = 0;
  eachLane(mask, [&](int lane) {
    ++lanes;
    const uint64_t first = reinterpret_cast<uint64_t>(pointers[lane]) / 32;
    const uint64_t last = (reinterpret_cast<uint64_t>(pointers[lane]) + bytes - 1) / 32;
    for (uint64_t s = first; s <= last; ++s) {
      // Lanes most often stand in the order of their addresses.
      bool known = false;
      if (s <= highest) {
        for (int k = many - 1; k >= 0 && !known; --k) known = sectors[k] == s;
      }
      if (known || many == 64) continue;
      sectors[many++] = s;
      highest = s > highest ? s : highest;
    }
  });
  CompulsoryBytes& compulsory = *warp.block->run->compulsory;
  eachLane(mask, [&](int lane) {
    const uint64_t at = reinterpret_cast<uint64_t>(pointers[lane]);
    warp.compulsory = compulsory.area(at, warp.compulsory);
    if (warp.compulsory == nullptr) return;
    CompulsoryBytes::mark(*warp.compulsory, at, bytes, access != Access::store, access != Access::load);
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
    uint32_t first[32], more[kLanes * 4];  // each bank's first word; words that met another one in their bank
    uint32_t perBank[32];
    uint32_t seen = 0, most = 0;
    int many = 0, extra = 0;
    for (int lane = part * width; lane < (part + 1) * width; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      if (lane > part * width && (mask >> (lane - 1) & 1) != 0 && pointers[lane] == pointers[lane - 1]) continue;
      const uint32_t offset = static_cast<uint32_t>(pointers[lane] - warp.block->shared);
      for (uint32_t word = offset / 4; word <= (offset + bytes - 1) / 4; ++word) {
        const uint32_t bank = word % 32;
        if ((seen >> bank & 1) == 0) {
          seen |= 1u << bank;
          first[bank] = word;
          perBank[bank] = 1;
        } else {
          bool known = first[bank] == word;
          for (int k = 0; k < extra && !known; ++k) known = more[k] == word;
          if (known) continue;
          more[extra++] = word;
          ++perBank[bank];
        }
        ++many;
        most = perBank[bank] > most ? perBank[bank] : most;
      }
    }
    warp.counters.sharedCycles += most;
    warp.counters.sharedIdealCycles += many > 0 ? 1 + static_cast<uint64_t>(many - 1) / 32 : 0;
  }
  warp.counters.sharedBytes += bytes * static_cast<uint64_t>(__builtin_popcount(mask));
}

void addExecuted(Block& block, Counters& c) {
  const std::vector<Instruction>& code = block.run->program.code;
  for (std::size_t pc = 0; pc < block.executed.size(); ++pc) {
    Executed& executed = block.executed[pc];
    if (executed.warps == 0) continue;
    const Instruction& in = code[pc];
    const uint64_t lanes = executed.lanes;
    c.warpInstructions += executed.warps;
    c.laneInstructions += lanes;
    switch (in.kind) {
      case Class::integer:
        c.integer += lanes;
        break;
      case Class::float32:
        c.float32 += lanes;
        c.flops32 += lanes * in.flops;
        break;
      case Class::float64:
        c.float64 += lanes;
        c.flops64 += lanes * in.flops;
        break;
      case Class::half:
        c.half += lanes;
        c.flops16 += lanes * in.flops;
        break;
      case Class::conversion:
        c.conversion += lanes;
        break;
      case Class::move:
        c.move += lanes;
        break;
      case Class::control:
        c.control += lanes;
        break;
      case Class::mma:
        c.mma += executed.active;
        c.flopsMma += executed.active * static_cast<uint64_t>(in.imm);
        break;
      case Class::atomic:
        c.atomics += lanes;
        break;
      case Class::memory:
        c.memory += lanes;
        break;
    }
    executed = Executed{};
  }
}

}  // namespace warploom::cudasim
