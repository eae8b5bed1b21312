// Runs one launch of a kernel to its end, on the threads of this process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cudasim/counters.h"
#include "cudasim/memory.h"
#include "cudasim/ptx/module.h"
#include "cudasim/settings.h"

namespace warploom::cudasim {

// Of the modelled device: an A100.
constexpr int kMultiprocessors = 108;

struct Launch {
  const Kernel* kernel = nullptr;
  uint32_t grid[3] = {1, 1, 1}, block[3] = {1, 1, 1};
  uint32_t dynamicShared = 0;
  std::vector<uint8_t> params;  // kernel->paramBytes of them, laid out by kernel->params
  Memory* memory = nullptr;
  std::vector<Memory*> peers;  // other devices whose memory this one may touch
  bool cooperative = false;    // its blocks may wait for each other: cooperative groups find a barrier of the grid
  bool recordTouched = false;  // fill LaunchResult::touched: several streams are in flight
};

// A range of global memory that a launch read or wrote (words of 4 bytes, neighbours merged): from these the driver
// tells a missing dependency between streams.
struct Touched {
  uint64_t address = 0, bytes = 0;
  bool wrote = false;
};

struct Finding {
  std::string check;  // mem | init | race | sync | timeout | trap | assert | skip
  std::string kernel, message, file;
  uint32_t block[3] = {0, 0, 0}, thread[3] = {0, 0, 0};
  int line = 0, ptxLine = 0;

  // One JSON object {check, kernel, block, thread, file, line, ptx_line, message}, no newline.
  std::string json() const;
};

struct LaunchResult {
  int status = 0;  // 0 or the CUresult: 700 after a wrong access to memory, 710 after an assertion, else 719
  std::vector<Finding> findings;
  std::vector<Touched> touched;
  std::string output;  // what the kernel printed
  Counters counters;
};

// The limits of a launch (block size, shared memory, ...) are the driver's to check. Findings are listed once for each
// kind and instruction, in a stable order. Throws std::invalid_argument when params do not fit the kernel.
LaunchResult execute(const Launch& launch, const Settings& settings);

}  // namespace warploom::cudasim
