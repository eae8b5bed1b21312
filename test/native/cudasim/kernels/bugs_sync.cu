// Barriers, lanes and waits: each kernel with exactly one bug, and beside it the same without.

// Halves of a warp meet the barrier at different instructions.
extern "C" __global__ void twoBarriers(float* y) {
  if (threadIdx.x < 16) {
    y[threadIdx.x] = 2;
    asm volatile("bar.sync 0;" ::: "memory");
  } else {
    y[threadIdx.x] = 1;
    asm volatile("bar.sync 0;" ::: "memory");  // bug: twoBarriers
  }
  y[threadIdx.x] += 1;
}
extern "C" __global__ void oneBarrier(float* y) {
  if (threadIdx.x < 16) {
    y[threadIdx.x] = 2;
  } else {
    y[threadIdx.x] = 1;
  }
  asm volatile("bar.sync 0;" ::: "memory");
  y[threadIdx.x] += 1;
}
// Warps may take different paths, if each goes as a whole.
extern "C" __global__ void barrierByWarp(float* y) {
  if (threadIdx.x < 32) {
    y[threadIdx.x] = 2;
    asm volatile("bar.sync 0;" ::: "memory");
  } else {
    y[threadIdx.x] = 1;
    asm volatile("bar.sync 0;" ::: "memory");
  }
  y[threadIdx.x + 64] = y[threadIdx.x ^ 32];
}

// Lanes 16 to 31 have ended when the others speak to each other.
extern "C" __global__ void exitedSource(int* y) {
  int v = threadIdx.x;
  if (threadIdx.x >= 16) return;
  v = __shfl_sync(0xffffffffu, v, threadIdx.x + 4, 32);  // bug: exitedSource
  y[threadIdx.x] = v;
}
extern "C" __global__ void exitedMembers(int* y) {
  int v = threadIdx.x;
  if (threadIdx.x >= 16) return;
  v = __shfl_sync(0xffffffffu, v, threadIdx.x ^ 4, 32);
  __syncwarp();
  y[threadIdx.x] = v + __popc(__ballot_sync(0xffffffffu, v >= 0));
}
extern "C" __global__ void notMember(int* y) {
  int v = threadIdx.x;
  v = __shfl_sync(0x0000ffffu, v, threadIdx.x & 15, 32);  // bug: notMember
  y[threadIdx.x] = v;
}
extern "C" __global__ void membersOfHalves(int* y) {
  const unsigned members = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
  if (threadIdx.x < 16) {
    y[threadIdx.x] = __shfl_xor_sync(members, threadIdx.x, 1, 32);
  } else {
    y[threadIdx.x] = __shfl_xor_sync(members, threadIdx.x, 2, 32);
  }
  __syncwarp();
}

// Nobody can go on.
extern "C" __global__ void fewAtBarrier(int* y) {
  if (threadIdx.x < 64) {
    asm volatile("bar.sync 1, 96;" ::: "memory");  // bug: fewAtBarrier
  }
  y[threadIdx.x] = 1;
}
extern "C" __global__ void enoughAtBarrier(int* y) {
  if (threadIdx.x < 64) {
    asm volatile("bar.sync 1, 96;" ::: "memory");
  } else {
    asm volatile("bar.arrive 1, 96;" ::: "memory");
  }
  y[threadIdx.x] = 1;
}
extern "C" __global__ void countsDiffer(int* y) {
  if (threadIdx.x < 32) {
    asm volatile("bar.sync 1, 64;" ::: "memory");
  } else {
    asm volatile("bar.arrive 1, 96;" ::: "memory");  // bug: countsDiffer
  }
  y[threadIdx.x] = 1;
}
extern "C" __global__ void lanesApart(int* y) {
  if (threadIdx.x < 16) {
    y[threadIdx.x] = __shfl_sync(0xffffffffu, threadIdx.x, 1, 32);
  } else {
    y[threadIdx.x] = __popc(__ballot_sync(0xffffffffu, threadIdx.x & 1));  // bug: lanesApart
  }
}

// Waits for a flag that is raised by the last block, or by none.
extern "C" __global__ void waitsForFlag(volatile int* flag, int* y, int raised) {
  if (raised && blockIdx.x == gridDim.x - 1) *flag = 1;
  while (*flag == 0) {  // bug: waitsForFlag
  }
  y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}
extern "C" __global__ void loops(int* y) {
  int sum = 0;
  for (int i = 1; i != 0; i += 2) sum += __popc(i ^ sum);  // bug: loops
  y[threadIdx.x] = sum;
}
// Lanes of one warp take a lock in turns.
extern "C" __global__ void lock(int* locked, int* sum) {
  bool done = false;
  while (!done) {
    if (atomicCAS(locked, 0, 1) == 0) {
      __threadfence();
      *sum = *sum + 1;
      __threadfence();
      atomicExch(locked, 0);
      done = true;
    }
  }
}

// y = x through two buffers; while one is read the next is on its way. WAITS stands where a step's copy must have come,
// LAST where the kernel ends.
#define PIPELINE(NAME, WAITS, LAST)                                                                               \
  extern "C" __global__ void NAME(const float* x, float* y, int steps) {                                          \
    __shared__ __align__(16) float s[2][128];                                                                     \
    const auto fetch = [&](int step) {                                                                            \
      const unsigned to = (unsigned)__cvta_generic_to_shared(&s[step & 1][threadIdx.x * 4]);                      \
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + step * 128 + threadIdx.x * 4)); \
      asm volatile("cp.async.commit_group;");                                                                     \
    };                                                                                                            \
    fetch(0);                                                                                                     \
    _Pragma("unroll 1") for (int step = 0; step < steps; ++step) {                                                \
      if (step + 1 < steps) {                                                                                     \
        fetch(step + 1);                                                                                          \
        asm volatile(WAITS ::: "memory");                                                                         \
      } else {                                                                                                    \
        asm volatile(LAST ::: "memory");                                                                          \
      }                                                                                                           \
      __syncwarp();                                                                                               \
      for (int k = 0; k < 4; ++k) y[step * 128 + k * 32 + threadIdx.x] = s[step & 1][k * 32 + threadIdx.x];       \
      __syncwarp();                                                                                               \
    }                                                                                                             \
  }
PIPELINE(pipeline, "cp.async.wait_group 1;", "cp.async.wait_group 0;")
PIPELINE(pipelineTooSoon, "cp.async.wait_group 2;", "cp.async.wait_group 0;")  // bug: pipelineTooSoon
// The copy is waited for by nobody, and read by nobody.
extern "C" __global__ void leavesCopy(const float* x) {
  __shared__ __align__(16) float s[128];
  const unsigned to = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x * 4]);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + threadIdx.x * 4));  // bug: leavesCopy
}
extern "C" __global__ void awaitsCopy(const float* x) {
  __shared__ __align__(16) float s[128];
  const unsigned to = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x * 4]);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + threadIdx.x * 4));
  asm volatile("cp.async.wait_all;" ::: "memory");
}
