// What host files ask of views before they choose a kernel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "engine/view.h"

namespace warploom::cuda {

inline int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline bool isAligned(const void* pointer, std::size_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

// Merges dims of views of one size that lie behind one another in all of them, and drops those of size 1: a dense
// tensor of any rank becomes a row. Absent views are passed over. The rank is at least 1 afterwards.
inline void mergeDims(std::initializer_list<View*> list) {
  View* views[8];
  int count = 0;
  for (View* view : list) {
    if (view->present()) views[count++] = view;
  }
  if (count == 0) return;
  const int rank = views[0]->rank;
  int kept = 0;
  for (int dim = 0; dim < rank; ++dim) {
    const int64_t size = views[0]->sizes[dim];
    if (size == 1) continue;
    bool merges = kept > 0;
    for (int k = 0; k < count && merges; ++k) merges = views[k]->strides[kept - 1] == views[k]->strides[dim] * size;
    for (int k = 0; k < count; ++k) {
      if (merges) {
        views[k]->sizes[kept - 1] *= size;
        views[k]->strides[kept - 1] = views[k]->strides[dim];
      } else {
        views[k]->sizes[kept] = size;
        views[k]->strides[kept] = views[k]->strides[dim];
      }
    }
    if (!merges) ++kept;
  }
  for (int k = 0; k < count; ++k) {
    if (kept == 0) {
      views[k]->sizes[0] = 1;
      views[k]->strides[0] = 1;
    }
    views[k]->rank = std::max(kept, 1);
  }
}

// After mergeDims: one dense row, at an address for 16-byte accesses.
inline bool isDenseRow(const View& view) { return view.rank == 1 && view.strides[0] == 1 && isAligned(view.data, 16); }

// Whether every element's position and offset fit 32 bits, so that kernels may compute in them.
inline bool fits32(std::initializer_list<const View*> views) {
  for (const View* view : views) {
    if (!view->present()) continue;
    int64_t span = 1, count = 1;
    for (int dim = 0; dim < view->rank; ++dim) {
      span += (view->sizes[dim] - 1) * view->strides[dim];
      count *= view->sizes[dim];
    }
    if (span > INT32_MAX || count > INT32_MAX) return false;
  }
  return true;
}

// Row-major and without gaps.
inline bool isContiguous(const View& view) {
  int64_t expected = 1;
  for (int dim = view.rank - 1; dim >= 0; --dim) {
    if (view.sizes[dim] != 1 && view.strides[dim] != expected) return false;
    expected *= view.sizes[dim];
  }
  return true;
}

}  // namespace warploom::cuda
