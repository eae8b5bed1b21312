// What the kernels of the losses are told beside the op's arguments. Read by g++ and nvcc.
#pragma once

#include <cstdint>

namespace warploom::cuda {

struct CrossEntropyPlan {
  float keep, share;      // 1 - s and s / C of the label smoothing s
  int32_t smooth;         // s is not 0
  int32_t probabilities;  // targets are, instead of indices
  int32_t rounds;         // tasks of a block, one after another
  int32_t op;             // the id for index errors
};

constexpr int kSquaresOfBlock = 16384;  // elements of the mean squared error

// What a block adds up to, for the second launch.
struct alignas(16) LossPart {
  double loss, norm;
};

}  // namespace warploom::cuda
