// Which kernel of kernels/copy.cu serves a copy: a pure function of dtypes, sizes, strides and addresses.
#pragma once

#include "cuda/context.h"
#include "cuda/tile.h"
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

}  // namespace warploom::cuda
