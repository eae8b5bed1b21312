#include "cuda/driver.h"

#include <dlfcn.h>

#include <cstdlib>

namespace warploom::cuda {

bool isFatal(abi::CUresult code) {
  switch (code) {
    case 4:    // deinitialized
    case 46:   // device unavailable
    case 214:  // uncorrectable ECC error
    case 220:  // uncorrectable NVLink error
    case 700:  // illegal address
    case 702:  // launch timeout
    case 709:  // context destroyed
    case 710:  // assert in device code
    case 714:  // hardware stack error
    case 715:  // illegal instruction
    case 716:  // misaligned address
    case 717:  // invalid address space
    case 718:  // invalid program counter
    case 719:  // launch failed
    case 999:  // unknown
      return true;
    default:
      return false;
  }
}

std::string Driver::describe(abi::CUresult result) const {
  const char *name = nullptr, *text = nullptr;
  if (getErrorName(result, &name) != abi::CUDA_SUCCESS || name == nullptr) return "error " + std::to_string(result);
  if (getErrorString(result, &text) != abi::CUDA_SUCCESS || text == nullptr) return name;
  return std::string(name) + " (" + text + ")";
}

void Driver::fail(abi::CUresult result, const std::string& call) const {
  throw DriverError(result, call + ": " + describe(result));
}

bool Driver::open(std::string& reason) {
  const char* chosen = std::getenv("WARPLOOM_CUDA_LIBRARY");
  const bool own = chosen != nullptr && *chosen != '\0';
  library = own ? chosen : "libcuda.so.1";
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* said = dlerror();
    const std::string text = said != nullptr ? said : "unknown error";
    const bool absent = text.find("No such file") != std::string::npos;
    reason = absent && !own ? "no NVIDIA driver is installed: " + text : library + " cannot be used: " + text;
    return false;
  }
#define WL_CU(member, symbol, parameters)                                         \
  member = reinterpret_cast<abi::CUresult(*) parameters>(dlsym(handle, #symbol)); \
  if (member == nullptr) missing = missing.empty() ? #symbol : missing;
  using namespace abi;
  std::string missing;
#include "cuda/driver.def"
#undef WL_CU
  simulated = dlsym(handle, "cudasimVersion") != nullptr;
  // The version is asked for before anything is made of a missing symbol: old drivers lack some, and that is the better
  // reason.
  if (driverGetVersion != nullptr && driverGetVersion(&version) == CUDA_SUCCESS && version < kDriverFloor) {
    reason = "the NVIDIA driver is too old: it offers CUDA " + std::to_string(version / 1000) + "." +
             std::to_string(version % 1000 / 10) + ", and warploom needs 12.0 (driver R525) or newer";
    return false;
  }
  if (!missing.empty()) {
    reason = library + " is no usable NVIDIA driver: it lacks " + missing;
    return false;
  }
  const CUresult started = init(0);
  if (started != CUDA_SUCCESS && started != CUDA_ERROR_NO_DEVICE) {
    reason = "the NVIDIA driver does not start: cuInit: " + describe(started);
    return false;
  }
  if (started == CUDA_ERROR_NO_DEVICE || deviceGetCount(&devices) != CUDA_SUCCESS || devices <= 0) {
    reason = "the NVIDIA driver finds no device";
    return false;
  }
  return true;
}

const Driver* Driver::get(std::string& reason) {
  struct Opened {
    Driver driver;
    std::string why;
    bool usable;
    Opened() : usable(driver.open(why)) {}
  };
  static Opened opened;
  reason = opened.why;
  return opened.usable ? &opened.driver : nullptr;
}

}  // namespace warploom::cuda
