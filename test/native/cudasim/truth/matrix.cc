// mma: the layouts of the PTX ISA, written down element by element, and exact sums of small integers. Unit matrices in
// A and in B show every element in its place.
#include "half_bits.h"
#include "own.h"

namespace warploom::test {

void addMatrixLoadTruths(Truths& truths);
void addWmmaTruths(Truths& truths);

namespace {

struct Place {
  int row, column;
};
// Lane -> group = lane / 4, thread = lane % 4; i counts the elements that a lane holds, in the order of the ISA.
using Where = Place (*)(int group, int thread, int i);
struct Layout {
  int m, k;
  int bits;  // of an element of A and B
  int countA, countB;
  Where a, b;
};
int when(bool condition, int value) { return condition ? value : 0; }

const Layout kLayouts[] = {
    {8, 4, 64, 1, 1,
     [](int g, int t, int) {
       return Place{g, t};
     },
     [](int g, int t, int) {
       return Place{t, g};
     }},
    {16, 8, 16, 4, 2,
     [](int g, int t, int i) {
       return Place{g + when(i >= 2, 8), t * 2 + (i & 1)};
     },
     [](int g, int t, int i) {
       return Place{t * 2 + i, g};
     }},
    {16, 16, 16, 8, 4,
     [](int g, int t, int i) {
       return Place{(i < 2 || (i >= 4 && i < 6)) ? g : g + 8, t * 2 + (i & 1) + when(i >= 4, 8)};
     },
     [](int g, int t, int i) {
       return Place{t * 2 + (i & 1) + when(i >= 2, 8), g};
     }},
    {16, 4, 32, 2, 1,
     [](int g, int t, int i) {
       return Place{g + when(i == 1, 8), t};
     },
     [](int g, int t, int) {
       return Place{t, g};
     }},
    {16, 8, 32, 4, 2,
     [](int g, int t, int i) {
       return Place{(i == 0 || i == 2) ? g : g + 8, t + when(i >= 2, 4)};
     },
     [](int g, int t, int i) {
       return Place{t + when(i == 1, 4), g};
     }},
    {8, 16, 8, 4, 4,
     [](int g, int t, int i) {
       return Place{g, t * 4 + i};
     },
     [](int g, int t, int i) {
       return Place{t * 4 + i, g};
     }},
    {16, 16, 8, 8, 4,
     [](int g, int t, int i) {
       return Place{g + when(i >= 4, 8), t * 4 + (i & 3)};
     },
     [](int g, int t, int i) {
       return Place{t * 4 + i, g};
     }},
    {16, 32, 8, 16, 8,
     [](int g, int t, int i) {
       return Place{(i < 4 || (i >= 8 && i < 12)) ? g : g + 8, t * 4 + (i & 3) + when(i >= 8, 16)};
     },
     [](int g, int t, int i) {
       return Place{t * 4 + (i & 3) + when(i >= 4, 16), g};
     }},
    {8, 32, 4, 8, 8,
     [](int g, int t, int i) {
       return Place{g, t * 8 + i};
     },
     [](int g, int t, int i) {
       return Place{t * 8 + i, g};
     }},
    {16, 32, 4, 16, 8,
     [](int g, int t, int i) {
       return Place{g + when(i >= 8, 8), t * 8 + (i & 7)};
     },
     [](int g, int t, int i) {
       return Place{t * 8 + i, g};
     }},
    {16, 64, 4, 32, 16,
     [](int g, int t, int i) {
       return Place{(i < 8 || (i >= 16 && i < 24)) ? g : g + 8, t * 8 + (i & 7) + when(i >= 16, 32)};
     },
     [](int g, int t, int i) {
       return Place{t * 8 + (i & 7) + when(i >= 8, 32), g};
     }},
    {8, 128, 1, 32, 32,
     [](int g, int t, int i) {
       return Place{g, t * 32 + i};
     },
     [](int g, int t, int i) {
       return Place{t * 32 + i, g};
     }},
    {16, 128, 1, 64, 32,
     [](int g, int t, int i) {
       return Place{g + when(i >= 32, 8), t * 32 + (i & 31)};
     },
     [](int g, int t, int i) {
       return Place{t * 32 + i, g};
     }},
    {16, 256, 1, 128, 64,
     [](int g, int t, int i) {
       return Place{(i < 32 || (i >= 64 && i < 96)) ? g : g + 8, t * 32 + (i & 31) + when(i >= 64, 128)};
     },
     [](int g, int t, int i) {
       return Place{t * 32 + (i & 31) + when(i >= 32, 128), g};
     }}};
// C and D: two elements side by side, of row `group` and then of the row 8 below.
Place placeOfC(int group, int thread, int i) { return {group + when(i >= 2, 8), thread * 2 + (i & 1)}; }

struct Shape {
  const Layout* layout = nullptr;
  std::string a, b, c;  // types
  bool saturates = false, ands = false;
};
int bitsOf(const std::string& type) {
  if (type == "bf16") return 16;
  if (type == "tf32") return 32;
  return std::atoi(type.c_str() + 1);
}
Shape shapeOf(const std::string& form) {
  Shape shape;
  const std::vector<std::string> parts = partsOf(form);
  int m = 0, k = 0;
  std::vector<std::string> types;
  for (std::size_t i = 3; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part[0] == 'm') {
      m = std::atoi(part.c_str() + 1);
      k = std::atoi(part.c_str() + part.find('k') + 1);
    } else if (part == "satfinite") {
      shape.saturates = true;
    } else if (part == "and") {
      shape.ands = true;
    } else if (part != "row" && part != "col" && part != "xor" && part != "popc") {
      types.push_back(part);
    }
  }
  shape.a = types.at(1);
  shape.b = types.at(2);
  shape.c = types.at(3);
  for (const Layout& layout : kLayouts) {
    if (layout.m == m && layout.k == k && layout.bits == bitsOf(shape.a)) shape.layout = &layout;
  }
  if (shape.layout == nullptr) throw std::runtime_error("no layout written down for " + form);
  return shape;
}

// The bits of an element, and what they are worth. Values are integers that every sum of them holds exactly.
uint64_t encode(const std::string& type, int64_t value) {
  if (type == "f16") return encode16(static_cast<double>(value), kFloat16);
  if (type == "bf16") return encode16(static_cast<double>(value), kBFloat16);
  if (type == "f64") return to<double>(static_cast<double>(value));
  if (type == "f32" || type == "tf32") return to<float>(static_cast<float>(value));
  const int bits = bitsOf(type);
  return static_cast<uint64_t>(value) & ((uint64_t{1} << bits) - 1);
}
int64_t valueOf(const std::string& type, uint64_t random) {
  const int64_t r = static_cast<int64_t>(random >> 8 & 0xffffff);
  if (type == "f16" || type == "bf16") return r % 17 - 8;
  if (type == "tf32") return r % 513 - 256;
  if (type == "f64") return r % 20001 - 10000;
  const int bits = bitsOf(type);
  const int64_t all = r & ((int64_t{1} << bits) - 1);
  return type[0] == 's' ? all - (int64_t{1} << (bits - 1)) : all;
}
int64_t firstSum(const std::string& type, uint64_t random) {
  const int64_t r = static_cast<int64_t>(random >> 8 & 0xffffff);
  if (type == "f16") return r % 1001 - 500;
  if (type != "s32") return r % 2001 - 1000;
  // Now and then so near to the limits that the sum passes them.
  if (r % 4 == 0) return int64_t{INT32_MAX} - r % 100;
  if (r % 4 == 1) return int64_t{INT32_MIN} + r % 100;
  return r - 0x800000;
}

struct Case {
  std::vector<int64_t> a, b, c;  // row by row
};

// Elements of a warp's fragment, packed into registers from the low bits up.
template <class At>
void pack(std::vector<uint64_t>& words, int count, int bits, int width, At at) {
  const int each = bits < width ? width / bits : 1;
  for (int r = 0; r < count / each; ++r) {
    for (int lane = 0; lane < 32; ++lane) {
      uint64_t word = 0;
      for (int i = 0; i < each; ++i) word |= at(lane / 4, lane % 4, r * each + i) << (bits * i);
      words.push_back(word);
    }
  }
}

std::string list(const char* file, int first, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + std::string(file) + std::to_string(first + i);
  return "{" + text + "}";
}

void multiply(const std::string& form) {
  const Shape shape = shapeOf(form);
  const Layout& layout = *shape.layout;
  const int m = layout.m, k = layout.k, n = 8, countC = m == 8 ? 2 : 4;
  const bool wide = shape.a == "f64";
  const int width = wide ? 64 : 32, bitsC = bitsOf(shape.c);
  std::vector<Case> cases;
  Noise noise(59);
  const auto fresh = [&](bool randomA, bool randomB, bool randomC) {
    Case one;
    for (int i = 0; i < m * k; ++i) one.a.push_back(randomA ? valueOf(shape.a, noise()) : 0);
    for (int i = 0; i < k * n; ++i) one.b.push_back(randomB ? valueOf(shape.b, noise()) : 0);
    for (int i = 0; i < m * n; ++i) one.c.push_back(randomC ? firstSum(shape.c, noise()) : 0);
    cases.push_back(one);
    return &cases.back();
  };
  for (int i = 0; i < 24; ++i) fresh(true, true, true);
  fresh(false, false, true);
  for (int i = 0; i < m * k; ++i) fresh(false, true, false)->a[static_cast<std::size_t>(i)] = 1;
  for (int i = 0; i < k * n; ++i) fresh(true, false, false)->b[static_cast<std::size_t>(i)] = 1;
  // Signed elements of one bit do not exist, and of -1 there is no 1: units hold in every type.
  const int regsA = layout.countA * layout.bits / width, regsB = layout.countB * layout.bits / width;
  const int regsC = countC * bitsC / width, words = regsA + regsB + regsC;
  std::vector<uint64_t> data;
  for (const Case& one : cases) {
    pack(data, layout.countA, layout.bits, width, [&](int g, int t, int i) {
      const Place p = layout.a(g, t, i);
      return encode(shape.a, one.a[static_cast<std::size_t>(p.row * k + p.column)]);
    });
    pack(data, layout.countB, layout.bits, width, [&](int g, int t, int i) {
      const Place p = layout.b(g, t, i);
      return encode(shape.b, one.b[static_cast<std::size_t>(p.row * n + p.column)]);
    });
    pack(data, countC, bitsC, width, [&](int g, int t, int i) {
      const Place p = placeOfC(g, t, i);
      return encode(shape.c, one.c[static_cast<std::size_t>(p.row * n + p.column)]);
    });
  }
  // A warp a case; the second time D takes the registers of C.
  const char* file = wide ? "%d" : "%r";
  const std::string bits = wide ? ".b64 " : ".b32 ";
  for (const bool inPlace : {false, true}) {
    std::string text =
        ".visible .entry k$(.param .u64 in, .param .u64 out)\n{\n.reg .b32 %r<40>; .reg .b64 %d<40>;\n"
        "mov.u32 %r30, %tid.x; mov.u32 %r31, %ctaid.x; ld.param.u64 %d30, [in]; ld.param.u64 %d31, [out];\n"
        "mul.wide.u32 %d32, %r31, " +
        std::to_string(words * 256) + "; mad.wide.u32 %d32, %r30, 8, %d32; add.u64 %d30, %d30, %d32;\n" +
        "mul.wide.u32 %d32, %r31, " + std::to_string(regsC * 256) +
        "; mad.wide.u32 %d32, %r30, 8, %d32; add.u64 %d31, %d31, %d32;\n";
    for (int r = 0; r < words; ++r) {
      text += "ld.global" + bits + file + std::to_string(r) + ", [%d30+" + std::to_string(256 * r) + "];\n";
    }
    const int d = inPlace ? regsA + regsB : 20;
    text += form + " " + list(file, d, regsC) + ", " + list(file, 0, regsA) + ", " + list(file, regsA, regsB) + ", " +
            list(file, regsA + regsB, regsC) + ";\n";
    for (int r = 0; r < regsC; ++r) {
      text += "st.global" + bits + "[%d31+" + std::to_string(256 * r) + "], " + file + std::to_string(d + r) + ";\n";
    }
    Proof proof(text + "ret;\n}\n");
    const std::size_t size = cases.size() * static_cast<std::size_t>(regsC) * 32;
    const uint64_t out = proof.put(std::vector<uint64_t>(size));
    proof.launch({static_cast<uint32_t>(cases.size())}, {32}, proof.put(data), out);
    const std::vector<uint64_t> got = proof.get<uint64_t>(out, size);
    std::vector<uint64_t> wanted;
    for (const Case& one : cases) {
      std::vector<int64_t> sums = one.c;
      for (int row = 0; row < m; ++row) {
        for (int column = 0; column < n; ++column) {
          int64_t& sum = sums[static_cast<std::size_t>(row * n + column)];
          for (int i = 0; i < k; ++i) {
            const int64_t x = one.a[static_cast<std::size_t>(row * k + i)];
            const int64_t y = one.b[static_cast<std::size_t>(i * n + column)];
            sum += layout.bits == 1 ? (shape.ands ? x & y : x ^ y) : x * y;
          }
          if (shape.saturates) sum = std::min(std::max(sum, int64_t{INT32_MIN}), int64_t{INT32_MAX});
        }
      }
      pack(wanted, countC, bitsC, width, [&](int g, int t, int i) {
        const Place p = placeOfC(g, t, i);
        return encode(shape.c, sums[static_cast<std::size_t>(p.row * n + p.column)]);
      });
    }
    const uint64_t mask = wide ? ~uint64_t{0} : 0xffffffff;
    for (std::size_t i = 0; i < got.size(); ++i) {
      if ((got[i] & mask) != wanted[i]) return wrong(form, "the word", i, got[i] & mask, wanted[i]);
    }
  }
}

}  // namespace

