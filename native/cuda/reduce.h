// Reductions on the device: the plan of one, and its launches. Other families reduce their partial results with them.
#pragma once

#include "cuda/context.h"
#include "cuda/reduce_plan.h"

namespace warploom::cuda {

enum class Reduction { sum, mean, max, min, argmax, argmin };

struct ReduceLaunch {
  ReduceArgs args;  // dims merged
  ReducePlan plan;
  bool columns;  // which of the two kernels
  unsigned blocks;
};

// From shapes, strides and the address's alignment; the last chooses between kinds of loads alone.
ReduceLaunch planReduce(const ReduceArgs& args, Reduction reduction);

int64_t reduceScratch(const ReduceArgs& args, Reduction reduction);
// In one launch without scratch, for what earlier launches left: few results behind each output. Positions, where they
// have any, lie as x does.
void reduceAtOnce(const ReduceArgs& args, Reduction reduction, int64_t divisor, const uint32_t* positions,
                  CudaContext& context);
void reduce(const ReduceArgs& args, Reduction reduction, CudaContext& context);

}  // namespace warploom::cuda
