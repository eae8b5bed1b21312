// Reductions: the plan, and the one or two launches of kernels/reduce.cu that carry it out.
#include "cuda/reduce.h"

#include <cmath>

#include "cuda/kernels.h"
#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

// Up to here a row belongs to lanes of one warp, beyond to a block.
constexpr int32_t kWarpSize = 32;
constexpr int64_t kWarpRow = 1024;
// A row is cut where it is longer than two chunks: enough blocks for one long row, and enough work for each.
constexpr int64_t kRowChunk = 16384;
// The same for columns, whose chunks grow with their number, so that the second launch stays small.
constexpr int64_t kColumnChunk = 256;
// Shorter columns are each summed by one thread.
constexpr int64_t kShortColumn = 32;

// The dims [begin, end) of x behind those of `to`: without those of size 1, neighbours merged where one stride walks
// both. With `reorder` by falling stride, where the order of elements does not matter.
void appendDims(View& to, const View& x, int begin, int end, bool reorder) {
  const int first = to.rank;
  for (int dim = begin; dim < end; ++dim) {
    if (x.sizes[dim] == 1) continue;
    int at = to.rank++;
    for (; reorder && at > first && to.strides[at - 1] < x.strides[dim]; --at) {
      to.sizes[at] = to.sizes[at - 1];
      to.strides[at] = to.strides[at - 1];
    }
    to.sizes[at] = x.sizes[dim];
    to.strides[at] = x.strides[dim];
  }
  int last = first;
  for (int dim = first + 1; dim < to.rank; ++dim) {
    if (to.strides[last] == to.strides[dim] * to.sizes[dim]) {
      to.sizes[last] *= to.sizes[dim];
    } else {
      to.sizes[++last] = to.sizes[dim];
    }
    to.strides[last] = to.strides[dim];
  }
  if (to.rank > first) to.rank = last + 1;
}

int32_t powerOfTwo(int64_t atLeast, int32_t most) {
  int32_t power = 1;
  while (power < most && power < atLeast) power *= 2;
  return power;
}

bool packs(const View& x, int kept, int64_t count) {
  const int64_t itemBytes = itemSize(x.dtype);
  bool whole = count % 4 == 0 && isAligned(x.data, static_cast<std::size_t>(4 * itemBytes));
  for (int dim = 0; dim < kept; ++dim) whole = whole && x.strides[dim] % 4 == 0;
  return whole;
}

bool isArg(Reduction reduction) { return reduction == Reduction::argmax || reduction == Reduction::argmin; }
bool isSum(Reduction reduction) { return reduction == Reduction::sum || reduction == Reduction::mean; }

ReduceResult resultOf(const View& y, Reduction reduction) {
  if (isArg(reduction)) return ReduceResult::position;
  if (reduction == Reduction::mean) return ReduceResult::mean;
  return isSum(reduction) && y.dtype == DType::int32 ? ReduceResult::int32 : ReduceResult::value;
}

// What a chunk's result is kept in.
DType partDType(const View& x, Reduction reduction) {
  return isSum(reduction) && x.dtype != DType::float32 ? DType::int64 : x.dtype;
}

// The bytes of the chunks' results, a multiple of what positions behind them are aligned to.
int64_t partBytes(int64_t parts, DType dtype) {
  constexpr int64_t kPosition = sizeof(uint32_t);
  return ceilDiv(parts * itemSize(dtype), kPosition) * kPosition;
}

const char* entryOf(DType dtype, bool sum, bool columns) {
#define WL_NAMES(dtype)                                                          \
  sum ? (columns ? "reduce_sum_" dtype "_columns" : "reduce_sum_" dtype "_rows") \
      : (columns ? "reduce_extreme_" dtype "_columns" : "reduce_extreme_" dtype "_rows")
  switch (dtype) {
    case DType::float32:
      return WL_NAMES("f32");
    case DType::int32:
      return WL_NAMES("i32");
    case DType::int64:
      return WL_NAMES("i64");
    default:
      return WL_NAMES("u8");
  }
#undef WL_NAMES
}

void launch(const ReduceLaunch& chosen, Reduction reduction, CudaContext& context) {
  context.launch("reduce", entryOf(chosen.args.x.dtype, isSum(reduction), chosen.columns), {chosen.blocks},
                 {kReduceThreads}, 0, chosen.args, chosen.plan);
}

}  // namespace

