// setp, set, selp, slct, predicate logic.
#include <set>
#include <vector>

#include "cudasim/exec/halves.h"
#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

struct Eq {
  template <class T>
  static bool f(T a, T b) {
    return a == b;
  }
};
struct Ne {
  template <class T>
  static bool f(T a, T b) {
    return (a < b) | (a > b);
  }
};
struct Lt {
  template <class T>
  static bool f(T a, T b) {
    return a < b;
  }
};
struct Le {
  template <class T>
  static bool f(T a, T b) {
    return a <= b;
  }
};
struct Gt {
  template <class T>
  static bool f(T a, T b) {
    return a > b;
  }
};
struct Ge {
  template <class T>
  static bool f(T a, T b) {
    return a >= b;
  }
};
struct Equ {
  template <class T>
  static bool f(T a, T b) {
    return !((a < b) | (a > b));
  }
};
struct Neu {
  template <class T>
  static bool f(T a, T b) {
    return a != b;
  }
};
struct Ltu {
  template <class T>
  static bool f(T a, T b) {
    return !(a >= b);
  }
};
struct Leu {
  template <class T>
  static bool f(T a, T b) {
    return !(a > b);
  }
};
struct Gtu {
  template <class T>
  static bool f(T a, T b) {
    return !(a <= b);
  }
};
struct Geu {
  template <class T>
  static bool f(T a, T b) {
    return !(a < b);
  }
};
struct Num {
  template <class T>
  static bool f(T a, T b) {
    return (a == a) & (b == b);
  }
};
struct Nan {
  template <class T>
  static bool f(T a, T b) {
    return (a != a) | (b != b);
  }
};

// What a lane's register holds, and the value to compare. F: subnormals are zeros.
template <class T, bool F>
struct Number {
  using Lane =
      std::conditional_t<std::is_floating_point_v<T>, T, std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>;
  static T value(Lane bits) { return flush<F>(static_cast<T>(bits)); }
  static constexpr int kParts = 1;
  static constexpr Class kClass = !std::is_floating_point_v<T> ? Class::integer
                                  : sizeof(T) == 8             ? Class::float64
                                                               : Class::float32;
};
// One float16 or bfloat16, or two.
template <class H, bool F, int kCount>
struct Halves {
  using Lane = uint32_t;
  static float value(uint32_t bits) {
    constexpr uint16_t kExponent = std::is_same_v<H, Half> ? 0x7c00 : 0x7f80;
    uint16_t half = static_cast<uint16_t>(bits);
    if (F && (half & kExponent) == 0) half &= 0x8000;
    return toFloat(H{half});
  }
  static constexpr int kParts = kCount;
  static constexpr Class kClass = Class::half;
};

enum Join : uint8_t { kAlone, kAnd, kOr, kXor };
bool joined(uint8_t join, bool t, bool p) {
  return join == kAlone ? t : join == kAnd ? t && p : join == kOr ? t || p : t != p;
}

// mode: how the comparison is joined with predicate c. d2 gets the same with the comparison negated; of two halves, d
// gets the low one and d2 the high one.
template <class S, class Op>
void setp(Warp& w, const Instruction& in, uint32_t mask) {
  using Lane = typename S::Lane;
  if (in.mode == kAlone && in.d2 == kNone) {
    map2<uint32_t, Lane, Lane>(w, in, mask,
                               [](Lane a, Lane b) { return Op::f(S::value(a), S::value(b)) ? 0xffffffffu : 0u; });
    return;
  }
  uint32_t* d = reg<uint32_t>(w, in.d);
  uint32_t* d2 = in.d2 == kNone ? nullptr : reg<uint32_t>(w, in.d2);
  const Lane *a = reg<Lane>(w, in.a), *b = reg<Lane>(w, in.b);
  const uint32_t* c = in.c == kNone ? nullptr : reg<uint32_t>(w, in.c);
  eachLane(mask, [&](int i) {
    const bool t = Op::f(S::value(a[i]), S::value(b[i])), p = c != nullptr && c[i] != 0;
    bool other = !t;
    if constexpr (S::kParts == 2) other = Op::f(S::value(a[i] >> 16), S::value(b[i] >> 16));
    d[i] = joined(in.mode, t, p) ? 0xffffffffu : 0u;
    if (d2 != nullptr) d2[i] = joined(in.mode, other, p) ? 0xffffffffu : 0u;
  });
}
// The result as a number: imm where true. Of two halves, a half each.
template <class S, class Op>
void set(Warp& w, const Instruction& in, uint32_t mask) {
  using Lane = typename S::Lane;
  const uint32_t yes = static_cast<uint32_t>(in.imm);
  uint32_t* d = reg<uint32_t>(w, in.d);
  const Lane *a = reg<Lane>(w, in.a), *b = reg<Lane>(w, in.b);
  const uint32_t* c = in.c == kNone ? nullptr : reg<uint32_t>(w, in.c);
  eachLane(mask, [&](int i) {
    const bool p = c != nullptr && c[i] != 0;
    uint32_t r = joined(in.mode, Op::f(S::value(a[i]), S::value(b[i])), p) ? yes : 0;
    if constexpr (S::kParts == 2) {
      if (joined(in.mode, Op::f(S::value(a[i] >> 16), S::value(b[i] >> 16)), p)) r |= yes << 16;
    }
    d[i] = r;
  });
}

