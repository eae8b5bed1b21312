// The steps between one thread an element (gemm_f32_simple in matmul.cu) and the tiles in use (gemm_tile.cuh), for
// readers: each adds one idea, and each keeps the order of summation, so that all give the same bits. They know one
// product without epilogue, of any strides; nothing but the tests launches them.
//
//   step                    what is new                               global bytes a FLOP   shared bytes a FLOP
//   gemm_f32_simple         -                                         4                     -
//   gemm_ladder_shared      a block shares what its threads read      4 / 16                4
//   gemm_ladder_registers   a thread owns 4 x 4 elements              4 / 64                1
//   gemm_f32_<layout>_...   fragments of 16 bytes, a ring of tiles    4 / 128               0.5
//                           that cp.async fills, 8 x 8 elements
//
// The figures count reads for large matrices, without what caches save.
#include "cuda/gemm_args.h"
#include "cuda/kernels/common.cuh"

namespace warploom::cuda {

constexpr int kStep = 16;  // k's in shared memory at a time

// A block owns kSize x kSize elements of y, a thread kOwn x kOwn of them, kSize / kOwn apart; the block has
// (kSize / kOwn)^2 threads. All of them fill the tiles of a and b, wait, multiply, wait.
template <int kSize, int kOwn>
__device__ inline void ladderTile(const GemmArgs& args) {
  constexpr int kSide = kSize / kOwn, kThreads = kSide * kSide;
  __shared__ float tileA[kStep][kSize + 1], tileB[kStep][kSize + 1];  // one more: columns of a tile meet all banks
  const float* a = static_cast<const float*>(args.a.data);
  const float* b = static_cast<const float*>(args.b.data);
  const int64_t tileCols = (args.cols + kSize - 1) / kSize;
  const int64_t row0 = blockIdx.x / tileCols * kSize, col0 = blockIdx.x % tileCols * kSize;
  const int t = threadIdx.x, down = t / kSide, across = t % kSide;

  float chain[kOwn][kOwn] = {}, segment[kOwn][kOwn], sum[kOwn][kOwn];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) segment[i][j] = sum[i][j] = -0.0f;
  }
#pragma unroll 1
  for (int64_t k0 = 0; k0 < args.depth; k0 += kStep) {
    // Without this barrier a fast thread would overwrite a tile that a slow one still multiplies.
    __syncthreads();
    for (int i = t; i < kStep * kSize; i += kThreads) {
      const int64_t row = row0 + i / kStep, col = col0 + i % kSize, kA = k0 + i % kStep, kB = k0 + i / kSize;
      const bool inA = row < args.rows && kA < args.depth, inB = col < args.cols && kB < args.depth;
      tileA[i % kStep][i / kStep] = inA ? a[row * args.a.lineStride + kA * args.a.depthStride] : 0.0f;
      // Beyond K the product is 0 times -0: adding -0 changes no sum.
      tileB[i / kSize][i % kSize] = inB ? b[col * args.b.lineStride + kB * args.b.depthStride] : -0.0f;
    }
    // Without this barrier a thread would multiply what others have not written yet.
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kStep; ++k) {
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
#pragma unroll
        for (int j = 0; j < kOwn; ++j)
          chain[i][j] = fmaf(tileA[k][down + i * kSide], tileB[k][across + j * kSide], chain[i][j]);
      }
    }
    const int64_t next = k0 + kStep;
    const bool last = next >= args.depth;
    if (next % kChain != 0 && !last) continue;
    const bool ends = next % args.segment == 0 || last;
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
#pragma unroll
      for (int j = 0; j < kOwn; ++j) {
        segment[i][j] += chain[i][j];
        chain[i][j] = 0.0f;
        if (ends) {
          sum[i][j] += segment[i][j];
          segment[i][j] = -0.0f;
        }
      }
    }
  }
  float* y = static_cast<float*>(args.y);
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      const int64_t row = row0 + down + i * kSide, col = col0 + across + j * kSide;
      if (row < args.rows && col < args.cols) y[row * args.yStride + col] = sum[i][j];
    }
  }
}

}  // namespace warploom::cuda

using namespace warploom::cuda;

extern "C" __global__ void __launch_bounds__(256) gemm_ladder_shared(const GemmArgs args) { ladderTile<16, 1>(args); }
extern "C" __global__ void __launch_bounds__(256) gemm_ladder_registers(const GemmArgs args) {
  ladderTile<64, 4>(args);
}
