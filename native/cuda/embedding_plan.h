// How the rows of an embedding are shared out: a pure function of their number and length.
#pragma once

#include <cstdint>

#include "cuda/row_team.h"

namespace warploom::cuda {

constexpr int kLargestTeam = 32;  // lanes: a warp
constexpr int64_t kSector = 32;   // bytes

struct TeamPlan {
  RowTeam team;
  unsigned blocks;
};
// `aligned`: rows begin at addresses for 16-byte accesses where D allows it. D is not 0.
TeamPlan planTeams(int64_t rows, int64_t D, bool aligned);

}  // namespace warploom::cuda
