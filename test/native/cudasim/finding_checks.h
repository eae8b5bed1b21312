// What the tests of findings share: the lines of a .cu file that carry marks, and the comparison with what was found.
#pragma once

#include "sim.h"

namespace warploom::test {

inline std::string kernelText(const std::string& name) {
  return readText(std::string(WARPLOOM_SIM_PTX) + "/" + name + ".ptx");
}

// The line of the .cu that ends with the mark.
inline int lineOf(const std::string& file, const std::string& mark) {
  std::istringstream text(readText(file));
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    if (line.size() >= mark.size() && line.compare(line.size() - mark.size(), mark.size(), mark) == 0) return number;
  }
  return -1;
}

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

// Whom the first finding names.
inline bool isBy(const LaunchResult& result, uint32_t block, uint32_t thread) {
  return !result.findings.empty() && result.findings[0].block[0] == block && result.findings[0].thread[0] == thread;
}

}  // namespace warploom::test
