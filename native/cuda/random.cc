// Random draws: a launch that reads the generator's state, and a second that advances it.
#include "cuda/random.h"

#include <cmath>
#include <limits>
#include <string>

#include "cuda/kernels.h"

namespace warploom::cuda {
namespace {

template <class... Params>
void launchDraw(CudaContext& context, const char* entry, const RandomArgs& args, const Params&... params) {
  const int64_t n = args.y.numel();
  if (n == 0) return;
  const bool aligned = isAligned(args.y.data, 16);
  context.launch("random", entry, drawGrid(n), {kDrawThreads}, 0, args, n, aligned, params...);
  advance(context, args.state, n);
}

struct Entries {
  const char *f32, *i32, *i64, *u8;
};
const char* pick(const Entries& entries, DType dtype) {
  switch (dtype) {
    case DType::float32:
      return entries.f32;
    case DType::int32:
      return entries.i32;
    case DType::int64:
      return entries.i64;
    default:
      return entries.u8;
  }
}

bool refuses(CudaContext& context, const char* op, DType dtype) {
  if (dtype == DType::float32) return false;
  context.fail(op, "draws are float32 on this device; convert them afterwards");
  return true;
}

}  // namespace

namespace ops {

void uniform(const RandomArgs& args, CudaContext& context) {
  if (refuses(context, "uniform", args.y.dtype)) return;
  const float a = static_cast<float>(args.a), b = static_cast<float>(args.b);
  const float scale = static_cast<float>(args.b - args.a);
  const float below = b > a ? std::nextafter(b, a) : std::numeric_limits<float>::infinity();
  launchDraw(context, "uniform_f32", args, a, scale, below);
}

void normal(const RandomArgs& args, CudaContext& context) {
  if (refuses(context, "normal", args.y.dtype)) return;
  launchDraw(context, "normal_f32", args, static_cast<float>(args.a), static_cast<float>(args.b));
}

void bernoulli(const RandomArgs& args, CudaContext& context) {
  static constexpr Entries entries = {"bernoulli_f32", "bernoulli_i32", "bernoulli_i64", "bernoulli_u8"};
  launchDraw(context, pick(entries, args.y.dtype), args, static_cast<float>(args.a));
}

void randint(const RandomArgs& args, CudaContext& context) {
  static constexpr Entries entries = {"randint_f32", "randint_i32", "randint_i64", "randint_u8"};
  if (!(args.b > args.a) || args.b - args.a > 4294967296.0) {
    return context.fail("randint", "the range [" + std::to_string(args.a) + ", " + std::to_string(args.b) +
                                       ") must hold at least one integer and at most 2^32");
  }
  const int64_t low = static_cast<int64_t>(args.a);
  const uint64_t span = static_cast<uint64_t>(static_cast<int64_t>(args.b) - low);
  launchDraw(context, pick(entries, args.y.dtype), args, low, span);
}

}  // namespace ops
}  // namespace warploom::cuda
