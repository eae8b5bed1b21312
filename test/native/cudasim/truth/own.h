// For forms that are proven by a test of their own: a module that the assembler of the toolkit sees too.
#pragma once

#include <string>
#include <vector>

#include "native/cudasim/sim.h"
#include "truth.h"

namespace warploom::test {

// Modules of own tests, without headers, by target: "sm_80" needs no other assembler than sm_90.
inline std::map<std::string, std::string>& ownModules() {
  static std::map<std::string, std::string> modules;
  return modules;
}

inline void replace(std::string& text, const std::string& what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

// A simulated device with a module. Every $ of the text becomes a number of its own, so that all modules together
// make one for the assembler.
class Proof : public Sim {
 public:
  explicit Proof(const std::string& text, const std::string& target = "sm_80")
      : Sim(".version 8.0\n.target " + target + "\n.address_size 64\n" + numbered(text)) {
    ownModules()[target] += numbered(text);
    number_ = count()++;
  }
  // Runs the kernel k$, which must end without findings.
  template <class... Args>
  void launch(Size grid, Size block, Args... args) {
    clean(kernel(), grid, block, 0, args...);
  }
  std::string kernel() const { return "k_" + std::to_string(number_); }

 private:
  static int& count() {
    static int next = 0;
    return next;
  }
  static std::string numbered(std::string text) {
    replace(text, "$", "_" + std::to_string(count()));
    return text;
  }
  int number_ = 0;
};

inline std::vector<std::string> partsOf(const std::string& form) {
  std::vector<std::string> parts;
  for (std::size_t at = 0;;) {
    const std::size_t dot = form.find('.', at);
    parts.push_back(form.substr(at, dot - at));
    if (dot == std::string::npos) return parts;
    at = dot + 1;
  }
}

// Bits without a pattern.
class Noise {
 public:
  explicit Noise(uint64_t seed) : state_(seed) {}
  uint64_t operator()() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return state_ ^ state_ >> 31;
  }

 private:
  uint64_t state_;
};

inline void wrong(const std::string& form, const char* what, std::size_t lane, uint64_t got, uint64_t expected) {
  char text[256];
  std::snprintf(text, sizeof(text), "%s: %s of %zu = %llx, expected %llx", form.c_str(), what, lane,
                static_cast<unsigned long long>(got), static_cast<unsigned long long>(expected));
  failed("truth", 0, text);
}

}  // namespace warploom::test
