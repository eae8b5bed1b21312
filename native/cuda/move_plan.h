// Which kernel of kernels/copy.cu, where.cu and create.cu moves what: pure functions of dtypes, sizes, strides and
// addresses.
#pragma once

#include "cuda/context.h"
#include "cuda/tile.h"
#include "engine/args/create.h"
#include "engine/args/elementwise.h"

namespace warploom::cuda {

enum class CopyShape { nothing, dense, strided, transposed };

struct CopyPlan {
  CopyShape shape = CopyShape::nothing;
  const char* entry = nullptr;
  Size3 grid, block;
  UnaryArgs args;     // dims in the order of the kernel; of a transposed copy only those of the batch
  Tile tile = {};     // of a transposed copy
  DType to = {};      // what the kernel converts to
  int64_t count = 0;  // bytes of a dense move, else elements
};

CopyPlan planCopy(const UnaryArgs& args);

// entry is null where there is nothing to do. count: bytes of a dense fill, else elements or units.
struct FillPlan {
  const char* entry = nullptr;
  Size3 grid, block;
  FillArgs args;
  int64_t count = 0;
};
FillPlan planFill(const FillArgs& args);

struct WherePlan {
  const char* entry = nullptr;
  Size3 grid, block;
  WhereArgs args;
  int64_t count = 0;
};
WherePlan planWhere(const WhereArgs& args);

}  // namespace warploom::cuda
