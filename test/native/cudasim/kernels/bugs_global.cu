// Races on global memory: each kernel with exactly one bug, and beside it the same without. race_findings_test.cc looks
// the lines up by their marks.

// Every block adds into one word.
extern "C" __global__ void blocksShareWord(int* y) {
  if (threadIdx.x == 0) *y = *y + 1;  // bug: blocksShareWord
}
extern "C" __global__ void blocksShareAtomic(int* y) {
  if (threadIdx.x == 0) atomicAdd(y, 1);
}

// In place, and the neighbour of a block's last element belongs to the next block.
extern "C" __global__ void halo(float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const float right = i + 1 < n ? x[i + 1] : 0;
  __syncthreads();
  x[i] = right;  // bug: halo
}
extern "C" __global__ void haloOutOfPlace(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = i + 1 < n ? x[i + 1] : 0;
}

// Threads of a block hand each other words of global memory.
extern "C" __global__ void warpsWithoutBarrier(float* x, float* y) {
  x[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = x[threadIdx.x ^ 32];  // bug: warpsWithoutBarrier
}
extern "C" __global__ void warpsWithBarrier(float* x, float* y) {
  x[threadIdx.x] = threadIdx.x;
  __syncthreads();
  y[threadIdx.x] = x[threadIdx.x ^ 32];
  __syncthreads();
  x[threadIdx.x] = 0;
}
extern "C" __global__ void lanesWithoutSyncwarp(float* x, float* y) {
  x[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = x[threadIdx.x ^ 1];  // bug: lanesWithoutSyncwarp
}
extern "C" __global__ void lanesWithSyncwarp(float* x, float* y) {
  x[threadIdx.x] = threadIdx.x;
  __syncwarp();
  y[threadIdx.x] = x[threadIdx.x ^ 1];
  __syncwarp();
  x[threadIdx.x] = y[threadIdx.x];
}
// All lanes write one word, by one instruction: what they all hold, or not.
extern "C" __global__ void lanesAgreeGlobal(short* y) { y[blockIdx.x] = 7; }
extern "C" __global__ void lanesDisagreeGlobal(short* y) {
  y[blockIdx.x] = threadIdx.x;  // bug: lanesDisagreeGlobal
}
// All read one word, then one thread overwrites it.
extern "C" __global__ void overwritesBroadcast(float* x, float* y) {
  y[threadIdx.x] = *x;
  if (threadIdx.x == 63) *x = 1;  // bug: overwritesBroadcast
}
extern "C" __global__ void overwritesAfterBarrier(float* x, float* y) {
  y[threadIdx.x] = *x;
  __syncthreads();
  if (threadIdx.x == 63) *x = 1;
}

// Bytes and halves of one word may belong to different threads, warps and blocks.
extern "C" __global__ void bytesOfOneWord(unsigned char* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  for (int k = 0; k < 2; ++k) y[i] = y[i] + 1;
}
extern "C" __global__ void bytesOverlap(unsigned char* y) {
  y[blockIdx.x * (blockDim.x - 1) + threadIdx.x] = 1;  // bug: bytesOverlap
}

// The reduction of which the last block adds up what all have written; FENCE and BARRIER stand between the writes and
// the count.
#define LAST_BLOCK(NAME, FENCE, BARRIER)                                                   \
  extern "C" __global__ void NAME(float* part, float* y, unsigned* done) {                 \
    __shared__ bool last;                                                                  \
    part[blockIdx.x * blockDim.x + threadIdx.x] = 1;                                       \
    FENCE;                                                                                 \
    BARRIER;                                                                               \
    if (threadIdx.x == 0) last = atomicAdd(done, 1) == gridDim.x - 1;                      \
    __syncthreads();                                                                       \
    if (!last) return;                                                                     \
    float sum = 0;                                                                         \
    for (int i = threadIdx.x; i < gridDim.x * blockDim.x; i += blockDim.x) sum += part[i]; \
    y[threadIdx.x] = sum;                                                                  \
    if (threadIdx.x == 0) *done = 0;                                                       \
  }
LAST_BLOCK(lastBlock, __threadfence(), __syncthreads())
LAST_BLOCK(lastBlockFenceByOne, , __syncthreads(); if (threadIdx.x == 0) __threadfence())
LAST_BLOCK(lastBlockNoFence, , __syncthreads())                            // bug: lastBlockNoFence
LAST_BLOCK(lastBlockFenceOfBlock, __threadfence_block(), __syncthreads())  // bug: lastBlockFenceOfBlock
LAST_BLOCK(lastBlockNoBarrier, __threadfence(), )                          // bug: lastBlockNoBarrier

// Each block waits for its left neighbour's flag, adds its own, and passes it on: a look-back scan.
#define CHAIN(NAME, FENCE, RAISE)                                           \
  extern "C" __global__ void NAME(int* sums, volatile int* flags, int* y) { \
    if (threadIdx.x == 0) {                                                 \
      int sum = 1;                                                          \
      if (blockIdx.x > 0) {                                                 \
        while (flags[blockIdx.x - 1] == 0) {                                \
        }                                                                   \
        __threadfence();                                                    \
        sum += sums[blockIdx.x - 1];                                        \
      }                                                                     \
      sums[blockIdx.x] = sum;                                               \
      FENCE;                                                                \
      RAISE;                                                                \
      y[blockIdx.x] = sum;                                                  \
    }                                                                       \
  }
CHAIN(chain, __threadfence(), flags[blockIdx.x] = 1)
CHAIN(chainReleased, , asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(flags + blockIdx.x), "r"(1) : "memory"))
CHAIN(chainNoFence, , flags[blockIdx.x] = 1)                           // bug: chainNoFence
CHAIN(chainFlagFirst, flags[blockIdx.x] = 1, __threadfence())          // bug: chainFlagFirst
CHAIN(chainPlainFlag, __threadfence(), *(int*)&flags[blockIdx.x] = 1)  // bug: chainPlainFlag

// Block 1 receives what block 0 has sent so far, and reads what block 0 sends later: CATCH_UP receives that too. It
// waits by plain reads, which receive nothing.
#define EARLY(NAME, CATCH_UP)                                                                          \
  extern "C" __global__ void NAME(int* x, unsigned* go, int* flag, int* y) {                           \
    if (threadIdx.x != 0) return;                                                                      \
    if (blockIdx.x == 0) {                                                                             \
      while (*(volatile unsigned*)go == 0) {                                                           \
      }                                                                                                \
      *x = 5;                                                                                          \
      __threadfence();                                                                                 \
      *(volatile int*)flag = 1;                                                                        \
    } else {                                                                                           \
      *y = atomicAdd(go, 1);                                                                           \
      for (int seen = 0; seen == 0;) asm volatile("ld.global.s32 %0, [%1];" : "=r"(seen) : "l"(flag)); \
      CATCH_UP;                                                                                        \
      *y += *x;                                                                                        \
    }                                                                                                  \
  }
EARLY(receivedTwice, *y += *(volatile int*)flag)
EARLY(receivedEarly, )  // bug: receivedEarly

// All blocks read one word, and one of them overwrites it: at once, or when it knows that the others have read.
extern "C" __global__ void overwritesForBlocks(float* x, float* y) {
  y[blockIdx.x * blockDim.x + threadIdx.x] = *x;
  if (blockIdx.x == gridDim.x - 1 && threadIdx.x == 0) *x = 1;  // bug: overwritesForBlocks
}
#define LAST_OVERWRITES(NAME, BETWEEN)                                            \
  extern "C" __global__ void NAME(volatile unsigned* done, float* x, float* y) {  \
    const int i = blockIdx.x * blockDim.x + threadIdx.x;                          \
    y[i] = *x;                                                                    \
    __threadfence();                                                              \
    __syncwarp();                                                                 \
    const unsigned before = threadIdx.x == 0 ? atomicAdd((unsigned*)done, 1) : 0; \
    if (__shfl_sync(~0u, before, 0) == gridDim.x - 1) {                           \
      asm volatile("ld.global.f32 %0, [%1];" : "=f"(y[i]) : "l"(x));              \
      BETWEEN;                                                                    \
      if (threadIdx.x == 0) *x = 1;                                               \
    }                                                                             \
  }
LAST_OVERWRITES(lastOverwrites, __syncwarp())
LAST_OVERWRITES(lastOverwritesEarly, )  // bug: lastOverwritesEarly

// A barrier of the whole grid between two steps: each block reads what another wrote.
#define GRID_BARRIER(NAME, FENCE)                                                    \
  extern "C" __global__ void NAME(int* x, int* y, unsigned* arrived) {               \
    const int i = blockIdx.x * blockDim.x + threadIdx.x, n = gridDim.x * blockDim.x; \
    for (unsigned step = 1; step <= 3; ++step) {                                     \
      x[i] = step + i;                                                               \
      __syncthreads();                                                               \
      if (threadIdx.x == 0) {                                                        \
        FENCE;                                                                       \
        atomicAdd(arrived, 1);                                                       \
        while (*(volatile unsigned*)arrived < (2 * step - 1) * gridDim.x) {          \
        }                                                                            \
      }                                                                              \
      __syncthreads();                                                               \
      y[i] = x[(i + blockDim.x) % n];                                                \
      __syncthreads();                                                               \
      if (threadIdx.x == 0) {                                                        \
        FENCE;                                                                       \
        atomicAdd(arrived, 1);                                                       \
        while (*(volatile unsigned*)arrived < 2 * step * gridDim.x) {                \
        }                                                                            \
      }                                                                              \
      __syncthreads();                                                               \
    }                                                                                \
  }
GRID_BARRIER(gridBarrier, __threadfence())
GRID_BARRIER(gridBarrierNoFence, )  // bug: gridBarrierNoFence

// One warp tells another by a flag in shared memory that words in shared and in global memory are written.
#define FLAG(NAME, SHARED_AFTER, GLOBAL_AFTER)          \
  extern "C" __global__ void NAME(float* x, float* y) { \
    __shared__ volatile int flag;                       \
    __shared__ float s[32];                             \
    const int lane = threadIdx.x & 31;                  \
    if (threadIdx.x == 0) flag = 0;                     \
    __syncthreads();                                    \
    if (threadIdx.x < 32) {                             \
      if (!SHARED_AFTER) s[lane] = lane;                \
      if (!GLOBAL_AFTER) x[lane] = lane;                \
      __syncwarp();                                     \
      __threadfence_block();                            \
      if (threadIdx.x == 0) flag = 1;                   \
      __syncwarp();                                     \
      if (SHARED_AFTER) s[lane] = lane;                 \
      if (GLOBAL_AFTER) x[lane] = lane;                 \
    } else {                                            \
      if (threadIdx.x == 32) {                          \
        while (flag == 0) {                             \
        }                                               \
      }                                                 \
      __syncwarp();                                     \
      y[lane] = s[lane] + x[lane];                      \
    }                                                   \
  }
FLAG(flagOfWarps, false, false)
FLAG(flagBeforeShared, true, false)  // bug: flagBeforeShared
FLAG(flagBeforeGlobal, false, true)  // bug: flagBeforeGlobal
// Legacy code: the lanes of a warp rely on volatile for their order.
extern "C" __global__ void volatileLanes(float* y) {
  __shared__ volatile float s[32];
  s[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = s[threadIdx.x ^ 1];  // bug: volatileLanes
}
// A compare-and-swap loop that begins with a plain read.
extern "C" __global__ void swapLoop(float* y) {
  int* bits = (int*)y;
  int old = *bits, assumed;
  do {
    assumed = old;
    old = atomicCAS(bits, assumed, __float_as_int(__int_as_float(assumed) + 1));
  } while (old != assumed);
}
