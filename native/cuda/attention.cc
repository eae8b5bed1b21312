// Attention and its gradients: each pass takes the kernel that its shape asks for. The gradients take three launches:
// g . y of each query, then dq, then dk and dv.
#include <algorithm>

#include "cuda/attention_choose.h"
#include "cuda/attention_plan.h"
#include "cuda/kernels.h"
#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

// `present` as the kernels see it: an empty tensor has nothing to compute.
AttentionLines linesOf(const View& view) {
  AttentionLines lines = {};
  if (!view.present() || view.numel() == 0) return lines;
  const int rank = view.rank - 2;
  lines.data = view.data;
  lines.stride = view.strides[rank];
  lines.vector = isAligned(view.data, 16) && view.sizes[rank + 1] % 4 == 0;
  for (int dim = 0; dim <= rank; ++dim) {
    if (dim < rank) lines.batch[dim] = view.strides[dim];
    if (view.sizes[dim] > 1 && view.strides[dim] % 4 != 0) lines.vector = 0;
  }
  return lines;
}

AttentionMask maskOf(const View& view) {
  AttentionMask mask = {};
  if (!view.present()) return mask;
  const int rank = view.rank - 2;
  mask.kind = view.dtype == DType::boolean ? AttentionMaskKind::boolean : AttentionMaskKind::added;
  mask.data = view.data;
  mask.query = view.strides[rank];
  mask.key = view.strides[rank + 1];
  for (int dim = 0; dim < rank; ++dim) mask.batch[dim] = view.strides[dim];
  return mask;
}

// What both directions have.
template <class Args>
AttentionPlan planOf(const Args& args) {
  AttentionPlan plan = {};
  const int rank = args.q.rank - 2;
  plan.queries = args.q.sizes[rank];
  plan.qkWidth = args.q.sizes[rank + 1];
  plan.keys = args.k.sizes[rank];
  plan.vWidth = args.v.sizes[rank + 1];
  plan.batchRank = rank;
  plan.batches = 1;
  for (int dim = 0; dim < rank; ++dim) {
    plan.batchSizes[dim] = args.q.sizes[dim];
    plan.batches *= args.q.sizes[dim];
  }
  plan.causal = args.causal;
  plan.scale = static_cast<float>(args.scale);
  plan.mask = maskOf(args.mask);
  plan.q = linesOf(args.q);
  plan.k = linesOf(args.k);
  plan.v = linesOf(args.v);
  plan.y = linesOf(args.y);
  plan.lse = static_cast<float*>(args.lse.data);
  return plan;
}

void run(CudaContext& context, AttentionPass pass, const AttentionPlan& plan, int64_t columns) {
  bool fits = true;
  for (const AttentionLines* lines : {&plan.q, &plan.k, &plan.v, &plan.g}) {
    fits = fits && lines->stride <= INT32_MAX / (2 * kAttentionLines);
  }
  const AttentionChoice choice =
      chooseAttention(pass, {plan.batches, plan.queries, plan.keys, plan.qkWidth, plan.vWidth, columns, fits});
  context.launch(choice.family, choice.entry, {static_cast<unsigned>(choice.blocks)},
                 {static_cast<unsigned>(choice.threads)}, 0, plan);
}

// Whether g . y of each query is needed.
bool wantsDelta(const AttentionBackwardArgs& args) {
  return linesOf(args.dq).data != nullptr || linesOf(args.dk).data != nullptr;
}

}  // namespace

namespace ops {

void attention(const AttentionArgs& args, CudaContext& context) {
  const AttentionPlan plan = planOf(args);
  run(context, AttentionPass::forward, plan, plan.vWidth);
}
int64_t attentionScratch(const AttentionArgs&) { return 0; }

void attentionBackward(const AttentionBackwardArgs& args, CudaContext& context) {
  AttentionPlan plan = planOf(args);
  plan.g = linesOf(args.g);
  plan.dq = linesOf(args.dq);
  plan.dk = linesOf(args.dk);
  plan.dv = linesOf(args.dv);
  if (wantsDelta(args)) {
    plan.delta = static_cast<float*>(context.scratch());
    const int64_t blocks = ceilDiv(plan.batches * plan.queries, kAttentionSimpleThreads / 32);
    context.launch("attention_simple", "attentionDelta_f32", {static_cast<unsigned>(blocks)}, {kAttentionSimpleThreads},
                   0, plan);
  }
  if (plan.dq.data != nullptr) run(context, AttentionPass::queries, plan, plan.qkWidth);
  const int64_t columns =
      std::max(plan.dk.data != nullptr ? plan.qkWidth : 0, plan.dv.data != nullptr ? plan.vWidth : 0);
  if (columns > 0) run(context, AttentionPass::keys, plan, columns);
}
int64_t attentionBackwardScratch(const AttentionBackwardArgs& args) {
  return wantsDelta(args) ? args.lse.numel() * static_cast<int64_t>(sizeof(float)) : 0;
}

}  // namespace ops
}  // namespace warploom::cuda
