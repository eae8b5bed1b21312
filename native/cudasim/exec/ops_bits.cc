// Bits, shifts, fields, permutations of bytes.
#include "cudasim/exec/integer_ops.h"
#include "cudasim/exec/lane_ops.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

OP2(And, a& b)
OP2(Or, a | b)
OP2(Xor, a ^ b)
OP1(Not, ~a)
OP1(CNot, a == 0)
SHIFT(Shl, b >= 8 * sizeof(T) ? Unsigned<T>(0) : Unsigned<T>(a) << b)
SHIFT(Shr, b >= 8 * sizeof(T) ? T(a < 0 ? T(-1) : T(0)) : T(a >> b))

uint64_t reverseBits(uint64_t v, int bits) {
  uint64_t r = 0;
  for (int i = 0; i < bits; ++i) r |= (v >> i & 1) << (bits - 1 - i);
  return r;
}
template <class T>
struct Brev {
  static T f(T a) { return static_cast<T>(reverseBits(a, 8 * sizeof(T))); }
};

// Results of 32 bits from operands of 32 or 64.
template <class T, class F>
void count(Warp& w, const Instruction& in, uint32_t mask, F f) {
  map1<uint32_t, Lane<T>>(w, in, mask, [f](Lane<T> a) { return static_cast<uint32_t>(f(static_cast<T>(a))); });
}
template <class T>
void popc(Warp& w, const Instruction& in, uint32_t mask) {
  count<T>(w, in, mask, [](T a) { return __builtin_popcountll(a); });
}
template <class T>
void clz(Warp& w, const Instruction& in, uint32_t mask) {
  count<T>(w, in, mask, [](T a) {
    return a == 0 ? static_cast<int>(8 * sizeof(T)) : __builtin_clzll(a) - static_cast<int>(64 - 8 * sizeof(T));
  });
}
template <class T, bool kShiftAmount>
void bfind(Warp& w, const Instruction& in, uint32_t mask) {
  count<T>(w, in, mask, [](T value) -> uint32_t {
    Unsigned<T> a = static_cast<Unsigned<T>>(value);
    if (std::is_signed_v<T> && value < 0) a = static_cast<Unsigned<T>>(~a);
    if (a == 0) return 0xffffffffu;
    const uint32_t bit = 63u - static_cast<uint32_t>(__builtin_clzll(a));
    return kShiftAmount ? static_cast<uint32_t>(8 * sizeof(T)) - 1 - bit : bit;
  });
}

template <class T>
void bfe(Warp& w, const Instruction& in, uint32_t mask) {
  map3<Lane<T>, Lane<T>, uint32_t, uint32_t>(w, in, mask, [](Lane<T> source, uint32_t at, uint32_t length) {
    constexpr uint32_t bits = 8 * sizeof(T);
    const Unsigned<T> a = static_cast<Unsigned<T>>(source);
    const uint32_t pos = at & 0xff, len = length & 0xff;
    Unsigned<T> result = pos >= bits ? 0 : a >> pos;
    if (len < bits) result &= (Unsigned<T>(1) << len) - 1;
    if (std::is_signed_v<T> && len != 0) {
      const uint32_t top = pos + len - 1 < bits - 1 ? pos + len - 1 : bits - 1;
      if ((a >> top & 1) != 0) {
        // Sign bits start behind the field, or behind the operand's end.
        const uint32_t from = pos >= bits ? 0 : top - pos + 1;
        if (from < bits) result |= ~Unsigned<T>(0) << from;
      }
    }
    return static_cast<Lane<T>>(result);
  });
}
template <class T>
void bfi(Warp& w, const Instruction& in, uint32_t mask) {
  Lane<T>* d = reg<Lane<T>>(w, in.d);
  const Lane<T>*a = reg<Lane<T>>(w, in.a), *b = reg<Lane<T>>(w, in.b);
  const uint32_t *c = reg<uint32_t>(w, in.c), *e = reg<uint32_t>(w, in.e);
  eachLane(mask, [&](int i) {
    constexpr uint32_t bits = 8 * sizeof(T);
    const uint32_t pos = c[i] & 0xff, len = e[i] & 0xff;
    if (pos >= bits || len == 0) {
      d[i] = b[i];
      return;
    }
    T field = len >= bits ? static_cast<T>(~T(0)) : static_cast<T>((T(1) << len) - 1);
    field = static_cast<T>(field << pos);
    d[i] = static_cast<T>((static_cast<T>(a[i] << pos) & field) | (b[i] & ~field));
  });
}

