// Reverses 64 numbers in shared memory; one of the two lacks its barrier.
namespace reversal {
template <bool kBarrier>
__device__ void reverse(float* y) {
  __shared__ float s[64];
  s[threadIdx.x] = y[threadIdx.x];
  if (kBarrier) __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];  // races without the barrier
}

__global__ void racing(float* y) { reverse<false>(y); }
__global__ void correct(float* y) { reverse<true>(y); }
}  // namespace reversal
