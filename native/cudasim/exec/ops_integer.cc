// Integer arithmetic and extended precision.
#include <climits>

#include "cudasim/exec/integer_ops.h"
#include "cudasim/exec/lane_ops.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

template <class T>
T wrapMul(T a, T b) {
  using U = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
}
template <class T>
T highMul(T a, T b) {
  if constexpr (sizeof(T) == 8) {
    using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return static_cast<T>((static_cast<Wide>(a) * b) >> 64);
  } else {
    using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
    return static_cast<T>((static_cast<Wide>(a) * static_cast<Wide>(b)) >> (8 * sizeof(T)));
  }
}
template <class T>
T clampTo(int64_t v) {
  return static_cast<T>(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}

OP2(Add, Unsigned<T>(a) + Unsigned<T>(b))
OP2(Sub, Unsigned<T>(a) - Unsigned<T>(b))
OP2(MulLo, wrapMul(a, b))
OP2(MulHi, highMul(a, b))
OP3(MadLo, Unsigned<T>(wrapMul(a, b)) + Unsigned<T>(c))
OP3(MadHi, Unsigned<T>(highMul(a, b)) + Unsigned<T>(c))
OP2(AddSat, clampTo<T>(int64_t(a) + int64_t(b)))
OP2(SubSat, clampTo<T>(int64_t(a) - int64_t(b)))
OP3(MadHiSat, clampTo<T>(int64_t(highMul(a, b)) + int64_t(c)))
// Division by zero has no defined result in PTX; the hardware gives all ones, and the dividend as the remainder.
OP2(Div, b == 0 ? T(~T(0)) : (std::is_signed_v<T> && b == T(-1)) ? T(Unsigned<T>(0) - Unsigned<T>(a)) : T(a / b))
OP2(Rem, b == 0 ? a : (std::is_signed_v<T> && b == T(-1)) ? T(0) : T(a % b))
OP2(Min, a < b ? a : b)
OP2(Max, a > b ? a : b)
OP1(Neg, Unsigned<T>(0) - Unsigned<T>(a))
OP1(Abs, a < 0 ? Unsigned<T>(0) - Unsigned<T>(a) : Unsigned<T>(a))
OP3(Sad, Unsigned<T>(c) + (a > b ? Unsigned<T>(a) - Unsigned<T>(b) : Unsigned<T>(b) - Unsigned<T>(a)))

template <class T, class Wide>
void mulWide(Warp& w, const Instruction& in, uint32_t mask) {
  map2<Lane<Wide>, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b) {
    return static_cast<Lane<Wide>>(static_cast<Wide>(static_cast<T>(a)) * static_cast<Wide>(static_cast<T>(b)));
  });
}
template <class T, class Wide>
void madWide(Warp& w, const Instruction& in, uint32_t mask) {
  map3<Lane<Wide>, uint32_t, uint32_t, Lane<Wide>>(w, in, mask, [](uint32_t a, uint32_t b, Lane<Wide> c) {
    const Wide product = static_cast<Wide>(static_cast<T>(a)) * static_cast<Wide>(static_cast<T>(b));
    return static_cast<Lane<Wide>>(static_cast<Unsigned<Wide>>(product) + static_cast<Unsigned<Wide>>(c));
  });
}
template <bool kSigned, bool kHigh>
int64_t product24(uint32_t a, uint32_t b) {
  const int64_t x = kSigned ? static_cast<int32_t>(a << 8) >> 8 : static_cast<int64_t>(a & 0xffffff);
  const int64_t y = kSigned ? static_cast<int32_t>(b << 8) >> 8 : static_cast<int64_t>(b & 0xffffff);
  return (x * y) >> (kHigh ? 16 : 0);
}
template <bool kSigned, bool kHigh>
void mul24(Warp& w, const Instruction& in, uint32_t mask) {
  map2<uint32_t, uint32_t, uint32_t>(
      w, in, mask, [](uint32_t a, uint32_t b) { return static_cast<uint32_t>(product24<kSigned, kHigh>(a, b)); });
}
template <bool kSigned, bool kHigh, bool kSaturate>
void mad24(Warp& w, const Instruction& in, uint32_t mask) {
  map3<uint32_t, uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b, uint32_t c) {
    const int64_t product = product24<kSigned, kHigh>(a, b);
    if (kSaturate)
      return static_cast<uint32_t>(clampTo<int32_t>(static_cast<int32_t>(product) + int64_t{static_cast<int32_t>(c)}));
    return static_cast<uint32_t>(product) + c;
  });
}

