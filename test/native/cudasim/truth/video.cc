// Video instructions, by the words of the PTX ISA: with and without selectors, in all lanes, edge values and noise.
#include <cctype>

#include "own.h"

namespace warploom::test {

namespace {

__extension__ typedef __int128 Big;

struct Variant {
  const char *d, *a, *b, *c;  // selectors and signs, "-" in front
};

// Byte or half-word number `place` of a value, or its 32 bits.
Big element(uint64_t value, int width, int place, const std::string& type) {
  if (width == 8) {
    return type == "s32" ? Big{static_cast<int8_t>(value >> (8 * place))}
                         : Big{static_cast<uint8_t>(value >> (8 * place))};
  }
  if (width == 16) {
    return type == "s32" ? Big{static_cast<int16_t>(value >> (16 * place))}
                         : Big{static_cast<uint16_t>(value >> (16 * place))};
  }
  return type == "s32" ? Big{static_cast<int32_t>(value)} : Big{static_cast<uint32_t>(value)};
}
Big limited(Big value, const std::string& type, int width) {
  Big low = 0, high = 1;
  for (int i = 0; i < width; ++i) high *= 2;
  if (type == "s32") high /= 2, low = -high;
  return value < low ? low : value >= high ? high - 1 : value;
}
int widthOf(const std::string& selector) { return selector.empty() ? 32 : selector[0] == 'h' ? 16 : 8; }
int placeOf(const std::string& selector) { return selector.empty() ? 0 : selector[1] - '0'; }

class Reference {
 public:
  explicit Reference(const std::string& form) {
    parts_ = partsOf(form);
    op_ = parts_[0];
    many_ = std::isdigit(static_cast<unsigned char>(op_.back())) ? op_.back() - '0' : 1;
    if (many_ > 1) op_.pop_back();
    const bool compares = op_ == "vset";
    dType_ = compares ? "u32" : parts_[1];
    aType_ = parts_[compares ? 1 : 2];
    bType_ = parts_[compares ? 2 : 3];
    for (const char* second : {"add", "min", "max"}) {
      if (parts_.back() == second) second_ = second;
    }
  }
  bool has(const std::string& word) const {
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      if (parts_[i] == word) return true;
    }
    return false;
  }
  int many() const { return many_; }
  const std::string& op() const { return op_; }
  const std::string& second() const { return second_; }

  uint32_t value(const Variant& v, uint32_t a, uint32_t b, uint32_t c) const {
    return op_ == "vmad" ? multiplied(v, a, b, c) : many_ > 1 ? simd(v, a, b, c) : scalar(v, a, b, c);
  }

