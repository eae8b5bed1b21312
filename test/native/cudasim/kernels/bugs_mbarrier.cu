// Barriers in shared memory: each kernel with exactly one bug, and beside it the same without.
#include <stdint.h>

namespace {

__device__ __forceinline__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void init(uint64_t* b, int n) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(at(b)), "r"(n) : "memory");
}
__device__ __forceinline__ void arrive(uint64_t* b) {
  asm volatile("{ .reg .b64 t; mbarrier.arrive.shared.b64 t, [%0]; }" ::"r"(at(b)) : "memory");
}
// Arrivals that must not be the last of a phase.
__device__ __forceinline__ void arriveOnly(uint64_t* b) {
  asm volatile("{ .reg .b64 t; mbarrier.arrive.noComplete.shared.b64 t, [%0], 2; }" ::"r"(at(b)) : "memory");
}
__device__ __forceinline__ bool passed(uint64_t* b, int parity) {
  unsigned yes;
  asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
               : "=r"(yes)
               : "r"(at(b)), "r"(parity)  // bug: neverComplete
               : "memory");
  return yes != 0;
}
__device__ __forceinline__ void wait(uint64_t* b, int parity) {
  while (!passed(b, parity)) continue;
}
__device__ __forceinline__ void copy(float* to, const float* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(at(to)), "l"(from) : "memory");
}
__device__ __forceinline__ void arriveBehindCopies(uint64_t* b) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(at(b)) : "memory");
}

}  // namespace

// Each thread of 64 reads what one of the other warp wrote.
#define EXCHANGE(NAME, COUNT, SYNC, WAIT)   \
  extern "C" __global__ void NAME(int* y) { \
    __shared__ uint64_t b;                  \
    __shared__ int s[64];                   \
    if (threadIdx.x == 0) init(&b, COUNT);  \
    SYNC;                                   \
    s[threadIdx.x] = threadIdx.x;           \
    arrive(&b);                             \
    WAIT;                                   \
    y[threadIdx.x] = s[63 - threadIdx.x];   \
  }
EXCHANGE(exchange, 64, __syncthreads(), wait(&b, 0))
EXCHANGE(exchangeNoWait, 64, __syncthreads(), )                // bug: exchangeNoWait
EXCHANGE(exchangeOneTest, 64, __syncthreads(), passed(&b, 0))  // bug: exchangeOneTest
EXCHANGE(neverComplete, 65, __syncthreads(), wait(&b, 0))
EXCHANGE(completesWithoutLeave, 64, __syncthreads(), arriveOnly(&b))
EXCHANGE(initUnseen, 64, , wait(&b, 0))

// Copies that arrive at the barrier themselves.
#define COPIES(NAME, WAIT)                                    \
  extern "C" __global__ void NAME(const float* x, float* y) { \
    __shared__ uint64_t b;                                    \
    __shared__ float s[64];                                   \
    if (threadIdx.x == 0) init(&b, 64);                       \
    __syncthreads();                                          \
    copy(&s[threadIdx.x], &x[threadIdx.x]);                   \
    arriveBehindCopies(&b);                                   \
    WAIT;                                                     \
    y[threadIdx.x] = s[threadIdx.x ^ 1];                      \
  }
COPIES(copies, wait(&b, 0))
COPIES(copiesNoWait, )                // bug: copiesNoWait
COPIES(copiesOneTest, passed(&b, 0))  // bug: copiesOneTest
// Nobody waits, nobody reads.
extern "C" __global__ void copiesLeft(const float* x) {
  __shared__ uint64_t b;
  __shared__ float s[64];
  if (threadIdx.x == 0) init(&b, 64);
  __syncthreads();
  copy(&s[threadIdx.x], &x[threadIdx.x]);  // for copiesLeft
  arriveBehindCopies(&b);
}
