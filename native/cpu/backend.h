// The CPU backend: one device, memory from the system, kernels from kernelTable().
#pragma once

#include <string>

#include "engine/backend.h"

namespace warploom::cpu {

struct Options {
  int threads = 0;  // 0: the cores this process may use
  std::string isa;  // empty: the best
};

// A CPU device with a thread pool of its own. Owned by one environment.
std::unique_ptr<DeviceImpl> openDevice(const Options& options, std::size_t capacity);

// The cores this process may run on: its affinity mask, cut to the quota of its control group where one is set.
int usableCores();

}  // namespace warploom::cpu
