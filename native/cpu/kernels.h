// The tables of CPU kernels, one per instruction set, generated from ops.def. A kernel that is missing is a link error.
#pragma once

#include "engine/backend.h"
#include "engine/ops.h"

namespace warploom::cpu {

#define WL_OP(name, Args) void name(const Args& args, Context& context);
#define WL_OP_SCRATCH(name, Args)                \
  void name(const Args& args, Context& context); \
  int64_t name##Scratch(const Args& args, int lanes);
namespace baseline::ops {
#include "engine/ops.def"
}
#if defined(__x86_64__)
namespace avx2::ops {
#include "engine/ops.def"
}
namespace avx512::ops {
#include "engine/ops.def"
}
#endif
#undef WL_OP
#undef WL_OP_SCRATCH

enum class Isa { baseline = 0, avx2 = 1, avx512 = 2 };

// The best instruction set of this machine, or a lesser one on request ("baseline", "avx2", "avx512"; null or empty:
// best).
Isa chooseIsa(const char* wanted);
const char* isaName(Isa isa);
// Table of kOpCount entries.
const OpEntry* kernelTable(Isa isa);

}  // namespace warploom::cpu
