// Video instructions: arithmetic on selected bytes and half-words of a register, with saturation and a second operation
// or a merge behind it.
#include <algorithm>

#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"
#include "cudasim/ptx/normalize.h"

namespace warploom::cudasim {

namespace {

// Products of 33 bits, and sums of them.
__extension__ typedef __int128 Wide;

enum class VideoOp : uint8_t { add, sub, absdiff, min, max, average, shl, shr, mad, eq, ne, lt, le, gt, ge };
enum class Second : uint8_t { none, add, min, max };

struct Video {
  VideoOp op = VideoOp::add;
  uint8_t parts = 1;  // 2 or 4: that many at once
  bool signedD = false, signedA = false, signedB = false;
  bool saturate = false;
  Second second = Second::none;
  bool wrap = false;     // shifts
  bool plusOne = false;  // mad
  uint8_t scale = 0;     // mad: bits to the right
};

// An instruction names its row in imm, below the selectors of its operands.
std::vector<Video>& rows() {
  static std::vector<Video> list;
  return list;
}

Wide bitsOf(uint64_t value, uint32_t from, uint32_t count, bool isSigned) {
  const uint64_t part = value >> from & ((uint64_t{1} << count) - 1);
  const bool negative = isSigned && (part >> (count - 1) & 1) != 0;
  return negative ? static_cast<Wide>(part) - (static_cast<Wide>(1) << count) : static_cast<Wide>(part);
}
Wide clamp(Wide value, bool isSigned, uint32_t bits) {
  const Wide one = 1;
  const Wide high = (one << (isSigned ? bits - 1 : bits)) - 1;
  return std::min(std::max(value, isSigned ? -high - 1 : Wide{0}), high);
}

Wide combine(const Video& row, Wide a, Wide b) {
  switch (row.op) {
    case VideoOp::add:
      return a + b;
    case VideoOp::sub:
      return a - b;
    case VideoOp::absdiff:
      return a < b ? b - a : a - b;
    case VideoOp::min:
      return std::min(a, b);
    case VideoOp::max:
      return std::max(a, b);
    case VideoOp::average:
      return a + b >= 0 ? (a + b + 1) >> 1 : (a + b) >> 1;
    case VideoOp::shl:
    case VideoOp::shr: {
      const int by = static_cast<int>(row.wrap ? b & 31 : std::min(b, Wide{32}));
      return row.op == VideoOp::shr ? a >> by : a * (static_cast<Wide>(1) << by);
    }
    case VideoOp::eq:
      return a == b;
    case VideoOp::ne:
      return a != b;
    case VideoOp::lt:
      return a < b;
    case VideoOp::le:
      return a <= b;
    case VideoOp::gt:
      return a > b;
    case VideoOp::ge:
      return a >= b;
    case VideoOp::mad:
      break;  // has three operands
  }
  return 0;
}

// The part of a register that a selector names, of all 32 bits where there is none.
struct Part {
  explicit Part(const Selector& s)
      : bits(s.count == 0 ? 32
             : s.halves   ? 16
                          : 8),
        from(s.count == 0 ? 0 : bits * s.places[0]) {}
  uint32_t bits, from;
};

uint32_t one(const Video& row, const Selector (&select)[3], uint32_t a, uint32_t b, uint32_t c) {
  const Part ofA(select[1]), ofB(select[2]), ofD(select[0]);
  Wide result = combine(row, bitsOf(a, ofA.from, ofA.bits, row.signedA), bitsOf(b, ofB.from, ofB.bits, row.signedB));
  if (row.saturate) result = clamp(result, row.signedD, ofD.bits);
  const uint32_t low = static_cast<uint32_t>(result);
  if (select[0].count != 0) {
    const uint32_t mask = ((1u << ofD.bits) - 1) << ofD.from;
    return (low << ofD.from & mask) | (c & ~mask);
  }
  // The second operation sees what d would have held.
  const auto less = [&](uint32_t x, uint32_t y) {
    return row.signedD ? static_cast<int32_t>(x) < static_cast<int32_t>(y) : x < y;
  };
  switch (row.second) {
    case Second::add:
      return low + c;
    case Second::min:
      return less(low, c) ? low : c;
    case Second::max:
      return less(low, c) ? c : low;
    case Second::none:
      break;
  }
  return low;
}

uint32_t multiplyAdd(const Video& row, const Selector (&select)[3], uint32_t a, uint32_t b, uint32_t c) {
  const Part ofA(select[1]), ofB(select[2]);
  const bool minusProduct = select[1].negated != select[2].negated, minusC = select[0].negated;
  const bool isSigned = row.signedA || row.signedB || minusProduct || minusC;
  const Wide product = bitsOf(a, ofA.from, ofA.bits, row.signedA) * bitsOf(b, ofB.from, ofB.bits, row.signedB);
  Wide sum = minusProduct ? -product : product;
  sum += bitsOf(minusC ? ~c : c, 0, 32, isSigned);
  if (row.plusOne || (minusC && !minusProduct)) sum += 1;
  sum >>= row.scale;
  if (row.saturate) sum = clamp(sum, isSigned, 32);
  return static_cast<uint32_t>(sum);
}

uint32_t several(const Video& row, const Selector (&select)[3], uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t bits = 32 / row.parts;
  const uint64_t both = uint64_t{b} << 32 | a;
  uint32_t result = row.second == Second::add ? c : 0;
  for (uint32_t i = 0; i < row.parts; ++i) {
    // Places are listed from the highest; without a list a gives its own parts, and b its own.
    const auto place = [&](const Selector& s, uint32_t otherwise) {
      return s.count == 0 ? otherwise : s.places[s.count - 1 - i];
    };
    bool chosen = select[0].count == 0;
    for (uint32_t k = 0; k < select[0].count; ++k) chosen = chosen || select[0].places[k] == i;
    const Wide x = bitsOf(both, place(select[1], i) * bits, bits, row.signedA);
    const Wide y = bitsOf(both, place(select[2], i + row.parts) * bits, bits, row.signedB);
    Wide value = combine(row, x, y);
    if (row.saturate) value = clamp(value, row.signedD, bits);
    if (row.second == Second::add) {
      result += chosen ? static_cast<uint32_t>(value) : 0;
    } else {
      const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << bits) - 1) << (i * bits);
      result |= (chosen ? static_cast<uint32_t>(value) << (i * bits) : c) & mask;
    }
  }
  return result;
}