void addMatrixTruths(Truths& truths) {
  const std::string mma = "mma.sync.aligned.";
  for (const char* shape : {"m16n8k8", "m16n8k16"}) {
    for (const char* types : {"f32.f16.f16.f32", "f16.f16.f16.f16", "f32.bf16.bf16.f32"}) {
      truths.own(mma + shape + ".row.col." + types, multiply);
    }
  }
  for (const char* shape : {"m16n8k4", "m16n8k8"}) {
    truths.own(mma + shape + ".row.col.f32.tf32.tf32.f32", multiply);
  }
  truths.own(mma + "m8n8k4.row.col.f64.f64.f64.f64", multiply);
  const std::pair<const char*, std::vector<const char*>> integers[] = {{"8", {"m8n8k16", "m16n8k16", "m16n8k32"}},
                                                                       {"4", {"m8n8k32", "m16n8k32", "m16n8k64"}}};
  for (const auto& width : integers) {
    for (const char* shape : width.second) {
      for (const std::string a : {"s", "u"}) {
        for (const std::string b : {"s", "u"}) {
          for (const char* saturate : {"", ".satfinite"}) {
            truths.own(mma + shape + ".row.col" + saturate + ".s32." + a + width.first + "." + b + width.first + ".s32",
                       multiply);
          }
        }
      }
    }
  }
  for (const char* shape : {"m8n8k128", "m16n8k128", "m16n8k256"}) {
    for (const char* op : {"xor", "and"}) {
      truths.own(mma + shape + ".row.col.s32.b1.b1.s32." + op + ".popc", multiply);
    }
  }
  addMatrixLoadTruths(truths);
  addWmmaTruths(truths);
}

}  // namespace warploom::test
