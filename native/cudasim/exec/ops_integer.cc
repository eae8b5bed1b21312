// Integer arithmetic, bits, shifts, extended precision, moves.
#include <climits>

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

#define OP1(NAME, EXPRESSION)                              \
  template <class T>                                       \
  struct NAME {                                            \
    static T f(T a) { return static_cast<T>(EXPRESSION); } \
  };
#define OP2(NAME, EXPRESSION)                                   \
  template <class T>                                            \
  struct NAME {                                                 \
    static T f(T a, T b) { return static_cast<T>(EXPRESSION); } \
  };
#define OP3(NAME, EXPRESSION)                                        \
  template <class T>                                                 \
  struct NAME {                                                      \
    static T f(T a, T b, T c) { return static_cast<T>(EXPRESSION); } \
  };
#define SHIFT(NAME, EXPRESSION)                                        \
  template <class T>                                                   \
  struct NAME {                                                        \
    static T f(T a, uint32_t b) { return static_cast<T>(EXPRESSION); } \
  };
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
OP2(And, a& b)
OP2(Or, a | b)
OP2(Xor, a ^ b)
OP1(Not, ~a)
OP1(Neg, Unsigned<T>(0) - Unsigned<T>(a))
OP1(Abs, a < 0 ? Unsigned<T>(0) - Unsigned<T>(a) : Unsigned<T>(a))
OP1(CNot, a == 0)
SHIFT(Shl, b >= 8 * sizeof(T) ? Unsigned<T>(0) : Unsigned<T>(a) << b)
SHIFT(Shr, b >= 8 * sizeof(T) ? T(a < 0 ? T(-1) : T(0)) : T(a >> b))
OP3(Sad, c + (a > b ? a - b : b - a))

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
void lop3(Warp& w, const Instruction& in, uint32_t mask) {
  const uint32_t table = static_cast<uint32_t>(in.imm);
  map3<uint32_t, uint32_t, uint32_t, uint32_t>(w, in, mask, [table](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t r = 0;
    for (uint32_t k = 0; k < 8; ++k) {
      const uint32_t term = ((k & 4) != 0 ? a : ~a) & ((k & 2) != 0 ? b : ~b) & ((k & 1) != 0 ? c : ~c);
      r |= (0u - (table >> k & 1)) & term;
    }
    return r;
  });
}

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
void mul24(Warp& w, const Instruction& in, uint32_t mask) {
  map2<uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b) {
    const int64_t x = kSigned ? static_cast<int32_t>(a << 8) >> 8 : static_cast<int64_t>(a & 0xffffff);
    const int64_t y = kSigned ? static_cast<int32_t>(b << 8) >> 8 : static_cast<int64_t>(b & 0xffffff);
    return static_cast<uint32_t>((x * y) >> (kHigh ? 16 : 0));
  });
}

