// Marks what kernels call too. Read by g++ and nvcc.
#pragma once

#if defined(__CUDACC__)
#define WL_HOST_DEVICE __host__ __device__
#else
#define WL_HOST_DEVICE
#endif
