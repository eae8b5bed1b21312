// 2-D max pooling. x [N, C, H, W], y and indices [N, C, OH, OW], contiguous. An index is a place in the plane, or
// kNoPlace.
//
// max_pool2d_f32_<32|64>, max_pool2d_gather_f32_<..>: a thread owns one element of y; neighbours own neighbours in the
// innermost dim. max_pool2d_backward_f32_<..>: a thread owns four elements of dx side by side, for which it looks for
// the windows that hold them instead of having each window add to them: so nothing is added by two threads, and the
// order is fixed.
#include "cuda/kernels/common.cuh"
#include "cuda/pool_plan.h"
#include "engine/args/pool.h"

namespace warploom::cuda {

constexpr int kThreads = 256;
constexpr int kRun = 4;
constexpr int kNoPlace = -1;

__device__ inline uint32_t quotient(uint32_t i, const FastDivide& by) {
  return static_cast<uint32_t>(by.quotient(static_cast<int>(i)));
}
__device__ inline int64_t quotient(int64_t i, const FastDivide& by) { return i / by.divisor; }

// Position of element i of [planes, height, width].
template <class Index>
struct Place {
  Index plane;
  int row, column;
  __device__ Place(Index i, const FastDivide& byHeight, const FastDivide& byWidth) {
    const Index line = quotient(i, byWidth);
    column = static_cast<int>(i - line * byWidth.divisor);
    plane = quotient(line, byHeight);
    row = static_cast<int>(line - plane * byHeight.divisor);
  }
};

// The taps of a window that are inside the plane lie from `begin` to before `end`, a dilation apart.
struct Inside {
  int begin, end;
  __device__ Inside(int window, const PoolAxis& axis) {
    begin = window * axis.stride - axis.pad;
    end = min(axis.size, begin + (axis.kernel - 1) * axis.dilation + 1);
    if (begin < 0) begin += axis.byDilation.quotient(axis.dilation - 1 - begin) * axis.dilation;
  }
};

template <class Index>
__device__ inline void maxPool(const PoolPlan& plan, const float* x, float* y, int32_t* indices, Index i) {
  if (i >= static_cast<Index>(plan.elements)) return;
  const Place<Index> at(i, plan.h.bySize, plan.w.bySize);
  x += static_cast<int64_t>(at.plane) * plan.h.size * plan.w.size;
  const Inside rows(at.row, plan.h), columns(at.column, plan.w);
  float best = -INFINITY;
  // The first place inside the plane, for a window of nothing but -infinity; none, where all taps are outside.
  int index = rows.begin < rows.end && columns.begin < columns.end ? rows.begin * plan.w.size + columns.begin : -1;
#pragma unroll 1
  for (int row = rows.begin; row < rows.end; row += plan.h.dilation) {
    const float* line = x + static_cast<int64_t>(row) * plan.w.size;
#pragma unroll 1
    for (int column = columns.begin; column < columns.end; column += plan.w.dilation) {
      const float value = line[column];
      // The first of equal maxima stays; NaN wins over all, the last one (PyTorch).
      const bool wins = value > best || value != value;
      best = wins ? value : best;
      index = wins ? row * plan.w.size + column : index;
    }
  }
  if (plan.relu != 0 && best <= 0.0f) {
    best = 0.0f;
    index = kNoPlace;
  }
  y[i] = best;
  if (indices != nullptr) indices[i] = index;
}

// What four elements of dx side by side get, where their plane ends or a row does between them too.
template <class Index>
class Gather {
 public:
  __device__ Gather(const PoolPlan& plan, const float* g, const int32_t* indices, Index i)
      : plan_(plan), at_(i, plan.h.bySize, plan.w.bySize), windows_(plan.h.out * plan.w.out) {
    g_ = g + static_cast<int64_t>(at_.plane) * windows_;
    indices_ = indices + static_cast<int64_t>(at_.plane) * windows_;
    pixel_ = at_.row * plan.w.size + at_.column;
  }

  // Where windows do not overlap: only the last that begins at or before an element may hold it. Without branches: for
  // a window that does not exist the first is read, and not used. Elements behind the last are nobody's.
  __device__ void alone(Packed<float, kRun>& sums, int count) {
    int line, end;  // of windows: the first of the row, and how many it has
    const auto atRow = [&] {
      const int row = begun(at_.row, plan_.h);
      line = row * plan_.w.out;
      end = row < plan_.h.out ? plan_.w.out : 0;
    };
    atRow();
#pragma unroll
    for (int e = 0; e < kRun; ++e) {
      const int column = begun(at_.column, plan_.w);
      const int window = column < end ? line + column : 0;
      const int wanted = column < end ? pixel_ : kNoIndex;
      // An index that is this element's lies in a window that holds it: no further check.
      sums.v[e] = 0.0f + (indices_[window] == wanted ? g_[window] : 0.0f);
      if (e + 1 < kRun && advance(e + 1 < count)) atRow();
    }
  }

