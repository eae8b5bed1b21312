// Launches, with the limits that a real driver enforces, and occupancy.
#include <algorithm>
#include <cstring>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

uint64_t product(const uint32_t v[3]) { return uint64_t{v[0]} * std::max(1u, v[1]) * std::max(1u, v[2]); }

std::vector<uint8_t> parameters(const Kernel& kernel, void** params, void** extra) {
  std::vector<uint8_t> bytes(kernel.paramBytes, 0);
  require(params == nullptr || extra == nullptr, CUDA_ERROR_INVALID_VALUE);
  if (params != nullptr) {
    for (std::size_t i = 0; i < kernel.params.size(); ++i) {
      require(params[i] != nullptr, CUDA_ERROR_INVALID_VALUE);
      std::memcpy(bytes.data() + kernel.params[i].offset, params[i], kernel.params[i].size);
    }
    return bytes;
  }
  if (extra != nullptr) {
    // {1, buffer, 2, &size, 0}
    const void* buffer = nullptr;
    std::size_t size = 0;
    for (; *extra != nullptr; extra += 2) {
      const auto key = reinterpret_cast<uintptr_t>(extra[0]);
      require(key == 1 || key == 2, CUDA_ERROR_INVALID_VALUE);
      if (key == 1) buffer = extra[1];
      if (key == 2) std::memcpy(&size, extra[1], sizeof(size));
    }
    // Trailing padding may be missing or present; a parameter may not.
    std::size_t needed = 0;
    for (const Param& param : kernel.params) needed = std::max<std::size_t>(needed, param.offset + param.size);
    require(buffer != nullptr && size >= needed && size < needed + 16, CUDA_ERROR_INVALID_VALUE);
    std::memcpy(bytes.data(), buffer, std::min(size, bytes.size()));
    return bytes;
  }
  require(kernel.params.empty(), CUDA_ERROR_INVALID_VALUE);
  return bytes;
}

void launch(Call& call, CUfunction function, const unsigned grid[3], const unsigned block[3], unsigned sharedBytes,
            CUstream stream, bool cooperative, void** params, void** extra) {
  Function& target = functionAt(call.driver, function);
  Stream& queue = streamAt(call, stream);
  require(target.module->context->device == queue.context->device, CUDA_ERROR_INVALID_HANDLE);
  submit(call, queue, kernelWork(call, target, grid, block, sharedBytes, cooperative, params, extra));
}

int blocksFor(Call& call, CUfunction function, int blockSize, size_t dynamicShared) {
  const Function& target = functionAt(call.driver, function);
  require(blockSize > 0, CUDA_ERROR_INVALID_VALUE);
  return activeBlocks(target, blockSize, dynamicShared);
}

}  // namespace

int activeBlocks(const Function& function, int blockSize, std::size_t dynamicShared) {
  const Kernel& kernel = *function.kernel;
  if (blockSize > kMaxThreads) return 0;
  const std::size_t shared = kernel.staticShared + dynamicShared;
  if (shared > static_cast<std::size_t>(kSharedOptin)) return 0;
  const int warps = (blockSize + 31) / 32;
  int blocks = std::min(kBlocksPerMultiprocessor, kThreadsPerMultiprocessor / 32 / warps);
  // Registers are this interpreter's own count, held to what ptxas would hand out: 8 at a time, at most 255.
  const int registers = std::min(255, std::max(16, static_cast<int>(kernel.registers + 7) / 8 * 8));
  blocks = std::min(blocks, std::max(1, kRegistersPerMultiprocessor / (registers * 32 * warps)));
  const std::size_t taken = (shared + kSharedReserved + 127) / 128 * 128;
  return std::min(blocks, static_cast<int>(kSharedPerMultiprocessor / taken));
}

Work kernelWork(Call& call, Function& function, const unsigned grid[3], const unsigned block[3], unsigned sharedBytes,
                bool cooperative, void** params, void** extra) {
  (void)call;
  const Kernel& kernel = *function.kernel;
  require(grid[0] > 0 && grid[1] > 0 && grid[2] > 0 && block[0] > 0 && block[1] > 0 && block[2] > 0,
          CUDA_ERROR_INVALID_VALUE);
  require(grid[0] <= 2147483647u && grid[1] <= 65535u && grid[2] <= 65535u, CUDA_ERROR_INVALID_VALUE);
  require(block[0] <= 1024u && block[1] <= 1024u && block[2] <= 64u, CUDA_ERROR_INVALID_VALUE);
  const uint64_t threads = uint64_t{block[0]} * block[1] * block[2];
  require(threads <= static_cast<uint64_t>(kMaxThreads), CUDA_ERROR_INVALID_VALUE);
  if (kernel.maxThreads[0] != 0) require(threads <= product(kernel.maxThreads), CUDA_ERROR_INVALID_VALUE);
  if (kernel.reqThreads[0] != 0) {
    for (int i = 0; i < 3; ++i) require(block[i] == std::max(1u, kernel.reqThreads[i]), CUDA_ERROR_INVALID_VALUE);
  }
  // More than 48 KB must have been asked for with cuFuncSetAttribute.
  require(sharedBytes <= static_cast<unsigned>(function.maxDynamicShared), CUDA_ERROR_INVALID_VALUE);
  require(kernel.staticShared + sharedBytes <= static_cast<unsigned>(kSharedOptin), CUDA_ERROR_INVALID_VALUE);
  const uint64_t blocks = uint64_t{grid[0]} * grid[1] * grid[2];
  if (cooperative) {
    const int resident = activeBlocks(function, static_cast<int>(threads), sharedBytes) * kMultiprocessors;
    require(blocks <= static_cast<uint64_t>(resident), CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
  }
  Work work;
  work.kind = Work::Kind::kernel;
  work.device = function.module->context->device;
  work.function = &function;
  std::copy(grid, grid + 3, work.grid);
  std::copy(block, block + 3, work.block);
  work.sharedBytes = sharedBytes;
  work.cooperative = cooperative;
  work.params = parameters(kernel, params, extra);
  return work;
}

Work kernelWork(Call& call, const CUDA_KERNEL_NODE_PARAMS& params) {
  Function& function = functionAt(call.driver, params.func);
  const unsigned grid[3] = {params.gridDimX, params.gridDimY, params.gridDimZ};
  const unsigned block[3] = {params.blockDimX, params.blockDimY, params.blockDimZ};
  return kernelWork(call, function, grid, block, params.sharedMemBytes, false, params.kernelParams, params.extra);
}

Work hostWork(Call& call, CUhostFn fn, void* userData) {
  require(fn != nullptr, CUDA_ERROR_INVALID_VALUE);
  Work work;
  work.kind = Work::Kind::host;
  work.device = call.context == nullptr ? nullptr : call.context->device;
  work.hostFunction = fn;
  work.userData = userData;
  return work;
}

CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                        unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream, void** params,
                        void** extra) {
  return call(Api::cuLaunchKernel, 0, [&](Call& c) {
    const unsigned grid[3] = {gridX, gridY, gridZ}, block[3] = {blockX, blockY, blockZ};
    launch(c, function, grid, block, sharedBytes, stream, false, params, extra);
  });
}

CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                                   unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream,
                                   void** params) {
  return call(Api::cuLaunchCooperativeKernel, 0, [&](Call& c) {
    const unsigned grid[3] = {gridX, gridY, gridZ}, block[3] = {blockX, blockY, blockZ};
    launch(c, function, grid, block, sharedBytes, stream, true, params, nullptr);
  });
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** params, void** extra) {
  return call(Api::cuLaunchKernelEx, 0, [&](Call& c) {
    require(config != nullptr && (config->numAttrs == 0 || config->attrs != nullptr), CUDA_ERROR_INVALID_VALUE);
    bool cooperative = false;
    for (unsigned i = 0; i < config->numAttrs; ++i) {
      const CUlaunchAttribute& attribute = config->attrs[i];
      if (attribute.id == 2) cooperative = attribute.value.cooperative != 0;
      // Clusters and programmatic launches came with compute capability 9.0; a cluster of one block is none.
      const auto& cluster = attribute.value.clusterDim;
      require(attribute.id != 4 || (cluster.x == 1 && cluster.y == 1 && cluster.z == 1), CUDA_ERROR_NOT_SUPPORTED);
      require(attribute.id != 6 && attribute.id != 7 && attribute.id != 12 && attribute.id != 13,
              CUDA_ERROR_NOT_SUPPORTED);
      require(attribute.id >= 0 && attribute.id <= 16, CUDA_ERROR_INVALID_VALUE);
    }
    const unsigned grid[3] = {config->gridDimX, config->gridDimY, config->gridDimZ};
    const unsigned block[3] = {config->blockDimX, config->blockDimY, config->blockDimZ};
    launch(c, function, grid, block, config->sharedMemBytes, config->hStream, cooperative, params, extra);
  });
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int blockSize,
                                                     size_t dynamicShared) {
  return call(Api::cuOccupancyMaxActiveBlocksPerMultiprocessor, 0, [&](Call& c) {
    require(blocks != nullptr, CUDA_ERROR_INVALID_VALUE);
    *blocks = blocksFor(c, function, blockSize, dynamicShared);
  });
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction function, int blockSize,
                                                              size_t dynamicShared, unsigned flags) {
  return call(Api::cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, 0, [&](Call& c) {
    require(blocks != nullptr && flags <= 1, CUDA_ERROR_INVALID_VALUE);
    *blocks = blocksFor(c, function, blockSize, dynamicShared);
  });
}

CUresult cuOccupancyMaxPotentialBlockSize(int* gridSize, int* blockSize, CUfunction function, CUoccupancyB2DSize shared,
                                          size_t dynamicShared, int limit) {
  return call(Api::cuOccupancyMaxPotentialBlockSize, 0, [&](Call& c) {
    const Function& target = functionAt(c.driver, function);
    require(gridSize != nullptr && blockSize != nullptr && limit >= 0, CUDA_ERROR_INVALID_VALUE);
    int largest = limit == 0 ? kMaxThreads : std::min(limit, kMaxThreads);
    if (target.kernel->maxThreads[0] != 0) {
      largest =
          static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(largest), product(target.kernel->maxThreads)));
    }
    int best = 0, bestBlocks = 0, bestThreads = 0;
    for (int size = (largest + 31) / 32 * 32; size > 0; size -= 32) {
      const int threads = std::min(size, largest);
      const int blocks = activeBlocks(target, threads, shared != nullptr ? shared(threads) : dynamicShared);
      if (blocks * threads > bestThreads) {
        best = threads;
        bestBlocks = blocks;
        bestThreads = blocks * threads;
      }
    }
    *blockSize = best;
    *gridSize = bestBlocks * kMultiprocessors;
  });
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, CUfunction function, int blocks, int blockSize) {
  return call(Api::cuOccupancyAvailableDynamicSMemPerBlock, 0, [&](Call& c) {
    const Function& target = functionAt(c.driver, function);
    require(bytes != nullptr && blocks > 0 && blockSize > 0, CUDA_ERROR_INVALID_VALUE);
    const int each = kSharedPerMultiprocessor / blocks / 128 * 128 - kSharedReserved;
    const int left = std::min(each, kSharedOptin) - static_cast<int>(target.kernel->staticShared);
    require(left >= 0, CUDA_ERROR_INVALID_VALUE);
    *bytes = static_cast<size_t>(left);
  });
}

}  // namespace warploom::cudasim
