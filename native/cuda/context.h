// What the host side of an op sees of the stream that runs it: launches, fills and copies, which go to the CUDA stream
// or, while a graph is built, become its nodes.
#pragma once

#include <string>

#include "cuda/library.h"
#include "cuda/staging.h"
#include "engine/backend.h"
#include "engine/ops.h"

namespace warploom::cuda {

struct Size3 {
  unsigned x = 1, y = 1, z = 1;
};

constexpr unsigned kMaxGridYZ = 65535;

// Throws DeviceLost or DriverError for a result that is no success.
[[noreturn]] void refuse(const Driver& driver, abi::CUresult result, const std::string& call);

class CudaGraph final : public Graph {
 public:
  CudaGraph(const Driver& driver, abi::CUcontext context, abi::CUstream stream);
  ~CudaGraph() override;
  void launch() override;

  abi::CUgraph graph = nullptr;
  abi::CUgraphNode last = nullptr;  // nodes form a chain: jobs are in order
  bool reportsIndexErrors = false;
  uint64_t work = 0;             // kernels, fills, copies
  uint64_t* launches = nullptr;  // the device's count
  bool* mayReport = nullptr;
  // Makes it ready to launch.
  void instantiate();

 private:
  const Driver& driver_;
  const abi::CUcontext context_;
  const abi::CUstream stream_;
  abi::CUgraphExec exec_ = nullptr;
};

class CudaContext final : public Context {
 public:
  CudaContext(const Driver& driver, abi::CUcontext context, abi::CUstream stream, const std::string& kernelFolder)
      : library(driver, kernelFolder), driver_(driver), context_(context), stream_(stream) {}

  // Launches a kernel of a family (both names are literals) with its parameters by value. grid.y and grid.z stay within
  // kMaxGridYZ.
  template <class... Params>
  void launch(const char* family, const char* entry, Size3 grid, Size3 block, unsigned sharedBytes,
              const Params&... params) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    void* list[] = {const_cast<void*>(static_cast<const void*>(&params))..., nullptr};
    launchKernel(family, entry, grid, block, sharedBytes, list);
  }
  void fill(void* to, unsigned char value, std::size_t bytes);
  void copy(void* to, const void* from, std::size_t bytes);
  // From another device, whose primary context is given; not while a graph is built.
  void copyFromPeer(void* to, const void* from, abi::CUcontext fromContext, std::size_t bytes);
  // From host memory that outlives the graph; only while one is built.
  void copyFromHost(void* to, const void* from, std::size_t bytes);

  // The word for kernels that check indices. Asking for it makes the next read look at it.
  IndexErrorWord* indexErrors() {
    if (building_ != nullptr) building_->reportsIndexErrors = true;
    mayReport = true;
    return errorWord;
  }

  void beginGraph() { building_ = std::make_unique<CudaGraph>(driver_, context_, stream_); }
  std::unique_ptr<CudaGraph> endGraph() { return std::move(building_); }
  bool building() const { return building_ != nullptr; }

  // Threads and host-side errors of the CPU's kind: here there are none.
  int lanes() const override { return 1; }
  void indexError(const char*, int64_t, int64_t) override {}
  void fail(const char* op, const std::string& message) override {
    if (failure_.empty()) failure_ = std::string("[") + op + "] " + message;
  }
  bool cancelled() const override { return false; }
  bool takeIndexError(IndexErrorInfo&) override { return false; }
  bool takeFailure(std::string& message) override {
    if (failure_.empty()) return false;
    message = std::move(failure_);
    failure_.clear();
    return true;
  }
  void cancel() override {}

  const Driver& driver() const { return driver_; }
  abi::CUcontext context() const { return context_; }

  KernelLibrary library;
  IndexErrorWord* errorWord = nullptr;  // in device memory
  bool mayReport = false;
  uint64_t launches = 0;

 protected:
  void runChunks(int64_t chunks, void* data, void (*fn)(void*, int64_t, int)) override {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) fn(data, chunk, 0);
  }

 private:
  void launchKernel(const char* family, const char* entry, Size3 grid, Size3 block, unsigned sharedBytes,
                    void** params);
  void count() { ++(building_ == nullptr ? launches : building_->work); }
  void copyNode(const abi::CUDA_MEMCPY3D& what);

  const Driver& driver_;
  const abi::CUcontext context_;
  const abi::CUstream stream_;
  std::unique_ptr<CudaGraph> building_;
  std::string failure_;
};

}  // namespace warploom::cuda
