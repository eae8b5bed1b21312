// Rows held in registers: what a team loads of its row, how the thread's values are joined, and where the row lies in
// (outer, n, inner). Two kinds of team with the same members: RowTeam for rows whose elements lie side by side (or
// anywhere), ColumnTeam for dense inner dims, where neighbouring threads own neighbouring columns.
#pragma once

#include "cuda/kernels/reduce.cuh"
#include "cuda/row_plan.h"
#include "engine/view.h"

namespace warploom::cuda {

__device__ inline float infinity() { return __int_as_float(0x7f800000); }

// Where a team's row lies; its threads take part in barriers and shuffles even without one.
struct Place {
  int64_t outer, inner;
  bool active;

  template <class T>
  __device__ T* in(const View& view) const {
    return view.as<T>() + outer * view.strides[0] + inner * view.strides[2];
  }
  // Of a view [outer, inner].
  __device__ int64_t at(const View& view) const { return outer * view.strides[0] + inner * view.strides[1]; }
};

// 16 bytes to shared memory in one instruction: taken apart, the stores of a warp would meet in a quarter of the banks.
__device__ inline void storeShared(float* to, const Packed<float, 4>& values) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(address), "f"(values.v[0]), "f"(values.v[1]),
               "f"(values.v[2]), "f"(values.v[3])
               : "memory");
}

struct HeldRow : RowTeam {
  template <class V>
  using Shared = V[kTeamWarps];

  __device__ explicit HeldRow(const RowPlan& plan) : RowTeam(plan.width, plan.packed != 0) {}

  // The rows that come up in one round of a block.
  __device__ static int64_t tasks(const RowPlan& plan) { return plan.outer * plan.inner; }
  __device__ int tasksBlock() const { return teams(); }
  __device__ Place place(const RowPlan& plan, int64_t firstTask) const {
    const int64_t row = firstTask + team();
    const int64_t outer = plan.inner == 1 ? row : quotient(row, plan.inner, plan.innerInverse);
    return {outer, row - outer * plan.inner, row < tasks(plan)};
  }
  // Of its elements, value k of group g.
  __device__ int element(int g, int k) const { return g * perStep + at(k); }
  __device__ int span(int groups) const { return groups * perStep; }

  // Addresses are stepped, not computed: 64-bit products would be most of the code.
  template <int kGroups>
  __device__ void load(const float* row, int64_t stride, int count, float pad, float (&v)[kGroups * kSlots]) const {
    const float* first = row + at(0) * stride;
#pragma unroll
    for (int g = 0; g < kGroups; ++g, first += perStep * stride) {
      if (packed) {
        const int i = element(g, 0);
        Packed<float, kSlots> values = {{pad, pad, pad, pad}};
        if (i < count) values = loadPacked<float, kSlots>(row + i);
#pragma unroll
        for (int k = 0; k < kSlots; ++k) v[g * kSlots + k] = values.v[k];
      } else {
        const float* from = first;
#pragma unroll
        for (int k = 0; k < kSlots; ++k, from += lanes * stride) {
          v[g * kSlots + k] = element(g, k) < count ? *from : pad;
        }
      }
    }
  }
  template <int kGroups, bool kToShared = false>
  __device__ void store(float* row, int64_t stride, int count, const float (&v)[kGroups * kSlots]) const {
    float* first = row + at(0) * stride;
#pragma unroll
    for (int g = 0; g < kGroups; ++g, first += perStep * stride) {
      if (packed) {
        const int i = element(g, 0);
        const float* from = v + g * kSlots;
        const Packed<float, kSlots> values = {{from[0], from[1], from[2], from[3]}};
        if (i < count) kToShared ? storeShared(row + i, values) : storeGlobal(row + i, values);
      } else {
        float* to = first;
#pragma unroll
        for (int k = 0; k < kSlots; ++k, to += lanes * stride) {
          if (element(g, k) < count) *to = v[g * kSlots + k];
        }
      }
    }
  }
  // What one place holds for all threads of the team: read by one lane of each warp. All threads of the block call it;
  // `read` is called where there is a row.
  template <class Read>
  __device__ auto once(const Place& place, Read read) const {
    decltype(read()) value = 0;
    if (place.active && lane == 0) value = read();
    return __shfl_sync(kAllLanes, value, 0, lanes);
  }
};

