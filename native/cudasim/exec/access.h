// What is asked of an access besides its bounds: counters and races, once the lanes' pointers are known.
#pragma once

#include "cudasim/exec/machine.h"

namespace warploom::cudasim {

void countGlobal(Warp& warp, uint32_t mask, uint32_t bytes, Access access, uint8_t* const (&pointers)[kLanes]);
void countShared(Warp& warp, uint32_t mask, uint32_t bytes, uint8_t* const (&pointers)[kLanes]);
void checkSharedRaces(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
                      uint8_t* const (&pointers)[kLanes]);
// A cp.async has written its bytes: the writer is the lane, the time is now.
void noteAsyncWrite(Warp& warp, int lane, const uint8_t* to, uint32_t bytes);
// Remembers from now on when each warp read each granule last.
void keepReadClocks(Block& block);
// Does what is left of the lane's copies with numbers below `issued`.
void finishAsyncCopies(Warp& warp, int lane, uint32_t issued);

// Whether `lane` stores at the address of `other`, an earlier lane of the same store, the same value. One of the lanes
// wins then, and it does not matter which: code that lets all lanes write a sum they all hold is correct.
bool repeatsStore(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, int lane, int other,
                  uint8_t* const (&pointers)[kLanes]);

}  // namespace warploom::cudasim