template <class T>
void selp(Warp& w, const Instruction& in, uint32_t mask) {
  map3<T, T, T, uint32_t>(w, in, mask, [](T a, T b, uint32_t p) { return p != 0 ? a : b; });
}
template <class T, class C, bool F>
void slct(Warp& w, const Instruction& in, uint32_t mask) {
  map3<T, T, T, C>(w, in, mask, [](T a, T b, C c) { return flush<F>(c) >= C(0) ? a : b; });
}
void predicateAnd(Warp& w, const Instruction& in, uint32_t mask) {
  map2<uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b) { return a & b; });
}
void predicateOr(Warp& w, const Instruction& in, uint32_t mask) {
  map2<uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b) { return a | b; });
}
void predicateXor(Warp& w, const Instruction& in, uint32_t mask) {
  map2<uint32_t, uint32_t, uint32_t>(w, in, mask, [](uint32_t a, uint32_t b) { return a ^ b; });
}
void predicateNot(Warp& w, const Instruction& in, uint32_t mask) {
  map1<uint32_t, uint32_t>(w, in, mask, [](uint32_t a) { return ~a; });
}

const char* const kJoin[] = {"", ".and", ".or", ".xor"};

// A type that set may write, and what it writes where the comparison holds.
struct Target {
  const char* type;
  uint32_t yes;
};
using Targets = std::vector<Target>;

template <class S>
struct Adder {
  FormTable& table;
  const std::string type;  // of the sources
  const Targets targets;
  const bool flushes;

  template <class Op>
  void add(const std::string& compare) {
    const bool wide = sizeof(typename S::Lane) == 8;
    for (int join = 0; join < 4; ++join) {
      const std::string name = "." + compare + kJoin[join] + (flushes ? ".ftz" : "");
      const std::string sources = std::string(wide ? "A8B8" : "A4B4") + (join == kAlone ? "" : "C1");
      Form form;
      form.mode = static_cast<uint8_t>(join);
      form.kind = S::kClass;
      form.fn = &setp<S, Op>;
      // A single half has no second predicate.
      const bool second = S::kClass != Class::half || S::kParts == 2;
      form.signature = keep((second ? "D1?X1" : "D1") + sources);
      table.add("setp" + name + type, form);
      form.fn = &set<S, Op>;
      form.signature = keep("D4" + sources);
      for (const Target& target : targets) {
        form.work = target.yes;
        table.add("set" + name + target.type + type, form);
      }
    }
  }
  void equality() {
    add<Eq>("eq");
    add<Neu>("ne");
  }
  void order() {
    add<Lt>("lt");
    add<Le>("le");
    add<Gt>("gt");
    add<Ge>("ge");
  }
  void unsignedOrder() {
    add<Lt>("lo");
    add<Le>("ls");
    add<Gt>("hi");
    add<Ge>("hs");
  }
  void floats() {
    order();
    add<Eq>("eq");
    add<Ne>("ne");
    add<Equ>("equ");
    add<Neu>("neu");
    add<Ltu>("ltu");
    add<Leu>("leu");
    add<Gtu>("gtu");
    add<Geu>("geu");
    add<Num>("num");
    add<Nan>("nan");
  }

 private:
  // Forms hold plain pointers: the few signatures live as long as the process.
  static const char* keep(const std::string& signature) {
    static std::set<std::string> known;
    return known.insert(signature).first->c_str();
  }
};

