// Copies between any two dtypes and layouts: bytes where dtypes are equal and rows dense, else units as wide as layouts
// allow; tiles where x and y are dense along different dims.
#include "cuda/dims.h"
#include "cuda/kernels.h"
#include "cuda/move_plan.h"

namespace warploom::cuda {
namespace {

constexpr int64_t kThreads = 256;  // as in kernels/copy.cu
constexpr int64_t kPerThread = 4;
constexpr int64_t kLeastSide = 8;  // a tile that is emptier than this does not pay

// The kernels of one dtype; bool's bytes are read as uint8.
struct Entries {
  const char *dense, *strided32, *strided64, *transposed;
};
#define WL_ENTRIES(type) \
  { "copy_" type "_dense", "copy_" type "_strided32", "copy_" type "_strided64", "copy_" type "_transposed" }
const Entries& entriesOf(DType from) {
  static constexpr Entries f32 = WL_ENTRIES("f32"), i32 = WL_ENTRIES("i32"), i64 = WL_ENTRIES("i64"),
                           u8 = WL_ENTRIES("u8");
  switch (from) {
    case DType::float32:
      return f32;
    case DType::int32:
      return i32;
    case DType::int64:
      return i64;
    default:
      return u8;
  }
}
#undef WL_ENTRIES

const char* moveEntry(int64_t unit, bool small) {
  if (unit == 16) return small ? "move_b16_strided32" : "move_b16_strided64";
  if (unit == 8) return small ? "move_b8_strided32" : "move_b8_strided64";
  if (unit == 4) return small ? "move_b4_strided32" : "move_b4_strided64";
  return small ? "move_b1_strided32" : "move_b1_strided64";
}

// The dim along which x is dense, where it is another than y's and both are long; else -1.
int transposedDim(const View& x, const View& y) {
  const int last = y.rank - 1;
  int dense = last;
  for (int dim = 0; dim < last; ++dim) {
    if (x.strides[dim] > 0 && x.strides[dim] < x.strides[dense]) dense = dim;
  }
  return dense != last && y.sizes[dense] >= kLeastSide && y.sizes[last] >= kLeastSide ? dense : -1;
}

void planTransposed(CopyPlan& plan, int dense) {
  View &x = plan.args.x, &y = plan.args.y;
  plan.shape = CopyShape::transposed;
  plan.entry = entriesOf(x.dtype).transposed;
  const int last = y.rank - 1;
  plan.tile = {y.sizes[dense], y.sizes[last], x.strides[dense], x.strides[last], y.strides[dense], y.strides[last]};
  swapDims(x, dense, last - 1);
  swapDims(y, dense, last - 1);
  x.rank = y.rank = last - 1;
  const int64_t tiles = ceilDiv(plan.tile.rows, kTile) * ceilDiv(plan.tile.columns, kTile) * y.numel();
  plan.grid = {static_cast<unsigned>(tiles)};
  plan.block = {kTile, kTileRows};
}

}  // namespace

CopyPlan planCopy(const UnaryArgs& given) {
  CopyPlan plan;
  plan.args = given;
  View &x = plan.args.x, &y = plan.args.y;
  const int64_t n = y.numel();
  if (n == 0) return plan;
  const bool move = x.dtype == y.dtype;
  // Bools that stay bools are moved as they are.
  plan.to = move && y.dtype == DType::boolean ? DType::uint8 : y.dtype;
  const int64_t item = itemSize(x.dtype);
  plan.block = {kThreads};
  sortDims(y, {&x});
  mergeDims({&x, &y});
  if (isDenseRow(x) && isDenseRow(y)) {
    plan.shape = CopyShape::dense;
    plan.entry = move ? "move_dense" : entriesOf(x.dtype).dense;
    plan.count = move ? n * item : n;
    const int64_t group = move ? kWidest : kWidest / std::max(item, itemSize(y.dtype));
    plan.grid = {static_cast<unsigned>(ceilDiv(plan.count, kThreads * group))};
    return plan;
  }
  const int dense = transposedDim(x, y);
  if (dense >= 0) {
    planTransposed(plan, dense);
    return plan;
  }
  plan.shape = CopyShape::strided;
  if (move) {
    const int64_t unit = widen({&x, &y}, item);
    plan.entry = moveEntry(unit, fits32({&x, &y}));
  } else {
    const Entries& entries = entriesOf(x.dtype);
    plan.entry = fits32({&x, &y}) ? entries.strided32 : entries.strided64;
  }
  plan.count = y.numel();
  plan.grid = {static_cast<unsigned>(ceilDiv(plan.count, kThreads * kPerThread))};
  return plan;
}

namespace ops {

void copy(const UnaryArgs& args, CudaContext& context) {
  const CopyPlan plan = planCopy(args);
  const bool move = args.x.dtype == args.y.dtype;
  const auto launch = [&](const auto&... params) {
    context.launch("copy", plan.entry, plan.grid, plan.block, 0, params...);
  };
  switch (plan.shape) {
    case CopyShape::nothing:
      return;
    case CopyShape::transposed:
      return launch(plan.args, plan.tile, plan.to);
    default:
      return move ? launch(plan.args, plan.count) : launch(plan.args, plan.count, plan.to);
  }
}

}  // namespace ops
}  // namespace warploom::cuda