 private:
  Big result(Big a, Big b) const {
    if (op_ == "vadd") return a + b;
    if (op_ == "vsub") return a - b;
    if (op_ == "vabsdiff") return a > b ? a - b : b - a;
    if (op_ == "vmin") return a < b ? a : b;
    if (op_ == "vmax") return a > b ? a : b;
    if (op_ == "vavrg") {
      // Half of the sum, ties away from zero.
      const Big sum = a + b;
      return sum >= 0 ? (sum + 1) / 2 : -((1 - sum) / 2);
    }
    if (op_ == "vshl" || op_ == "vshr") {
      int by = b > 32 ? 32 : static_cast<int>(b);
      if (has("wrap")) by = static_cast<int>(b % 32);
      Big r = a;
      for (int i = 0; i < by; ++i) r = op_ == "vshl" ? r * 2 : (r - (r % 2 != 0 && r < 0)) / 2;
      return r;
    }
    if (has("eq")) return a == b;
    if (has("ne")) return a != b;
    if (has("lt")) return a < b;
    if (has("le")) return a <= b;
    if (has("gt")) return a > b;
    return a >= b;
  }
  uint32_t scalar(const Variant& v, uint32_t a, uint32_t b, uint32_t c) const {
    const int width = widthOf(v.d);
    Big r = result(element(a, widthOf(v.a), placeOf(v.a), aType_), element(b, widthOf(v.b), placeOf(v.b), bType_));
    if (has("sat")) r = limited(r, dType_, width);
    if (*v.d != '\0') {
      std::memcpy(reinterpret_cast<char*>(&c) + width / 8 * placeOf(v.d), &r, static_cast<std::size_t>(width / 8));
      return c;
    }
    const Big x = element(static_cast<uint32_t>(r), 32, 0, dType_), y = element(c, 32, 0, dType_);
    if (second_ == "add") r = x + y;
    if (second_ == "min") r = x < y ? x : y;
    if (second_ == "max") r = x > y ? x : y;
    return static_cast<uint32_t>(r);
  }
  uint32_t simd(const Variant& v, uint32_t a, uint32_t b, uint32_t c) const {
    const int width = 32 / many_;
    const uint64_t ba = uint64_t{b} << 32 | a;
    std::string defaults[2] = {many_ == 2 ? "h10" : "b3210", many_ == 2 ? "h32" : "b7654"};
    if (*v.a != '\0') defaults[0] = v.a;
    if (*v.b != '\0') defaults[1] = v.b;
    const std::string mask = *v.d == '\0' ? "b3210" : v.d;
    uint32_t merged = c;
    Big sum = c;
    for (int i = 0; i < many_; ++i) {
      const int x = defaults[0][static_cast<std::size_t>(many_ - i)] - '0';
      const int y = defaults[1][static_cast<std::size_t>(many_ - i)] - '0';
      Big r = result(element(ba, width, x, aType_), element(ba, width, y, bType_));
      if (has("sat")) r = limited(r, dType_, width);
      if (mask.find(static_cast<char>('0' + i)) == std::string::npos) continue;
      sum += r;
      std::memcpy(reinterpret_cast<char*>(&merged) + width / 8 * i, &r, static_cast<std::size_t>(width / 8));
    }
    return second_ == "add" ? static_cast<uint32_t>(sum) : merged;
  }
  uint32_t multiplied(const Variant& v, uint32_t a, uint32_t b, uint32_t c) const {
    std::string x = v.a, y = v.b;
    const bool minusX = x[0] == '-', minusY = y[0] == '-', minusC = *v.c == '-';
    if (minusX) x.erase(0, 1);
    if (minusY) y.erase(0, 1);
    const bool isSigned = aType_ == "s32" || bType_ == "s32" || minusX != minusY || minusC;
    Big r = element(a, widthOf(x), placeOf(x), aType_) * element(b, widthOf(y), placeOf(y), bType_);
    if (minusX != minusY) r = -r;
    // The ISA complements the 32 bits of c and adds one at the end.
    const uint32_t third = minusC && minusX == minusY ? ~c : c;
    r += element(third, 32, 0, isSigned ? "s32" : "u32");
    if (has("po") || (minusC && minusX == minusY)) r += 1;
    const int64_t by = has("shr7") ? 128 : has("shr15") ? 32768 : 1;
    r = (r - ((r % by) + by) % by) / by;
    if (has("sat")) r = limited(r, isSigned ? "s32" : "u32", 32);
    return static_cast<uint32_t>(r);
  }

