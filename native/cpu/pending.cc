// Weak stand-ins for kernels that have not landed yet: they fail the job by name. Deleted with the last of them.
#include "cpu/kernels.h"

#define WL_OP(name, Args) \
  __attribute__((weak)) void name(const Args&, Context& context) { context.fail(#name, "has no kernel yet"); }
#define WL_OP_SCRATCH(name, Args) \
  WL_OP(name, Args)               \
  __attribute__((weak)) int64_t name##Scratch(const Args&, int) { return 0; }

namespace warploom::cpu::baseline::ops {
#include "engine/ops.def"
}
namespace warploom::cpu::avx2::ops {
#include "engine/ops.def"
}
namespace warploom::cpu::avx512::ops {
#include "engine/ops.def"
}
