// The same kernels with -use_fast_math: intrinsics in place of functions, subnormals flushed, approximate quotients and
// roots.
#include "math.cu"
