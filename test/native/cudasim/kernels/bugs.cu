// Each kernel with exactly one bug, and beside it the same without. findings_test.cc looks the lines up by their marks.

extern "C" __global__ void outOfBounds(float* x, int n) {
  const int i = threadIdx.x;
  if (i <= n) x[i] = 1;  // bug: outOfBounds
}
extern "C" __global__ void inBounds(float* x, int n) {
  const int i = threadIdx.x;
  if (i < n) x[i] = 1;
}

extern "C" __global__ void misaligned(float* x) {
  *(float*)((char*)x + 2 + 4 * threadIdx.x) = 1;  // bug: misaligned
}

extern "C" __global__ void readsFresh(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x];  // bug: readsFresh
}
extern "C" __global__ void readsSharedFresh(float* y) {
  __shared__ float s[64];
  if (threadIdx.x < 32) s[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];  // bug: readsSharedFresh
}
extern "C" __global__ void readsSharedWritten(float* y) {
  __shared__ float s[64];
  s[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}

extern "C" __global__ void missingBarrier(float* y) {
  __shared__ float s[64];
  s[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = s[63 - threadIdx.x];  // bug: missingBarrier
}
extern "C" __global__ void hasBarrier(float* y) {
  __shared__ float s[64];
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}
extern "C" __global__ void missingSyncwarp(float* y) {
  __shared__ float s[32];
  s[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = s[31 - threadIdx.x];  // bug: missingSyncwarp
}
extern "C" __global__ void hasSyncwarp(float* y) {
  __shared__ float s[32];
  for (int k = 0; k < 3; ++k) {
    s[threadIdx.x] = threadIdx.x + k;
    __syncwarp();
    y[threadIdx.x] = s[31 - threadIdx.x];
    __syncwarp();
  }
}
// Every lane of a warp writes what they all hold, which is correct; what differs by lane is not, nor is another warp's.
extern "C" __global__ void lanesAgree(double* y) {
  __shared__ double s[2];
  s[threadIdx.x / 32] = threadIdx.x / 32;
  __syncthreads();
  y[threadIdx.x] = s[1];
}
extern "C" __global__ void lanesDisagree(double* y) {
  __shared__ double s[2];
  s[threadIdx.x / 32] = threadIdx.x;  // bug: lanesDisagree
  __syncthreads();
  y[threadIdx.x] = s[1];
}
extern "C" __global__ void warpsAgree(float* y) {
  __shared__ float s;
  s = gridDim.x;  // bug: warpsAgree
  __syncthreads();
  y[threadIdx.x] = s;
}
extern "C" __global__ void sharedCounter(int* y) {
  __shared__ int count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  count = count + 1;  // bug: sharedCounter
  __syncthreads();
  y[threadIdx.x] = count;
}
extern "C" __global__ void sharedAtomic(int* y) {
  __shared__ int count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  atomicAdd(&count, 1);
  __syncthreads();
  y[threadIdx.x] = count;
}

// Two warps produce, two consume, through barriers of 128 threads with a number.
extern "C" __global__ void namedBarrier(float* y) {
  __shared__ float s[64];
  const int t = threadIdx.x;
  if (t < 64) {
    s[t] = t;
    asm volatile("bar.arrive 1, 128;" ::: "memory");
  } else {
    asm volatile("bar.sync 1, 128;" ::: "memory");
    y[t - 64] = s[127 - t];
  }
}

extern "C" __global__ void divergentBarrier(float* y) {
  if (threadIdx.x < 16) {
    asm volatile("bar.sync 0;" ::: "memory");  // bug: divergentBarrier
    y[threadIdx.x] = 1;
  }
}
extern "C" __global__ void missingLane(int* y) {
  int v = threadIdx.x;
  if (threadIdx.x < 16) {
    v = __shfl_sync(0x0000ffffu, v, 20, 32);  // bug: missingLane
    y[threadIdx.x] = v;
  }
}
extern "C" __global__ void deadlocked(int* y) {
  // The second warp waits for 128 threads, and there are 64.
  if (threadIdx.x >= 32) {
    asm volatile("bar.sync 1, 64;" ::: "memory");  // bug: deadlocked
  } else {
    asm volatile("bar.sync 2, 64;" ::: "memory");
  }
  y[threadIdx.x] = 1;
}
extern "C" __global__ void endless(volatile int* y) {
  while (*y == 0) {
  }
}
extern "C" __global__ void traps(int* y) {
  if (y[threadIdx.x] != 0) __trap();  // bug: traps
}

// y = x through shared memory by cp.async, in two steps. WAIT is the number of groups that may be left.
#define PIPELINE(NAME, WAIT)                                                                                   \
  extern "C" __global__ void NAME(const float* x, float* y) {                                                  \
    __shared__ __align__(16) float s[2][128];                                                                  \
    for (int k = 0; k < 2; ++k) {                                                                              \
      const unsigned to = (unsigned)__cvta_generic_to_shared(&s[k][threadIdx.x * 4]);                          \
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + k * 128 + threadIdx.x * 4)); \
      asm volatile("cp.async.commit_group;");                                                                  \
    }                                                                                                          \
    asm volatile("cp.async.wait_group " #WAIT ";" ::: "memory");                                               \
    __syncthreads();                                                                                           \
    for (int k = 0; k < 8; ++k) y[k * 32 + threadIdx.x] = s[k / 4][k % 4 * 32 + threadIdx.x];                  \
    asm volatile("cp.async.wait_all;" ::: "memory");                                                           \
  }
PIPELINE(waitsForAll, 0)
PIPELINE(waitsForOne, 1)
