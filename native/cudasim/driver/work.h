// One operation of a stream or a node of a graph, before it becomes a job.
#pragma once

#include "cudasim/driver/driver.h"

namespace warploom::cudasim {

// A box of bytes: rows of `width`, `height` of them a slice, `depth` slices.
struct Box {
  uint64_t address = 0;
  uint64_t pitch = 0, slice = 0;  // bytes from row to row, from slice to slice
};

struct Work {
  enum class Kind { empty, kernel, copy, fill, host, callback, release, child };
  Kind kind = Kind::empty;
  Device* device = nullptr;

  // kernel
  Function* function = nullptr;
  uint32_t grid[3] = {1, 1, 1}, block[3] = {1, 1, 1};
  uint32_t sharedBytes = 0;
  bool cooperative = false;
  std::vector<uint8_t> params;
  std::vector<void*> paramPointers;  // into params, for cuGraphKernelNodeGetParams
  std::vector<Memory*> peers;        // of the context when it was queued

  // copy, fill
  Box to, from;
  uint64_t width = 0, height = 1, depth = 1;
  bool toDevice = false, fromDevice = false;
  std::shared_ptr<std::vector<uint8_t>>
      staged;  // the source, taken when an asynchronous copy from pageable memory began
  uint32_t value = 0, elementBytes = 1;

  // host, callback, release
  CUhostFn hostFunction = nullptr;
  CUstreamCallback callback = nullptr;
  void* userData = nullptr;
  CUstream stream = nullptr;
  uint64_t address = 0;
  std::shared_ptr<Graph> child;

  std::string what() const;
  // What it is known to touch before it runs.
  std::vector<Touched> declared(const Driver& driver) const;
};

Outcome perform(Driver& driver, const Work& work, const std::string& what);

// Copies between any two places; throws CUDA_ERROR_INVALID_VALUE when a device side lies outside live memory.
Work copyWork(Call& call, const Box& to, bool toDevice, const Box& from, bool fromDevice, uint64_t width,
              uint64_t height, uint64_t depth);
Work copyWork3D(Call& call, const CUDA_MEMCPY3D& copy);
Work fillWork(Call& call, uint64_t to, uint64_t pitch, uint32_t value, uint32_t elementBytes, uint64_t width,
              uint64_t height);
// Checks every limit of a launch that a real driver enforces.
Work kernelWork(Call& call, Function& function, const unsigned grid[3], const unsigned block[3], unsigned sharedBytes,
                bool cooperative, void** params, void** extra);
Work kernelWork(Call& call, const CUDA_KERNEL_NODE_PARAMS& params);
Work hostWork(Call& call, CUhostFn fn, void* userData);
// Takes what must be taken when an operation is queued: the bytes of pageable sources; poisons host targets.
void prepareAsync(Call& call, Work& work, const JobPtr& job);

// Blocks of a kernel that one multiprocessor holds at a time.
int activeBlocks(const Function& function, int blockSize, std::size_t dynamicShared);

// The A100's shape, where a limit is checked.
constexpr int kMaxThreads = 1024, kSharedDefault = 48 << 10, kSharedOptin = 163 << 10,
              kSharedPerMultiprocessor = 164 << 10, kSharedReserved = 1 << 10, kThreadsPerMultiprocessor = 2048,
              kBlocksPerMultiprocessor = 32, kRegistersPerMultiprocessor = 65536;

}  // namespace warploom::cudasim
