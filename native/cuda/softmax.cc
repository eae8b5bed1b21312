// Softmax and log-softmax: one launch of the row kernel that the shape asks for.
#include "cuda/kernels.h"
#include "cuda/row_choice.h"

namespace warploom::cuda {
namespace {

constexpr RowEntries kForward = WL_ROW_ENTRIES("softmax_f32"), kBackward = WL_ROW_ENTRIES("softmaxBackward_f32");

template <class Args>
void run(CudaContext& context, const RowEntries& entries, const RowChoice& choice, const Args& args, bool log) {
  if (choice.plan.n == 0) return;
  context.launch("softmax", entries.of(choice.shape), {choice.blocks()}, {kRowThreads}, 0, args, choice.plan, log);
}

}  // namespace

namespace ops {

void softmax(const SoftmaxArgs& args, CudaContext& context) {
  run(context, kForward, chooseRows({&args.x, &args.y}), args, false);
}
void logSoftmax(const SoftmaxArgs& args, CudaContext& context) {
  run(context, kForward, chooseRows({&args.x, &args.y}), args, true);
}
void softmaxBackward(const SoftmaxBackwardArgs& args, CudaContext& context) {
  run(context, kBackward, chooseRows({&args.g, &args.y, &args.dx}), args, false);
}
void logSoftmaxBackward(const SoftmaxBackwardArgs& args, CudaContext& context) {
  run(context, kBackward, chooseRows({&args.g, &args.y, &args.dx}), args, true);
}

}  // namespace ops
}  // namespace warploom::cuda