// The carry flag is a predicate of the warp that only these instructions see. mode: 1 reads it, 2 writes it.
template <class T, bool kSubtract, int kMul>
void carry(Warp& w, const Instruction& in, uint32_t mask) {
  using Wide = std::conditional_t<sizeof(T) == 8, unsigned __int128, uint64_t>;
  T* d = reg<T>(w, in.d);
  const T *a = reg<T>(w, in.a), *b = reg<T>(w, in.b);
  const T* c = in.c == kNone ? nullptr : reg<T>(w, in.c);
  uint32_t flags = w.carry;
  eachLane(mask, [&](int i) {
    const T x = kMul == 0   ? a[i]
                : kMul == 1 ? static_cast<T>(a[i] * b[i])
                            : static_cast<T>((Wide(a[i]) * b[i]) >> (8 * sizeof(T)));
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
template <int kMul>
void madCarrySigned(Warp& w, const Instruction& in, uint32_t mask) {
  uint32_t* d = reg<uint32_t>(w, in.d);
  const int32_t *a = reg<int32_t>(w, in.a), *b = reg<int32_t>(w, in.b);
  const uint32_t* c = reg<uint32_t>(w, in.c);
  eachLane(mask, [&](int i) {
    const int64_t product = int64_t(a[i]) * b[i];
    const uint32_t x = static_cast<uint32_t>(kMul == 1 ? product : product >> 32);
    const uint64_t r = uint64_t(x) + c[i] + ((in.mode & 1) != 0 ? w.carry >> i & 1 : 0);
    d[i] = static_cast<uint32_t>(r);
    if ((in.mode & 2) != 0) w.carry = (w.carry & ~(1u << i)) | static_cast<uint32_t>(r >> 32) << i;
  });
}

template <class T>
void move(Warp& w, const Instruction& in, uint32_t mask) {
  map1<T, T>(w, in, mask, [](T a) { return a; });
}
// {parts} = a: parts of `size` bytes.
template <class T>
void unpack(Warp& w, const Instruction& in, uint32_t mask) {
  const uint32_t bits = in.size * 8;
  T source[kLanes];
  std::memcpy(source, reg<T>(w, in.a), sizeof(source));
  for (uint32_t k = 0; k < in.count; ++k) {
    uint32_t* d = reg<uint32_t>(w, w.block->run->program.lists[in.list + k]);
    const uint64_t field = (uint64_t{1} << bits) - 1;
    eachLane(mask, [&](int i) { d[i] = static_cast<uint32_t>(source[i] >> (bits * k) & field); });
  }
}
template <class T>
void pack(Warp& w, const Instruction& in, uint32_t mask) {
  const uint32_t bits = in.size * 8;
  T result[kLanes] = {};
  for (uint32_t k = 0; k < in.count; ++k) {
    const uint32_t* s = reg<uint32_t>(w, w.block->run->program.lists[in.list + k]);
    const uint64_t field = (uint64_t{1} << bits) - 1;
    for (int i = 0; i < kLanes; ++i) result[i] |= static_cast<T>((s[i] & field) << (bits * k));
  }
  T* d = reg<T>(w, in.d);
  eachLane(mask, [&](int i) { d[i] = result[i]; });
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
    table.add("shr" + t, wide ? "D8A8B4" : "D4A4B4", &shift<T, Shr<T>>);
    if constexpr (std::is_signed_v<T>) {
      table.add("neg" + t, s1, &unary<T, Neg<T>>);
      table.add("abs" + t, s1, &unary<T, Abs<T>>);
    }
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
    table.add("shr" + t, wide ? "D8A8B4" : "D4A4B4", &shift<T, Shr<T>>);
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
  void mode(const std::string& name, const char* signature, Handler fn, int value) {
    Form form;
    form.fn = fn;
    form.signature = signature;
    form.mode = static_cast<uint8_t>(value);
    table.add(name, form);
  }
  template <class T>
  void carries(const std::string& t, bool wide) {
    const char* s2 = wide ? "D8A8B8" : "D4A4B4";
    const char* s3 = wide ? "D8A8B8C8" : "D4A4B4C4";
    mode("add.cc" + t, s2, &carry<T, false, 0>, 2);
    mode("addc" + t, s2, &carry<T, false, 0>, 1);
    mode("addc.cc" + t, s2, &carry<T, false, 0>, 3);
    mode("sub.cc" + t, s2, &carry<T, true, 0>, 2);
    mode("subc" + t, s2, &carry<T, true, 0>, 1);
    mode("subc.cc" + t, s2, &carry<T, true, 0>, 3);
    if (t[1] == 'u') {
      mode("mad.lo.cc" + t, s3, &carry<T, false, 1>, 2);
      mode("madc.lo" + t, s3, &carry<T, false, 1>, 1);
      mode("madc.lo.cc" + t, s3, &carry<T, false, 1>, 3);
      mode("mad.hi.cc" + t, s3, &carry<T, false, 2>, 2);
      mode("madc.hi" + t, s3, &carry<T, false, 2>, 1);
      mode("madc.hi.cc" + t, s3, &carry<T, false, 2>, 3);
    }
  }
  void packing(const std::string& type, Handler to, Handler from, const char* width, int size, int parts) {
    static const char* const unpackSignature[] = {"V4A4", "V4A8"};
    static const char* const packSignature[] = {"D4W4", "D8W4"};
    const int wide = width[0] == '8';
    Form form;
    form.kind = Class::move;
    form.size = static_cast<uint8_t>(size);
    form.vec = static_cast<uint8_t>(parts);
    form.fn = to;
    form.signature = unpackSignature[wide];
    table.add("mov.unpack" + type + "." + std::to_string(parts), form);
    form.fn = from;
    form.signature = packSignature[wide];
    table.add("mov.pack" + type + "." + std::to_string(parts), form);
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
  add.bits<uint16_t>(".b16");
  add.bits<uint32_t>(".b32");
  add.bits<uint64_t>(".b64");
  add.counts<uint32_t>(".b32", false);
  add.counts<uint64_t>(".b64", true);
  add.fields<uint32_t>(".u32", false);
  add.fields<int32_t>(".s32", false);
  add.fields<uint64_t>(".u64", true);
  add.fields<int64_t>(".s64", true);
  add.carries<uint32_t>(".u32", false);
  add.carries<uint32_t>(".s32", false);
  add.carries<uint64_t>(".u64", true);
  add.carries<uint64_t>(".s64", true);
  add.mode("mad.lo.cc.s32", "D4A4B4C4", &madCarrySigned<1>, 2);
  add.mode("madc.lo.s32", "D4A4B4C4", &madCarrySigned<1>, 1);
  add.mode("madc.lo.cc.s32", "D4A4B4C4", &madCarrySigned<1>, 3);
  add.mode("mad.hi.cc.s32", "D4A4B4C4", &madCarrySigned<2>, 2);
  add.mode("madc.hi.s32", "D4A4B4C4", &madCarrySigned<2>, 1);
  add.mode("madc.hi.cc.s32", "D4A4B4C4", &madCarrySigned<2>, 3);
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
  table.add("shf.l.wrap.b32", "D4A4B4C4", &funnel<true, true>);
  table.add("shf.l.clamp.b32", "D4A4B4C4", &funnel<true, false>);
  table.add("shf.r.wrap.b32", "D4A4B4C4", &funnel<false, true>);
  table.add("shf.r.clamp.b32", "D4A4B4C4", &funnel<false, false>);
  const char* permutes[] = {"", ".f4e", ".b4e", ".rc8", ".ecl", ".ecr", ".rc16"};
  for (int i = 0; i < 7; ++i) add.mode(std::string("prmt.b32") + permutes[i], "D4A4B4C4", &prmt, i);
  table.add("lop3.b32", "D4A4B4C4I", &lop3);
  const char* sign[] = {".u32", ".s32"};
  for (int a = 0; a < 2; ++a) {
    for (int b = 0; b < 2; ++b) {
      const std::string types = std::string(sign[a]) + sign[b];
      add.mode("dp4a" + types, "D4A4B4C4", &dotProduct<1, uint32_t>, a | b << 1);
      add.mode("dp2a.lo" + types, "D4A4B4C4", &dotProduct<2, uint32_t>, a | b << 1);
      add.mode("dp2a.hi" + types, "D4A4B4C4", &dotProduct<2, uint32_t>, a | b << 1 | 4);
    }
  }
  for (const char* type : {".b16", ".u16", ".s16", ".f16", ".bf16", ".b32", ".u32", ".s32", ".f32"}) {
    table.add(std::string("mov") + type, "D4A4", &move<uint32_t>, Class::move);
  }
  for (const char* type : {".b64", ".u64", ".s64", ".f64"}) {
    table.add(std::string("mov") + type, "D8A8", &move<uint64_t>, Class::move);
  }
  table.add("mov.pred", "D1A1", &move<uint32_t>, Class::move);
  add.packing(".b16", &unpack<uint32_t>, &pack<uint32_t>, "4", 1, 2);
  add.packing(".b32", &unpack<uint32_t>, &pack<uint32_t>, "4", 2, 2);
  add.packing(".b32", &unpack<uint32_t>, &pack<uint32_t>, "4", 1, 4);
  add.packing(".b64", &unpack<uint64_t>, &pack<uint64_t>, "8", 4, 2);
  add.packing(".b64", &unpack<uint64_t>, &pack<uint64_t>, "8", 2, 4);
  // cvta changes nothing between global and generic: one space of addresses.
  for (const char* name : {"cvta.global.u64", "cvta.to.global.u64", "cvta.const.u64", "cvta.to.const.u64",
                           "cvta.param.u64", "cvta.to.param.u64"}) {
    if (std::string(name).find("param") == std::string::npos) table.add(name, "D8A8", &move<uint64_t>, Class::move);
  }
}

}  // namespace warploom::cudasim
