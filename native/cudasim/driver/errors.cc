// Names and words of the error codes, the version, and cuGetProcAddress.
#include <algorithm>
#include <cstring>

#include "cudasim/driver/driver.h"

namespace warploom::cudasim {

namespace {

struct ErrorText {
  CUresult code;
  const char *name, *text;
};
#define E(name, text) \
  { name, #name, text }
constexpr ErrorText kErrors[] = {
    E(CUDA_SUCCESS, "no error"),
    E(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    E(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    E(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    E(CUDA_ERROR_STUB_LIBRARY, "CUDA driver is a stub library"),
    E(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, "API call is not supported in the installed CUDA driver"),
    E(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    E(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    E(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    E(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    E(CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device"),
    E(CUDA_ERROR_UNSUPPORTED_LIMIT, "limit is not supported on this architecture"),
    E(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "peer access is not supported between these two devices"),
    E(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
    E(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "the provided PTX was compiled with an unsupported toolchain."),
    E(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    E(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    E(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state"),
    E(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    E(CUDA_ERROR_NOT_READY, "device not ready"),
    E(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    E(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
    E(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
    E(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is already enabled"),
    E(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access has not been enabled"),
    E(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "cannot set while device is active in this process"),
    E(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    E(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "part or all of the requested memory range is already mapped"),
    E(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "pointer does not correspond to a registered memory region"),
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {710, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    E(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    E(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "too many blocks in cooperative launch"),
    E(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
    E(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    E(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
    E(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture"),
    E(CUDA_ERROR_STREAM_CAPTURE_MERGE, "operation would result in a merge of separate capture sequences"),
    E(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "capture was not ended in the same stream as it began"),
    E(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "capturing stream has unjoined work"),
    E(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "dependency created on uncaptured work in another stream"),
    E(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
      "operation would make the legacy stream depend on a capturing blocking stream"),
    E(CUDA_ERROR_CAPTURED_EVENT, "operation not permitted on an event last recorded in a capturing stream"),
    E(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
      "attempt to terminate a thread-local capture sequence from another thread"),
    E(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE,
      "the graph update was not performed because it included changes which "
      "violated constraints specific to instantiated graph update"),
    E(CUDA_ERROR_UNKNOWN, "unknown error"),
};
#undef E

const ErrorText* find(CUresult code) {
  const auto* found =
      std::find_if(std::begin(kErrors), std::end(kErrors), [&](const ErrorText& error) { return error.code == code; });
  return found == std::end(kErrors) ? nullptr : found;
}

// The newest variant of a base name that both the caller's headers and this driver know: a suffix _v4 ... _v2, or none.
const ApiEntry* lookUp(const std::string& symbol, int newest, bool& tooNew) {
  static const char* const suffixes[] = {"_v4", "_v3", "_v2", ""};
  const ApiEntry* best = nullptr;
  for (const char* suffix : suffixes) {
    const std::string name = symbol + suffix;
    for (int i = 0; i < static_cast<int>(Api::count) && best == nullptr; ++i) {
      const ApiEntry& entry = apiEntry(static_cast<Api>(i));
      if (name != entry.name) continue;
      if (entry.since <= newest) {
        best = &entry;
      } else {
        tooNew = true;
      }
    }
  }
  return best;
}

CUresult procAddress(const char* symbol, void** function, int cudaVersion, cuuint64_t flags, int* status) {
  if (symbol == nullptr || function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if ((flags & 2) != 0) return CUDA_ERROR_NOT_SUPPORTED;  // the variants for per-thread default streams
  const Driver& driver = Driver::get();
  const int newest = std::min(cudaVersion, driver.version);
  bool tooNew = false;
  // cuda.h renames this one to a function of another name.
  const ApiEntry* entry = nullptr;
  if (std::strcmp(symbol, "cuGraphInstantiate") == 0 && newest >= 12000) {
    entry = &apiEntry(Api::cuGraphInstantiateWithFlags);
  } else {
    entry = lookUp(symbol, newest, tooNew);
  }
  *function = entry == nullptr ? nullptr : entry->function;
  if (status != nullptr) *status = entry != nullptr ? 0 : (tooNew ? 2 : 1);
  // The first form has no status to give, so what is missing is an error.
  return entry == nullptr && status == nullptr ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

int posedVersion() {
  // Asked for before cuInit, too.
  const char* text = std::getenv("CUDASIM_DRIVER");
  const int version = text == nullptr ? 0 : std::atoi(text);
  return version > 0 ? version : 13000;
}

}  // namespace

CUresult cuInit(unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  try {
    Driver& driver = Driver::get();
    Lock lock(driver.mutex);
    driver.initialise();
    driver.checkFailure(Api::cuInit);
    return CUDA_SUCCESS;
  } catch (const ApiError& error) {
    return error.code;
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
}

CUresult cuDriverGetVersion(int* version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = posedVersion();
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** text) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ErrorText* found = find(error);
  *text = found == nullptr ? nullptr : found->name;
  return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ErrorText* found = find(error);
  *text = found == nullptr ? nullptr : found->text;
  return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char* symbol, void** function, int cudaVersion, cuuint64_t flags) {
  return procAddress(symbol, function, std::min(cudaVersion, posedVersion()), flags, nullptr);
}

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int cudaVersion, cuuint64_t flags, int* status) {
  int ignored = 0;
  return procAddress(symbol, function, std::min(cudaVersion, posedVersion()), flags,
                     status == nullptr ? &ignored : status);
}

const char* cudasimVersion() { return "1"; }

}  // namespace warploom::cudasim
