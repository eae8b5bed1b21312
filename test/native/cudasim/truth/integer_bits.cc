// Truths of bits, shifts, fields and permutations, bit by bit.
#include "truth.h"

namespace warploom::test {

namespace {

bool bit(uint64_t value, int at) { return (value >> at & 1) != 0; }

template <class T>
void bitwise(Truths& truths) {
  constexpr int bits = 8 * sizeof(T);
  const std::string t = bits == 16 ? ".b16" : bits == 32 ? ".b32" : ".b64";
  const auto two = [&](const std::string& name, bool (*f)(bool, bool)) {
    truths.map<T, T, T>(name + t, [f](T a, T b) {
      T r = 0;
      for (int i = 0; i < bits; ++i) r = static_cast<T>(r | static_cast<T>(f(bit(a, i), bit(b, i))) << i);
      return r;
    });
  };
  two("and", [](bool a, bool b) { return a && b; });
  two("or", [](bool a, bool b) { return a || b; });
  two("xor", [](bool a, bool b) { return a != b; });
  truths.map<T, T>("not" + t, [](T a) {
    T r = 0;
    for (int i = 0; i < bits; ++i) r = static_cast<T>(r | static_cast<T>(!bit(a, i)) << i);
    return r;
  });
  truths.map<T, T>("cnot" + t, [](T a) { return static_cast<T>(a == 0 ? 1 : 0); });
  // Counts past the width give zeros.
  truths.map<T, T, uint32_t>("shl" + t, [](T a, uint32_t n) {
    for (; n > 0 && a != 0; --n) a = static_cast<T>(a * 2);
    return a;
  });
  truths.map<T, T, uint32_t>("shr" + t, [](T a, uint32_t n) {
    for (; n > 0 && a != 0; --n) a = static_cast<T>(a / 2);
    return a;
  });
}

template <class T>
void counts(Truths& truths) {
  constexpr int bits = 8 * sizeof(T);
  const std::string t = bits == 32 ? ".b32" : ".b64";
  truths.map<uint32_t, T>("popc" + t, [](T a) {
    uint32_t n = 0;
    for (int i = 0; i < bits; ++i) n += bit(a, i);
    return n;
  });
  truths.map<uint32_t, T>("clz" + t, [](T a) {
    uint32_t n = 0;
    for (int i = bits - 1; i >= 0 && !bit(a, i); --i) ++n;
    return n;
  });
  truths.map<T, T>("brev" + t, [](T a) {
    T r = 0;
    for (int i = 0; i < bits; ++i) r = static_cast<T>(r | static_cast<T>(bit(a, i)) << (bits - 1 - i));
    return r;
  });
  // f = b, with `len` bits of a from bit `pos` on.
  Truth insert;
  insert.d = insert.dRegister = typeOf<T>();
  insert.sources = {typeOf<T>(), typeOf<T>(), Type::u32, Type::u32};
  insert.sourceRegisters = insert.sources;
  insert.values[0] = {0, ~uint64_t{0}, 1, 0x123456789abcdef0, 0x80000000};
  insert.values[1] = {0, ~uint64_t{0}, 0xa5a5a5a55a5a5a5a};
  insert.values[2] = insert.values[3] = {0, 1, 2, 7, 8, 16, 24, 31, 32, 33, 40, 63, 64, 65, 200, 255, 256, 0xffffff08};
  insert.text = "{form} {d}, {a}, {b}, {c}, {e};";
  insert.reference = [](Lane& lane) {
    const int pos = lane.s[2] & 0xff, len = lane.s[3] & 0xff;
    T f = from<T>(lane.s[1]);
    for (int i = 0; i < len && pos + i < bits; ++i) {
      const T one = static_cast<T>(T(1) << (pos + i));
      f = static_cast<T>(bit(lane.s[0], i) ? f | one : f & ~one);
    }
    lane.d = to<T>(f);
  };
  truths.add("bfi" + t, insert);
}

template <class T>
void fields(Truths& truths) {
  constexpr int bits = 8 * sizeof(T);
  const std::string t = std::string(".") + nameOf(typeOf<T>());
  for (const bool amount : {false, true}) {
    truths.map<uint32_t, T>((amount ? "bfind.shiftamt" : "bfind") + t, [amount](T a) {
      // The highest bit that is not a copy of the sign.
      const bool sign = std::is_signed_v<T> && a < 0;
      for (int i = bits - 1; i >= 0; --i) {
        if (bit(static_cast<uint64_t>(a), i) != sign) return static_cast<uint32_t>(amount ? bits - 1 - i : i);
      }
      return 0xffffffffu;
    });
  }
  Truth extract;
  extract.d = extract.dRegister = typeOf<T>();
  extract.sources = {typeOf<T>(), Type::u32, Type::u32};
  extract.sourceRegisters = extract.sources;
  extract.reference = [](Lane& lane) {
    const uint64_t a = lane.s[0];
    const int pos = lane.s[1] & 0xff, len = lane.s[2] & 0xff, msb = bits - 1;
    const bool sign = std::is_signed_v<T> && len != 0 && bit(a, pos + len - 1 < msb ? pos + len - 1 : msb);
    uint64_t d = 0;
    for (int i = 0; i <= msb; ++i) d |= static_cast<uint64_t>(i < len && pos + i <= msb ? bit(a, pos + i) : sign) << i;
    lane.d = d;
  };
  truths.add("bfe" + t, extract);
}

// Four bytes out of eight: for each value of c's low two bits, the bytes of the result from the highest down, as the
// table of the PTX ISA has them.
void permutes(Truths& truths) {
  const std::pair<const char*, std::vector<std::string>> modes[] = {
      {".f4e", {"3210", "4321", "5432", "6543"}}, {".b4e", {"5670", "6701", "7012", "0123"}},
      {".rc8", {"0000", "1111", "2222", "3333"}}, {".ecl", {"3210", "3211", "3222", "3333"}},
      {".ecr", {"0000", "1110", "2210", "3210"}}, {".rc16", {"1010", "3232", "1010", "3232"}}};
  const auto byteAt = [](uint32_t a, uint32_t b, int i) { return (i < 4 ? a >> 8 * i : b >> 8 * (i - 4)) & 0xff; };
  for (const auto& mode : modes) {
    const std::vector<std::string> table = mode.second;
    truths.map<uint32_t, uint32_t, uint32_t, uint32_t>(std::string("prmt.b32") + mode.first,
                                                       [=](uint32_t a, uint32_t b, uint32_t c) {
                                                         uint32_t d = 0;
                                                         for (const char digit : table[c & 3])
                                                           d = d << 8 | byteAt(a, b, digit - '0');
                                                         return d;
                                                       });
  }
  // Without a mode, each nibble of c names a byte; its top bit asks for that byte's sign instead.
  truths.map<uint32_t, uint32_t, uint32_t, uint32_t>("prmt.b32", [=](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t d = 0;
    for (int i = 3; i >= 0; --i) {
      const uint32_t nibble = c >> (4 * i) & 15, value = byteAt(a, b, static_cast<int>(nibble & 7));
      d = d << 8 | (nibble < 8 ? value : value >= 128 ? 255 : 0);
    }
    return d;
  });
}

void funnels(Truths& truths) {
  for (const bool wrap : {false, true}) {
    const std::string tail = wrap ? ".wrap.b32" : ".clamp.b32";
    const auto count = [wrap](uint32_t c) { return static_cast<int>(wrap ? c % 32 : c > 32 ? 32 : c); };
    // b above a, as 64 bits: .l gives the upper half of the shifted value, .r the lower.
    truths.map<uint32_t, uint32_t, uint32_t, uint32_t>("shf.l" + tail, [=](uint32_t a, uint32_t b, uint32_t c) {
      uint32_t d = 0;
      for (int i = 0; i < 32; ++i) {
        const int source = 32 + i - count(c);
        d |= static_cast<uint32_t>(source >= 32 ? bit(b, source - 32) : bit(a, source)) << i;
      }
      return d;
    });
    truths.map<uint32_t, uint32_t, uint32_t, uint32_t>("shf.r" + tail, [=](uint32_t a, uint32_t b, uint32_t c) {
      uint32_t d = 0;
      for (int i = 0; i < 32; ++i) {
        const int source = i + count(c);
        d |= static_cast<uint32_t>(source >= 32 ? bit(b, source - 32) : bit(a, source)) << i;
      }
      return d;
    });
  }
}

uint32_t lookup(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t d = 0;
  for (int i = 0; i < 32; ++i) {
    const int row = 4 * bit(a, i) + 2 * bit(b, i) + bit(c, i);
    d |= static_cast<uint32_t>(bit(table, row)) << i;
  }
  return d;
}
// All 256 tables, folded into one number.
void lookups(Truths& truths) {
  Truth& all = truths.map<uint32_t, uint32_t, uint32_t, uint32_t>("lop3.b32", [](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t d = 0;
    for (uint32_t table = 0; table < 256; ++table) d = d * 31 + lookup(a, b, c, table);
    return d;
  });
  all.text = "mov.b32 {d}, 0;\n";
  for (int table = 0; table < 256; ++table) {
    all.text += "lop3.b32 %r6, {a}, {b}, {c}, " + std::to_string(table) + "; mad.lo.u32 {d}, {d}, 31, %r6;\n";
  }
  all.values[0] = {0xf0f0f0f0, 0, 0xffffffff};
  all.values[1] = {0xcccccccc, 0, 0xffffffff};
  all.values[2] = {0xaaaaaaaa, 0, 0xffffffff};
}

// p: whether d has any bit, and or or a predicate.
void lookupsToPredicates(Truths& truths) {
  for (const bool conjunction : {false, true}) {
    Truth truth;
    truth.sources = truth.sourceRegisters = {Type::u32, Type::u32, Type::u32, Type::pred};
    truth.values[0] = {0, 1, 0xf0f0f0f0};
    truth.values[1] = {0, 1, 0xcccccccc};
    truth.values[2] = {0, 1, 0xaaaaaaaa, 2, 3};
    truth.second = true;
    truth.version = "8.2";
    truth.text = "{form} {d}|{d2}, {a}, {b}, {c}, 0x28, {e};";
    truth.reference = [conjunction](Lane& lane) {
      const uint32_t d = lookup(from<uint32_t>(lane.s[0]), from<uint32_t>(lane.s[1]), from<uint32_t>(lane.s[2]), 0x28);
      const bool e = lane.s[3] != 0;
      lane.d = d;
      lane.d2 = conjunction ? d != 0 && e : d != 0 || e;
    };
    truths.add(conjunction ? "lop3.and.b32" : "lop3.or.b32", truth);
  }
}

void masks(Truths& truths) {
  for (const bool clamp : {false, true}) {
    const std::string mode = clamp ? ".clamp" : ".wrap";
    const auto within = [clamp](uint32_t n) { return clamp && n > 32 ? 32 : clamp ? n : n % 32; };
    truths.map<uint32_t, uint32_t, uint32_t>("szext" + mode + ".u32", [=](uint32_t a, uint32_t b) {
      uint32_t d = 0;
      for (uint32_t i = 0; i < within(b); ++i) d |= static_cast<uint32_t>(bit(a, static_cast<int>(i))) << i;
      return d;
    });
    truths.map<uint32_t, uint32_t, uint32_t>("szext" + mode + ".s32", [=](uint32_t a, uint32_t b) {
      uint32_t d = 0;
      const uint32_t n = within(b);
      for (uint32_t i = 0; i < 32 && n > 0; ++i) {
        d |= static_cast<uint32_t>(bit(a, static_cast<int>(i < n ? i : n - 1))) << i;
      }
      return d;
    });
    truths.map<uint32_t, uint32_t, uint32_t>("bmsk" + mode + ".b32", [=](uint32_t a, uint32_t b) {
      uint32_t d = 0;
      for (uint64_t i = within(a); i < uint64_t{within(a)} + within(b) && i < 32; ++i) d |= uint32_t{1} << i;
      return d;
    });
  }
  Truth& nth =
      truths.map<uint32_t, uint32_t, uint32_t, int32_t>("fns.b32", [](uint32_t mask, uint32_t base, int32_t offset) {
        // All positions in the order of the search.
        std::vector<uint32_t> found;
        for (int at = static_cast<int>(base); at >= 0 && at < 32; at += offset < 0 ? -1 : 1) {
          if (bit(mask, at)) found.push_back(static_cast<uint32_t>(at));
        }
        const uint64_t count = offset < 0 ? -static_cast<int64_t>(offset) : offset;
        if (count == 0) return bit(mask, static_cast<int>(base)) ? base : 0xffffffffu;
        return count <= found.size() ? found[count - 1] : 0xffffffffu;
      });
  nth.values[1] = {0, 1, 2, 7, 16, 30, 31};
  nth.values[2] = {0, 1, 2, 3, 8, 32, 33, 0xffffffff, 0xfffffffe, 0xfffffff8, 0x80000000, 0x7fffffff};
}

}  // namespace

void addIntegerBitTruths(Truths& truths) {
  lookupsToPredicates(truths);
  masks(truths);
  bitwise<uint16_t>(truths);
  bitwise<uint32_t>(truths);
  bitwise<uint64_t>(truths);
  counts<uint32_t>(truths);
  counts<uint64_t>(truths);
  fields<uint32_t>(truths);
  fields<int32_t>(truths);
  fields<uint64_t>(truths);
  fields<int64_t>(truths);
  permutes(truths);
  funnels(truths);
  lookups(truths);
  truths.map<bool, bool, bool>("and.pred", [](bool a, bool b) { return a && b; });
  truths.map<bool, bool, bool>("or.pred", [](bool a, bool b) { return a || b; });
  truths.map<bool, bool, bool>("xor.pred", [](bool a, bool b) { return a != b; });
  truths.map<bool, bool>("not.pred", [](bool a) { return !a; });
}

}  // namespace warploom::test
