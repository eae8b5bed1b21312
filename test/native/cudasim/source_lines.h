// Text of files: PTX of the test kernels, and the lines of a .cu file that carry marks.
#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace warploom::test {

inline std::string readText(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

#ifdef WARPLOOM_SIM_PTX
inline std::string kernelText(const std::string& name) {
  return readText(std::string(WARPLOOM_SIM_PTX) + "/" + name + ".ptx");
}
#endif

// The line of the .cu that ends with the mark.
inline int lineOf(const std::string& file, const std::string& mark) {
  std::istringstream text(readText(file));
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    if (line.size() >= mark.size() && line.compare(line.size() - mark.size(), mark.size(), mark) == 0) return number;
  }
  return -1;
}

}  // namespace warploom::test
