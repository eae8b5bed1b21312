// Which taps of a window lie inside of the source's plane, as bits: those of the rows from the lowest on, then those of
// the columns. A tap is inside where the place has both of its bits, so that one comparison does for four.
#pragma once

#include <cstdint>

namespace warploom::cuda {

// One more bit stays free. All others are compared with the plane's edges, each by itself.
__device__ inline bool tapsFitBits(int rows, int columns) { return rows + columns < 32; }

__device__ inline uint32_t tapBits(int row, int column, int rows) { return 1u << row | 1u << (rows + column); }

// Of taps t of `count`, step apart, the first of which is at `start`: bit t for those inside [0, size).
__device__ inline uint32_t tapsInside(int start, int step, int count, int size) {
  if (step < 0) {  // seen from the other end
    start = size - 1 - start;
    step = -step;
  }
  int first = -start, end = size - start;
  if (step > 1) {  // the same for all threads
    first = first <= 0 ? 0 : (first + step - 1) / step;
    end = end <= 0 ? 0 : (end + step - 1) / step;
  }
  end = max(0, min(end, count));
  first = min(max(0, first), end);
  return (1u << end) - (1u << first);
}

}  // namespace warploom::cuda
