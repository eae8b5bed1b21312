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

// Three bits of count, one for half-words, three for each place.
int64_t packed(const std::string& text) {
  if (text.empty()) return 0;
  const std::size_t count = text.size() - 1;
  if ((text[0] != 'b' && text[0] != 'h') || count < 1 || count > 4) return -1;
  int64_t bits = static_cast<int64_t>(count) | (text[0] == 'h' ? 8 : 0);
  for (std::size_t i = 0; i < count; ++i) {
    if (text[i + 1] < '0' || text[i + 1] > '7') return -1;
    bits |= static_cast<int64_t>(text[i + 1] - '0') << (4 + 3 * i);
  }
  return bits;
}

}  // namespace

int64_t packSelectors(std::vector<Operand>& operands) {
  int64_t imm = 0;
  for (std::size_t i = 0; i < operands.size() && i < 4; ++i) {
    if (operands[i].kind != Operand::reg) continue;
    std::string& text = operands[i].name;
    if (!text.empty() && text[0] == '-') {
      imm |= int64_t{1} << (kSelectorsFrom + 48 + static_cast<int>(i) % 3);
      text.erase(0, 1);
    }
    const int64_t bits = packed(text);
    if (bits < 0 || (i == 3 && bits != 0)) return -1;
    if (i < 3) imm |= bits << (kSelectorsFrom + 16 * static_cast<int>(i));
    text.clear();
  }
  return imm;
}

void unpackSelectors(int64_t imm, Selector (&select)[3]) {
  for (int i = 0; i < 3; ++i) {
    const uint32_t bits = static_cast<uint32_t>(imm >> (kSelectorsFrom + 16 * i)) & 0xffff;
    select[i].count = bits & 7;
    select[i].halves = (bits & 8) != 0;
    for (int k = 0; k < 4; ++k) select[i].places[k] = bits >> (4 + 3 * k) & 7;
    select[i].negated = (imm >> (kSelectorsFrom + 48 + i) & 1) != 0;
  }
}

Normal normalize(const std::string& opcode) {
  const std::vector<std::string> parts = split(opcode);
  Normal normal;
  normal.name = parts[0];
  const bool memory = among(parts[0], {"ld", "ldu", "st", "atom", "red"});
  const bool async = parts[0] == "cp";
  const bool object = parts[0] == "mbarrier";
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
    } else if (object) {
      // What these say of sm_80's one scope is the default.
      if (among(part, {"release", "acquire", "cta"})) continue;
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
  // Arrivals and tests are atomic; the object itself is made and ended by plain writes.
  if (opcode.find("mbarrier.arrive") != std::string::npos || opcode.rfind("mbarrier.test_wait", 0) == 0) {
    normal.spinning = true;
  }
  return normal;
}

}  // namespace warploom::cudasim
