// The special registers that have a slot filled before a warp starts.
#pragma once

#include <string>

#include "cudasim/exec/program.h"

namespace warploom::cudasim {

// Null for a name that is not modelled. Clocks are instructions of their own: exec/ops_control.cc.
const Special* findSpecial(const std::string& name);

}  // namespace warploom::cudasim
