// Rows of a table by index, and the gradient of the table.
#include "cuda/embedding_plan.h"
#include "cuda/index_sort.h"
#include "cuda/kernels.h"
#include "cuda/layout.h"

namespace warploom::cuda {

TeamPlan planTeams(int64_t rows, int64_t D, bool aligned) {
  TeamPlan plan = {};
  plan.team.group = aligned && D % 4 == 0 ? 4 : 1;
  const int64_t groups = D / plan.team.group;
  // As few lanes as keep all their rounds busy, but whole sectors of memory where a row has as much.
  const int64_t least = std::min<int64_t>(groups, kSector / (plan.team.group * sizeof(float)));
  const int64_t wanted = std::max(least, ceilDiv(groups, kTeamRounds));
  plan.team.lanes = 1;
  while (plan.team.lanes < wanted && plan.team.lanes < kLargestTeam) plan.team.lanes *= 2;
  plan.team.chunks = ceilDiv(groups, plan.team.lanes * kTeamRounds);
  plan.blocks = static_cast<unsigned>(ceilDiv(rows * plan.team.chunks, kTeamThreads / plan.team.lanes));
  return plan;
}

namespace {

bool takes(CudaContext& context, const char* op, const View& table, const View& index) {
  const DType dtype = index.dtype;
  if (table.dtype != DType::float32) {
    context.fail(op, "takes float32 on this device");
  } else if (dtype != DType::int32 && dtype != DType::int64 && dtype != DType::uint8) {
    context.fail(op, "takes indices of int32, int64 or uint8; cast them first");
  } else {
    return true;
  }
  return false;
}

// Scratch of the backward: what the sort needs, then where each row's positions start; or what the buckets need.
struct BackwardPlan {
  IndexSort sort;
  IndexBuckets buckets;
  int64_t bytes;
};
BackwardPlan planBackward(const EmbeddingBackwardArgs& args) {
  const int64_t V = args.dweight.sizes[0];
  const IndexSort sort = planIndexSort(args.index.numel(), V);
  const IndexBuckets buckets = planIndexBuckets(args.index.numel(), V);
  return {sort, buckets, buckets.bits >= 0 ? buckets.pass.bytes : sort.bytes + (V + 1) * (sort.wide ? 8 : 4)};
}

}  // namespace

namespace ops {

void embedding(const EmbeddingArgs& args, CudaContext& context) {
  const int64_t N = args.index.numel(), D = args.weight.sizes[1];
  if (N == 0 || D == 0 || !takes(context, "embedding", args.weight, args.index)) return;
  const TeamPlan plan = planTeams(N, D, isAligned(args.weight.data, 16) && isAligned(args.y.data, 16));
  const char* entry = plan.team.group == 4 ? "embedding_f32_x4" : "embedding_f32_x1";
  const int op = static_cast<int>(OpId::embedding);
  context.launch("embedding", entry, {plan.blocks}, {kTeamThreads}, 0, args, plan.team, op, context.indexErrors());
}

int64_t embeddingBackwardScratch(const EmbeddingBackwardArgs& args) { return planBackward(args).bytes; }

void embeddingBackward(const EmbeddingBackwardArgs& args, CudaContext& context) {
  const int64_t V = args.dweight.sizes[0], D = args.dweight.sizes[1];
  if (D == 0 || !takes(context, "embeddingBackward", args.g, args.index)) return;
  const BackwardPlan plan = planBackward(args);
  const IndexSort& sort = plan.sort;
  const TeamPlan teams =
      V == 0 ? TeamPlan{} : planTeams(V, D, isAligned(args.g.data, 16) && isAligned(args.dweight.data, 16));
  if (plan.buckets.bits >= 0 && V > 0) {
    const BucketedIndex bucketed =
        bucketIndex(context, plan.buckets, args.index, args.paddingIdx, OpId::embeddingBackward, context.scratch());
    const char* entry =
        teams.team.group == 4 ? "embedding_backward_f32_x4_buckets" : "embedding_backward_f32_x1_buckets";
    context.launch("embedding", entry, {static_cast<unsigned>(plan.buckets.buckets * teams.team.chunks)},
                   {kTeamThreads}, 0, args, teams.team, bucketed.words, bucketed.totals, plan.buckets.bits);
    return;
  }
  const SortedIndex sorted =
      sortIndex(context, sort, args.index, args.paddingIdx, OpId::embeddingBackward, context.scratch());
  if (V == 0) return;
  void* const starts = static_cast<char*>(context.scratch()) + sort.bytes;
  context.launch("index_sort", sort.wide ? "sort_starts_w64" : "sort_starts_w32",
                 {static_cast<unsigned>(ceilDiv(V + 1, kSortThreads))}, {kSortThreads}, 0, sorted.keys, sort.count,
                 starts, V);
  static constexpr const char* entries[2][2] = {{"embedding_backward_f32_x1_w32", "embedding_backward_f32_x1_w64"},
                                                {"embedding_backward_f32_x4_w32", "embedding_backward_f32_x4_w64"}};
  context.launch("embedding", entries[teams.team.group == 4][sort.wide], {teams.blocks}, {kTeamThreads}, 0, args,
                 teams.team, sorted.positions, starts);
}

}  // namespace ops
}  // namespace warploom::cuda
