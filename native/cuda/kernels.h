// The host side of every op, one function each: it looks at shapes and dtypes, chooses a kernel, and launches it with
// the op's argument struct. `name##Scratch` sizes the scratch memory of ops that use some, by the same chooser.
#pragma once

#include "cuda/context.h"
#include "engine/ops.h"

namespace warploom::cuda {

namespace ops {
#define WL_OP(name, Args) void name(const Args& args, CudaContext& context);
#define WL_OP_SCRATCH(name, Args)                    \
  void name(const Args& args, CudaContext& context); \
  int64_t name##Scratch(const Args& args);
#include "engine/ops.def"
#undef WL_OP
#undef WL_OP_SCRATCH
}  // namespace ops

// By OpId.
const OpEntry* kernelTable();

}  // namespace warploom::cuda
