// Optimizer updates (engine/args/optim.h): one launch for all parameters of a group, and the norm of the gradients for
// clipping.
//
// The parameters of a group, laid end to end, are one index space; a block owns kChunk elements of it and walks the
// parameters that they belong to, a thread every kThreads-th element, so that a warp's accesses lie side by side. The
// host puts into `count` of each segment where it ends in that space. The arithmetic is that of PyTorch's single-tensor
// loops; scalars are formed in float64 by one thread of the block and rounded once.
#include "cuda/kernels/common.cuh"
#include "engine/args/optim.h"

namespace warploom::cuda {

constexpr int kThreads = 256;
constexpr int kChunk = 4096;
constexpr int kSumChunk = 16384;

// Fields of `state`.
enum State { kRate = 0, kStep = 1, kBeta1Power = 2, kBeta2Power = 3 };

// Calls update(parameter element, bucket element) for each element of the block's chunk that this thread owns.
template <class F>
__device__ inline void eachElement(const Segments& params, F update) {
  int64_t begin = static_cast<int64_t>(blockIdx.x) * kChunk;
  const int64_t total = params.items[params.count - 1].count;
  const int64_t end = begin + kChunk < total ? begin + kChunk : total;
  // The first segment that ends behind `begin`.
  int low = 0, high = params.count - 1;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (params.items[middle].count > begin) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  for (int s = low; begin < end; ++s) {
    const int64_t start = s == 0 ? 0 : params.items[s - 1].count;
    const int64_t stop = params.items[s].count < end ? params.items[s].count : end;
    float* param = static_cast<float*>(params.items[s].param);
    const int64_t offset = params.items[s].offset;
#pragma unroll 4
    for (int64_t i = begin + threadIdx.x; i < stop; i += kThreads) update(param + (i - start), offset + (i - start));
    begin = stop;
  }
}

// What multiplies a raw gradient: the clip factor, negated to maximize.
__device__ inline float gradientScale(const View& factor, int maximize) {
  const float scale = factor.present() ? factor.as<float>()[0] : 1.0f;
  return maximize != 0 ? -scale : scale;
}

struct AdamScalars {
  float stepSize, eps, shrink;
};

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

extern "C" __global__ void __launch_bounds__(kThreads) sgd_f32(const SgdArgs args) {
  const double* state = args.state.as<double>();
  const float scale = gradientScale(args.factor, args.maximize);
  const float rate = static_cast<float>(state[kRate]), momentum = static_cast<float>(args.momentum);
  const float undamped = static_cast<float>(1 - args.dampening), decay = static_cast<float>(args.weightDecay);
  const bool first = state[kStep] == 1, decays = args.weightDecay != 0;
  const float* grads = args.grads.as<float>();
  float* buf = args.buf.present() ? args.buf.as<float>() : nullptr;
  eachElement(args.params, [&](float* param, int64_t k) {
    const float p = *param;
    float d = grads[k] * scale;
    if (decays) d = d + decay * p;
    if (buf != nullptr) {
      const float b = first ? d : momentum * buf[k] + undamped * d;
      buf[k] = b;
      d = args.nesterov != 0 ? d + momentum * b : b;
    }
    *param = p - rate * d;
  });
}

extern "C" __global__ void __launch_bounds__(kThreads) adam_f32(const AdamArgs args) {
  __shared__ AdamScalars scalars;
  if (threadIdx.x == 0) {
    const double* state = args.state.as<double>();
    const double rate = state[kRate];
    // Multiplied out, as on the CPU: see native/cpu/optim.cc.
    const double correction = sqrt(1 - state[kBeta2Power]);
    scalars.stepSize = static_cast<float>(rate / (1 - state[kBeta1Power]) * correction);
    scalars.eps = static_cast<float>(args.eps * correction);
    scalars.shrink = static_cast<float>(1 - rate * args.weightDecay);
  }
  // Without this barrier the other threads would read the scalars before thread 0 has formed them.
  __syncthreads();
  const float stepSize = scalars.stepSize, eps = scalars.eps, shrink = scalars.shrink;
  const float scale = gradientScale(args.factor, args.maximize);
  const float beta1 = static_cast<float>(args.beta1), rest1 = static_cast<float>(1 - args.beta1);
  const float beta2 = static_cast<float>(args.beta2), rest2 = static_cast<float>(1 - args.beta2);
  const float decay = static_cast<float>(args.weightDecay);
  const bool shrinks = args.weightDecay != 0 && args.decoupled != 0;
  const bool decays = args.weightDecay != 0 && args.decoupled == 0;
  const float* grads = args.grads.as<float>();
  float* ms = args.m.as<float>();
  float* vs = args.v.as<float>();
  eachElement(args.params, [&](float* param, int64_t k) {
    float p = *param;
    float g = grads[k] * scale;
    if (shrinks) p = p * shrink;
    if (decays) g = g + decay * p;
    const float m = beta1 * ms[k] + rest1 * g;
    const float v = beta2 * vs[k] + rest2 * g * g;
    ms[k] = m;
    vs[k] = v;
    *param = p - stepSize * m / (sqrtf(v) + eps);
  });
}

// One thread.
extern "C" __global__ void optim_advance(const OptimAdvanceArgs args) {
  double* state = args.state.as<double>();
  state[kStep] += 1;
  state[kBeta1Power] *= args.beta1;
  state[kBeta2Power] *= args.beta2;
}

// The sum of a block's values, in a fixed order: halves are added to halves. Every thread calls it; thread 0 alone is
// given the result, which it has written itself.
__device__ inline double sumBlock(double value, double (&shared)[kThreads]) {
  shared[threadIdx.x] = value;
#pragma unroll 1
  for (int half = kThreads / 2; half > 0; half /= 2) {
    // Without this barrier the upper half would be read before its threads have written it.
    __syncthreads();
    if (threadIdx.x < half) {
      value += shared[threadIdx.x + half];
      shared[threadIdx.x] = value;
    }
  }
  return value;
}

// A block sums kSumChunk squares in float64 into its place of `partials`.
extern "C" __global__ void __launch_bounds__(kThreads) sum_squares_f32(const float* x, int64_t n, double* partials) {
  __shared__ double shared[kThreads];
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kSumChunk;
  const int64_t end = begin + kSumChunk < n ? begin + kSumChunk : n;
  double sum = 0;
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const double value = static_cast<double>(x[i]);
    sum += value * value;
  }
  const double all = sumBlock(sum, shared);
  if (threadIdx.x == 0) partials[blockIdx.x] = all;
}

// One block sums the partials, and adds the total so far.
extern "C" __global__ void __launch_bounds__(kThreads)
    sum_partials_f64(const double* partials, int64_t n, const double* previous, double* total) {
  __shared__ double shared[kThreads];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) sum += partials[i];
  const double all = sumBlock(sum, shared);
  if (threadIdx.x == 0) *total = previous != nullptr ? all + *previous : all;
}

// One thread. In float32 from the norm on, like PyTorch. A NaN norm gives a NaN factor: the comparison leaves it alone.
extern "C" __global__ void clip_factor(const ClipFactorArgs args) {
  const float norm = static_cast<float>(sqrt(args.total.as<double>()[0]));
  const float factor = static_cast<float>(args.maxNorm) / (norm + 1e-6f);
  args.norm.as<float>()[0] = norm;
  args.factor.as<float>()[0] = factor > 1.0f ? 1.0f : factor;
}
