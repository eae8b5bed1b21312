// setp, set, selp, slct, predicate logic.
#include "cudasim/exec/floats.h"
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

template <class T>
using Lane = std::conditional_t<std::is_floating_point_v<T>, T, std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>;

// mode: 0 the comparison alone; 1 and, 2 or, 3 xor with predicate c. d2 gets the same with the comparison negated.
template <class T, class Op, bool F>
void setp(Warp& w, const Instruction& in, uint32_t mask) {
  if (in.mode == 0 && in.d2 == kNone) {
    map2<uint32_t, Lane<T>, Lane<T>>(w, in, mask, [](Lane<T> a, Lane<T> b) {
      return Op::f(flush<F>(static_cast<T>(a)), flush<F>(static_cast<T>(b))) ? 0xffffffffu : 0u;
    });
    return;
  }
  uint32_t* d = reg<uint32_t>(w, in.d);
  uint32_t* d2 = in.d2 == kNone ? nullptr : reg<uint32_t>(w, in.d2);
  const Lane<T>*a = reg<Lane<T>>(w, in.a), *b = reg<Lane<T>>(w, in.b);
  const uint32_t* c = in.c == kNone ? nullptr : reg<uint32_t>(w, in.c);
  const auto join = [&](bool t, int i) -> uint32_t {
    const bool p = c != nullptr && c[i] != 0;
    const bool r = in.mode == 0 ? t : in.mode == 1 ? t && p : in.mode == 2 ? t || p : t != p;
    return r ? 0xffffffffu : 0u;
  };
  eachLane(mask, [&](int i) {
    const bool t = Op::f(flush<F>(static_cast<T>(a[i])), flush<F>(static_cast<T>(b[i])));
    const uint32_t first = join(t, i), second = join(!t, i);
    d[i] = first;
    if (d2 != nullptr) d2[i] = second;
  });
}
// The result as a number: all ones (size 0) or 1.0f.
template <class T, class Op, bool F>
void set(Warp& w, const Instruction& in, uint32_t mask) {
  const uint32_t yes = in.size == 0 ? 0xffffffffu : 0x3f800000u;
  uint32_t* d = reg<uint32_t>(w, in.d);
  const Lane<T>*a = reg<Lane<T>>(w, in.a), *b = reg<Lane<T>>(w, in.b);
  const uint32_t* c = in.c == kNone ? nullptr : reg<uint32_t>(w, in.c);
  eachLane(mask, [&](int i) {
    const bool t = Op::f(flush<F>(static_cast<T>(a[i])), flush<F>(static_cast<T>(b[i])));
    const bool p = c != nullptr && c[i] != 0;
    d[i] = (in.mode == 0 ? t : in.mode == 1 ? t && p : in.mode == 2 ? t || p : t != p) ? yes : 0;
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

template <class T, class Op, bool F>
void addOne(FormTable& table, const std::string& cmp, const std::string& type) {
  for (int join = 0; join < 4; ++join) {
    Form form;
    form.mode = static_cast<uint8_t>(join);
    form.fn = &setp<T, Op, F>;
    form.signature =
        sizeof(T) == 8 ? (join == 0 ? "D1?X1A8B8" : "D1?X1A8B8C1") : (join == 0 ? "D1?X1A4B4" : "D1?X1A4B4C1");
    form.kind = std::is_floating_point_v<T> ? (sizeof(T) == 8 ? Class::float64 : Class::float32) : Class::integer;
    table.add("setp." + cmp + kJoin[join] + (F ? ".ftz" : "") + type, form);
    form.fn = &set<T, Op, F>;
    form.signature = sizeof(T) == 8 ? (join == 0 ? "D4A8B8" : "D4A8B8C1") : (join == 0 ? "D4A4B4" : "D4A4B4C1");
    for (const char* to : {".u32", ".s32", ".f32"}) {
      form.size = to[1] == 'f';
      table.add("set." + cmp + kJoin[join] + (F ? ".ftz" : "") + to + type, form);
    }
  }
}
template <class T>
void addIntegers(FormTable& table, const std::string& type, bool order) {
  addOne<T, Eq, false>(table, "eq", type);
  addOne<T, Neu, false>(table, "ne", type);
  if (!order) return;
  addOne<T, Lt, false>(table, "lt", type);
  addOne<T, Le, false>(table, "le", type);
  addOne<T, Gt, false>(table, "gt", type);
  addOne<T, Ge, false>(table, "ge", type);
  if (!std::is_signed_v<T>) {
    addOne<T, Lt, false>(table, "lo", type);
    addOne<T, Le, false>(table, "ls", type);
    addOne<T, Gt, false>(table, "hi", type);
    addOne<T, Ge, false>(table, "hs", type);
  }
}
template <class T, bool F>
void addFloats(FormTable& table, const std::string& type) {
  addOne<T, Eq, F>(table, "eq", type);
  addOne<T, Ne, F>(table, "ne", type);
  addOne<T, Lt, F>(table, "lt", type);
  addOne<T, Le, F>(table, "le", type);
  addOne<T, Gt, F>(table, "gt", type);
  addOne<T, Ge, F>(table, "ge", type);
  addOne<T, Equ, F>(table, "equ", type);
  addOne<T, Neu, F>(table, "neu", type);
  addOne<T, Ltu, F>(table, "ltu", type);
  addOne<T, Leu, F>(table, "leu", type);
  addOne<T, Gtu, F>(table, "gtu", type);
  addOne<T, Geu, F>(table, "geu", type);
  addOne<T, Num, F>(table, "num", type);
  addOne<T, Nan, F>(table, "nan", type);
}

}  // namespace

void addCompareForms(FormTable& table) {
  addIntegers<uint16_t>(table, ".b16", false);
  addIntegers<uint32_t>(table, ".b32", false);
  addIntegers<uint64_t>(table, ".b64", false);
  addIntegers<uint16_t>(table, ".u16", true);
  addIntegers<uint32_t>(table, ".u32", true);
  addIntegers<uint64_t>(table, ".u64", true);
  addIntegers<int16_t>(table, ".s16", true);
  addIntegers<int32_t>(table, ".s32", true);
  addIntegers<int64_t>(table, ".s64", true);
  addFloats<float, false>(table, ".f32");
  addFloats<float, true>(table, ".f32");
  addFloats<double, false>(table, ".f64");
  for (const char* type : {".b16", ".u16", ".s16", ".f16", ".bf16", ".b32", ".u32", ".s32", ".f32"}) {
    table.add(std::string("selp") + type, "D4A4B4C1", &selp<uint32_t>, Class::move);
    table.add(std::string("slct") + type + ".s32", "D4A4B4C4", &slct<uint32_t, int32_t, false>, Class::move);
    table.add(std::string("slct") + type + ".f32", "D4A4B4C4", &slct<uint32_t, float, false>, Class::move);
    table.add(std::string("slct.ftz") + type + ".f32", "D4A4B4C4", &slct<uint32_t, float, true>, Class::move);
  }
  for (const char* type : {".b64", ".u64", ".s64", ".f64"}) {
    table.add(std::string("selp") + type, "D8A8B8C1", &selp<uint64_t>, Class::move);
    table.add(std::string("slct") + type + ".s32", "D8A8B8C4", &slct<uint64_t, int32_t, false>, Class::move);
    table.add(std::string("slct") + type + ".f32", "D8A8B8C4", &slct<uint64_t, float, false>, Class::move);
  }
  table.add("and.pred", "D1A1B1", &predicateAnd);
  table.add("or.pred", "D1A1B1", &predicateOr);
  table.add("xor.pred", "D1A1B1", &predicateXor);
  table.add("not.pred", "D1A1", &predicateNot);
}

}  // namespace warploom::cudasim
