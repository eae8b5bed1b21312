// Kernels of the simulator's tests: ordinary CUDA, each against a plain loop in kernels_test.cc.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern "C" __global__ void saxpy(float* y, const float* x, float a, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}

extern "C" __global__ void reduceSum(const float* x, float* out, int n) {
  __shared__ float parts[32];
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += x[i];
  for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    sum = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0;
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    if (threadIdx.x == 0) out[0] = sum;
  }
}

extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns) {
  __shared__ float tile[32][33];
  int c = blockIdx.x * 32 + threadIdx.x, r = blockIdx.y * 32 + threadIdx.y;
  for (int k = 0; k < 32; k += 8) {
    if (r + k < rows && c < columns) tile[threadIdx.y + k][threadIdx.x] = x[(r + k) * columns + c];
  }
  __syncthreads();
  c = blockIdx.y * 32 + threadIdx.x;
  r = blockIdx.x * 32 + threadIdx.y;
  for (int k = 0; k < 32; k += 8) {
    if (r + k < columns && c < rows) y[(r + k) * rows + c] = tile[threadIdx.x][threadIdx.y + k];
  }
}

extern "C" __global__ void softmaxRows(const float* x, float* y, int n) {
  extern __shared__ float scratch[];
  x += blockIdx.x * n;
  y += blockIdx.x * n;
  float best = -INFINITY;
  for (int i = threadIdx.x; i < n; i += blockDim.x) best = fmaxf(best, x[i]);
  scratch[threadIdx.x] = best;
  __syncthreads();
  for (int d = blockDim.x / 2; d > 0; d /= 2) {
    if (threadIdx.x < d) scratch[threadIdx.x] = fmaxf(scratch[threadIdx.x], scratch[threadIdx.x + d]);
    __syncthreads();
  }
  best = scratch[0];
  __syncthreads();
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += expf(x[i] - best);
  scratch[threadIdx.x] = sum;
  __syncthreads();
  for (int d = blockDim.x / 2; d > 0; d /= 2) {
    if (threadIdx.x < d) scratch[threadIdx.x] += scratch[threadIdx.x + d];
    __syncthreads();
  }
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = expf(x[i] - best) / scratch[0];
}

extern "C" __global__ void histogram(const unsigned char* x, unsigned* bins, int n) {
  __shared__ unsigned own[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x) own[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&own[x[i]], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x) atomicAdd(&bins[i], own[i]);
}

extern "C" __global__ void halves(const __half2* a, const __half2* b, __half2* c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = __hfma2(a[i], b[i], __hadd2(a[i], __hmul2(b[i], b[i])));
}
extern "C" __global__ void bfloats(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = __float2bfloat16(__bfloat162float(a[i]) * __bfloat162float(b[i]) + 1.0f);
}

// One warp, one tile of 16 x 8 x 16.
extern "C" __global__ void mmaTile(const __half* a, const __half* b, float* d) {
  const int lane = threadIdx.x, r = lane / 4, c = lane % 4 * 2;
  unsigned fa[4], fb[2];
  float acc[4] = {0, 0, 0, 0};
  for (int k = 0; k < 4; ++k) fa[k] = *(const unsigned*)&a[(r + 8 * (k % 2)) * 16 + c + 8 * (k / 2)];
  for (int k = 0; k < 2; ++k) {
    const __half2 pair = __halves2half2(b[(c + 8 * k) * 8 + r], b[(c + 1 + 8 * k) * 8 + r]);
    fb[k] = *(const unsigned*)&pair;
  }
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
               : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
  for (int k = 0; k < 4; ++k) d[(r + 8 * (k / 2)) * 8 + c + k % 2] = acc[k];
}

// Every lane loops a number of times of its own.
extern "C" __global__ void collatz(const int* x, int* steps, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  long long v = x[i];
  int count = 0;
  while (v != 1) {
    v = v % 2 == 0 ? v / 2 : 3 * v + 1;
    ++count;
  }
  steps[i] = count;
}

__device__ int table[4] = {10, 20, 30, 40};
__device__ int* inside = table + 2;
__constant__ float factors[3] = {0.5f, 1.5f, 2.5f};
__device__ __noinline__ double slow(double x, int i) { return sin(x) * factors[i % 3] + *inside; }
extern "C" __global__ void callsAndLocals(const double* x, double* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double kept[8];
  for (int k = 0; k < 8; ++k) kept[k] = x[i] + k;
  y[i] = slow(kept[(i * 5) % 8], i);
}

// A lock inside a warp: the lanes take it one after another.
extern "C" __global__ void spinLock(int* lock, int* count) {
  bool done = false;
  while (!done) {
    if (atomicCAS(lock, 0, 1) == 0) {
      *(volatile int*)count = *(volatile int*)count + 1;
      __threadfence();
      atomicExch(lock, 0);
      done = true;
    }
  }
}

// Every block waits for all others.
extern "C" __global__ void gridBarrier(int* arrived, int* out) {
  if (threadIdx.x == 0) {
    atomicAdd(arrived, 1);
    while (*(volatile int*)arrived < (int)gridDim.x) {
    }
  }
  __syncthreads();
  out[blockIdx.x * blockDim.x + threadIdx.x] = *(volatile int*)arrived;
}
