#include "cuda/kernels.h"

#include <string_view>
#include <type_traits>

#include "cuda/current.h"

namespace warploom::cuda {
namespace {

// Which dtypes an op's operands may have here. float64 is for the CPU: on most cards it runs at a thirty-second of
// float32's rate.
class DTypeCheck {
 public:
  void visit(const View& view) {
    if (!view.present()) return;
    if (view.dtype == DType::float64) why = "float64 is not computed on CUDA devices; use float32, or the CPU";
    if (view.dtype == DType::bfloat16 || view.dtype == DType::float16)
      why = "half types are not computed on this device yet";
  }
  void visit(const Segments& segments) {
    if (segments.dtype != DType::float32) why = "optimizers update float32 parameters on this device";
  }
  void visit(int64_t) {}
  void visit(double) {}
  void visit(int32_t) {}
  const char* why = nullptr;
};

// Whether an op only moves and writes the scalars of optimizers, which are float64 everywhere.
constexpr bool movesScalars(std::string_view name) { return name == "copy" || name == "fill"; }

inline bool converts(const UnaryArgs& args) { return args.x.dtype != args.y.dtype; }
inline bool converts(const FillArgs&) { return false; }
template <class Args>
bool converts(const Args&) {
  return true;
}

template <class Args, bool scalars>
const char* refuses(const void* args) {
  if (scalars && !converts(*static_cast<const Args*>(args))) return nullptr;
  // Their device scalars (rates, step counts, the total of the squares) are float64 everywhere.
  if (std::is_same_v<Args, OptimAdvanceArgs> || std::is_same_v<Args, SumSquaresArgs> ||
      std::is_same_v<Args, ClipFactorArgs> || std::is_same_v<Args, SgdArgs> || std::is_same_v<Args, AdamArgs>) {
    return nullptr;
  }
  DTypeCheck check;
  visitFields(*static_cast<Args*>(const_cast<void*>(args)), check);
  return check.why;
}

template <class Args, void (*run)(const Args&, CudaContext&)>
void enter(const void* args, Context& context) {
  auto& cuda = static_cast<CudaContext&>(context);
  Current current(cuda.driver(), cuda.context());
  run(*static_cast<const Args*>(args), cuda);
}

}  // namespace

const OpEntry* kernelTable() {
#define WL_OP(name, Args) {&enter<Args, &ops::name>, nullptr, &refuses<Args, movesScalars(#name)>},
#define WL_OP_SCRATCH(name, Args)                                                             \
  {&enter<Args, &ops::name>,                                                                  \
   [](const void* args, int) { return ops::name##Scratch(*static_cast<const Args*>(args)); }, \
   &refuses<Args, movesScalars(#name)>},
  static const OpEntry entries[] = {
#include "engine/ops.def"
  };
#undef WL_OP
#undef WL_OP_SCRATCH
  return entries;
}

}  // namespace warploom::cuda
