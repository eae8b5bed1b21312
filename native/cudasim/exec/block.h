// Building a block and stepping it.
#pragma once

#include "cudasim/exec/machine.h"

namespace warploom::cudasim {

// (Re)fills `block` for the block of that linear index: registers, shared memory, warps.
void startBlock(Block& block, RunState& run, uint64_t index);
// Runs until all warps have finished (true) or the turn's credit is spent (false). Throws Fault wrapped with its warp
// as a finding already reported; the launch is to stop then.
bool runBlock(Block& block);
// Adds what the block has executed since the last call, by class of instruction.
void addExecuted(Block& block, Counters& counters);
// Lets the warps that wait at barrier `id` go on, if all that it needs have arrived.
void releaseBarrier(Block& block, uint32_t id);

}  // namespace warploom::cudasim