  // All windows that may hold an element, in ascending order.
  __device__ void overlapping(Packed<float, kRun>& sums, int count) {
#pragma unroll
    for (int e = 0; e < kRun; ++e) {
      sums.v[e] = 0.0f;
      if (e >= count) continue;
      const int lastRow = begun(at_.row, plan_.h), lastColumn = begun(at_.column, plan_.w);
      const int rowEnd = min(lastRow + 1, plan_.h.out), columnEnd = min(lastColumn + 1, plan_.w.out);
#pragma unroll 1
      for (int row = max(0, lastRow - plan_.h.before); row < rowEnd; ++row) {
#pragma unroll 1
        for (int column = max(0, lastColumn - plan_.w.before); column < columnEnd; ++column) {
          const int window = row * plan_.w.out + column;
          if (indices_[window] == pixel_) sums.v[e] += g_[window];
        }
      }
      if (e + 1 < kRun) advance(e + 1 < count);
    }
  }

 private:
  static constexpr int kNoIndex = INT32_MIN;

  static __device__ int begun(int place, const PoolAxis& axis) { return axis.byStride.quotient(place + axis.pad); }

  // To the next element; whether that is in another row. There is no plane behind the last.
  __device__ bool advance(bool more) {
    ++pixel_;
    if (++at_.column < plan_.w.size) return false;
    at_.column = 0;
    if (++at_.row == plan_.h.size && more) {
      at_.row = pixel_ = 0;
      g_ += windows_;
      indices_ += windows_;
    }
    return true;
  }

  const PoolPlan& plan_;
  Place<Index> at_;
  const int windows_;  // of a plane
  const float* g_;
  const int32_t* indices_;
  int pixel_;
};

template <class Index>
__device__ inline void maxPoolBackward(const PoolPlan& plan, const float* g, const int32_t* indices, float* dx,
                                       Index i) {
  const Index n = static_cast<Index>(plan.elements);
  if (i >= n) return;
  const int count = static_cast<int>(min(static_cast<Index>(kRun), n - i));
  Gather<Index> gather(plan, g, indices, i);
  Packed<float, kRun> sums;
  if ((plan.h.before | plan.w.before) == 0) {
    gather.alone(sums, count);
  } else {
    gather.overlapping(sums, count);
  }
  if (count == kRun && reinterpret_cast<uintptr_t>(dx) % sizeof(sums) == 0) {
    storePacked(dx + i, sums);
    return;
  }
#pragma unroll
  for (int e = 0; e < kRun; ++e) {
    if (e < count) dx[i + e] = sums.v[e];
  }
}

template <class Index>
__device__ inline void maxPoolGather(const MaxPool2dGatherArgs& args, Index i, Index n, IndexErrorWord* errors,
                                     int op) {
  if (i >= n) return;
  const int64_t size = args.x.sizes[2] * args.x.sizes[3];
  const Index plane = i / static_cast<Index>(args.y.sizes[2] * args.y.sizes[3]);
  const int32_t index = args.indices.as<int32_t>()[i];
  const bool inside = index >= 0 && index < size;
  if (!inside && index != kNoPlace) reportIndex(errors, op, index, size);
  args.y.as<float>()[i] = inside ? args.x.as<float>()[static_cast<int64_t>(plane) * size + index] : 0.0f;
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// With 32-bit and with 64-bit positions.
#define WL_POOL(suffix, Index)                                                                                         \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                               \
      max_pool2d_f32_##suffix(const PoolPlan plan, const float* x, float* y, int32_t* indices) {                       \
    maxPool<Index>(plan, x, y, indices, static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x);                      \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                               \
      max_pool2d_backward_f32_##suffix(const PoolPlan plan, const float* g, const int32_t* indices, float* dx) {       \
    maxPoolBackward<Index>(plan, g, indices, dx, (static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x) * kRun);    \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                               \
      max_pool2d_gather_f32_##suffix(const MaxPool2dGatherArgs args, int64_t n, IndexErrorWord* errors, int op) {      \
    maxPoolGather<Index>(args, static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x, static_cast<Index>(n), errors, \
                         op);                                                                                          \
  }
WL_POOL(32, uint32_t)
WL_POOL(64, int64_t)
