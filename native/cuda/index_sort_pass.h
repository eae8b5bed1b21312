// One pass of the sort of indices, as its kernels see it. Read by g++ and nvcc.
#pragma once

#include "engine/host_device.h"
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
  int32_t digits;      // that occur: the last pass has fewer
  int32_t carriesRow;  // whether positionsOut are words of a bucket; keysOut is null then
};

// Rows in buckets of 2^bits: a word holds which row of its bucket an element names, and behind that its position.
constexpr int kMostBucketBits = 9;
constexpr int kBucketRows = 1 << kMostBucketBits;

template <class Word>
WL_HOST_DEVICE Word bucketWord(int bits, Word row, Word position) {
  return bits == 0 ? position : (row << (static_cast<int>(sizeof(Word)) * 8 - bits)) | position;
}
WL_HOST_DEVICE inline int bucketRow(int bits, uint32_t word) {
  return bits == 0 ? 0 : static_cast<int>(word >> (32 - bits));
}
WL_HOST_DEVICE inline uint32_t bucketPosition(int bits, uint32_t word) {
  return bits == 0 ? word : word & ((uint32_t{1} << (32 - bits)) - 1);
}

}  // namespace warploom::cuda