void video(Warp& w, const Instruction& in, uint32_t mask) {
  const Video& row = rows()[static_cast<std::size_t>(in.imm & ((1 << kSelectorsFrom) - 1))];
  Selector select[3];
  unpackSelectors(in.imm, select);
  const uint32_t *a = reg<uint32_t>(w, in.a), *b = reg<uint32_t>(w, in.b);
  const uint32_t* c = in.c == kNone ? nullptr : reg<uint32_t>(w, in.c);
  uint32_t* d = reg<uint32_t>(w, in.d);
  const auto apply = row.op == VideoOp::mad ? &multiplyAdd : row.parts == 1 ? &one : &several;
  eachLane(mask, [&](int i) { d[i] = apply(row, select, a[i], b[i], c == nullptr ? 0 : c[i]); });
}

class Adder {
 public:
  explicit Adder(FormTable& table) : table_(table) {}
  void operator()(const std::string& name, const char* signature, const Video& row) {
    Form form;
    form.fn = &video;
    form.signature = signature;
    form.work = static_cast<uint32_t>(rows().size());
    rows().push_back(row);
    table_.add(name, form);
  }

 private:
  FormTable& table_;
};

const std::pair<const char*, Second> kSeconds[] = {
    {"", Second::none}, {".add", Second::add}, {".min", Second::min}, {".max", Second::max}};
const char* const kSigns[] = {".u32", ".s32"};

}  // namespace