template <bool kLeft, bool kWrap>
void funnel(Warp& w, const Instruction& in, uint32_t mask) {
  map3<uint32_t, uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t n = kWrap ? c & 31 : c < 32 ? c : 32;
    const uint64_t both = static_cast<uint64_t>(b) << 32 | a;
    return kLeft ? static_cast<uint32_t>((both << n) >> 32) : static_cast<uint32_t>(both >> n);
  });
}

uint32_t byteOf(uint64_t both, uint32_t selector) {
  const uint32_t byte = static_cast<uint32_t>(both >> (8 * (selector & 7))) & 0xff;
  return (selector & 8) != 0 ? ((byte & 0x80) != 0 ? 0xff : 0) : byte;
}
void prmt(Warp& w, const Instruction& in, uint32_t mask) {
  map3<uint32_t, uint32_t, uint32_t, uint32_t>(w, in, mask, [mode = in.mode](uint32_t a, uint32_t b, uint32_t c) {
    const uint64_t both = static_cast<uint64_t>(b) << 32 | a;
    uint32_t r = 0;
    const uint32_t n = c & 3;
    for (uint32_t k = 0; k < 4; ++k) {
      uint32_t s = 0;
      switch (mode) {
        case 0:
          s = c >> (4 * k) & 15;
          break;
        case 1:
          s = n + k;  // f4e
          break;
        case 2:
          s = (n + 8 - k) & 7;  // b4e
          break;
        case 3:
          s = n;  // rc8
          break;
        case 4:
          s = k > n ? k : n;  // ecl
          break;
        case 5:
          s = k < n ? k : n;  // ecr
          break;
        default:
          s = ((n & 1) * 2) + (k & 1);  // rc16
          break;
      }
      r |= byteOf(both, s) << (8 * k);
    }
    return r;
  });
}

// Any function of three bits: bit (a << 2 | b << 1 | c) of the table.
uint32_t lookUp(uint32_t table, uint32_t a, uint32_t b, uint32_t c) {
  uint32_t r = 0;
  for (uint32_t k = 0; k < 8; ++k) {
    const uint32_t term = ((k & 4) != 0 ? a : ~a) & ((k & 2) != 0 ? b : ~b) & ((k & 1) != 0 ? c : ~c);
    r |= (0u - (table >> k & 1)) & term;
  }
  return r;
}
void lop3(Warp& w, const Instruction& in, uint32_t mask) {
  map3<uint32_t, uint32_t, uint32_t, uint32_t>(
      w, in, mask,
      [table = static_cast<uint32_t>(in.imm)](uint32_t a, uint32_t b, uint32_t c) { return lookUp(table, a, b, c); });
}
// d|p: p says whether any bit of d is set, joined with a predicate. mode: 1 and, 2 or.
void lop3Predicate(Warp& w, const Instruction& in, uint32_t mask) {
  uint32_t *d = reg<uint32_t>(w, in.d), *p = reg<uint32_t>(w, in.d2);
  const uint32_t *a = reg<uint32_t>(w, in.a), *b = reg<uint32_t>(w, in.b), *c = reg<uint32_t>(w, in.c);
  const uint32_t* q = reg<uint32_t>(w, in.e);
  eachLane(mask, [&](int i) {
    const uint32_t r = lookUp(static_cast<uint32_t>(in.imm), a[i], b[i], c[i]), any = r != 0 ? 0xffffffffu : 0;
    p[i] = in.mode == 1 ? any & q[i] : any | q[i];
    d[i] = r;
  });
}

// The low b bits of a, widened by their sign or by zeros. Counts of 32 and more keep all bits, or are cut to five bits.
template <bool kSigned, bool kClamp>
void extend(Warp& w, const Instruction& in, uint32_t mask) {
  map2<uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b) {
    if (kClamp && b >= 32) return a;
    const uint32_t n = b & 31;
    if (n == 0) return 0u;
    const uint32_t up = a << (32 - n);
    return kSigned ? static_cast<uint32_t>(static_cast<int32_t>(up) >> (32 - n)) : up >> (32 - n);
  });
}
// b ones from bit a on.
template <bool kClamp>
void bitMask(Warp& w, const Instruction& in, uint32_t mask) {
  map2<uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b) {
    const uint64_t from = kClamp ? a : a & 31, n = kClamp ? b : b & 31;
    if (from >= 32) return 0u;
    const uint64_t ones = n >= 32 ? 0xffffffffu : (uint64_t{1} << n) - 1;
    return static_cast<uint32_t>(ones << from);
  });
}
// The c-th set bit of a, counted from bit b on: upwards, or downwards where c is negative. 0: bit b itself.
void findNthSet(Warp& w, const Instruction& in, uint32_t mask) {
  map3<uint32_t, uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b, uint32_t c) {
    const int32_t offset = static_cast<int32_t>(c);
    if (b > 31) return 0xffffffffu;
    if (offset == 0) return (a >> b & 1) != 0 ? b : 0xffffffffu;
    uint32_t left = offset < 0 ? 0u - c : c;
    for (int64_t at = b; at >= 0 && at < 32; at += offset < 0 ? -1 : 1) {
      if ((a >> at & 1) != 0 && --left == 0) return static_cast<uint32_t>(at);
    }
    return 0xffffffffu;
  });
}