struct HeldColumn {
  template <class V>
  using Shared = V[kTeamThreads];

  int width, rows;
  int column, row;

  __device__ explicit HeldColumn(const RowPlan& plan) : width(plan.width), rows(kTeamThreads / plan.width) {
    column = static_cast<int>(threadIdx.x) & (width - 1);
    row = static_cast<int>(threadIdx.x) / width;
  }
  __device__ static int64_t tasks(const RowPlan& plan) { return plan.outer * plan.tiles; }
  __device__ int tasksBlock() const { return 1; }
  __device__ bool leads() const { return row == 0; }
  __device__ int teams() const { return width; }
  __device__ int team() const { return column; }
  __device__ Place place(const RowPlan& plan, int64_t firstTask) const {
    const int64_t outer = quotient(firstTask, plan.tiles, plan.innerInverse);
    const int64_t inner = (firstTask - outer * plan.tiles) * width + column;
    return {outer, inner, firstTask < tasks(plan) && inner < plan.inner};
  }
  __device__ int element(int g, int k) const { return (g * kSlots + k) * rows + row; }
  __device__ int span(int groups) const { return groups * kSlots * rows; }

  template <int kGroups>
  __device__ void load(const float* first, int64_t stride, int count, float pad, float (&v)[kGroups * kSlots]) const {
    first += row * stride;
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j, first += rows * stride) v[j] = j * rows + row < count ? *first : pad;
  }
  template <int kGroups>
  __device__ void store(float* first, int64_t stride, int count, const float (&v)[kGroups * kSlots]) const {
    first += row * stride;
#pragma unroll
    for (int j = 0; j < kGroups * kSlots; ++j, first += rows * stride) {
      if (j * rows + row < count) *first = v[j];
    }
  }
  // Neighbouring threads own neighbouring columns, and read neighbouring places.
  template <class Read>
  __device__ auto once(const Place& place, Read read) const {
    decltype(read()) value = 0;
    if (place.active) value = read();
    return value;
  }
  template <class V, class Join>
  __device__ V joinSlots(V (&slots)[kSlots], V* shared, Join join) const {
    shared[threadIdx.x] = join(join(slots[0], slots[1]), join(slots[2], slots[3]));
#pragma unroll 1
    for (int half = kTeamThreads / 2; half >= width; half /= 2) {
      __syncthreads();  // without this barrier a thread would join what the round before has not stored yet
      if (static_cast<int>(threadIdx.x) < half) {
        shared[threadIdx.x] = join(shared[threadIdx.x], shared[threadIdx.x + half]);
      }
    }
    __syncthreads();  // without this barrier the other rows of threads would read an unfinished result
    const V value = shared[column];
    __syncthreads();  // without this barrier the next reduction would overwrite what a slower warp still reads
    return value;
  }
};

// The sum and the maximum of values that a team holds.
template <int kGroups, class Team>
__device__ inline float teamSum(const Team& team, const float (&v)[kGroups * kSlots], float* shared) {
  float slots[kSlots];
#pragma unroll
  for (int k = 0; k < kSlots; ++k) {
    slots[k] = v[k];
#pragma unroll
    for (int g = 1; g < kGroups; ++g) slots[k] = slots[k] + v[g * kSlots + k];
  }
  return team.joinSlots(slots, shared, SumJoin());
}
template <int kGroups, class Team>
__device__ inline float teamMax(const Team& team, const float (&v)[kGroups * kSlots], float* shared) {
  float slots[kSlots];
#pragma unroll
  for (int k = 0; k < kSlots; ++k) {
    slots[k] = v[k];
#pragma unroll
    for (int g = 1; g < kGroups; ++g) slots[k] = fmaxf(slots[k], v[g * kSlots + k]);
  }
  return team.joinSlots(slots, shared, MaxJoin());
}

}  // namespace warploom::cuda
