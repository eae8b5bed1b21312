// Reductions of x [kept..., reduced...] to y [kept...]: sums (and means), and extremes with the position of the first.
//
// `_rows`: a team (see reduce.cuh) owns one output, or one chunk of what lies behind it, and walks along the reduced
// dims; a block owns 256 / width of them. `_columns`: where neighbouring outputs lie side by side in x. A thread owns
// one column of a chunk and every (256 / width)th of its elements, a warp a piece of a row of x, a block `width`
// columns.
//
// The rounding error of a sum grows with log2 of the number of its terms: a thread adds at most kSteps terms in
// sequence before they join its total, threads join pairwise, and long rows are cut into chunks whose results a second
// launch of the same kernels reduces (Blanchard, Higham, Mary: "A class of fast and accurate summation algorithms",
// 2020: blocked summation).
#include <type_traits>

#include "cuda/kernels/reduce.cuh"
#include "cuda/reduce_plan.h"

namespace warploom::cuda {

constexpr int kSteps = 32;

// T is what is read, Acc what it is summed in. Integers wrap.
template <class T, class Acc>
struct Sum {
  using Element = T;
  using Value = Acc;
  __device__ explicit Sum(const ReducePlan&) {}
  __device__ Value identity() const { return Acc(0); }
  __device__ Value take(T x, uint32_t) const { return static_cast<Acc>(x); }
  __device__ Value operator()(Value a, Value b) const { return a + b; }
  __device__ void storePart(const ReducePlan&, void* y, int64_t at, Value sum) const { static_cast<Acc*>(y)[at] = sum; }
  __device__ void store(const ReducePlan& plan, void* y, int64_t at, Value sum) const {
    if (plan.result == ReduceResult::mean) sum = sum / static_cast<Acc>(plan.divisor);
    if (plan.result == ReduceResult::int32) {
      static_cast<int32_t*>(y)[at] = static_cast<int32_t>(sum);
    } else {
      static_cast<Acc*>(y)[at] = sum;
    }
  }
};

// Aligned so that shared memory is read in one access of the whole, without bank conflicts.
template <class T>
struct alignas(sizeof(T) == 8 ? 16 : 8) Placed {
  T value;
  uint32_t position;
};
template <class T>
__device__ inline Placed<T> shuffleXor(Placed<T> v, int offset) {
  return {shuffleXor(v.value, offset), shuffleXor(v.position, offset)};
}

template <class T>
struct Limits;
template <>
struct Limits<float> {
  __device__ static float least() { return -__int_as_float(0x7f800000); }
  __device__ static float greatest() { return __int_as_float(0x7f800000); }
};
template <>
struct Limits<int32_t> {
  __device__ static int32_t least() { return INT32_MIN; }
  __device__ static int32_t greatest() { return INT32_MAX; }
};
template <>
struct Limits<int64_t> {
  __device__ static int64_t least() { return INT64_MIN; }
  __device__ static int64_t greatest() { return INT64_MAX; }
};
template <>
struct Limits<uint8_t> {
  __device__ static uint8_t least() { return 0; }
  __device__ static uint8_t greatest() { return 255; }
};

// The greatest or the least; a NaN beats both. The first of equals, by position, so the order of joining is free.
template <class T>
struct Extreme {
  using Element = T;
  using Value = Placed<T>;
  bool largest;
  __device__ explicit Extreme(const ReducePlan& plan) : largest(plan.largest != 0) {}
  __device__ Value identity() const { return {largest ? Limits<T>::least() : Limits<T>::greatest(), UINT32_MAX}; }
  __device__ Value take(T x, uint32_t position) const { return {x, position}; }
  __device__ Value operator()(Value a, Value b) const {
    const bool aNan = a.value != a.value, bNan = b.value != b.value;
    const bool better = largest ? b.value > a.value : b.value < a.value;
    const bool same = aNan ? bNan : a.value == b.value;
    const bool wins = same ? b.position < a.position : bNan || (!aNan && better);
    return wins ? b : a;
  }
  __device__ void storePart(const ReducePlan& plan, void* y, int64_t at, Value best) const {
    static_cast<T*>(y)[at] = best.value;
    plan.positionsOut[at] = best.position;
  }
  __device__ void store(const ReducePlan& plan, void* y, int64_t at, Value best) const {
    if (plan.result == ReduceResult::position) {
      static_cast<int32_t*>(y)[at] = static_cast<int32_t>(best.position);
    } else {
      static_cast<T*>(y)[at] = best.value;
    }
  }
};

// x's dims in shared memory, where a loop may index them: a parameter indexed by a variable is copied to local memory.
struct Dims {
  int64_t sizes[kMaxRank], strides[kMaxRank];
  double inverse[kMaxRank];
};

__device__ inline void copyDims(const View& x, const ReducePlan& plan, Dims& dims) {
#pragma unroll
  for (int dim = 0; dim < kMaxRank; ++dim) {
    if (static_cast<int>(threadIdx.x) != dim) continue;
    dims.sizes[dim] = x.sizes[dim];
    dims.strides[dim] = x.strides[dim];
    dims.inverse[dim] = plan.inverse[dim];
  }
  __syncthreads();  // without this barrier other threads would read sizes that are not there yet
}

__device__ inline uint32_t quotient(uint32_t i, uint32_t size, double) { return i / size; }
// The offset of element i, row-major, of dims [begin, end).
template <class Index>
__device__ inline int64_t offsetWithin(const Dims& dims, int begin, int end, int64_t element) {
  Index i = static_cast<Index>(element), offset = 0;
#pragma unroll 1
  for (int dim = end - 1; dim > begin; --dim) {
    const Index size = static_cast<Index>(dims.sizes[dim]);
    const Index next = quotient(i, size, dims.inverse[dim]);
    offset += (i - next * size) * static_cast<Index>(dims.strides[dim]);
    i = next;
  }
  if (end > begin) offset += i * static_cast<Index>(dims.strides[begin]);
  return static_cast<int64_t>(offset);
}

__device__ inline int64_t keptOffset(const Dims& dims, const ReduceArgs& args, const ReducePlan& plan, int64_t output) {
  const int kept = static_cast<int>(args.kept);
  return plan.wide ? offsetWithin<int64_t>(dims, 0, kept, output) : offsetWithin<uint32_t>(dims, 0, kept, output);
}

__device__ inline int64_t reducedOffset(const Dims& dims, const ReduceArgs& args, const ReducePlan& plan, int64_t i) {
  if (plan.single) return i * plan.innerStride;
  const int kept = static_cast<int>(args.kept), rank = args.x.rank;
  return plan.wide ? offsetWithin<int64_t>(dims, kept, rank, i) : offsetWithin<uint32_t>(dims, kept, rank, i);
}

// A row of runs of whole 16-byte packs: the inner of two reduced dims, as behind the gradient of a convolution's bias.
// A thread keeps its place, so that no step divides; slots and their order are those of packed access.
class PackedRuns {
 public:
  // Whether all rows of x are such; the same for all threads.
  template <class T>
  static __device__ bool fit(const Dims& dims, const ReduceArgs& args, const ReducePlan& plan) {
    const int rank = args.x.rank, kept = static_cast<int>(args.kept);
    if (sizeof(T) != 4 || plan.wide != 0 || plan.access != ReduceAccess::strided || rank != kept + 2 ||
        dims.strides[rank - 1] != 1 || plan.chunk % kSlots != 0) {
      return false;
    }
    int64_t mixed = dims.sizes[rank - 1] | static_cast<int64_t>(reinterpret_cast<uintptr_t>(args.x.data) / sizeof(T));
#pragma unroll 1
    for (int dim = 0; dim < rank - 1; ++dim) mixed |= dims.sizes[dim] > 1 ? dims.strides[dim] : 0;
    return mixed % kSlots == 0;
  }