struct Adder {
  FormTable& table;

  template <class T>
  void right(const std::string& t) {
    table.add("shr" + t, sizeof(T) == 8 ? "D8A8B4" : "D4A4B4", &shift<T, Shr<T>>);
  }
  template <class T>
  void bits(const std::string& t) {
    const bool wide = sizeof(T) == 8;
    const char* s1 = wide ? "D8A8" : "D4A4";
    const char* s2 = wide ? "D8A8B8" : "D4A4B4";
    table.add("and" + t, s2, &binary<T, And<T>>);
    table.add("or" + t, s2, &binary<T, Or<T>>);
    table.add("xor" + t, s2, &binary<T, Xor<T>>);
    table.add("not" + t, s1, &unary<T, Not<T>>);
    table.add("cnot" + t, s1, &unary<T, CNot<T>>);
    table.add("shl" + t, wide ? "D8A8B4" : "D4A4B4", &shift<T, Shl<T>>);
    right<T>(t);
  }
  template <class T>
  void counts(const std::string& b, bool wide) {
    table.add("popc" + b, wide ? "D4A8" : "D4A4", &popc<T>);
    table.add("clz" + b, wide ? "D4A8" : "D4A4", &clz<T>);
    table.add("brev" + b, wide ? "D8A8" : "D4A4", &unary<T, Brev<T>>);
    table.add("bfi" + b, wide ? "D8A8B8C4E4" : "D4A4B4C4E4", &bfi<T>);
  }
  template <class T>
  void fields(const std::string& t, bool wide) {
    table.add("bfind" + t, wide ? "D4A8" : "D4A4", &bfind<T, false>);
    table.add("bfind.shiftamt" + t, wide ? "D4A8" : "D4A4", &bfind<T, true>);
    table.add("bfe" + t, wide ? "D8A8B4C4" : "D4A4B4C4", &bfe<T>);
  }
};

}  // namespace

void addBitForms(FormTable& table) {
  Adder add{table};
  add.right<uint16_t>(".u16");
  add.right<int16_t>(".s16");
  add.right<uint32_t>(".u32");
  add.right<int32_t>(".s32");
  add.right<uint64_t>(".u64");
  add.right<int64_t>(".s64");
  add.bits<uint16_t>(".b16");
  add.bits<uint32_t>(".b32");
  add.bits<uint64_t>(".b64");
  add.counts<uint32_t>(".b32", false);
  add.counts<uint64_t>(".b64", true);
  add.fields<uint32_t>(".u32", false);
  add.fields<int32_t>(".s32", false);
  add.fields<uint64_t>(".u64", true);
  add.fields<int64_t>(".s64", true);
  table.add("shf.l.wrap.b32", "D4A4B4C4", &funnel<true, true>);
  table.add("shf.l.clamp.b32", "D4A4B4C4", &funnel<true, false>);
  table.add("shf.r.wrap.b32", "D4A4B4C4", &funnel<false, true>);
  table.add("shf.r.clamp.b32", "D4A4B4C4", &funnel<false, false>);
  const char* permutes[] = {"", ".f4e", ".b4e", ".rc8", ".ecl", ".ecr", ".rc16"};
  for (int i = 0; i < 7; ++i) table.addMode(std::string("prmt.b32") + permutes[i], "D4A4B4C4", &prmt, i);
  table.add("lop3.b32", "D4A4B4C4I", &lop3);
  table.addMode("lop3.and.b32", "D4X1A4B4C4IE1", &lop3Predicate, 1);
  table.addMode("lop3.or.b32", "D4X1A4B4C4IE1", &lop3Predicate, 2);
  table.add("szext.clamp.u32", "D4A4B4", &extend<false, true>);
  table.add("szext.clamp.s32", "D4A4B4", &extend<true, true>);
  table.add("szext.wrap.u32", "D4A4B4", &extend<false, false>);
  table.add("szext.wrap.s32", "D4A4B4", &extend<true, false>);
  table.add("bmsk.clamp.b32", "D4A4B4", &bitMask<true>);
  table.add("bmsk.wrap.b32", "D4A4B4", &bitMask<false>);
  table.add("fns.b32", "D4A4B4C4", &findNthSet);
}

}  // namespace warploom::cudasim
