// Optimizer updates, and the norm of the gradients in two launches.
#include "cuda/kernels.h"
#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

// As in kernels/optim.cu.
constexpr unsigned kThreads = 256;
constexpr int64_t kChunk = 4096, kSumChunk = 16384;

bool isScalarState(CudaContext& context, const char* op, const View& state) {
  if (state.dtype == DType::float64 && state.numel() >= 4) return true;
  context.fail(op, "the optimizer's state is float64[4]: learning rate, step, beta1^step, beta2^step");
  return false;
}

bool isFactor(CudaContext& context, const char* op, const View& factor) {
  if (!factor.present() || factor.dtype == DType::float32) return true;
  context.fail(op, "the factor that scales the gradients is a float32 scalar");
  return false;
}

// True where every bucket holds float32 and every parameter's range: ranges are plain numbers of the caller's, which
// nobody has checked against memory yet.
template <class... Buckets>
bool bucketsFit(CudaContext& context, const char* op, const Segments& params, const Buckets&... buckets) {
  if ((... || (buckets.present() && buckets.dtype != DType::float32))) {
    context.fail(op, "gradients and moments are float32 on this device");
    return false;
  }
  for (int s = 0; s < params.count; ++s) {
    const int64_t end = params.items[s].offset + params.items[s].count;
    if ((... && (!buckets.present() || end <= buckets.numel()))) continue;
    context.fail(op, "a parameter's range reaches outside a bucket");
    return false;
  }
  return true;
}

// Makes `count` of each segment its end in the index space of all, as the kernels read it, and gives the blocks for it.
unsigned layEndToEnd(Segments& params) {
  int64_t end = 0;
  for (int s = 0; s < params.count; ++s) params.items[s].count = end += params.items[s].count;
  return static_cast<unsigned>(ceilDiv(end, kChunk));
}

}  // namespace

namespace ops {

void optimAdvance(const OptimAdvanceArgs& args, CudaContext& context) {
  if (!isScalarState(context, "optimAdvance", args.state)) return;
  context.launch("optim", "optim_advance", {1}, {1}, 0, args);
}

void sgd(const SgdArgs& given, CudaContext& context) {
  if (!isScalarState(context, "sgd", given.state) || !isFactor(context, "sgd", given.factor)) return;
  if (!bucketsFit(context, "sgd", given.params, given.grads, given.buf)) return;
  SgdArgs args = given;
  const unsigned blocks = layEndToEnd(args.params);
  context.launch("optim", "sgd_f32", {blocks}, {kThreads}, 0, args);
}

void adam(const AdamArgs& given, CudaContext& context) {
  if (!isScalarState(context, "adam", given.state) || !isFactor(context, "adam", given.factor)) return;
  if (!bucketsFit(context, "adam", given.params, given.grads, given.m, given.v)) return;
  AdamArgs args = given;
  const unsigned blocks = layEndToEnd(args.params);
  context.launch("optim", "adam_f32", {blocks}, {kThreads}, 0, args);
}

int64_t sumSquaresScratch(const SumSquaresArgs& args) {
  return ceilDiv(args.x.numel(), kSumChunk) * static_cast<int64_t>(sizeof(double));
}

void sumSquares(const SumSquaresArgs& args, CudaContext& context) {
  if (args.x.dtype != DType::float32 || args.total.dtype != DType::float64 ||
      (args.previous.present() && args.previous.dtype != DType::float64)) {
    context.fail("sumSquares", "takes float32, and the running total is a float64 scalar");
    return;
  }
  const int64_t n = args.x.numel(), blocks = ceilDiv(n, kSumChunk);
  auto* partials = static_cast<double*>(context.scratch());
  context.launch("optim", "sum_squares_f32", {static_cast<unsigned>(blocks)}, {kThreads}, 0, args.x.as<float>(), n,
                 partials);
  const double* previous = args.previous.present() ? args.previous.as<double>() : nullptr;
  context.launch("optim", "sum_partials_f64", {1}, {kThreads}, 0, partials, blocks, previous, args.total.as<double>());
}

void clipFactor(const ClipFactorArgs& args, CudaContext& context) {
  if (args.total.dtype != DType::float64 || args.norm.dtype != DType::float32 || args.factor.dtype != DType::float32) {
    context.fail("clipFactor", "the total is a float64 scalar, norm and factor are float32 scalars");
    return;
  }
  context.launch("optim", "clip_factor", {1}, {1}, 0, args);
}

}  // namespace ops
}  // namespace warploom::cuda
