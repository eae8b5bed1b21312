// Dropout: a launch that draws and drops, and a second that advances the generator.
#include "cuda/kernels.h"
#include "cuda/random.h"

namespace warploom::cuda {
namespace {

// With p = 1 nothing is kept, and the scale is 0 rather than infinite: 0 times infinity would be NaN.
float scaleOf(double p) { return static_cast<float>(p < 1 ? 1 / (1 - p) : 0); }

}  // namespace

namespace ops {

void dropout(const DropoutArgs& args, CudaContext& context) {
  const int64_t n = args.x.numel();
  if (n == 0) return;
  if (args.x.dtype != DType::float32) return context.fail("dropout", "takes float32 on this device");
  const bool aligned = isAligned(args.x.data, 16) && isAligned(args.y.data, 16) && isAligned(args.mask.data, 4);
  context.launch("dropout", "dropout_f32", drawGrid(n), {kDrawThreads}, 0, args, n, aligned, static_cast<float>(args.p),
                 scaleOf(args.p));
  advance(context, args.state, n);
}

void dropoutBackward(const DropoutBackwardArgs& args, CudaContext& context) {
  const int64_t n = args.g.numel();
  if (n == 0) return;
  if (args.g.dtype != DType::float32) return context.fail("dropoutBackward", "takes float32 on this device");
  const bool aligned = isAligned(args.g.data, 16) && isAligned(args.dx.data, 16) && isAligned(args.mask.data, 4);
  context.launch("dropout", "dropout_backward_f32", {static_cast<unsigned>(ceilDiv(n, kWords * kDrawThreads))},
                 {kDrawThreads}, 0, args, n, aligned, scaleOf(args.p));
}

}  // namespace ops
}  // namespace warploom::cuda