ReduceLaunch planReduce(const ReduceArgs& given, Reduction reduction) {
  ReduceLaunch chosen = {};
  View& x = chosen.args.x;
  static_cast<View&>(chosen.args.y) = given.y;
  x.data = given.x.data;
  x.dtype = given.x.dtype;
  ReducePlan& plan = chosen.plan;
  plan.outputs = plan.count = 1;
  const int keptDims = static_cast<int>(given.kept);
  for (int dim = 0; dim < given.x.rank; ++dim) (dim < keptDims ? plan.outputs : plan.count) *= given.x.sizes[dim];
  appendDims(x, given.x, 0, keptDims, false);
  const int kept = x.rank;
  chosen.args.kept = kept;
  appendDims(x, given.x, keptDims, given.x.rank, !isArg(reduction));
  const int reduced = x.rank - kept;
  plan.single = reduced <= 1;
  plan.innerStride = reduced == 0 ? 1 : x.strides[x.rank - 1];
  plan.inner = kept == 0 ? 1 : x.sizes[kept - 1];
  plan.divisor = plan.count;
  plan.result = resultOf(given.y, reduction);
  plan.largest = reduction == Reduction::max || reduction == Reduction::argmax;
  plan.wide = !fits32({&x});
  for (int dim = 0; dim < x.rank; ++dim) plan.inverse[dim] = 1.0 / static_cast<double>(x.sizes[dim]);

  const bool run = plan.single && plan.innerStride == 1;
  const bool neighbours = !run && kept > 0 && x.strides[kept - 1] == 1;
  chosen.columns = neighbours && plan.count > kShortColumn;
  plan.access = !run ? ReduceAccess::strided : packs(x, kept, plan.count) ? ReduceAccess::packed : ReduceAccess::run;
  int64_t chunk = kRowChunk, groups;
  if (chosen.columns) {
    plan.width = powerOfTwo(plan.inner, kWarpSize);
    chunk = kColumnChunk;
    while (chunk * chunk < plan.count) chunk *= 2;
    plan.tiles = ceilDiv(plan.inner, plan.width);
    groups = plan.inner == 0 ? 0 : plan.outputs / plan.inner * plan.tiles;
  } else {
    const int64_t lanes = neighbours ? 1 : plan.count % 4 == 0 ? plan.count / 4 : plan.count;
    plan.width = plan.count > kWarpRow ? kReduceThreads : powerOfTwo(lanes, kWarpSize);
    groups = plan.outputs;
  }
  plan.chunks = plan.count <= 2 * chunk ? 1 : ceilDiv(plan.count, chunk);
  plan.chunk = plan.chunks == 1 ? plan.count : chunk;
  const int64_t tasks = groups * plan.chunks;
  chosen.blocks = static_cast<unsigned>(chosen.columns ? tasks : ceilDiv(tasks, kReduceThreads / plan.width));
  if (plan.outputs == 0) chosen.blocks = 0;
  return chosen;
}

int64_t reduceScratch(const ReduceArgs& args, Reduction reduction) {
  const ReduceLaunch chosen = planReduce(args, reduction);
  if (chosen.plan.chunks == 1) return 0;
  const int64_t parts = chosen.plan.outputs * chosen.plan.chunks;
  const int64_t positionBytes = isSum(reduction) ? 0 : parts * static_cast<int64_t>(sizeof(uint32_t));
  return partBytes(parts, partDType(args.x, reduction)) + positionBytes;
}

void reduceAtOnce(const ReduceArgs& args, Reduction reduction, int64_t divisor, const uint32_t* positions,
                  CudaContext& context) {
  ReduceLaunch only = planReduce(args, reduction);
  only.plan.positionsIn = positions;
  only.plan.divisor = divisor;
  only.blocks = static_cast<unsigned>(only.blocks / only.plan.chunks);
  only.plan.chunks = 1;
  only.plan.chunk = only.plan.count;
  launch(only, reduction, context);
}

void reduce(const ReduceArgs& args, Reduction reduction, CudaContext& context) {
  ReduceLaunch first = planReduce(args, reduction);
  if (first.blocks == 0) return;
  if (first.plan.chunks == 1) return launch(first, reduction, context);

  const int64_t outputs = first.plan.outputs, chunks = first.plan.chunks;
  View parts = {};
  parts.dtype = partDType(args.x, reduction);
  parts.data = context.scratch();
  parts.rank = 2;
  parts.sizes[0] = outputs;
  parts.sizes[1] = chunks;
  parts.strides[0] = first.columns ? 1 : chunks;
  parts.strides[1] = first.columns ? outputs : 1;
  uint32_t* positions = nullptr;
  if (!isSum(reduction)) {
    positions = reinterpret_cast<uint32_t*>(parts.as<char>() + partBytes(outputs * chunks, parts.dtype));
  }
  first.args.y.data = parts.data;
  first.plan.positionsOut = positions;
  launch(first, reduction, context);

  ReduceArgs rest = {};
  static_cast<View&>(rest.x) = parts;
  static_cast<View&>(rest.y) = args.y;
  rest.kept = 1;
  reduceAtOnce(rest, reduction, first.plan.divisor, positions, context);
}

namespace ops {

#define WL_REDUCTION(name)                                                                            \
  void name(const ReduceArgs& args, CudaContext& context) { reduce(args, Reduction::name, context); } \
  int64_t name##Scratch(const ReduceArgs& args) { return reduceScratch(args, Reduction::name); }
WL_REDUCTION(sum)
WL_REDUCTION(mean)
WL_REDUCTION(max)
WL_REDUCTION(min)
WL_REDUCTION(argmax)
WL_REDUCTION(argmin)
#undef WL_REDUCTION

}  // namespace ops
}  // namespace warploom::cuda
