// What the matmul kernels are told, and the order of summation that every one of them keeps.
//
// The order depends on K alone and is the CPU's (cpu/gemm/micro.h): products of kChain consecutive k are chained with
// fma from 0, the chains of a segment are added in order, and so are the segments. Short chains keep the rounding error
// of a long sum of one sign within a few eps. Segments may be summed by one block, one after the other, or by several
// blocks whose partial sums a second launch adds: the bits are the same.
#pragma once

#include <cstdint>

#include "engine/host_device.h"

namespace warploom::cuda {

constexpr int kChain = 64;
constexpr int kLeastSegment = 256;
constexpr int kMostSegments = 128;

// The k's of one segment: a multiple of kChain.
WL_HOST_DEVICE constexpr int64_t segmentOf(int64_t depth) {
  return depth <= static_cast<int64_t>(kLeastSegment) * kMostSegments
             ? kLeastSegment
             : (depth + kMostSegments * kChain - 1) / (kMostSegments * kChain) * kChain;
}
WL_HOST_DEVICE constexpr int64_t segmentsOf(int64_t depth) {
  return depth <= 0 ? 1 : (depth + segmentOf(depth) - 1) / segmentOf(depth);
}

constexpr int kMaxBatchDims = 6;

// Lines are the rows of a and the columns of b; both hold `depth` (K) elements.
struct GemmOperand {
  const void* data;
  int64_t lineStride, depthStride;
  int32_t vector;  // four neighbouring lines may be read at once: side by side, at an address for 16-byte accesses
};

// y [M, N] = act(a [M, K] b [K, N] + bias), `batches` of them. A kernel that works on `exchanged` operands computes
// y^T = b^T a^T: then a's lines are y's columns, and rows and cols are N and M.
struct GemmArgs {
  int64_t rows, cols, depth;  // lines of a, lines of b, K
  int64_t segment;
  GemmOperand a, b;
  void* y;
  void* pre;         // or null: a b + bias, before the activation
  const void* bias;  // or null: one value for each of y's columns
  float* partials;   // or null: [segments, batches, M, N]; then one block sums one segment, and nothing reaches y
  int64_t yStride, preStride, biasStride;
  int32_t activation;
  int32_t accumulate;
  int32_t exchanged;
  int32_t vectorStore;  // every fourth element of a row of y (of pre, of partials) is at a multiple of 16 bytes
  int32_t batchRank;
  int64_t batches;
  int64_t batchSizes[kMaxBatchDims], aBatch[kMaxBatchDims], bBatch[kMaxBatchDims], yBatch[kMaxBatchDims],
      preBatch[kMaxBatchDims];
};

}  // namespace warploom::cuda
