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
  std::string skipKernel;                    // CUDASIM_SKIP=kernel:ptxline
  int skipLine = 0;
  bool counters = false;                 // set when CUDASIM_COUNTERS names a file
  std::string countersFile, reportFile;  // CUDASIM_COUNTERS, CUDASIM_REPORT

  // Throws std::runtime_error naming a variable with a value that it cannot have.
  static Settings fromEnvironment();
};

}  // namespace warploom::cudasim
