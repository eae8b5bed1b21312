// The kernels of one device, loaded family by family at their first use: the fatbin of cubins where it has one for this
// chip, else the PTX, which the driver compiles.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cuda/driver.h"

namespace warploom::cuda {

class KernelLibrary {
 public:
  // `folder` holds <family>.fatbin and <family>.ptx.
  KernelLibrary(const Driver& driver, std::string folder) : driver_(driver), folder_(std::move(folder)) {}
  KernelLibrary(const KernelLibrary&) = delete;
  KernelLibrary& operator=(const KernelLibrary&) = delete;

  // A kernel of a family; both names are literals. The device's context is current. Throws DriverError, or
  // DriverFailure when neither file can be loaded: its message has the driver's reasons for both.
  abi::CUfunction find(const char* family, const char* entry) {
    const auto found = functions_.find(entry);
    return found != functions_.end() ? found->second : load(family, entry);
  }
  void unloadAll();

  // What families came from: "softmax: fatbin, matmul: ptx (CUDA_ERROR_NO_BINARY_FOR_GPU ...)".
  std::string origins() const;

 private:
  struct Loaded {
    abi::CUmodule module;
    std::string origin;
  };
  abi::CUfunction load(const char* family, const char* entry);
  const Loaded& module(const std::string& family);

  const Driver& driver_;
  const std::string folder_;
  std::map<std::string, Loaded> modules_;
  std::unordered_map<std::string_view, abi::CUfunction> functions_;
};

}  // namespace warploom::cuda
