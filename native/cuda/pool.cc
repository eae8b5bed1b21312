// 2-D max pooling: one thread an element of the result.
#include "cuda/kernels.h"
#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

constexpr unsigned kThreads = 256;  // as in kernels/pool.cu

// Positions in 32 bits while the last block's fit.
bool isSmall(int64_t n) { return n <= INT32_MAX - static_cast<int64_t>(kThreads); }
Size3 blocksFor(int64_t n) { return {static_cast<unsigned>(ceilDiv(n, kThreads))}; }

}  // namespace

namespace ops {

void maxPool2d(const MaxPool2dArgs& args, CudaContext& context) {
  const int64_t n = args.y.numel();
  context.launch("pool", isSmall(n) ? "max_pool2d_f32_32" : "max_pool2d_f32_64", blocksFor(n), {kThreads}, 0, args, n);
}

void maxPool2dBackward(const MaxPool2dBackwardArgs& args, CudaContext& context) {
  const int64_t n = args.dx.numel();
  context.launch("pool", isSmall(n) ? "max_pool2d_backward_f32_32" : "max_pool2d_backward_f32_64", blocksFor(n),
                 {kThreads}, 0, args, n);
}

void maxPool2dGather(const MaxPool2dGatherArgs& args, CudaContext& context) {
  const int64_t n = args.y.numel();
  context.launch("pool", isSmall(n) ? "max_pool2d_gather_f32_32" : "max_pool2d_gather_f32_64", blocksFor(n), {kThreads},
                 0, args, n, context.indexErrors(), static_cast<int>(OpId::maxPool2dGather));
}

}  // namespace ops
}  // namespace warploom::cuda
