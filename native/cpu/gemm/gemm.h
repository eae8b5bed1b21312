// The parts under matmul and convolution, in the order in which they need each other. Included once inside each
// instruction-set region.
// clang-format off
#include "cpu/simd.h"
#include "cpu/gelu.h"
#include "cpu/gemm/micro.h"
#include "cpu/gemm/pack.h"
#include "cpu/gemm/store.h"
#include "cpu/gemm/correlate.h"
// clang-format on
