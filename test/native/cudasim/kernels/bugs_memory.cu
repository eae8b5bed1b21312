// Wrong addresses and bytes that nobody wrote: each kernel with exactly one bug, and beside it the same without.

extern "C" __global__ void writesFreed(float* x) {
  x[threadIdx.x] = 1;  // bug: writesFreed
}

// n is the index that is one too far.
extern "C" __global__ void localOutOfBounds(int* y, int n) {
  int a[8];
  for (int k = 0; k < 8; ++k) a[k] = y[k];
  y[threadIdx.x] = a[n];  // bug: localOutOfBounds
}
extern "C" __global__ void localFresh(int* y, int n) {
  int a[8];
  for (int k = 0; k < n; ++k) a[k] = y[k];
  y[threadIdx.x] = a[5];  // bug: localFresh
}
extern "C" __global__ void sharedOutOfBounds(int n) {
  __shared__ volatile float s[32];
  s[threadIdx.x + n] = 1;  // bug: sharedOutOfBounds
}
extern "C" __global__ void dynamicOutOfBounds(int n) {
  extern __shared__ volatile float d[];
  d[threadIdx.x + n] = 1;  // bug: dynamicOutOfBounds
}

extern "C" __global__ void vectorMisaligned(const float* x, float* y, int n) {
  const float4 v = *(const float4*)(x + n);  // bug: vectorMisaligned
  y[threadIdx.x] = v.x + v.y + v.z + v.w;
}

// Three bytes of a word are written.
extern "C" __global__ void freshByte(unsigned char* x, unsigned* y, int n) {
  for (int k = 0; k < n; ++k) x[k] = k;
  *y = *(volatile unsigned*)x;  // bug: freshByte
}

// From the address `from` on, to shared memory and from there to y.
#define COPIES(NAME)                                                                                  \
  extern "C" __global__ void NAME(const float* from, float* y) {                                      \
    __shared__ __align__(16) float s[128];                                                            \
    const unsigned to = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x * 4]);                      \
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from + threadIdx.x * 4)); \
    asm volatile("cp.async.wait_all;" ::: "memory");                                                  \
    for (int k = 0; k < 4; ++k) y[threadIdx.x * 4 + k] = s[threadIdx.x * 4 + k];                      \
  }
COPIES(copiesFresh)    // bug: copiesFresh
COPIES(copiesPastEnd)  // bug: copiesPastEnd
