// Opcodes as the table of forms lists them.
#pragma once

#include <string>

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

}  // namespace warploom::cudasim
