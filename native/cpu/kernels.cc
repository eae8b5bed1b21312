#include "cpu/kernels.h"

#include <cstring>

namespace warploom::cpu {
namespace {

#define WL_OP(name, Args) \
  {[](const void* args, Context& context) { ops::name(*static_cast<const Args*>(args), context); }, nullptr},
#define WL_OP_SCRATCH(name, Args)                                                                   \
  {[](const void* args, Context& context) { ops::name(*static_cast<const Args*>(args), context); }, \
   [](const void* args, int lanes) { return ops::name##Scratch(*static_cast<const Args*>(args), lanes); }},

namespace tables {
const OpEntry* baselineTable() {
  using namespace warploom::cpu::baseline;
  static const OpEntry entries[] = {
#include "engine/ops.def"
  };
  return entries;
}
#if defined(__x86_64__)
const OpEntry* avx2Table() {
  using namespace warploom::cpu::avx2;
  static const OpEntry entries[] = {
#include "engine/ops.def"
  };
  return entries;
}
const OpEntry* avx512Table() {
  using namespace warploom::cpu::avx512;
  static const OpEntry entries[] = {
#include "engine/ops.def"
  };
  return entries;
}
#endif
}  // namespace tables

#undef WL_OP
#undef WL_OP_SCRATCH

Isa bestIsa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
    return Isa::baseline;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    return Isa::avx512;
  }
  return Isa::avx2;
#else
  return Isa::baseline;
#endif
}

}  // namespace

Isa chooseIsa(const char* wanted) {
  const Isa best = bestIsa();
  if (wanted == nullptr || *wanted == '\0') return best;
  for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (std::strcmp(wanted, isaName(isa)) == 0) return isa <= best ? isa : best;
  }
  return best;
}

const char* isaName(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    default:
      return "baseline";
  }
}

const OpEntry* kernelTable(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512) return tables::avx512Table();
  if (isa == Isa::avx2) return tables::avx2Table();
#endif
  (void)isa;
  return tables::baselineTable();
}

}  // namespace warploom::cpu
