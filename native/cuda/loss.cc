// The losses: the row kernel that the shape asks for, or one over all elements; reduced losses in a second launch.
#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/layout.h"
#include "cuda/loss_plan.h"
#include "cuda/row_choice.h"

namespace warploom::cuda {
namespace {

constexpr RowEntries kForward = WL_ROW_ENTRIES("crossEntropy_f32"),
                     kForwardSoft = WL_ROW_ENTRIES("crossEntropySoft_f32"),
                     kBackward = WL_ROW_ENTRIES("crossEntropyBackward_f32");
// The second launch is one block.
constexpr int64_t kMostParts = 8192;

struct CrossEntropyChoice {
  RowChoice rows;
  CrossEntropyPlan plan;
  unsigned blocks;
};

bool isProbability(const View& target) { return target.dtype == DType::float32; }

template <class Args>
CrossEntropyChoice choose(const Args& args, const View& result, OpId op) {
  CrossEntropyChoice choice = {};
  CrossEntropyPlan& plan = choice.plan;
  plan.probabilities = isProbability(args.target);
  const View& target = plan.probabilities ? static_cast<const View&>(args.target) : args.logits;
  choice.rows = chooseRows({&args.logits, &target, &result});
  if (args.weight.present() && (args.weight.strides[0] != 1 || !isAligned(args.weight.data, 16))) {
    choice.rows.plan.packed = false;
  }
  const double C = static_cast<double>(args.logits.sizes[1]);
  plan.keep = static_cast<float>(1 - args.labelSmoothing);
  plan.share = static_cast<float>(args.labelSmoothing / C);
  plan.smooth = args.labelSmoothing != 0;
  plan.op = static_cast<int32_t>(op);
  plan.rounds = 1;
  choice.blocks = choice.rows.blocks();
  return choice;
}

CrossEntropyChoice chooseForward(const CrossEntropyArgs& args) {
  CrossEntropyChoice choice = choose(args, args.logits, OpId::crossEntropy);
  choice.plan.rounds = static_cast<int32_t>(std::max<int64_t>(1, ceilDiv(choice.blocks, kMostParts)));
  choice.blocks = static_cast<unsigned>(ceilDiv(choice.blocks, choice.plan.rounds));
  return choice;
}

bool squaresPack(std::initializer_list<const View*> views, int64_t count) {
  bool packed = count % 4 == 0;
  for (const View* view : views) packed = packed && isAligned(view->data, 16);
  return packed;
}

int64_t squareBlocks(int64_t count) { return ceilDiv(count, kSquaresOfBlock); }

}  // namespace

namespace ops {

int64_t crossEntropyScratch(const CrossEntropyArgs& args) {
  return chooseForward(args).blocks * static_cast<int64_t>(sizeof(LossPart));
}

void crossEntropy(const CrossEntropyArgs& args, CudaContext& context) {
  const CrossEntropyChoice choice = chooseForward(args);
  LossPart* parts = static_cast<LossPart*>(context.scratch());
  const RowEntries& entries = choice.plan.probabilities || choice.plan.smooth ? kForwardSoft : kForward;
  context.launch("loss", entries.of(choice.rows.shape), {choice.blocks}, {kRowThreads}, 0, args, choice.rows.plan,
                 choice.plan, parts, context.indexErrors());
  float* loss = args.reduction == kReductionNone ? nullptr : args.loss.as<float>();
  context.launch("loss", "loss_finish", {1}, {kRowThreads}, 0, parts, static_cast<int64_t>(choice.blocks), 0.0,
                 args.reduction == kReductionMean, loss, args.norm.as<float>());
}

void crossEntropyBackward(const CrossEntropyBackwardArgs& args, CudaContext& context) {
  CrossEntropyChoice choice = choose(args, args.dlogits, OpId::crossEntropyBackward);
  // Only the sum over probabilities needs a row as a whole.
  RowShape& shape = choice.rows.shape;
  const bool columns = shape == RowShape::columns8 || shape == RowShape::columnsLong;
  if (!choice.plan.probabilities) shape = columns ? RowShape::columnsLong : RowShape::rowsLong;
  context.launch("loss", kBackward.of(choice.rows.shape), {choice.blocks}, {kRowThreads}, 0, args, choice.rows.plan,
                 choice.plan);
}

int64_t mseScratch(const MseArgs& args) {
  if (args.reduction == kReductionNone) return 0;
  return squareBlocks(args.x.numel()) * static_cast<int64_t>(sizeof(LossPart));
}

void mse(const MseArgs& args, CudaContext& context) {
  const int64_t n = args.x.numel(), blocks = squareBlocks(n);
  const Size3 grid = {static_cast<unsigned>(blocks)};
  if (args.reduction == kReductionNone) {
    return context.launch("loss", "mse_f32_each", grid, {kRowThreads}, 0, args, n,
                          squaresPack({&args.x, &args.y, &args.loss}, n));
  }
  LossPart* parts = static_cast<LossPart*>(context.scratch());
  context.launch("loss", "mse_f32_sum", grid, {kRowThreads}, 0, args, n, squaresPack({&args.x, &args.y}, n), parts);
  context.launch("loss", "loss_finish", {1}, {kRowThreads}, 0, parts, blocks, static_cast<double>(n),
                 args.reduction == kReductionMean, args.loss.as<float>(), static_cast<float*>(nullptr));
}

void mseBackward(const MseBackwardArgs& args, CudaContext& context) {
  const int64_t n = args.x.numel();
  const bool each = args.reduction == kReductionNone;
  const bool packed = squaresPack({&args.x, &args.y, &args.dx}, n) && (!each || isAligned(args.g.data, 16));
  const float factor = static_cast<float>(args.reduction == kReductionMean ? 2 / static_cast<double>(n) : 2.0);
  context.launch("loss", "mseBackward_f32", {static_cast<unsigned>(squareBlocks(n))}, {kRowThreads}, 0, args, n, packed,
                 factor);
}

}  // namespace ops
}  // namespace warploom::cuda
