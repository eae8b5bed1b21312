// Where the values of a kernel live: liveness over its decoded instructions, then a linear scan, so that values that
// are never needed at the same place share a slot of the warp's register file.
#pragma once

#include <cstdint>
#include <vector>

#include "cudasim/exec/program.h"

namespace warploom::cudasim {

// The decoder gives every register a slot of its own; this says what it gave.
struct VirtualRegisters {
  std::vector<uint32_t> widths;      // by slot (offset / 128): bytes a lane, 4 or 8; 0 for the second half of an 8
  std::vector<uint16_t> listWrites;  // by instruction: how many entries of its list, the first ones, are written
};

// Rewrites the program to use few slots. Returns how many slots of 4 bytes a lane the registers take, constants left
// out.
//
// Why this holds for diverged groups: a lane of a slot is read and written only by instructions that this lane executes
// (handlers leave lanes outside their mask as they are), so what counts is one lane's own path through the code. It
// stands at one instruction at a time, and at that instruction only registers live there, or written there, matter to
// it. Operations that look at other lanes (shfl, vote, match, redux, mma, ldmatrix) read lanes that take part, which
// stand at the same instruction. Slots of 4 and of 8 bytes a lane are never exchanged: in those, one lane's bytes are
// other lanes' bytes of the other kind.
uint32_t shareRegisters(Program& program, const VirtualRegisters& registers);

}  // namespace warploom::cudasim
