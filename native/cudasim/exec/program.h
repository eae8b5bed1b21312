// Decoded instructions: one cache line each, operands already byte offsets into a warp's register file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cudasim/ptx/ast.h"

namespace warploom::cudasim {

struct Warp;
struct Instruction;
// Does the work of the lanes in `mask`, which is never 0. Throws Fault.
using Handler = void (*)(Warp& warp, const Instruction& in, uint32_t mask);

// How the interpreter treats an instruction; everything but `plain` may change the flow or wait.
enum class Flow : uint8_t { plain, branch, branchIndexed, exit, warpSync, warpBarrier, blockBarrier, trap, end };

// For the counters.
enum class Class : uint8_t { integer, float32, float64, half, conversion, move, control, memory, mma, atomic };

constexpr uint32_t kNone = 0xffffffff;

struct alignas(64) Instruction {
  Handler fn = nullptr;
  uint32_t d = kNone, a = kNone, b = kNone, c = kNone;  // register offsets: destination, sources
  uint32_t e = kNone, d2 = kNone;                       // a fifth source (membermask), a second destination
  int64_t imm = 0;                                      // address offset, lop3 table, ...
  uint32_t guard = kNone;
  uint32_t target = 0;  // branch
  uint32_t list = 0;    // into Program::lists: vector operands, branch tables
  uint16_t count = 0;   // of the list
  uint8_t size = 0;     // bytes of one element of memory
  Flow flow = Flow::plain;
  bool guardNegated = false;
  bool addressWide = false;  // the address register holds 64 bits
  Space space = Space::generic;
  Class kind = Class::integer;
  uint8_t flops = 0;      // a lane
  bool spinning = false;  // strong: a volatile load, an atomic; may be what a spin loop polls
  bool releases = false;  // .release, .acq_rel
  uint8_t mode = 0;       // of the handler's own
};
static_assert(sizeof(Instruction) == 64 || sizeof(Instruction) == 128);

struct Place {
  int ptxLine = 0, file = 0, line = 0;
};

enum class Special : uint8_t {
  immediate,
  globalAddress,
  tidX,
  tidY,
  tidZ,
  ntidX,
  ntidY,
  ntidZ,
  ctaidX,
  ctaidY,
  ctaidZ,
  nctaidX,
  nctaidY,
  nctaidZ,
  laneid,
  warpid,
  nwarpid,
  smid,
  nsmid,
  gridid,
  lanemaskEq,
  lanemaskLe,
  lanemaskLt,
  lanemaskGe,
  lanemaskGt,
  dynamicSmemSize,
  totalSmemSize,
  reservedSmem,
  gridWorkspaceHigh,  // halves of an address
  gridWorkspaceLow,
};

// A slot that is filled before a warp starts.
struct Constant {
  Special kind;
  bool wide;
  uint32_t offset;
  uint64_t value;  // bits, or the index of a global
};

struct Program {
  std::vector<Instruction> code;  // ends with one of Flow::end
  std::vector<uint32_t> lists;
  std::vector<Constant> constants;
  std::vector<Place> places;  // by instruction
  std::vector<std::string> opcodes;
  std::vector<std::string> files;
  std::vector<const Global*> globals;
  uint32_t registerBytes = 0;  // a warp's file
  uint32_t paramBytes = 0;
  bool reservesShared = false;  // asks where the system's own shared memory lies
};

}  // namespace warploom::cudasim
