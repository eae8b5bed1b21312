#include "cpu/reduce_plan.h"

namespace warploom::cpu {
namespace {

// Elements of a chunk: large enough to hide the hand-off between threads, small enough for the second-level cache.
constexpr int64_t kChunk = 65536;
constexpr int64_t kLeastRows = 256;

Dims mergedDims(const View& x, int begin, int end, bool reorder) {
  Dims dims;
  for (int d = begin; d < end; ++d) {
    if (x.sizes[d] == 1) continue;
    int at = dims.rank++;
    for (; reorder && at > 0 && dims.strides[at - 1] < x.strides[d]; --at) {
      dims.sizes[at] = dims.sizes[at - 1];
      dims.strides[at] = dims.strides[at - 1];
    }
    dims.sizes[at] = x.sizes[d];
    dims.strides[at] = x.strides[d];
  }
  int last = 0;
  for (int d = 1; d < dims.rank; ++d) {
    if (dims.strides[last] == dims.strides[d] * dims.sizes[d]) {
      dims.sizes[last] *= dims.sizes[d];
    } else {
      dims.sizes[++last] = dims.sizes[d];
    }
    dims.strides[last] = dims.strides[d];
  }
  if (dims.rank > 0) dims.rank = last + 1;
  return dims;
}

}  // namespace

ReducePlan planReduce(const ReduceArgs& args, bool ordered) {
  const View& x = args.x;
  const int kept = static_cast<int>(args.kept);
  ReducePlan plan;
  plan.outputs = plan.count = 1;
  for (int d = 0; d < x.rank; ++d) (d < kept ? plan.outputs : plan.count) *= x.sizes[d];
  plan.kept = mergedDims(x, 0, kept, false);
  plan.reduced = mergedDims(x, kept, x.rank, !ordered);
  plan.columns = plan.reduced.innerStride() != 1 && plan.kept.rank > 0 && plan.kept.innerStride() == 1;
  plan.chunk = kChunk;
  if (plan.columns) {
    const int64_t rows = kChunk / plan.kept.innerSize();
    plan.chunk = rows < kLeastRows ? kLeastRows : rows;
  }
  plan.chunks = plan.count < 2 * plan.chunk ? 1 : (plan.count + plan.chunk - 1) / plan.chunk;
  return plan;
}

}  // namespace warploom::cpu
