// What the parser makes of PTX text: functions with resolved names, before decoding.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cudasim/ptx/lexer.h"
#include "cudasim/ptx/module.h"

namespace warploom::cudasim {

enum class RegisterType : uint8_t { predicate, bits8, bits16, bits32, bits64, bits128 };

enum class Space : uint8_t { generic, global, constant, shared, local, param };

struct Operand {
  enum Kind : uint8_t {
    reg,        // id
    immediate,  // bits; literal says how it was written
    special,    // name: "%tid.x"
    variable,   // space and value: the address of a variable, or its offset in its window
    label,      // id
    vector,     // parts
    address,    // [parts[0] + value]
    sink,       // _
    function,   // name
  };
  Kind kind = sink;
  TokenKind literal = TokenKind::integer;
  bool negated = false;  // !%p
  Space space = Space::generic;
  bool formal = false;         // a parameter of a .func: id says which, until it is bound to the caller's variable
  bool dynamicShared = false;  // a variable without a size, behind all others
  int id = -1;                 // register, label, global (space global or constant), formal
  int64_t value = 0;           // immediate bits, or byte offset
  std::string name;
  std::vector<Operand> parts;
};

struct Statement {
  std::string opcode;  // with all modifiers
  int guard = -1;      // predicate register
  bool guardNegated = false;
  int ptxLine = 0, file = 0, line = 0;
  std::vector<Operand> operands;  // a pair d|p is two operands, the second follows with pairWith set
  bool hasPair = false;           // operands[1] was written behind a bar
};

// Whom a call through a register may reach: the named functions, or all of a shape.
struct CallList {
  bool prototype = false;
  std::vector<std::string> names;
  std::vector<Param> returns, params;
};

struct Function {
  std::string name;
  bool entry = false;
  bool defined = false;
  int ptxLine = 0;
  std::vector<Param> params, returns;
  std::vector<RegisterType> registers;
  std::vector<Statement> body;
  std::vector<int> labels;                                          // statement index of each label
  std::unordered_map<std::string, std::vector<int>> branchTargets;  // .branchtargets lists
  std::unordered_map<std::string, CallList> callLists;              // .calltargets and .callprototype
  uint32_t localBytes = 0, sharedBytes = 0;                         // .param variables of calls live in local memory
  Kernel attributes;                                                // an entry's .maxntid and the like
};

struct ParsedModule {
  std::unique_ptr<Module> module;
  std::vector<std::unique_ptr<Function>> functions;
  std::unordered_map<std::string, Function*> byName;
  uint32_t moduleSharedBytes = 0;  // shared variables of module scope stand before every kernel's own
};

// What a register holds that points to a function of the module: no address of memory.
uint64_t functionAddress(const ParsedModule& parsed, const Function& function);

// Throws PtxError.
ParsedModule parsePtx(const char* text, std::size_t length);

// Replaces the calls of an entry by the bodies of the functions. Throws PtxError on recursion, and on calls of what is
// not defined in the module.
void inlineCalls(const ParsedModule& parsed, Function& entry);

// Decodes an entry. Throws PtxError naming what is not modelled. share: registers that never live at the same place
// share a slot.
void decodeKernel(const ParsedModule& parsed, const Function& entry, Kernel& kernel, bool share);

}  // namespace warploom::cudasim
