// What moves of memory do to views before they choose a kernel: the order of dims, and wider units.
#pragma once

#include <utility>

#include "cuda/layout.h"

namespace warploom::cuda {

inline void swapDims(View& view, int a, int b) {
  std::swap(view.sizes[a], view.sizes[b]);
  std::swap(view.strides[a], view.strides[b]);
}

// Orders the dims of views of one size by y's strides, the smallest last: neighbours in the last dim are neighbours in
// memory wherever y has any. For kernels to which the order of elements means nothing.
inline void sortDims(View& y, std::initializer_list<View*> others) {
  for (int dim = 1; dim < y.rank; ++dim) {
    for (int at = dim; at > 0 && y.strides[at - 1] < y.strides[at]; --at) {
      swapDims(y, at - 1, at);
      for (View* view : others) {
        if (view->present()) swapDims(*view, at - 1, at);
      }
    }
  }
}

constexpr int64_t kWidest = 16;  // bytes of one access

// After mergeDims, for views whose bytes are moved and not looked at: makes elements of `item` bytes into units of as
// many bytes as one access may have here (16, 8, 4, or the element), which it returns.
inline int64_t widen(std::initializer_list<View*> views, int64_t item) {
  for (int64_t bytes = kWidest; bytes > item; bytes /= 2) {
    if (bytes == 2) continue;  // no kernel has such units
    const int64_t factor = bytes / item;
    bool fits = true;
    for (const View* view : views) {
      const int last = view->rank - 1;
      fits = fits && view->strides[last] == 1 && view->sizes[last] % factor == 0 &&
             isAligned(view->data, static_cast<std::size_t>(bytes));
      for (int dim = 0; dim < last; ++dim) fits = fits && view->strides[dim] % factor == 0;
    }
    if (!fits) continue;
    for (View* view : views) {
      const int last = view->rank - 1;
      view->sizes[last] /= factor;
      for (int dim = 0; dim < last; ++dim) view->strides[dim] /= factor;
    }
    return bytes;
  }
  return item;
}

}  // namespace warploom::cuda
