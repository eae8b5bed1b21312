// What kernels take from the system besides instructions. device_runtime_test.cc has the expected values.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

namespace cg = cooperative_groups;

// Groups of several warps keep their barriers and sums in shared memory that belongs to the system.
template <int Threads>
__device__ void sumOfTiles(const int* x, int* y) {
  const auto tile = cg::tiled_partition<Threads>(cg::this_thread_block());
  const int i = threadIdx.x;
  y[i] = cg::reduce(tile, x[i], cg::plus<int>());
  tile.sync();
  y[i] += cg::reduce(tile, 1, cg::plus<int>());
}
// What each block's right neighbour wrote before they all met, three times.
extern "C" __global__ void roundOfBlocks(int* x, int* y) {
  const cg::grid_group grid = cg::this_grid();
  const int i = grid.thread_rank(), n = grid.size();
  y[i] = 0;
  for (int step = 1; step <= 3; ++step) {
    x[i] = step * i;
    grid.sync();
    y[i] += x[(i + blockDim.x) % n];
    grid.sync();
  }
}
extern "C" __global__ void sumOf64(const int* x, int* y) { sumOfTiles<64>(x, y); }
extern "C" __global__ void sumOf256(const int* x, int* y) {
  __shared__ int own[100];
  if (threadIdx.x < 100) own[threadIdx.x] = x[threadIdx.x];
  sumOfTiles<256>(x, y);
  __syncthreads();
  if (threadIdx.x < 100) y[threadIdx.x] += own[threadIdx.x];
}