  std::vector<std::string> parts_;
  std::string op_, dType_, aType_, bType_, second_;
  int many_ = 1;
};

std::vector<Variant> variantsOf(const Reference& r) {
  if (r.op() == "vmad") {
    if (r.has("po")) return {{"", "", "", ""}, {"", "h1", "b2", ""}};
    return {{"", "", "", ""}, {"", "-h0", "h1", ""}, {"", "b3", "-", ""}, {"", "b1", "h0", "-"}};
  }
  if (r.many() == 2) return {{"", "", "", ""}, {"h1", "h30", "h12", ""}, {"h0", "h22", "", ""}};
  if (r.many() == 4) return {{"", "", "", ""}, {"b20", "b7012", "b3365", ""}, {"b310", "", "b0007", ""}};
  if (!r.second().empty()) return {{"", "", "", ""}, {"", "b1", "h1", ""}};
  return {{"", "", "", ""}, {"", "h0", "b3", ""}, {"b2", "b0", "", ""}, {"h1", "", "b1", ""}};
}

std::string suffix(const char* selector) {
  const char* plain = *selector == '-' ? selector + 1 : selector;
  return *plain == '\0' ? "" : "." + std::string(plain);
}
std::string sign(const char* selector) { return *selector == '-' ? "-" : ""; }

void video(const std::string& form) {
  constexpr std::size_t kThreads = 416;
  const Reference reference(form);
  const std::vector<Variant> variants = variantsOf(reference);
  std::string text =
      ".visible .entry k$(.param .u64 in, .param .u64 out)\n{\n.reg .b32 %r<9>; .reg .b64 %d<4>;\n"
      "mov.u32 %r0, %tid.x; mul.wide.u32 %d0, %r0, 12; ld.param.u64 %d1, [in]; add.u64 %d1, %d1, %d0;\n"
      "ld.global.u32 %r1, [%d1]; ld.global.u32 %r2, [%d1+4]; ld.global.u32 %r3, [%d1+8];\n"
      "mul.wide.u32 %d0, %r0, " +
      std::to_string(4 * variants.size()) + "; ld.param.u64 %d2, [out]; add.u64 %d2, %d2, %d0;\n";
  for (std::size_t k = 0; k < variants.size(); ++k) {
    const Variant& v = variants[k];
    const bool three = reference.op() == "vmad" || reference.many() > 1 || !reference.second().empty() || *v.d != '\0';
    text += form + " %r4" + suffix(v.d) + ", " + sign(v.a) + "%r1" + suffix(v.a) + ", " + sign(v.b) + "%r2" +
            suffix(v.b) + (three ? ", " + sign(v.c) + "%r3" : "") + "; st.global.u32 [%d2+" + std::to_string(4 * k) +
            "], %r4;\n";
  }
  Proof proof(text + "ret;\n}\n");
  const uint32_t edges[] = {0,      1,      31,     32,         33,         0x7f,       0x80,       0xff,
                            0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x807f80ff, 0x7fff8000};
  Noise noise(form.size());
  std::vector<uint32_t> in;
  for (std::size_t i = 0; i < kThreads; ++i) {
    const bool pairs = i < 256;
    in.push_back(pairs ? edges[i / 16] : static_cast<uint32_t>(noise()));
    in.push_back(pairs ? edges[i % 16] : static_cast<uint32_t>(noise() >> (i % 32)));
    in.push_back(i % 3 == 0 ? edges[i % 16] : static_cast<uint32_t>(noise()));
  }
  const uint64_t out = proof.put(std::vector<uint32_t>(kThreads * variants.size()));
  proof.launch({1}, {kThreads}, proof.put(in), out);
  const std::vector<uint32_t> got = proof.get<uint32_t>(out, kThreads * variants.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const uint32_t* x = &in[i / variants.size() * 3];
    const uint32_t expected = reference.value(variants[i % variants.size()], x[0], x[1], x[2]);
    if (got[i] != expected) return wrong(form, "the word", i, got[i], expected);
  }
}

}  // namespace

void addVideoTruths(Truths& truths) {
  const std::string signs[] = {".u32", ".s32"};
  const char* const seconds[] = {"", ".add", ".min", ".max"};
  const auto own = [&truths](const std::string& form) { truths.own(form, video); };
  for (const std::string& a : signs) {
    for (const std::string& b : signs) {
      for (const char* compare : {".eq", ".ne", ".lt", ".le", ".gt", ".ge"}) {
        for (const char* second : seconds) own("vset" + a + b + compare + second);
        for (const char* many : {"2", "4"}) {
          for (const char* second : {"", ".add"}) own(std::string("vset") + many + a + b + compare + second);
        }
      }
      for (const std::string& d : signs) {
        for (const std::string sat : {"", ".sat"}) {
          for (const std::string op : {"vadd", "vsub", "vabsdiff", "vmin", "vmax", "vavrg"}) {
            for (const char* second : seconds) {
              if (op != "vavrg") own(op + d + a + b + sat + second);
            }
            for (const char* many : {"2", "4"}) own(op + many + d + a + b + sat);
            for (const char* many : {"2", "4"}) {
              if (sat.empty()) own(op + many + d + a + b + ".add");
            }
          }
          for (const std::string op : {"vshl", "vshr"}) {
            for (const char* mode : {".clamp", ".wrap"}) {
              for (const char* second : seconds) {
                if (b == ".u32") own(op + d + a + b + sat + mode + second);
              }
            }
          }
          for (const std::string po : {"", ".po"}) {
            for (const char* scale : {"", ".shr7", ".shr15"}) own("vmad" + d + a + b + po + sat + scale);
          }
        }
      }
    }
  }
}

}  // namespace warploom::test
