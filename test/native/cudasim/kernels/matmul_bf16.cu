// C = A B with A and B of bfloat16 and C of float32, sizes multiples of 128 (n, m) and 32 (k). A thread holds 4 x 4
// fragments of 16 x 8 sums, 4 values each; a warp owns 64 x 32 of C; a block of 8 warps owns 128 x 128 and keeps two
// stages of 128 x 32 of A and 32 x 128 of B in shared memory, the next on its way while the last is multiplied.
#include <cuda_bf16.h>

namespace {

constexpr int kTile = 128, kDepth = 32;
// Rows are padded by 16 bytes, so that the eight rows of an ldmatrix lie in different banks.
constexpr int kRowA = kDepth + 8, kRowB = kTile + 8;

__device__ void copyAsync(void* to, const void* from) {
  const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(from) : "memory");
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    matmulBf16(const __nv_bfloat16* __restrict__ a, const __nv_bfloat16* __restrict__ b, float* __restrict__ c, int n,
               int k) {
  __shared__ __align__(16) __nv_bfloat16 as[2][kTile][kRowA], bs[2][kDepth][kRowB];
  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const int warpRow = warp / 4 * 64, warpColumn = warp % 4 * 32;
  const __nv_bfloat16* pa = a + static_cast<size_t>(blockIdx.y) * kTile * k;
  const __nv_bfloat16* pb = b + blockIdx.x * kTile;
  const auto fetch = [&](int stage, int at) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int chunk = t + 256 * i;
      copyAsync(&as[stage][chunk / 4][chunk % 4 * 8], pa + static_cast<size_t>(chunk / 4) * k + at + chunk % 4 * 8);
      copyAsync(&bs[stage][chunk / 16][chunk % 16 * 8], pb + static_cast<size_t>(at + chunk / 16) * n + chunk % 16 * 8);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  float acc[4][4][4] = {};
  fetch(0, 0);
  for (int at = 0, stage = 0; at < k; at += kDepth, stage ^= 1) {
    if (at + kDepth < k) {
      fetch(stage ^ 1, at + kDepth);
      asm volatile("cp.async.wait_group 1;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    }
    __syncthreads();
#pragma unroll
    for (int step = 0; step < kDepth; step += 16) {
      unsigned fa[4][4], fb[4][2];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const unsigned from = static_cast<unsigned>(
            __cvta_generic_to_shared(&as[stage][warpRow + 16 * i + lane % 16][step + lane / 16 * 8]));
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fa[i][0]), "=r"(fa[i][1]), "=r"(fa[i][2]), "=r"(fa[i][3])
                     : "r"(from)
                     : "memory");
      }
#pragma unroll
      for (int j = 0; j < 4; j += 2) {
        const unsigned from = static_cast<unsigned>(
            __cvta_generic_to_shared(&bs[stage][step + lane % 16][warpColumn + 8 * j + lane / 16 * 8]));
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fb[j][0]), "=r"(fb[j][1]), "=r"(fb[j + 1][0]), "=r"(fb[j + 1][1])
                     : "r"(from)
                     : "memory");
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          asm volatile(
              "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
              "{%0,%1,%2,%3};"
              : "+f"(acc[i][j][0]), "+f"(acc[i][j][1]), "+f"(acc[i][j][2]), "+f"(acc[i][j][3])
              : "r"(fa[i][0]), "r"(fa[i][1]), "r"(fa[i][2]), "r"(fa[i][3]), "r"(fb[j][0]), "r"(fb[j][1]));
    }
    __syncthreads();  // the next round's copies go where this round has read
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = blockIdx.y * kTile + warpRow + 16 * i + 8 * half + lane / 4;
        const int column = blockIdx.x * kTile + warpColumn + 8 * j + lane % 4 * 2;
        *reinterpret_cast<float2*>(&c[static_cast<size_t>(row) * n + column]) =
            make_float2(acc[i][j][2 * half], acc[i][j][2 * half + 1]);
      }
}
