// The CUDA driver API as warploom uses it: types written down by hand (abi_check.cc compares them with cuda.h where a
// toolkit has one), functions found with dlopen. Nothing of NVIDIA's is needed to build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/driver_failure.h"

namespace warploom::cuda {

namespace abi {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphNode = struct CUgraphNode_st*;
using CUgraphExec = struct CUgraphExec_st*;
using CUmemoryPool = struct CUmemPoolHandle_st*;
using CUarray = struct CUarray_st*;

struct CUmemLocation {
  int type, id;
};
struct CUmemPoolProps {
  int allocType, handleTypes;
  CUmemLocation location;
  void* win32SecurityAttributes;
  size_t maxSize;
  unsigned short usage;
  unsigned char reserved[54];
};
struct CUmemAccessDesc {
  CUmemLocation location;
  int flags;
};
struct CUDA_KERNEL_NODE_PARAMS {
  CUfunction func;
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  void** kernelParams;
  void** extra;
  struct CUkern_st* kern;
  CUcontext ctx;
};
struct CUDA_MEMSET_NODE_PARAMS {
  CUdeviceptr dst;
  size_t pitch;
  unsigned value, elementSize;
  size_t width, height;
};
struct CUDA_MEMCPY3D {
  size_t srcXInBytes, srcY, srcZ, srcLOD;
  int srcMemoryType;
  const void* srcHost;
  CUdeviceptr srcDevice;
  CUarray srcArray;
  void* reserved0;
  size_t srcPitch, srcHeight;
  size_t dstXInBytes, dstY, dstZ, dstLOD;
  int dstMemoryType;
  void* dstHost;
  CUdeviceptr dstDevice;
  CUarray dstArray;
  void* reserved1;
  size_t dstPitch, dstHeight;
  size_t WidthInBytes, Height, Depth;
};

enum : CUresult {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NO_DEVICE = 100,
};

// Attributes of a device and of a function, flags: the values of cuda.h.
enum : int {
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
  CU_JIT_ERROR_LOG_BUFFER = 5,
  CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
  CU_MEM_ALLOCATION_TYPE_PINNED = 1,
  CU_MEM_LOCATION_TYPE_DEVICE = 1,
  CU_MEM_ACCESS_FLAGS_PROT_READWRITE = 3,
  CU_MEMORYTYPE_HOST = 1,
  CU_MEMORYTYPE_DEVICE = 2,
  CU_STREAM_NON_BLOCKING = 1,
  CU_EVENT_BLOCKING_SYNC = 1,
  CU_EVENT_DISABLE_TIMING = 2,
};

// The functions of driver.def.
struct Functions {
#define WL_CU(member, symbol, parameters) CUresult(*member) parameters = nullptr;
#include "cuda/driver.def"
#undef WL_CU
};

}  // namespace abi

// A driver older than this is refused: R525, the first of CUDA 12.
constexpr int kDriverFloor = 12000;

// A call that the driver refused.
class DriverError : public DriverFailure {
 public:
  DriverError(abi::CUresult code, const std::string& what) : DriverFailure(what), code(code) {}
  const abi::CUresult code;
};

// True for the codes after which no call on the context can succeed.
bool isFatal(abi::CUresult code);

// The driver library of this process.
class Driver : public abi::Functions {
 public:
  // Opens WARPLOOM_CUDA_LIBRARY where that is set, else libcuda.so.1, once for the process. Null where CUDA cannot be
  // used; `reason` then says why in words for the user. The library is never closed.
  static const Driver* get(std::string& reason);

  int version = 0;  // 13000: CUDA 13.0
  int devices = 0;
  bool simulated = false;  // the repository's simulator, never a card
  std::string library;

  // Throws DriverError naming the call.
  void check(abi::CUresult result, const char* call) const {
    if (result != abi::CUDA_SUCCESS) fail(result, call);
  }
  [[noreturn]] void fail(abi::CUresult result, const std::string& call) const;
  // "CUDA_ERROR_OUT_OF_MEMORY (out of memory)"
  std::string describe(abi::CUresult result) const;

 private:
  bool open(std::string& reason);
};

}  // namespace warploom::cuda
