// One pass of the sort of indices, as its kernels see it. Read by g++ and nvcc.
#pragma once

#include "engine/view.h"

namespace warploom::cuda {

constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kSortThreads = 256;  // of a block; as many as digits
constexpr int kSortRounds = 8;     // elements of a thread
constexpr int kSortTile = kSortThreads * kSortRounds;

static_assert(kSortThreads == kDigits, "a thread stands for a digit");

struct IndexSortPass {
  View index;  // what the first pass reads
  int64_t count, bound, skipped, tiles;
  const void *keysIn, *positionsIn;  // what the others read; null in the first
  void *keysOut, *positionsOut;
  void* counts;  // [kDigits][tiles]: how often a tile has a digit; later how often the tiles before it have
  void* totals;  // [kDigits]: how often all tiles have it
  int32_t shift;
  int32_t op;
};

}  // namespace warploom::cuda
