#include "cudasim/ptx/normalize.h"

#include <initializer_list>
#include <vector>

namespace warploom::cudasim {

namespace {

std::vector<std::string> split(const std::string& opcode) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (;;) {
    const std::size_t dot = opcode.find('.', from);
    parts.push_back(opcode.substr(from, dot - from));
    if (dot == std::string::npos) return parts;
    from = dot + 1;
  }
}

bool among(const std::string& word, std::initializer_list<const char*> words) {
  for (const char* one : words) {
    if (word == one) return true;
  }
  return false;
}

}  // namespace

Normal normalize(const std::string& opcode) {
  const std::vector<std::string> parts = split(opcode);
  Normal normal;
  normal.name = parts[0];
  const bool memory = among(parts[0], {"ld", "ldu", "st", "atom", "red"});
  const bool async = parts[0] == "cp";
  for (std::size_t i = 1; i < parts.size(); ++i) {
    std::string part = parts[i];
    if (memory) {
      if (among(part, {"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "weak", "cta", "gpu", "sys", "cluster"}))
        continue;
      if (part.rfind("L1::", 0) == 0 || part == "L2::64B" || part == "L2::128B" || part == "L2::256B") continue;
      if (part == "L2::cache_hint") {
        normal.cacheHint = true;
        continue;
      }
      if (among(part, {"volatile", "relaxed", "acquire", "release", "acq_rel"})) {
        normal.spinning = true;
        normal.releases = normal.releases || part == "release" || part == "acq_rel";
        continue;
      }
      if (part == "shared::cta") part = "shared";
    } else if (async) {
      if (part == "L2::64B" || part == "L2::128B" || part == "L2::256B" || part == "ca" || part == "cg") continue;
      if (part == "L2::cache_hint") {
        normal.cacheHint = true;
        continue;
      }
      if (part == "shared::cta") part = "shared";
    } else if (part == "shared::cta") {
      part = "shared";
    }
    normal.name += "." + part;
  }
  if (among(parts[0], {"atom", "red"})) normal.spinning = true;
  return normal;
}

}  // namespace warploom::cudasim