// The carry flag is a predicate of the warp that only these instructions see. mode: 1 reads it, 2 writes it.
// kMul: 0 the sum of a and b, 1 of the low half of their product and c, 2 of the high half.
template <class S, bool kSubtract, int kMul>
void carry(Warp& w, const Instruction& in, uint32_t mask) {
  using T = Unsigned<S>;
  using Wide = std::conditional_t<sizeof(T) == 8, unsigned __int128, uint64_t>;
  T* d = reg<T>(w, in.d);
  const T *a = reg<T>(w, in.a), *b = reg<T>(w, in.b);
  const T* c = in.c == kNone ? nullptr : reg<T>(w, in.c);
  uint32_t flags = w.carry;
  eachLane(mask, [&](int i) {
    const T x = kMul == 0   ? a[i]
                : kMul == 1 ? static_cast<T>(a[i] * b[i])
                            : static_cast<T>(highMul(static_cast<S>(a[i]), static_cast<S>(b[i])));
    const T y = kMul == 0 ? b[i] : c[i];
    const Wide before = (in.mode & 1) != 0 ? flags >> i & 1 : 0;
    const Wide r = kSubtract ? Wide(x) - y - before : Wide(x) + y + before;
    d[i] = static_cast<T>(r);
    if ((in.mode & 2) != 0) {
      const uint32_t out = static_cast<uint32_t>(r >> (8 * sizeof(T))) & 1;
      flags = (flags & ~(1u << i)) | out << i;
    }
  });
  w.carry = flags;
}
template <int kBytes, class T>
void dotProduct(Warp& w, const Instruction& in, uint32_t mask) {
  // mode: bit 0 a signed, bit 1 b signed, bit 2 the upper half of b (dp2a)
  map3<uint32_t, uint32_t, uint32_t, uint32_t>(w, in, mask, [mode = in.mode](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t sum = c;
    for (int k = 0; k < (kBytes == 1 ? 4 : 2); ++k) {
      int64_t x, y;
      if (kBytes == 1) {
        x = (mode & 1) != 0 ? static_cast<int8_t>(a >> 8 * k) : static_cast<int64_t>(a >> 8 * k & 0xff);
        y = (mode & 2) != 0 ? static_cast<int8_t>(b >> 8 * k) : static_cast<int64_t>(b >> 8 * k & 0xff);
      } else {
        const int at = 8 * (k + ((mode & 4) != 0 ? 2 : 0));
        x = (mode & 1) != 0 ? static_cast<int16_t>(a >> 16 * k) : static_cast<int64_t>(a >> 16 * k & 0xffff);
        y = (mode & 2) != 0 ? static_cast<int8_t>(b >> at) : static_cast<int64_t>(b >> at & 0xff);
      }
      sum += static_cast<uint32_t>(x * y);
    }
    return sum;
  });
}

struct Adder {
  FormTable& table;

  template <class T>
  void typed(const std::string& t) {
    const bool wide = sizeof(T) == 8;
    const char* s1 = wide ? "D8A8" : "D4A4";
    const char* s2 = wide ? "D8A8B8" : "D4A4B4";
    const char* s3 = wide ? "D8A8B8C8" : "D4A4B4C4";
    table.add("add" + t, s2, &binary<T, Add<T>>);
    table.add("sub" + t, s2, &binary<T, Sub<T>>);
    table.add("mul.lo" + t, s2, &binary<T, MulLo<T>>);
    table.add("mul.hi" + t, s2, &binary<T, MulHi<T>>);
    table.add("mad.lo" + t, s3, &ternary<T, MadLo<T>>);
    table.add("mad.hi" + t, s3, &ternary<T, MadHi<T>>);
    table.add("div" + t, s2, &binary<T, Div<T>>);
    table.add("rem" + t, s2, &binary<T, Rem<T>>);
    table.add("min" + t, s2, &binary<T, Min<T>>);
    table.add("max" + t, s2, &binary<T, Max<T>>);
    table.add("sad" + t, s3, &ternary<T, Sad<T>>);
    if constexpr (std::is_signed_v<T>) {
      table.add("neg" + t, s1, &unary<T, Neg<T>>);
      table.add("abs" + t, s1, &unary<T, Abs<T>>);
    }
  }
  template <class T>
  void carries(const std::string& t, bool wide) {
    const char* s2 = wide ? "D8A8B8" : "D4A4B4";
    const char* s3 = wide ? "D8A8B8C8" : "D4A4B4C4";
    table.addMode("add.cc" + t, s2, &carry<T, false, 0>, 2);
    table.addMode("addc" + t, s2, &carry<T, false, 0>, 1);
    table.addMode("addc.cc" + t, s2, &carry<T, false, 0>, 3);
    table.addMode("sub.cc" + t, s2, &carry<T, true, 0>, 2);
    table.addMode("subc" + t, s2, &carry<T, true, 0>, 1);
    table.addMode("subc.cc" + t, s2, &carry<T, true, 0>, 3);
    table.addMode("mad.lo.cc" + t, s3, &carry<T, false, 1>, 2);
    table.addMode("madc.lo" + t, s3, &carry<T, false, 1>, 1);
    table.addMode("madc.lo.cc" + t, s3, &carry<T, false, 1>, 3);
    table.addMode("mad.hi.cc" + t, s3, &carry<T, false, 2>, 2);
    table.addMode("madc.hi" + t, s3, &carry<T, false, 2>, 1);
    table.addMode("madc.hi.cc" + t, s3, &carry<T, false, 2>, 3);
  }
};

}  // namespace

