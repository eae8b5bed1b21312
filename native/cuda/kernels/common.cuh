// What all kernels share: 16-byte packs, where the elements of strided views lie, and the word for index errors.
#pragma once

#include <cstdint>

#include "cuda/index_error.h"
#include "engine/view.h"

namespace warploom::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// N values that move in one instruction; the address must be a multiple of their size together.
template <class T, int N>
struct alignas(sizeof(T) * N) Packed {
  T v[N];
};
// As many values as 16 bytes hold.
template <class T>
using Pack16 = Packed<T, 16 / sizeof(T)>;

template <class T, int N>
__device__ inline Packed<T, N> loadPacked(const T* from) {
  return *reinterpret_cast<const Packed<T, N>*>(from);
}
template <class T, int N>
__device__ inline void storePacked(T* to, const Packed<T, N>& values) {
  *reinterpret_cast<Packed<T, N>*>(to) = values;
}

// The same to global memory, in one instruction whatever the compiler thinks: the plain store it now and then takes
// apart into one for each value, and a warp then writes every sector several times.
template <class T, int N>
__device__ inline void storeGlobal(T* to, const Packed<T, N>& values) {
  constexpr int kWords = sizeof(values) / sizeof(uint32_t);
  if constexpr (kWords < 2) {
    storePacked(to, values);
  } else {
    static_assert(kWords == 2 || kWords == 4, "8 or 16 bytes");
    uint32_t words[kWords];
    memcpy(words, &values, sizeof(values));
    const std::size_t address = __cvta_generic_to_global(to);
    if constexpr (kWords == 4) {
      asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(words[0]), "r"(words[1]),
                   "r"(words[2]), "r"(words[3])
                   : "memory");
    } else {
      asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(address), "r"(words[0]), "r"(words[1]) : "memory");
    }
  }
}

// The offset of row-major element `i` of `like`'s sizes in each of N views of those sizes. Index is uint32_t where
// every size and offset fits, else int64_t. Loops are unrolled: a view indexed by a variable would be copied to local
// memory.
template <class Index, int N>
__device__ inline void offsetsOf(Index i, const View& like, const View* const (&views)[N], Index (&offsets)[N]) {
#pragma unroll
  for (int k = 0; k < N; ++k) offsets[k] = 0;
#pragma unroll
  for (int dim = kMaxRank - 1; dim >= 0; --dim) {
    if (dim >= like.rank) continue;
    const Index size = static_cast<Index>(like.sizes[dim]);
    const Index next = dim == 0 ? 0 : i / size;
    const Index at = dim == 0 ? i : i - next * size;
#pragma unroll
    for (int k = 0; k < N; ++k) {
      if (views[k]->rank >= 0) offsets[k] += at * static_cast<Index>(views[k]->strides[dim]);
    }
    i = next;
  }
}

// Keeps the first offender of a launch.
__device__ inline void reportIndex(IndexErrorWord* word, int op, int64_t value, int64_t bound) {
  if (atomicCAS(&word->op, 0, op + 1) == 0) {
    word->value = value;
    word->bound = bound;
  }
}

}  // namespace warploom::cuda
