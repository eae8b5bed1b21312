// Tensors from nothing: constants and ramps. Random draws stand in random.cc.
#include <cmath>
#include <cstring>

#include "cuda/dims.h"
#include "cuda/kernels.h"
#include "cuda/move_plan.h"
#include "cuda/scalar.h"

namespace warploom::cuda {
namespace {

constexpr int64_t kThreads = 256;  // as in kernels/create.cu
constexpr int64_t kPerThread = 4;

const char* fillEntry(int64_t unit, bool small) {
  if (unit == 16) return small ? "fill_b16_strided32" : "fill_b16_strided64";
  if (unit == 8) return small ? "fill_b8_strided32" : "fill_b8_strided64";
  if (unit == 4) return small ? "fill_b4_strided32" : "fill_b4_strided64";
  return small ? "fill_b1_strided32" : "fill_b1_strided64";
}

// The value as often as eight bytes hold it: every unit of a kernel then begins with the low bytes.
uint64_t pattern(double value, DType dtype) {
  uint64_t bits = scalarBits(value, dtype);
  if (dtype == DType::float64) std::memcpy(&bits, &value, sizeof(value));
  switch (itemSize(dtype)) {
    case 8:
      return bits;
    case 4:
      return (bits & 0xffffffff) * 0x100000001;
    default:
      return (bits & 0xff) * 0x0101010101010101;
  }
}

}  // namespace

FillPlan planFill(const FillArgs& given) {
  FillPlan plan;
  plan.args = given;
  View& y = plan.args.y;
  if (y.numel() == 0) return plan;
  plan.block = {kThreads};
  const int64_t item = itemSize(y.dtype);
  sortDims(y, {});
  mergeDims({&y});
  if (isDenseRow(y)) {
    plan.entry = "fill_dense";
    plan.count = y.sizes[0] * item;
    plan.grid = {static_cast<unsigned>(ceilDiv(plan.count, kThreads * kWidest))};
    return plan;
  }
  const int64_t unit = widen({&y}, item);
  plan.entry = fillEntry(unit, fits32({&y}));
  plan.count = y.numel();
  plan.grid = {static_cast<unsigned>(ceilDiv(plan.count, kThreads * kPerThread))};
  return plan;
}

namespace ops {

void fill(const FillArgs& args, CudaContext& context) {
  const FillPlan plan = planFill(args);
  if (plan.entry == nullptr) return;
  context.launch("create", plan.entry, plan.grid, plan.block, 0, plan.args, pattern(args.value, args.y.dtype),
                 plan.count);
}

void arange(const ArangeArgs& args, CudaContext& context) {
  const DType dtype = args.y.dtype;
  const int64_t n = args.y.numel();
  if (n == 0) return;
  if (dtype == DType::boolean) return context.fail("arange", "there are no ramps of bools; choose another dtype");
  // Floats are computed in float64 and rounded once; integers in int64 where start and step are whole.
  constexpr double kLimit = 9007199254740992.0;  // beyond 2^53 a double is no exact integer
  const auto whole = [](double x) { return std::floor(x) == x && std::fabs(x) <= kLimit; };
  const bool exact = dtype != DType::float32 && whole(args.start) && whole(args.step);
  const int64_t blocks = ceilDiv(n, kThreads * kPerThread);
  context.launch("create", exact ? "arange_whole" : "arange_rounded", {static_cast<unsigned>(blocks)}, {kThreads}, 0,
                 args, n);
}

}  // namespace ops
}  // namespace warploom::cuda
