// Sorts the positions of an index operand by the rows they name, each row's in ascending order: a stable radix sort of
// kernels/index_sort.cu.
#pragma once

#include "cuda/context.h"
#include "cuda/index_sort_pass.h"

namespace warploom::cuda {

// How `count` indices into `bound` rows are sorted; a function of the two.
struct IndexSort {
  int64_t count, bound;
  bool wide;      // words of 64 bits rather than 32
  int passes;     // of kDigitBits each
  int64_t tiles;  // of a pass
  // Where things lie in scratch, in bytes.
  int64_t keys[2], positions[2];
  int64_t counts, totals;
  int64_t bytes;
};
IndexSort planIndexSort(int64_t count, int64_t bound);

struct SortedIndex {
  const void* keys;       // words in ascending order; `bound` for indices outside and for `skipped`
  const void* positions;  // words: where each stood
};
// Reports indices outside [0, bound) under `op`. `skipped`: a row to leave out, or -1.
SortedIndex sortIndex(CudaContext& context, const IndexSort& sort, const View& index, int64_t skipped, OpId op,
                      void* scratch);

// Where the rows are few enough: one pass that puts the positions into buckets of 2^bits rows, in ascending order
// within each, for a kernel that sorts a bucket's on the way.
struct IndexBuckets {
  IndexSort pass;
  int bits;  // -1: there are too many rows, or positions, or so few that a tile holds them
  int64_t buckets;
};
IndexBuckets planIndexBuckets(int64_t count, int64_t bound);

struct BucketedIndex {
  const void* words;   // see bucketWord(); of rows outside [0, bound) and `skipped`: behind all rows
  const void* totals;  // [kDigits]: how many words a bucket has
};
BucketedIndex bucketIndex(CudaContext& context, const IndexBuckets& plan, const View& index, int64_t skipped, OpId op,
                          void* scratch);

}  // namespace warploom::cuda