  __device__ PackedRuns(const Dims& dims, int rank, uint32_t first, uint32_t perStep)
      : length_(static_cast<uint32_t>(dims.sizes[rank - 1])), run_(static_cast<uint32_t>(dims.strides[rank - 2])) {
    rest_ = perStep % length_;
    skip_ = perStep / length_ * run_ + rest_;
    inRun_ = first % length_;
    offset_ = first / length_ * run_ + inRun_;
  }
  __device__ uint32_t offset() const { return offset_; }
  // One step further.
  __device__ void advance() {
    inRun_ += rest_;
    offset_ += skip_;
    if (inRun_ >= length_) {
      inRun_ -= length_;
      offset_ += run_ - length_;
    }
  }

 private:
  const uint32_t length_, run_;  // of a run; from run to run
  uint32_t rest_, skip_, inRun_, offset_;
};

// One thread's share of elements [begin, end) of a row.
template <ReduceAccess access, class R>
__device__ inline void takeRow(const R& reducer, const Dims& dims, const ReduceArgs& args, const ReducePlan& plan,
                               const RowTeam& team, int64_t base, int64_t begin, int64_t end,
                               typename R::Value (&total)[kSlots]) {
  using T = typename R::Element;
  const T* x = args.x.as<const T>() + base;
  const uint32_t* positions = plan.positionsIn == nullptr ? nullptr : plan.positionsIn + base;
  using Part = typename R::Value[kSlots];
  const auto take = [&](Part& part, int k, T value, int64_t i, int64_t offset) {
    const uint32_t position = positions == nullptr ? static_cast<uint32_t>(i) : positions[offset];
    part[k] = reducer(part[k], reducer.take(value, position));
  };
  const auto step = [&](Part& part, int64_t from) {
    if constexpr (access == ReduceAccess::packed) {
      const int64_t i = from + team.at(0);
      if (i >= end) return;
      const Packed<T, kSlots> values = loadPacked<T, kSlots>(x + i);
#pragma unroll
      for (int k = 0; k < kSlots; ++k) take(part, k, values.v[k], i + k, i + k);
    } else if constexpr (access == ReduceAccess::run) {
#pragma unroll
      for (int k = 0; k < kSlots; ++k) {
        const int64_t i = from + team.at(k);
        if (i < end) take(part, k, x[i], i, i);
      }
    } else {
      // Not unrolled, since coordinates take much code; the slots are turned round so that no index is a variable.
#pragma unroll 1
      for (int k = 0; k < kSlots; ++k) {
        const int64_t i = from + team.at(k);
        if (i < end) {
          const int64_t offset = reducedOffset(dims, args, plan, i);
          take(part, 0, x[offset], i, offset);
        }
        const typename R::Value first = part[0];
#pragma unroll
        for (int other = 1; other < kSlots; ++other) part[other - 1] = part[other];
        part[kSlots - 1] = first;
      }
    }
  };
  constexpr int kUnroll = access == ReduceAccess::packed ? 2 : 1;  // loads in flight
  for (int64_t i = begin; i < end;) {
    Part part;
#pragma unroll
    for (int k = 0; k < kSlots; ++k) part[k] = reducer.identity();
    const int64_t left = (end - i + team.perStep - 1) >> team.stepBits;
    const int steps = left < kSteps ? static_cast<int>(left) : kSteps;
#pragma unroll kUnroll
    for (int s = 0; s < steps; ++s) step(part, i + s * team.perStep);
    i += steps * team.perStep;
#pragma unroll
    for (int k = 0; k < kSlots; ++k) total[k] = reducer(total[k], part[k]);
  }
}

// The same of a row of packed runs.
template <class R>
__device__ inline void takeRuns(const R& reducer, const Dims& dims, const ReduceArgs& args, const RowTeam& team,
                                int64_t base, int64_t begin, int64_t end, typename R::Value (&total)[kSlots]) {
  using T = typename R::Element;
  const T* x = args.x.as<const T>() + base;
  PackedRuns place(dims, args.x.rank, static_cast<uint32_t>(begin + team.at(0)), static_cast<uint32_t>(team.perStep));
  int64_t i = begin + team.at(0);
  for (int64_t from = begin; from < end; from += kSteps * team.perStep) {
    typename R::Value part[kSlots];
#pragma unroll
    for (int k = 0; k < kSlots; ++k) part[k] = reducer.identity();
#pragma unroll 2
    for (int s = 0; s < kSteps && i < end; ++s, i += team.perStep, place.advance()) {
      const Packed<T, kSlots> values = loadPacked<T, kSlots>(x + place.offset());
#pragma unroll
      for (int k = 0; k < kSlots; ++k) part[k] = reducer(part[k], reducer.take(values.v[k], 0));
    }
#pragma unroll
    for (int k = 0; k < kSlots; ++k) total[k] = reducer(total[k], part[k]);
  }
}

template <class R>
__device__ inline void reduceRows(const ReduceArgs& args, const ReducePlan& plan) {
  __shared__ typename R::Value shared[kTeamWarps];
  __shared__ Dims dims;
  copyDims(args.x, plan, dims);
  const R reducer(plan);
  // Of float32 sums alone: others seldom span several dims.
  constexpr bool kRuns = std::is_same<R, Sum<float, float>>::value;
  bool runs = false;
  if constexpr (kRuns) runs = PackedRuns::fit<typename R::Element>(dims, args, plan);
  const RowTeam team(plan.width, runs || plan.access == ReduceAccess::packed);
  const int64_t task = static_cast<int64_t>(blockIdx.x) * team.teams() + team.team();
  // Only rows of whole blocks are cut into chunks.
  const uint32_t chunks = static_cast<uint32_t>(plan.chunks);
  const int64_t output = chunks == 1 ? task : blockIdx.x / chunks;
  const int64_t begin = chunks == 1 ? 0 : blockIdx.x % chunks * plan.chunk;
  const int64_t end = begin + plan.chunk < plan.count ? begin + plan.chunk : plan.count;
  const bool active = output < plan.outputs;
  typename R::Value slots[kSlots];
#pragma unroll
  for (int k = 0; k < kSlots; ++k) slots[k] = reducer.identity();
  if (active) {
    const int64_t base = keptOffset(dims, args, plan, output);
    if (runs) {
      if constexpr (kRuns) takeRuns(reducer, dims, args, team, base, begin, end, slots);
    } else if (plan.access == ReduceAccess::packed) {
      takeRow<ReduceAccess::packed>(reducer, dims, args, plan, team, base, begin, end, slots);
    } else if (plan.access == ReduceAccess::run) {
      takeRow<ReduceAccess::run>(reducer, dims, args, plan, team, base, begin, end, slots);
    } else {
      takeRow<ReduceAccess::strided>(reducer, dims, args, plan, team, base, begin, end, slots);
    }
  }
  const typename R::Value result = team.joinSlots(slots, shared, reducer);
  if (!active || !team.leads()) return;
  if (plan.chunks == 1) {
    reducer.store(plan, args.y.data, output, result);
  } else {
    reducer.storePart(plan, args.y.data, task, result);
  }
}

template <class R>
__device__ inline void reduceColumns(const ReduceArgs& args, const ReducePlan& plan) {
  using T = typename R::Element;
  __shared__ typename R::Value shared[kTeamThreads];
  __shared__ Dims dims;
  copyDims(args.x, plan, dims);
  const R reducer(plan);
  const int thread = static_cast<int>(threadIdx.x), width = plan.width, rows = kTeamThreads / width;
  const uint32_t tiles = static_cast<uint32_t>(plan.tiles);
  const uint32_t rest = blockIdx.x / tiles;
  const uint32_t outer = rest / static_cast<uint32_t>(plan.chunks);
  const uint32_t chunk = rest - outer * static_cast<uint32_t>(plan.chunks);
  const int64_t column = static_cast<int64_t>(blockIdx.x - rest * tiles) * width + (thread & (width - 1));
  const int64_t output = outer * plan.inner + column;
  const bool active = column < plan.inner;
  typename R::Value total = reducer.identity();
  if (active) {
    const int64_t base = keptOffset(dims, args, plan, output);
    const T* x = args.x.as<const T>() + base;
    const uint32_t* positions = plan.positionsIn == nullptr ? nullptr : plan.positionsIn + base;
    const int64_t begin = chunk * plan.chunk;
    const int64_t end = begin + plan.chunk < plan.count ? begin + plan.chunk : plan.count;
    for (int64_t i = begin + thread / width; i < end;) {
      typename R::Value part = reducer.identity();
#pragma unroll 4
      for (int step = 0; step < kSteps && i < end; ++step, i += rows) {
        const int64_t offset = reducedOffset(dims, args, plan, i);
        const uint32_t position = positions == nullptr ? static_cast<uint32_t>(i) : positions[offset];
        part = reducer(part, reducer.take(x[offset], position));
      }
      total = reducer(total, part);
    }
  }
  shared[thread] = total;
#pragma unroll 1
  for (int half = kTeamThreads / 2; half >= width; half /= 2) {
    __syncthreads();  // without this barrier a thread would join results of the round before, or none
    if (thread < half) shared[thread] = reducer(shared[thread], shared[thread + half]);
  }
  // A thread reads only what it joined itself.
  if (thread >= width || !active) return;
  if (plan.chunks == 1) {
    reducer.store(plan, args.y.data, output, shared[thread]);
  } else {
    reducer.storePart(plan, args.y.data, chunk * plan.outputs + output, shared[thread]);
  }
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

#define WL_REDUCE(kind, name, ...)                                                     \
  extern "C" __global__ void __launch_bounds__(kTeamThreads, kTeamBlocks)              \
      reduce_##kind##_##name##_rows(const ReduceArgs args, const ReducePlan plan) {    \
    reduceRows<__VA_ARGS__>(args, plan);                                               \
  }                                                                                    \
  extern "C" __global__ void __launch_bounds__(kTeamThreads, kTeamBlocks)              \
      reduce_##kind##_##name##_columns(const ReduceArgs args, const ReducePlan plan) { \
    reduceColumns<__VA_ARGS__>(args, plan);                                            \
  }
WL_REDUCE(sum, f32, Sum<float, float>)
WL_REDUCE(sum, i32, Sum<int32_t, int64_t>)
WL_REDUCE(sum, i64, Sum<int64_t, int64_t>)
WL_REDUCE(sum, u8, Sum<uint8_t, int64_t>)
WL_REDUCE(extreme, f32, Extreme<float>)
WL_REDUCE(extreme, i32, Extreme<int32_t>)
WL_REDUCE(extreme, i64, Extreme<int64_t>)
WL_REDUCE(extreme, u8, Extreme<uint8_t>)
