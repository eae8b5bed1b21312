// What the CUDASIM_* variables choose.
#pragma once

#include <cstdint>
#include <string>

namespace warploom::cudasim {

struct Settings {
  bool mem = true;  // bounds are checked always; this one says whether they are reported as findings with a place
  bool init = true;
  bool race = true;
  bool sync = true;
  uint64_t seed = 0;                         // CUDASIM_SEED: the schedule; 0 is the plain order
  int threads = 0;                           // CUDASIM_THREADS: workers; 0 is one per processor
  uint64_t maxSteps = uint64_t{4000000000};  // CUDASIM_MAX_STEPS: warp instructions a launch before it counts as hung
  // CUDASIM_SKIP=kernel:ptxline leaves out that instruction of that kernel, CUDASIM_SKIP=file.cu:line all barriers,
  // waits and fences that come from a line of a source, in every kernel. The first part is kept here.
  std::string skipKernel;
  int skipLine = 0;
  bool counters = false;                 // set when CUDASIM_COUNTERS names a file
  std::string countersFile, reportFile;  // CUDASIM_COUNTERS, CUDASIM_REPORT

  bool skipsSource() const {
    const std::size_t dot = skipKernel.rfind(".cu");
    return dot != std::string::npos && (dot + 3 == skipKernel.size() || skipKernel.compare(dot, 4, ".cuh") == 0);
  }

  // Throws std::runtime_error naming a variable with a value that it cannot have.
  static Settings fromEnvironment();
};

}  // namespace warploom::cudasim
