// Where the sums of a matrix product go: bias, activation, partial sums, operands exchanged or not.
#pragma once

#include "cuda/gemm_args.h"
#include "cuda/kernels/common.cuh"
#include "cuda/kernels/math.cuh"
#include "engine/args/matmul.h"

namespace warploom::cuda {

// An element's way from its sum to y, in the order of the CPU: what is there is added before the bias.
__device__ inline float activate(float x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return relu(x);
    case Activation::gelu:
      return gelu(x);
    case Activation::geluTanh:
      return geluTanh(x);
    default:
      return x;
  }
}
// Long functions, which a tile applies in a loop of its own.
__device__ inline bool isCurved(Activation activation) {
  return activation == Activation::gelu || activation == Activation::geluTanh;
}

// The offsets of a batch in a, b, y and pre.
struct BatchOffsets {
  int64_t a, b, y, pre;
};
__device__ inline BatchOffsets batchOffsets(const GemmArgs& args, int64_t batch) {
  BatchOffsets at = {0, 0, 0, 0};
#pragma unroll
  for (int dim = kMaxBatchDims - 1; dim >= 0; --dim) {
    if (dim >= args.batchRank) continue;
    const int64_t size = args.batchSizes[dim], next = dim == 0 ? 0 : batch / size, i = batch - next * size;
    at.a += i * args.aBatch[dim];
    at.b += i * args.bBatch[dim];
    at.y += i * args.yBatch[dim];
    at.pre += i * args.preBatch[dim];
    batch = next;
  }
  return at;
}

// The store of a tile (gemm_tile.cuh). M and N are those of y; a tile's rows are y's rows, or y's columns where the
// operands are exchanged.
class MatmulStore {
 public:
  // With partials, the sums of `segment` go to their own place and are finished by another launch.
  __device__ MatmulStore(const GemmArgs& args, int64_t batch, const BatchOffsets& at, int64_t segment)
      : m_(static_cast<int>(args.exchanged ? args.cols : args.rows)),
        n_(static_cast<int>(args.exchanged ? args.rows : args.cols)),
        exchanged_(args.exchanged != 0),
        vector_(args.vectorStore != 0) {
    if (args.partials != nullptr) {
      y_ = args.partials + (segment * args.batches + batch) * m_ * n_;
      yStride_ = n_;
      return;
    }
    y_ = static_cast<float*>(args.y) + at.y;
    yStride_ = args.yStride;
    accumulate_ = args.accumulate != 0;
    activation_ = static_cast<Activation>(args.activation);
    bias_ = static_cast<const float*>(args.bias);
    biasStride_ = args.biasStride;
    if (args.pre != nullptr) {
      pre_ = static_cast<float*>(args.pre) + at.pre;
      preStride_ = args.preStride;
    }
  }

  template <int R, int C>
  __device__ void put(int row, int col, const float (&sums)[R][C], bool first, bool last) const {
    if constexpr (R == C) {
      // One code for both: a fragment is turned in registers.
#pragma unroll
      for (int i = 0; i < R; ++i) {
        float values[C];
#pragma unroll
        for (int j = 0; j < C; ++j) values[j] = exchanged_ ? sums[j][i] : sums[i][j];
        putRow(exchanged_ ? col + i : row + i, exchanged_ ? row : col, values, first, last);
      }
    } else if (exchanged_) {
#pragma unroll
      for (int i = 0; i < C; ++i) {
        float values[R];
#pragma unroll
        for (int j = 0; j < R; ++j) values[j] = sums[j][i];
        putRow(col + i, row, values, first, last);
      }
    } else {
#pragma unroll
      for (int i = 0; i < R; ++i) {
        float values[C];
#pragma unroll
        for (int j = 0; j < C; ++j) values[j] = sums[i][j];
        putRow(row + i, col, values, first, last);
      }
    }
  }

  __device__ bool finishes() const { return isCurved(activation_) || pre_ != nullptr; }

  template <int R, int C>
  __device__ void finish(int row, int col) const {
    if (exchanged_) {
#pragma unroll 1
      for (int i = 0; i < C; ++i) finishRow<R>(col + i, row);
    } else {
#pragma unroll 1
      for (int i = 0; i < R; ++i) finishRow<C>(row + i, col);
    }
  }

 private:
  // W neighbours of row i, from column j on. Four of a vector row are inside of y or outside together.
  template <int W>
  __device__ void putRow(int i, int j, float (&values)[W], bool first, bool last) const {
    if (i >= m_ || j >= n_) return;
    float* from = y_ + i * yStride_ + j;
    // What finishRow has to read waits in pre, where there is one.
    float* to = last && pre_ != nullptr ? pre_ + i * preStride_ + j : from;
    const bool add = !first || accumulate_, biased = last && bias_ != nullptr;
    const bool clamps = last && activation_ == Activation::relu && pre_ == nullptr;
    if (W == 4 && vector_) {
      Packed<float, W> out;
      if (add) out = loadPacked<float, W>(from);
#pragma unroll
      for (int k = 0; k < W; ++k) {
        out.v[k] = add ? out.v[k] + values[k] : values[k];
        if (biased) out.v[k] += bias_[(j + k) * biasStride_];
        if (clamps) out.v[k] = relu(out.v[k]);
      }
      storePacked(to, out);
      return;
    }
    // The values move through one copy of the code.
#pragma unroll 1
    for (int k = 0; k < W && j + k < n_; ++k) {
      float value = values[0];
#pragma unroll
      for (int l = 1; l < W; ++l) values[l - 1] = values[l];
      if (add) value = from[k] + value;
      if (biased) value += bias_[(j + k) * biasStride_];
      to[k] = clamps ? relu(value) : value;
    }
  }

  template <int W>
  __device__ void finishRow(int i, int j) const {
    if (i >= m_ || j >= n_) return;
    float* to = y_ + i * yStride_ + j;
    const float* from = pre_ != nullptr ? pre_ + i * preStride_ + j : to;
    const bool whole = W == 4 && vector_;
    Packed<float, W> values;
    if (whole) values = loadPacked<float, W>(from);
      // Through one copy of the function, whose code is long; a vector's values go round.
#pragma unroll 1
    for (int k = 0; k < W && j + k < n_; ++k) {
      const float value = activate(whole ? values.v[0] : from[k], activation_);
#pragma unroll
      for (int l = 1; l < W; ++l) values.v[l - 1] = values.v[l];
      values.v[W - 1] = value;
      if (!whole) to[k] = value;
    }
    if (whole) storePacked(to, values);
  }

  float* y_;
  float* pre_ = nullptr;
  const float* bias_ = nullptr;
  int64_t yStride_, preStride_ = 0, biasStride_ = 0;
  const int m_, n_;
  const bool exchanged_, vector_;
  bool accumulate_ = false;
  Activation activation_ = Activation::none;
};

}  // namespace warploom::cuda
