// How the rows of (outer, n, inner) are shared out among teams of threads that hold them in registers: softmax, losses,
// norms. Read by g++ and nvcc; chosen from shapes alone, but for the kind of loads.
#pragma once

#include <cstdint>

namespace warploom::cuda {

constexpr int kRowThreads = 256;  // of a block
constexpr int kSlotsOfThread = 4;
constexpr int kFewGroups = 2, kManyGroups = 8, kLongGroups = 4;  // of four values that a thread holds

struct RowPlan {
  int64_t outer, n, inner;
  double innerInverse;  // 1 / inner, or 1 / tiles for columns
  int64_t tiles;        // columns: blocks beside one another
  int32_t width;        // rows: threads of a row, up to 32 or all of the block; columns: columns of a block
  int32_t packed;       // rows: four elements in one load
};

// The kernels of a family: `_rows2` and `_rows8` hold that many groups of four a thread, `_columns8` is for dense inner
// dims, the last two are for rows that no block holds.
enum class RowShape { rows2, rows8, columns8, rowsLong, columnsLong };

}  // namespace warploom::cuda
