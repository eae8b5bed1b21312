// How a reduction is shared out among threads. Read by g++ and nvcc; made by planReduce from shapes alone.
#pragma once

#include <cstdint>

#include "engine/args/reduce.h"

namespace warploom::cuda {

constexpr int kReduceThreads = 256;  // of a block

// How the elements behind one output are reached.
enum class ReduceAccess : int32_t {
  packed,  // one run, four elements in one load
  run,     // one run, one element in one load
  strided  // by coordinates
};

// What becomes of a result: stored as it is, divided by the number of elements, narrowed, or replaced by its position.
enum class ReduceResult : int32_t { value, mean, int32, int64, position };

struct ReducePlan {
  int64_t outputs;              // elements of y
  int64_t count;                // elements behind each of them
  int64_t chunk;                // they are taken in `chunks` runs of at most `chunk`
  int64_t chunks;               // with more than one, y holds their results, to be reduced in a second launch
  int64_t inner;                // columns: size of the last kept dim
  int64_t tiles;                // columns: blocks that these take
  int64_t innerStride;          // of the last reduced dim
  int64_t divisor;              // of a mean
  const uint32_t* positionsIn;  // positions that came with x from the first launch; null: an element's own
  uint32_t* positionsOut;       // where the first launch leaves them
  double inverse[kMaxRank];     // 1 / the sizes of x
  ReduceAccess access;
  ReduceResult result;
  int32_t width;    // rows: threads of one output, up to 32 or all of the block; columns: columns of a block
  int32_t largest;  // extremes: the greatest is sought, else the least
  int32_t single;   // the reduced dims are one
  int32_t wide;     // positions or offsets need 64 bits
};

}  // namespace warploom::cuda
