// Matrix products: batch dims are folded and merged, a kernel chosen, and where several blocks share the k's of a tile,
// their sums added by a second launch.
#include <utility>

#include "cuda/gemm_args.h"
#include "cuda/kernels.h"
#include "cuda/layout.h"
#include "cuda/matmul_choose.h"

namespace warploom::cuda {
namespace {

constexpr unsigned kSimpleThreads = 256;  // as in kernels/matmul.cu

struct Plan {
  GemmArgs args;
  GemmChoice choice;
};

// The dims of `view` from the first to `count`.
View batchDims(const View& view, int count) {
  View dims = view;
  if (view.present()) dims.rank = count;
  return dims;
}

bool strides16(const View& view) {
  for (int dim = 0; dim < view.rank; ++dim) {
    if (view.sizes[dim] > 1 && view.strides[dim] % 4 != 0) return false;
  }
  return true;
}

Plan makePlan(const MatmulArgs& given) {
  Plan plan = {};
  GemmArgs& g = plan.args;
  const View &a = given.a, &b = given.b, &y = given.y, &pre = given.pre;
  const int rank = y.rank;
  int64_t m = y.sizes[rank - 2];
  const int64_t n = y.sizes[rank - 1];
  g.depth = a.sizes[rank - 1];
  g.a = {a.data, a.strides[rank - 2], a.strides[rank - 1], 0};
  g.b = {b.data, b.strides[rank - 1], b.strides[rank - 2], 0};
  g.y = y.data;
  g.yStride = y.strides[rank - 2];
  if (pre.present()) {
    g.pre = pre.data;
    g.preStride = pre.strides[rank - 2];
  }
  if (given.bias.present()) {
    g.bias = given.bias.data;
    g.biasStride = given.bias.strides[given.bias.rank - 1];
  }
  g.activation = static_cast<int32_t>(given.activation);
  g.accumulate = given.accumulate;

  // Batch dims that share b and run on as rows of a and y are rows: a linear layer on [B, T, C] is one product.
  int dims = rank - 2;
  for (; dims > 0; --dims) {
    const int d = dims - 1;
    if (y.sizes[d] == 1) continue;
    const bool one = m == 1;
    const bool runsOn =
        b.strides[d] == 0 && (one || (a.strides[d] == m * g.a.lineStride && y.strides[d] == m * g.yStride &&
                                      (!pre.present() || pre.strides[d] == m * g.preStride)));
    if (!runsOn) break;
    if (one) {
      g.a.lineStride = a.strides[d];
      g.yStride = y.strides[d];
      if (pre.present()) g.preStride = pre.strides[d];
    }
    m *= y.sizes[d];
  }
  View aDims = batchDims(a, dims), bDims = batchDims(b, dims), yDims = batchDims(y, dims),
       preDims = batchDims(pre, dims);
  mergeDims({&aDims, &bDims, &yDims, &preDims});
  g.batchRank = yDims.rank;
  g.batches = yDims.numel();
  for (int dim = 0; dim < yDims.rank; ++dim) {
    g.batchSizes[dim] = yDims.sizes[dim];
    g.aBatch[dim] = aDims.strides[dim];
    g.bBatch[dim] = bDims.strides[dim];
    g.yBatch[dim] = yDims.strides[dim];
    if (pre.present()) g.preBatch[dim] = preDims.strides[dim];
  }

  const auto aligned = [](const View& dims16) { return isAligned(dims16.data, 16) && strides16(dims16); };
  plan.choice = chooseGemm({m,
                            n,
                            g.depth,
                            g.batches,
                            {g.a.lineStride, g.a.depthStride, aligned(aDims)},
                            {g.b.lineStride, g.b.depthStride, aligned(bDims)}});
  const GemmChoice& choice = plan.choice;
  if (choice.exchanged) std::swap(g.a, g.b), std::swap(g.aBatch, g.bBatch);
  g.exchanged = choice.exchanged;
  g.rows = choice.exchanged ? n : m;
  g.cols = choice.exchanged ? m : n;
  g.a.vector = choice.aVector;
  g.b.vector = choice.bVector;
  g.segment = segmentOf(g.depth);
  const bool wholeRows = n % 4 == 0 && aligned(yDims) && g.yStride % 4 == 0 &&
                         (!pre.present() || (aligned(preDims) && g.preStride % 4 == 0));
  g.vectorStore = n % 4 == 0 && (choice.split || wholeRows);
  return plan;
}

void runFloat(CudaContext& context, Plan& plan) {
  const GemmChoice& choice = plan.choice;
  GemmArgs& args = plan.args;
  if (choice.split) args.partials = static_cast<float*>(context.scratch());
  context.launch("matmul", choice.entry, {static_cast<unsigned>(choice.blocks)},
                 {static_cast<unsigned>(choice.threads)}, 0, args);
  if (!choice.split) return;
  const int64_t elements = args.rows * args.cols * args.batches;
  context.launch("matmul", "gemm_f32_combine", {static_cast<unsigned>(ceilDiv(elements, kSimpleThreads))},
                 {kSimpleThreads}, 0, args);
}

// Integers: a thread an element; sums wrap.
void runInteger(CudaContext& context, const Plan& plan, const char* entry) {
  const int64_t elements = plan.args.rows * plan.args.cols * plan.args.batches;
  context.launch("matmul", entry, {static_cast<unsigned>(ceilDiv(elements, kSimpleThreads))}, {kSimpleThreads}, 0,
                 plan.args);
}

}  // namespace

namespace ops {

void matmul(const MatmulArgs& args, CudaContext& context) {
  if (args.y.numel() == 0) return;
  Plan plan = makePlan(args);
  const bool plain = !args.bias.present() && !args.pre.present() && args.activation == 0;
  if (args.y.dtype == DType::float32) return runFloat(context, plan);
  if (args.y.dtype == DType::int32 && plain) return runInteger(context, plan, "gemm_i32_simple");
  if (args.y.dtype == DType::int64 && plain) return runInteger(context, plan, "gemm_i64_simple");
  context.fail("matmul",
               "matmul takes float32, or int32 and int64 without bias and activation; convert the operands first");
}

int64_t matmulScratch(const MatmulArgs& args) {
  if (args.y.dtype != DType::float32 || args.y.numel() == 0) return 0;
  return makePlan(args).choice.partialBytes;
}

}  // namespace ops
}  // namespace warploom::cuda
