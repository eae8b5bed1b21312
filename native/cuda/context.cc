#include "cuda/context.h"

#include "cuda/current.h"

namespace warploom::cuda {
namespace {

constexpr unsigned kDefaultShared = 48 << 10;  // more must be asked for, kernel by kernel

abi::CUdeviceptr address(const void* pointer) { return reinterpret_cast<abi::CUdeviceptr>(pointer); }

}  // namespace

void refuse(const Driver& driver, abi::CUresult result, const std::string& call) {
  if (isFatal(result)) throw DeviceLost("the CUDA device is lost: " + call + ": " + driver.describe(result));
  driver.fail(result, call);
}

CudaGraph::CudaGraph(const Driver& driver, abi::CUcontext context, abi::CUstream stream)
    : driver_(driver), context_(context), stream_(stream) {
  Current current(driver_, context_);
  driver_.check(driver_.graphCreate(&graph, 0), "cuGraphCreate");
}

CudaGraph::~CudaGraph() {
  // Recordings are deleted by the stream's thread; the context need not be current there.
  abi::CUcontext popped = nullptr;
  if (driver_.ctxPushCurrent(context_) != abi::CUDA_SUCCESS) return;
  if (exec_ != nullptr) driver_.graphExecDestroy(exec_);
  if (graph != nullptr) driver_.graphDestroy(graph);
  driver_.ctxPopCurrent(&popped);
}

void CudaGraph::instantiate() {
  Current current(driver_, context_);
  const abi::CUresult made = driver_.graphInstantiate(&exec_, graph, 0);
  if (made != abi::CUDA_SUCCESS) refuse(driver_, made, "cuGraphInstantiateWithFlags");
}

void CudaGraph::launch() {
  Current current(driver_, context_);
  if (reportsIndexErrors && mayReport != nullptr) *mayReport = true;
  const abi::CUresult launched = driver_.graphLaunch(exec_, stream_);
  if (launched != abi::CUDA_SUCCESS) refuse(driver_, launched, "cuGraphLaunch");
  if (launches != nullptr) *launches += work;
}

void CudaContext::launchKernel(const char* family, const char* entry, Size3 grid, Size3 block, unsigned sharedBytes,
                               void** params) {
  abi::CUfunction function;
  try {
    function = library.find(family, entry);
  } catch (const DriverError& error) {
    if (isFatal(error.code)) throw DeviceLost(std::string("the CUDA device is lost: ") + error.what());
    throw;
  }
  if (sharedBytes > kDefaultShared) {
    const abi::CUresult allowed = driver_.funcSetAttribute(
        function, abi::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(sharedBytes));
    if (allowed != abi::CUDA_SUCCESS) refuse(driver_, allowed, std::string("cuFuncSetAttribute(") + entry + ")");
  }
  abi::CUresult result;
  if (building_ == nullptr) {
    result = driver_.launchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z, sharedBytes, stream_,
                                  params, nullptr);
  } else {
    const abi::CUDA_KERNEL_NODE_PARAMS node = {function, grid.x,      grid.y, grid.z,  block.x, block.y,
                                               block.z,  sharedBytes, params, nullptr, nullptr, nullptr};
    const abi::CUgraphNode before = building_->last;
    result = driver_.graphAddKernelNode(&building_->last, building_->graph, before != nullptr ? &before : nullptr,
                                        before != nullptr, &node);
  }
  if (result != abi::CUDA_SUCCESS) refuse(driver_, result, std::string("launch of ") + entry);
  count();
}

void CudaContext::fill(void* to, unsigned char value, std::size_t bytes) {
  if (bytes == 0) return;
  abi::CUresult result;
  if (building_ == nullptr) {
    result = driver_.memsetD8Async(address(to), value, bytes, stream_);
  } else {
    const abi::CUDA_MEMSET_NODE_PARAMS node = {address(to), 0, value, 1, bytes, 1};
    const abi::CUgraphNode before = building_->last;
    result = driver_.graphAddMemsetNode(&building_->last, building_->graph, before != nullptr ? &before : nullptr,
                                        before != nullptr, &node, context_);
  }
  if (result != abi::CUDA_SUCCESS) refuse(driver_, result, "fill of " + std::to_string(bytes) + " bytes");
  count();
}

void CudaContext::copyNode(const abi::CUDA_MEMCPY3D& what) {
  const abi::CUgraphNode before = building_->last;
  const abi::CUresult result = driver_.graphAddMemcpyNode(
      &building_->last, building_->graph, before != nullptr ? &before : nullptr, before != nullptr, &what, context_);
  if (result != abi::CUDA_SUCCESS) refuse(driver_, result, "cuGraphAddMemcpyNode");
  count();
}

void CudaContext::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  if (building_ == nullptr) {
    const abi::CUresult result = driver_.memcpyDtoDAsync(address(to), address(from), bytes, stream_);
    if (result != abi::CUDA_SUCCESS) refuse(driver_, result, "copy of " + std::to_string(bytes) + " bytes");
    count();
    return;
  }
  abi::CUDA_MEMCPY3D what = {};
  what.srcMemoryType = what.dstMemoryType = abi::CU_MEMORYTYPE_DEVICE;
  what.srcDevice = address(from);
  what.dstDevice = address(to);
  what.WidthInBytes = bytes;
  what.Height = what.Depth = 1;
  copyNode(what);
}

void CudaContext::copyFromPeer(void* to, const void* from, abi::CUcontext fromContext, std::size_t bytes) {
  const abi::CUresult result =
      driver_.memcpyPeerAsync(address(to), context_, address(from), fromContext, bytes, stream_);
  if (result != abi::CUDA_SUCCESS)
    refuse(driver_, result, "copy of " + std::to_string(bytes) + " bytes between devices");
  count();
}

void CudaContext::copyFromHost(void* to, const void* from, std::size_t bytes) {
  abi::CUDA_MEMCPY3D what = {};
  what.srcMemoryType = abi::CU_MEMORYTYPE_HOST;
  what.srcHost = from;
  what.dstMemoryType = abi::CU_MEMORYTYPE_DEVICE;
  what.dstDevice = address(to);
  what.WidthInBytes = bytes;
  what.Height = what.Depth = 1;
  copyNode(what);
}

}  // namespace warploom::cuda
