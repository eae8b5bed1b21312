// How rows of D elements are shared out where each is found by an index. Read by g++ and nvcc.
#pragma once

#include <cstdint>

namespace warploom::cuda {

constexpr int kTeamThreads = 256;  // of a block
constexpr int kTeamRounds = 4;     // groups of elements of a lane

// `lanes` neighbours, a power of two up to a warp, own one chunk of a row: kTeamRounds groups of elements each, a
// chunk's groups dealt out one by one. The teams of a launch are numbered chunk by chunk through row 0, then row 1, ...
struct RowTeam {
  int64_t chunks;  // of a row
  int32_t lanes;
  int32_t group;  // elements that move in one access: 4 where addresses allow it, else 1
};

}  // namespace warploom::cuda
