// What the tests of findings share: the lines of a .cu file that carry marks, and the comparison with what was found.
#pragma once

#include "sim.h"
#include "source_lines.h"

namespace warploom::test {

// All findings are of that check, at the line marked `// bug: <kernel>`, and there is one.
inline void expectFinding(const LaunchResult& result, const std::string& kernel, const std::string& check, int status,
                          const std::string& words = "") {
  Note where(kernel);
  CHECK_NEAR(result.status, status, 0);
  bool found = false;
  for (const Finding& finding : result.findings) {
    const bool same = finding.check == check && finding.line == lineOf(finding.file, "// bug: " + kernel) &&
                      finding.message.find(words) != std::string::npos;
    if (!same) failed(kernel.c_str(), finding.line, "not expected: " + finding.json());
    CHECK(finding.kernel == kernel && finding.ptxLine > 0);
    found = found || same;
  }
  if (!found) failed(kernel.c_str(), 0, "no finding of " + check);
}

// Correct kernels are silent in any order and with any number of workers: body(sim) for several of both.
inline void forEachSchedule(const std::string& text, void (*body)(Sim&)) {
  for (uint64_t seed : {0, 1, 2, 3}) {
    for (int threads : {1, 3}) {
      Note schedule("seed " + std::to_string(seed) + ", " + std::to_string(threads) + " threads");
      Sim sim(text);
      sim.settings.seed = seed;
      sim.settings.threads = threads;
      body(sim);
    }
  }
}

// Whom the first finding names.
inline bool isBy(const LaunchResult& result, uint32_t block, uint32_t thread) {
  return !result.findings.empty() && result.findings[0].block[0] == block && result.findings[0].thread[0] == thread;
}

}  // namespace warploom::test