void addIntegerForms(FormTable& table) {
  Adder add{table};
  add.typed<uint16_t>(".u16");
  add.typed<int16_t>(".s16");
  add.typed<uint32_t>(".u32");
  add.typed<int32_t>(".s32");
  add.typed<uint64_t>(".u64");
  add.typed<int64_t>(".s64");
  add.carries<uint32_t>(".u32", false);
  add.carries<int32_t>(".s32", false);
  add.carries<uint64_t>(".u64", true);
  add.carries<int64_t>(".s64", true);
  table.add("add.sat.s32", "D4A4B4", &binary<int32_t, AddSat<int32_t>>);
  table.add("sub.sat.s32", "D4A4B4", &binary<int32_t, SubSat<int32_t>>);
  table.add("mad.hi.sat.s32", "D4A4B4C4", &ternary<int32_t, MadHiSat<int32_t>>);
  table.add("mul.wide.u16", "D4A4B4", &mulWide<uint16_t, uint32_t>);
  table.add("mul.wide.s16", "D4A4B4", &mulWide<int16_t, int32_t>);
  table.add("mul.wide.u32", "D8A4B4", &mulWide<uint32_t, uint64_t>);
  table.add("mul.wide.s32", "D8A4B4", &mulWide<int32_t, int64_t>);
  table.add("mad.wide.u16", "D4A4B4C4", &madWide<uint16_t, uint32_t>);
  table.add("mad.wide.s16", "D4A4B4C4", &madWide<int16_t, int32_t>);
  table.add("mad.wide.u32", "D8A4B4C8", &madWide<uint32_t, uint64_t>);
  table.add("mad.wide.s32", "D8A4B4C8", &madWide<int32_t, int64_t>);
  table.add("mul24.lo.u32", "D4A4B4", &mul24<false, false>);
  table.add("mul24.lo.s32", "D4A4B4", &mul24<true, false>);
  table.add("mul24.hi.u32", "D4A4B4", &mul24<false, true>);
  table.add("mul24.hi.s32", "D4A4B4", &mul24<true, true>);
  table.add("mad24.lo.u32", "D4A4B4C4", &mad24<false, false, false>);
  table.add("mad24.lo.s32", "D4A4B4C4", &mad24<true, false, false>);
  table.add("mad24.hi.u32", "D4A4B4C4", &mad24<false, true, false>);
  table.add("mad24.hi.s32", "D4A4B4C4", &mad24<true, true, false>);
  table.add("mad24.hi.sat.s32", "D4A4B4C4", &mad24<true, true, true>);
  const char* sign[] = {".u32", ".s32"};
  for (int a = 0; a < 2; ++a) {
    for (int b = 0; b < 2; ++b) {
      const std::string types = std::string(sign[a]) + sign[b];
      table.addMode("dp4a" + types, "D4A4B4C4", &dotProduct<1, uint32_t>, a | b << 1);
      table.addMode("dp2a.lo" + types, "D4A4B4C4", &dotProduct<2, uint32_t>, a | b << 1);
      table.addMode("dp2a.hi" + types, "D4A4B4C4", &dotProduct<2, uint32_t>, a | b << 1 | 4);
    }
  }
}

}  // namespace warploom::cudasim
