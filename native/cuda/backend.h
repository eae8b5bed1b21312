// The CUDA devices of this machine as a backend of the engine.
#pragma once

#include <memory>
#include <string>

#include "engine/backend.h"

namespace warploom::cuda {

// What can be said without opening a device.
struct Probe {
  int devices = 0;  // 0: CUDA cannot be used, and `reason` says why
  int version = 0;  // of the driver: 13000 is CUDA 13.0
  bool simulated = false;
  std::string library, reason;
};
Probe probe();

// Device `index`, whose kernels lie in `kernelFolder`. Null with `reason` filled when it cannot be opened.
std::unique_ptr<DeviceImpl> openDevice(int index, const std::string& kernelFolder, std::string& reason);

}  // namespace warploom::cuda