const Target kU16{".u16", 0xffff}, kS16{".s16", 0xffff}, kU32{".u32", 0xffffffff}, kS32{".s32", 0xffffffff};
const Target kF16{".f16", 0x3c00}, kBF16{".bf16", 0x3f80}, kF32{".f32", 0x3f800000};
// Packed: each half of the result.
const Target kU32x2{".u32", 0xffff}, kS32x2{".s32", 0xffff}, kF16x2{".f16x2", 0x3c00}, kBF16x2{".bf16x2", 0x3f80};

template <class T>
Adder<Number<T, false>> numbers(FormTable& table, const char* type) {
  return {table, type, {kU32, kS32, kF32, kF16, kBF16}, false};
}
template <class T>
void addOrdered(FormTable& table, const char* type) {
  Adder<Number<T, false>> adder = numbers<T>(table, type);
  adder.equality();
  adder.order();
  if (std::is_unsigned_v<T>) adder.unsignedOrder();
}

}  // namespace

void addCompareForms(FormTable& table) {
  numbers<uint16_t>(table, ".b16").equality();
  numbers<uint32_t>(table, ".b32").equality();
  numbers<uint64_t>(table, ".b64").equality();
  addOrdered<uint16_t>(table, ".u16");
  addOrdered<uint32_t>(table, ".u32");
  addOrdered<uint64_t>(table, ".u64");
  addOrdered<int16_t>(table, ".s16");
  addOrdered<int32_t>(table, ".s32");
  addOrdered<int64_t>(table, ".s64");
  numbers<float>(table, ".f32").floats();
  numbers<double>(table, ".f64").floats();
  Adder<Number<float, true>>{table, ".f32", {kU32, kS32, kF32, kF16}, true}.floats();
  const Targets fromHalf = {kU16, kS16, kU32, kS32, kF16, kBF16}, fromHalfFlushed = {kU16, kS16, kU32, kS32, kF16};
  Adder<Halves<Half, false, 1>>{table, ".f16", fromHalf, false}.floats();
  Adder<Halves<Half, true, 1>>{table, ".f16", fromHalfFlushed, true}.floats();
  Adder<Halves<BFloat, false, 1>>{table, ".bf16", {kU16, kS16, kU32, kS32, kBF16}, false}.floats();
  Adder<Halves<Half, false, 2>>{table, ".f16x2", {kU32x2, kS32x2, kF16x2}, false}.floats();
  Adder<Halves<Half, true, 2>>{table, ".f16x2", {kU32x2, kS32x2, kF16x2}, true}.floats();
  Adder<Halves<BFloat, false, 2>>{table, ".bf16x2", {kU32x2, kS32x2, kBF16x2}, false}.floats();
  for (const char* type : {".b16", ".u16", ".s16", ".b32", ".u32", ".s32", ".f32"}) {
    table.add(std::string("selp") + type, "D4A4B4C1", &selp<uint32_t>, Class::move);
    table.add(std::string("slct") + type + ".s32", "D4A4B4C4", &slct<uint32_t, int32_t, false>, Class::move);
    table.add(std::string("slct") + type + ".f32", "D4A4B4C4", &slct<uint32_t, float, false>, Class::move);
    table.add(std::string("slct.ftz") + type + ".f32", "D4A4B4C4", &slct<uint32_t, float, true>, Class::move);
  }
  for (const char* type : {".b64", ".u64", ".s64", ".f64"}) {
    table.add(std::string("selp") + type, "D8A8B8C1", &selp<uint64_t>, Class::move);
    table.add(std::string("slct") + type + ".s32", "D8A8B8C4", &slct<uint64_t, int32_t, false>, Class::move);
    table.add(std::string("slct") + type + ".f32", "D8A8B8C4", &slct<uint64_t, float, false>, Class::move);
    table.add(std::string("slct.ftz") + type + ".f32", "D8A8B8C4", &slct<uint64_t, float, true>, Class::move);
  }
  table.add("and.pred", "D1A1B1", &predicateAnd);
  table.add("or.pred", "D1A1B1", &predicateOr);
  table.add("xor.pred", "D1A1B1", &predicateXor);
  table.add("not.pred", "D1A1", &predicateNot);
}

}  // namespace warploom::cudasim
