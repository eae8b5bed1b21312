// What a launch did. Sectors, bank cycles and the like are models of the hardware, not measurements.
#pragma once

#include <cstdint>
#include <string>

namespace warploom::cudasim {

struct Counters {
  uint64_t launches = 0;
  uint64_t warpInstructions = 0, laneInstructions = 0;
  uint64_t integer = 0, float32 = 0, float64 = 0, half = 0, conversion = 0, move = 0, control = 0;  // lane instructions
  uint64_t memory = 0;  // loads, stores, copies
  uint64_t flops32 = 0, flops64 = 0, flops16 = 0, flopsMma = 0;
  uint64_t mma = 0;  // warp instructions
  uint64_t globalLoadRequests = 0, globalStoreRequests = 0;
  uint64_t globalLoadSectors = 0, globalStoreSectors = 0;  // 32 bytes each, modelled
  uint64_t globalLoadBytes = 0, globalStoreBytes = 0;      // asked for by lanes
  // Bytes that any kernel with this result must move: read before they are written, and written, once each.
  uint64_t compulsoryLoadBytes = 0, compulsoryStoreBytes = 0;
  uint64_t sharedCycles = 0, sharedIdealCycles = 0;  // modelled bank cycles
  uint64_t sharedBytes = 0;
  uint64_t localBytes = 0;  // spills and stack
  uint64_t barriers = 0, divergentBranches = 0, branches = 0, atomics = 0;

  // The share of lanes that were at work; 0 where nothing was executed.
  double simtEfficiency() const;
  void add(const Counters& other);
  // One JSON object, no newline.
  std::string json(const std::string& kernel) const;
};

}  // namespace warploom::cudasim
