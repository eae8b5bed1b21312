// 2-D convolution and its gradients: a kernel is chosen by shape, and where several blocks share a sum, a second launch
// adds what they found. The gradient of a bias is a launch of its own.
#include <algorithm>

#include "cuda/conv_plan.h"
#include "cuda/kernels.h"
#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

constexpr int64_t kThreads = 256;  // as in kernels/conv_simple.cu, and to combine

template <class Args>
ConvShape shapeOf(const Args& args, const View& source, const View& out, const View& w) {
  return {out.sizes[0],
          args.groups,
          source.sizes[1] / args.groups,
          out.sizes[1] / args.groups,
          {source.sizes[2], out.sizes[2], w.sizes[2], args.strideH, args.padH, args.dilationH},
          {source.sizes[3], out.sizes[3], w.sizes[3], args.strideW, args.padW, args.dilationW}};
}
ConvShape shapeOf(const Conv2dArgs& args) { return shapeOf(args, args.x, args.y, args.w); }
ConvShape shapeOf(const Conv2dBackwardInputArgs& args) { return shapeOf(args, args.g, args.dx, args.w); }
ConvShape shapeOf(const Conv2dBackwardWeightArgs& args) { return shapeOf(args, args.x, args.g, args.dw); }

Size3 line(int64_t blocks) { return {static_cast<unsigned>(blocks)}; }

// A thread for each of n elements.
template <class Args>
void runSimple(CudaContext& context, const ConvChoice& choice, const char* narrow, const char* wide, int64_t n,
               const Args& args) {
  context.launch("conv_simple", choice.wide ? wide : narrow, line(choice.blocks), line(choice.threads), 0, args, n,
                 static_cast<int>(choice.segments));
}

void combine(CudaContext& context, const ConvChoice& choice, void* y, const void* bias, int64_t n, int64_t plane,
             int64_t channels, bool clamps) {
  const void* partials = context.scratch();
  context.launch("conv", "conv_f32_combine", line(ceilDiv(n, kThreads)), line(kThreads), 0, partials, y, bias, n,
                 static_cast<int>(choice.shares), plane, channels, static_cast<int>(clamps));
}

void runTiles(CudaContext& context, const ConvShape& s, const ConvChoice& choice, bool backward, const View& source,
              const View& w, const View* bias, const View& y, bool clamps) {
  float* partials = choice.shares > 1 ? static_cast<float*>(context.scratch()) : nullptr;
  ConvArgs args = convArgs(s, choice, backward, isAligned(partials != nullptr ? partials : y.data, 16));
  args.source = source.as<float>();
  args.weights = w.as<float>();
  args.bias = bias != nullptr && bias->present() ? bias->as<float>() : nullptr;
  args.y = y.as<float>();
  args.partials = partials;
  args.relu = clamps;
  context.launch(choice.family, choice.entry, line(choice.blocks), line(choice.threads), 0, args);
  if (choice.shares > 1) combine(context, choice, args.y, args.bias, y.numel(), s.h.out * s.w.out, y.sizes[1], clamps);
}

// dbias [O] of g [N, O, OH, OW].
ReduceArgs biasSum(const Conv2dBackwardWeightArgs& args) {
  ReduceArgs reduce = {};
  View& x = reduce.x;
  x = args.g;
  x.rank = 3;
  const int64_t plane = args.g.sizes[2] * args.g.sizes[3];
  const int64_t sizes[] = {args.g.sizes[1], args.g.sizes[0], plane};
  const int64_t strides[] = {plane, args.g.sizes[1] * plane, 1};
  for (int i = 0; i < 3; ++i) {
    x.sizes[i] = sizes[i];
    x.strides[i] = strides[i];
  }
  static_cast<View&>(reduce.y) = args.dbias;
  reduce.kept = 1;
  return reduce;
}

}  // namespace

namespace ops {

void conv2d(const Conv2dArgs& args, CudaContext& context) {
  const int64_t n = args.y.numel();
  if (n == 0) return;
  const ConvShape shape = shapeOf(args);
  const ConvChoice choice = chooseConv(shape, false);
  if (choice.entry == nullptr) {
    return runSimple(context, choice, "conv2d_f32_simple_32", "conv2d_f32_simple_64", n, args);
  }
  runTiles(context, shape, choice, false, args.x, args.w, &args.bias, args.y,
           args.activation == static_cast<int64_t>(Activation::relu));
}
int64_t conv2dScratch(const Conv2dArgs& args) {
  return args.y.numel() == 0 ? 0 : chooseConv(shapeOf(args), false).partialBytes;
}

void conv2dBackwardInput(const Conv2dBackwardInputArgs& args, CudaContext& context) {
  const int64_t n = args.dx.numel();
  if (n == 0) return;
  const ConvShape shape = shapeOf(args);
  const ConvChoice choice = chooseConv(shape, true);
  if (choice.entry != nullptr) return runTiles(context, shape, choice, true, args.g, args.w, nullptr, args.dx, false);
  runSimple(context, choice, "conv2d_backward_input_f32_simple_32", "conv2d_backward_input_f32_simple_64", n, args);
}
int64_t conv2dBackwardInputScratch(const Conv2dBackwardInputArgs& args) {
  return args.dx.numel() == 0 ? 0 : chooseConv(shapeOf(args), true).partialBytes;
}

void conv2dBackwardWeight(const Conv2dBackwardWeightArgs& args, CudaContext& context) {
  if (args.dbias.present()) sum(biasSum(args), context);
  const int64_t n = args.dw.numel();
  if (n == 0) return;
  const ConvShape s = shapeOf(args);
  const ConvChoice choice = chooseConvWeight(s);
  if (choice.entry == nullptr) {
    return runSimple(context, choice, "conv2d_backward_weight_f32_simple_32", "conv2d_backward_weight_f32_simple_64", n,
                     args);
  }
  float* partials = choice.shares > 1 ? static_cast<float*>(context.scratch()) : nullptr;
  ConvWeightArgs to = convWeightArgs(s, choice, isAligned(partials != nullptr ? partials : args.dw.data, 16));
  to.g = args.g.as<float>();
  to.x = args.x.as<float>();
  to.dw = args.dw.as<float>();
  to.partials = partials;
  context.launch(choice.family, choice.entry, line(choice.blocks), line(choice.threads), 0, to);
  if (choice.shares > 1) combine(context, choice, args.dw.data, nullptr, n, 1, 1, false);
}
int64_t conv2dBackwardWeightScratch(const Conv2dBackwardWeightArgs& args) {
  // One after the other, the two sums use the same memory.
  const int64_t ofBias = args.dbias.present() ? sumScratch(biasSum(args)) : 0;
  return std::max(ofBias, args.dw.numel() == 0 ? 0 : chooseConvWeight(shapeOf(args)).partialBytes);
}

}  // namespace ops
}  // namespace warploom::cuda
