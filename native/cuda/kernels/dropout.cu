// Inverted dropout: y = uniform >= p ? x * scale : 0, and its gradient by the mask that was kept.
//
// Forward as in random.cu: a thread owns kRounds Philox blocks and the four elements of each. Backward: a thread owns
// four elements, a block kThreads times as many.
#include "cuda/kernels/random.cuh"
#include "engine/args/dropout.h"

namespace warploom::cuda {

// The values of elements first to first + 3, as far as there are n.
template <class T>
__device__ inline Packed<T, kWords> loadFour(const T* x, int64_t first, int64_t n, bool aligned) {
  if (aligned && first + kWords <= n) return loadPacked<T, kWords>(x + first);
  Packed<T, kWords> values;
#pragma unroll
  for (int k = 0; k < kWords; ++k) values.v[k] = first + k < n ? x[first + k] : T(0);
  return values;
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// aligned: x, y (g, dx) lie at multiples of 16 bytes, the mask at one of 4.
#define WL_ENTRY extern "C" __global__ void __launch_bounds__(kThreads)

WL_ENTRY dropout_f32(const DropoutArgs args, int64_t n, bool aligned, float p, float scale) {
  eachPhilox(beginDraw(args.state), n, [&](int64_t block, const Philox4& words) {
    const int64_t first = block * kWords;
    const Packed<float, kWords> x = loadFour(args.x.as<const float>(), first, n, aligned);
    Packed<float, kWords> y;
    Packed<uint8_t, kWords> mask;
#pragma unroll
    for (int k = 0; k < kWords; ++k) {
      const bool keep = uniformFromBits(words.lane[k]) >= p;
      y.v[k] = keep ? x.v[k] * scale : 0.0f;
      mask.v[k] = keep;
    }
    storeFour(args.y.as<float>(), first, y, n, aligned);
    storeFour(args.mask.as<uint8_t>(), first, mask, n, aligned);
  });
}

WL_ENTRY dropout_backward_f32(const DropoutBackwardArgs args, int64_t n, bool aligned, float scale) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kWords;
  if (first >= n) return;
  const Packed<float, kWords> g = loadFour(args.g.as<const float>(), first, n, aligned);
  const Packed<uint8_t, kWords> mask = loadFour(args.mask.as<const uint8_t>(), first, n, aligned);
  Packed<float, kWords> dx;
#pragma unroll
  for (int k = 0; k < kWords; ++k) dx.v[k] = mask.v[k] != 0 ? g.v[k] * scale : 0.0f;
  storeFour(args.dx.as<float>(), first, dx, n, aligned);
}
