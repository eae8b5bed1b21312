// Opcodes as the table of forms lists them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cudasim/ptx/ast.h"

namespace warploom::cudasim {

struct Normal {
  std::string name;
  bool spinning = false;
  bool releases = false;
  bool cacheHint = false;
};

// Memory instructions say much that changes nothing here: caches, scopes, orderings (the simulated memory is
// sequentially consistent). The table lists them without.
Normal normalize(const std::string& opcode);

// Which parts of a register a video instruction works on: %r1.b3, %r1.h10, -%r1.b0.
struct Selector {
  uint32_t count = 0;  // 0: none is given
  bool halves = false;
  bool negated = false;
  uint32_t places[4] = {0, 0, 0, 0};  // as written
};
// They stand in Instruction::imm, above the form's own number.
constexpr int kSelectorsFrom = 12;

// Takes the selectors out of the operands of a video instruction; -1 where an operand has what is none. Sources are
// negated in vmad only, whose d has no selector: there the first stands for the negation of c.
int64_t packSelectors(std::vector<Operand>& operands);
void unpackSelectors(int64_t imm, Selector (&select)[3]);  // of d, a, b

}  // namespace warploom::cudasim