void addVideoForms(FormTable& table) {
  rows().clear();
  Adder add(table);
  const std::pair<const char*, VideoOp> plain[] = {{"vadd", VideoOp::add},         {"vsub", VideoOp::sub},
                                                   {"vabsdiff", VideoOp::absdiff}, {"vmin", VideoOp::min},
                                                   {"vmax", VideoOp::max},         {"vavrg", VideoOp::average}};
  const std::pair<const char*, VideoOp> compares[] = {{".eq", VideoOp::eq}, {".ne", VideoOp::ne}, {".lt", VideoOp::lt},
                                                      {".le", VideoOp::le}, {".gt", VideoOp::gt}, {".ge", VideoOp::ge}};
  const auto eachSigns = [&](auto f) {
    for (int bits = 0; bits < 8; ++bits) {
      Video row;
      row.signedD = (bits & 4) != 0;
      row.signedA = (bits & 2) != 0;
      row.signedB = (bits & 1) != 0;
      f(row, std::string(kSigns[row.signedA]) + kSigns[row.signedB], kSigns[row.signedD]);
    }
  };
  eachSigns([&](Video row, const std::string& sources, const std::string& d) {
    for (const bool saturate : {false, true}) {
      const std::string sat = saturate ? ".sat" : "";
      row.saturate = saturate;
      for (const auto& op : plain) {
        row.op = op.second;
        for (const auto& second : kSeconds) {
          row.second = second.second;
          row.parts = 1;
          // Without a second operation c is what a selected part of d is merged into.
          const char* signature = row.second == Second::none ? "D4A4B4?C4" : "D4A4B4C4";
          if (op.second != VideoOp::average) add(op.first + d + sources + sat + second.first, signature, row);
          if (row.second > Second::add || (saturate && row.second == Second::add)) continue;
          for (const uint8_t parts : {2, 4}) {
            row.parts = parts;
            add(op.first + std::to_string(parts) + d + sources + sat + second.first, "D4A4B4C4", row);
          }
        }
      }
      row.parts = 1;
      row.second = Second::none;
      row.op = VideoOp::mad;
      for (const bool plusOne : {false, true}) {
        row.plusOne = plusOne;
        for (const int scale : {0, 7, 15}) {
          row.scale = static_cast<uint8_t>(scale);
          const std::string tail = scale == 0 ? "" : ".shr" + std::to_string(scale);
          add("vmad" + d + sources + (plusOne ? ".po" : "") + sat + tail, "D4A4B4C4", row);
        }
      }
      row.plusOne = false;
      row.scale = 0;
      if (row.signedB) continue;  // shifts: b is unsigned
      for (const bool left : {true, false}) {
        row.op = left ? VideoOp::shl : VideoOp::shr;
        for (const bool wrap : {false, true}) {
          row.wrap = wrap;
          for (const auto& second : kSeconds) {
            row.second = second.second;
            add((left ? "vshl" : "vshr") + d + sources + sat + (wrap ? ".wrap" : ".clamp") + second.first,
                row.second == Second::none ? "D4A4B4?C4" : "D4A4B4C4", row);
          }
        }
      }
      row.wrap = false;
    }
  });
  eachSigns([&](Video row, const std::string& sources, const std::string&) {
    if (row.signedD) return;  // the result of a comparison is unsigned
    for (const auto& compare : compares) {
      row.op = compare.second;
      for (const auto& second : kSeconds) {
        row.second = second.second;
        row.parts = 1;
        add("vset" + sources + compare.first + second.first, row.second == Second::none ? "D4A4B4?C4" : "D4A4B4C4",
            row);
        if (row.second > Second::add) continue;
        for (const uint8_t parts : {2, 4}) {
          row.parts = parts;
          add("vset" + std::to_string(parts) + sources + compare.first + second.first, "D4A4B4C4", row);
        }
      }
    }
  });
}

}  // namespace warploom::cudasim
