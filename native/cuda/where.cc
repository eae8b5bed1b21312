// y = cond ? a : b. Bits are moved and never looked at, so that elements are units of 1, 4 or 8 bytes.
#include "cuda/dims.h"
#include "cuda/kernels.h"
#include "cuda/move_plan.h"
#include "cuda/scalar.h"

namespace warploom::cuda {
namespace {

constexpr int64_t kThreads = 256;  // as in kernels/where.cu
constexpr int64_t kPerThread = 4;

enum class Shape { dense, strided32, strided64 };

const char* entryOf(int64_t item, Shape shape) {
  static constexpr const char* entries[3][3] = {{"where_b1_dense", "where_b1_strided32", "where_b1_strided64"},
                                                {"where_b4_dense", "where_b4_strided32", "where_b4_strided64"},
                                                {"where_b8_dense", "where_b8_strided32", "where_b8_strided64"}};
  return entries[item == 8 ? 2 : item == 4 ? 1 : 0][static_cast<int>(shape)];
}

}  // namespace

WherePlan planWhere(const WhereArgs& given) {
  WherePlan plan;
  plan.args = given;
  WhereArgs& args = plan.args;
  plan.count = args.y.numel();
  if (plan.count == 0) return plan;
  const int64_t item = itemSize(args.y.dtype);
  sortDims(args.y, {&args.cond, &args.a, &args.b});
  mergeDims({&args.y, &args.cond, &args.a, &args.b});
  const auto row = [](const View& view) { return !view.present() || isDenseRow(view); };
  const bool dense = row(args.cond) && row(args.a) && row(args.b) && row(args.y);
  const bool small = fits32({&args.cond, &args.a, &args.b, &args.y});
  plan.entry = entryOf(item, dense ? Shape::dense : small ? Shape::strided32 : Shape::strided64);
  plan.grid = {static_cast<unsigned>(ceilDiv(plan.count, kThreads * (dense ? kWidest / item : kPerThread)))};
  plan.block = {kThreads};
  return plan;
}

namespace ops {

void where(const WhereArgs& args, CudaContext& context) {
  const WherePlan plan = planWhere(args);
  if (plan.entry == nullptr) return;
  const DType dtype = args.y.dtype;
  context.launch("where", plan.entry, plan.grid, plan.block, 0, plan.args, scalarBits(args.aScalar, dtype),
                 scalarBits(args.bScalar, dtype), plan.count);
}

}  // namespace ops
}  // namespace warploom::cuda
