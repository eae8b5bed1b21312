// What the driver brings for device code: assertions that fail or hold, and printf.
#include <assert.h>
#include <stdio.h>

extern "C" __global__ void asserts(int* y, int limit) {
  assert((int)threadIdx.x < limit);  // bug: asserts
  y[threadIdx.x] = 1;
}

extern "C" __global__ void prints(float x) {
  if (threadIdx.x < 2) printf("thread %u of block %s: %.2f\n", threadIdx.x, "zero", x * threadIdx.x);
}
