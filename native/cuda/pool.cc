// 2-D max pooling: what its kernels are told.
#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/layout.h"
#include "cuda/pool_plan.h"

namespace warploom::cuda {
namespace {

constexpr unsigned kThreads = 256;  // as in kernels/pool.cu
constexpr int64_t kRun = 4;         // elements of dx that a thread owns there

// Positions in 32 bits while the last block's fit.
bool isSmall(int64_t n) { return n <= INT32_MAX - int64_t{kThreads} * kRun; }
Size3 blocksFor(int64_t n) { return {static_cast<unsigned>(ceilDiv(n, kThreads))}; }

// Planes are smaller than 2^31. Steps beyond them lead to the same places as one that just passes their end.
PoolAxis axisOf(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation, bool ownsX) {
  const auto narrow = [](int64_t value) { return static_cast<int32_t>(std::min<int64_t>(value, INT32_MAX)); };
  PoolAxis axis = {};
  axis.size = narrow(size);
  axis.out = narrow(out);
  axis.kernel = narrow(kernel);
  axis.stride = narrow(stride);
  axis.pad = narrow(pad);
  axis.dilation = narrow(dilation);
  axis.before = narrow((kernel - 1) * dilation / stride);
  axis.bySize = fastDivide(std::max<int32_t>(1, ownsX ? axis.size : axis.out));
  axis.byStride = fastDivide(axis.stride);
  axis.byDilation = fastDivide(axis.dilation);
  return axis;
}

template <class Args>
PoolPlan planOf(const Args& args, const View& x, const View& y, bool ownsX) {
  const auto axis = [&](int dim, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
    return axisOf(x.sizes[dim], y.sizes[dim], kernel, stride, pad, dilation, ownsX);
  };
  return {axis(2, args.kernelH, args.strideH, args.padH, args.dilationH),
          axis(3, args.kernelW, args.strideW, args.padW, args.dilationW), (ownsX ? x : y).numel(), 0};
}

}  // namespace

namespace ops {

void maxPool2d(const MaxPool2dArgs& args, CudaContext& context) {
  const int64_t n = args.y.numel();
  PoolPlan plan = planOf(args, args.x, args.y, false);
  plan.relu = args.relu;
  context.launch("pool", isSmall(n) ? "max_pool2d_f32_32" : "max_pool2d_f32_64", blocksFor(n), {kThreads}, 0, plan,
                 args.x.data, args.y.data, args.indices.data);
}

void maxPool2dBackward(const MaxPool2dBackwardArgs& args, CudaContext& context) {
  const int64_t n = args.dx.numel();
  context.launch("pool", isSmall(n) ? "max_pool2d_backward_f32_32" : "max_pool2d_backward_f32_64",
                 blocksFor(ceilDiv(n, kRun)), {kThreads}, 0, planOf(args, args.dx, args.g, true), args.g.data,
                 args.indices.data, args.dx.data);
}

void maxPool2dGather(const MaxPool2dGatherArgs& args, CudaContext& context) {
  const int64_t n = args.y.numel();
  context.launch("pool", isSmall(n) ? "max_pool2d_gather_f32_32" : "max_pool2d_gather_f32_64", blocksFor(n), {kThreads},
                 0, args, n, context.indexErrors(), static_cast<int>(OpId::maxPool2dGather));
}

}  // namespace ops
}  // namespace warploom::cuda
