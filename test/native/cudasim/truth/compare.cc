// Truths of setp, set, selp, slct, testp. A comparison is the list of orders for which it holds.
#include <cmath>

#include "truth.h"

namespace warploom::test {

namespace {

const std::pair<const char*, const char*> kCompares[] = {
    {"eq", "="},   {"ne", "<>"},   {"lt", "<"},   {"le", "<="},   {"gt", ">"},    {"ge", ">="},
    {"lo", "<"},   {"ls", "<="},   {"hi", ">"},   {"hs", ">="},   {"equ", "=?"},  {"neu", "<>?"},
    {"ltu", "<?"}, {"leu", "<=?"}, {"gtu", ">?"}, {"geu", ">=?"}, {"num", "<=>"}, {"nan", "?"}};
const char* const kJoins[] = {"", ".and", ".or", ".xor"};

bool isFloat(Type type) {
  return type == Type::f16 || type == Type::bf16 || type == Type::f16x2 || type == Type::bf16x2 || type == Type::f32 ||
         type == Type::f64;
}
bool isPacked(Type type) { return type == Type::f16x2 || type == Type::bf16x2; }
bool isSigned(Type type) { return type == Type::s16 || type == Type::s32 || type == Type::s64; }
bool isUntyped(Type type) { return type == Type::b16 || type == Type::b32 || type == Type::b64; }
bool isBrain(Type type) { return type == Type::bf16 || type == Type::bf16x2; }

// Whether the ISA has the comparison for the type.
bool applies(const std::string& compare, Type type) {
  if (isFloat(type)) return compare != "lo" && compare != "ls" && compare != "hi" && compare != "hs";
  const bool equality = compare == "eq" || compare == "ne";
  if (isUntyped(type)) return equality;
  const bool order = compare == "lt" || compare == "le" || compare == "gt" || compare == "ge";
  const bool unsignedOrder = compare == "lo" || compare == "ls" || compare == "hi" || compare == "hs";
  return equality || order || (unsignedOrder && !isSigned(type));
}

// A number of a binary format, by its parts.
double decode(uint64_t bits, int exponentBits, int fractionBits, bool ftz) {
  const int bias = (1 << (exponentBits - 1)) - 1, top = (1 << exponentBits) - 1;
  const uint64_t fraction = bits & ((uint64_t{1} << fractionBits) - 1);
  const int exponent = static_cast<int>(bits >> fractionBits) & top;
  const double sign = (bits >> (exponentBits + fractionBits) & 1) != 0 ? -1 : 1;
  if (exponent == top) return fraction != 0 ? double{NAN} : sign * double{INFINITY};
  if (exponent == 0)
    return ftz ? sign * 0.0 : sign * std::ldexp(static_cast<double>(fraction), 1 - bias - fractionBits);
  return sign * std::ldexp(static_cast<double>(fraction | uint64_t{1} << fractionBits), exponent - bias - fractionBits);
}
double decode(uint64_t bits, Type type, bool ftz) {
  switch (type) {
    case Type::f16:
    case Type::f16x2:
      return decode(bits & 0xffff, 5, 10, ftz);
    case Type::bf16:
    case Type::bf16x2:
      return decode(bits & 0xffff, 8, 7, ftz);
    case Type::f32:
      return decode(bits & 0xffffffff, 8, 23, ftz);
    default:
      return decode(bits, 11, 52, ftz);
  }
}

char order(uint64_t a, uint64_t b, Type type, bool ftz) {
  if (isFloat(type)) {
    const double x = decode(a, type, ftz), y = decode(b, type, ftz);
    return std::isnan(x) || std::isnan(y) ? '?' : x < y ? '<' : x > y ? '>' : '=';
  }
  const int unused = 64 - 8 * bytesOf(type);
  a <<= unused, b <<= unused;
  if (a == b) return '=';
  const bool less = isSigned(type) ? static_cast<int64_t>(a) < static_cast<int64_t>(b) : a < b;
  return less ? '<' : '>';
}

struct Compare {
  std::string name;    // .lt.and.ftz
  const char* orders;  // for which it holds
  int join;            // index of kJoins
  Type type;
  bool ftz;
  bool holds(uint64_t a, uint64_t b, int shift) const {
    return std::strchr(orders, order(a >> shift, b >> shift, type, ftz)) != nullptr;
  }
  bool joined(bool t, bool c) const { return join == 0 ? t : join == 1 ? t && c : join == 2 ? t || c : t != c; }
};

Truth sourcesOf(const Compare& compare, bool brain) {
  Truth truth;
  truth.sources = {compare.type, compare.type};
  if (compare.join != 0) truth.sources.push_back(Type::pred);
  truth.sourceRegisters = truth.sources;
  if (brain) {
    truth.version = "7.8";
    truth.target = "sm_90";
  }
  return truth;
}

// All shapes of one setp, a bit each: p and q with c, p and q with !c, p alone, q alone.
void addPredicate(Truths& truths, const Compare& compare) {
  Truth truth = sourcesOf(compare, isBrain(compare.type));
  // A single half has no second predicate.
  const bool second = isPacked(compare.type) || !isFloat(compare.type) || bytesOf(compare.type) > 2;
  const std::string c = compare.join != 0 ? ", {c}" : "", notC = compare.join != 0 ? ", !{c}" : "";
  const std::string call = "{form} ", pair = second ? "%p4|%p5" : "%p4", sources = ", {a}, {b}";
  const auto keep = [](const char* predicate, int bit) {
    return "selp.u32 %r6, " + std::to_string(1 << bit) + ", 0, " + predicate + "; or.b32 {d}, {d}, %r6;\n";
  };
  truth.text = "mov.u32 {d}, 0;\n" + call + pair + sources + c + ";\n" + keep("%p4", 0) +
               (second ? keep("%p5", 1) : std::string()) + call + pair + sources + notC + ";\n" + keep("%p4", 2) +
               (second ? keep("%p5", 3) : std::string()) + call + "%p4" + sources + c + ";\n" + keep("%p4", 4);
  if (second) truth.text += call + "_|%p4" + sources + c + ";\n" + keep("%p4", 5);
  truth.reference = [=](Lane& lane) {
    const bool t = compare.holds(lane.s[0], lane.s[1], 0), c = lane.s[2] != 0;
    const bool other = isPacked(compare.type) ? compare.holds(lane.s[0], lane.s[1], 16) : !t;
    const bool p = compare.joined(t, c), q = compare.joined(other, c) && second;
    const bool notP = compare.joined(t, !c), notQ = compare.joined(other, !c) && second;
    lane.d = p | q << 1 | notP << 2 | notQ << 3 | p << 4 | q << 5;
  };
  truths.add("setp" + compare.name + "." + nameOf(compare.type), truth);
}

uint64_t one(Type type, bool half) {
  switch (type) {
    case Type::f16:
    case Type::f16x2:
      return 0x3c00;
    case Type::bf16:
    case Type::bf16x2:
      return 0x3f80;
    case Type::f32:
      return 0x3f800000;
    case Type::u16:
    case Type::s16:
      return 0xffff;
    default:
      return half ? 0xffff : 0xffffffff;
  }
}

// d with c; d2 says whether anything is left with !c.
void addNumber(Truths& truths, const Compare& compare, Type target) {
  Truth truth = sourcesOf(compare, isBrain(compare.type) || isBrain(target));
  truth.d = isFloat(target) ? (bytesOf(target) == 2 ? Type::b16 : Type::b32) : target;
  truth.dRegister = truth.d;
  const bool packed = isPacked(compare.type);
  const uint64_t yes = one(target, packed);
  if (compare.join != 0) {
    truth.second = true;
    const bool narrow = bytesOf(target) == 2;
    truth.text = "{form} {d}, {a}, {b}, {c};\n{form} " + std::string(narrow ? "%h7" : "%r7") + ", {a}, {b}, !{c};\n" +
                 (narrow ? "setp.ne.b16 {d2}, %h7, 0;" : "setp.ne.b32 {d2}, %r7, 0;");
  }
  truth.reference = [=](Lane& lane) {
    const bool c = lane.s[2] != 0;
    for (const int shift : {0, 16}) {
      if (shift != 0 && !packed) break;
      const bool t = compare.holds(lane.s[0], lane.s[1], shift);
      if (compare.joined(t, c)) lane.d |= yes << shift;
      if (compare.joined(t, !c)) lane.d2 = 1;
    }
  };
  truths.add("set" + compare.name + "." + nameOf(target) + "." + nameOf(compare.type), truth);
}

// What set may write, by the type that it compares.
std::vector<Type> targetsOf(Type type, bool ftz) {
  if (type == Type::f16x2 || type == Type::bf16x2) return {Type::u32, Type::s32, type};
  if (type == Type::bf16) return {Type::u16, Type::s16, Type::u32, Type::s32, Type::bf16};
  std::vector<Type> list = {Type::u32, Type::s32, Type::f16};
  if (type == Type::f16) {
    list.push_back(Type::u16);
    list.push_back(Type::s16);
  } else {
    list.push_back(Type::f32);
  }
  if (!ftz) list.push_back(Type::bf16);
  return list;
}

void comparisons(Truths& truths) {
  for (const Type type : {Type::b16, Type::b32, Type::b64, Type::u16, Type::u32, Type::u64, Type::s16, Type::s32,
                          Type::s64, Type::f16, Type::bf16, Type::f16x2, Type::bf16x2, Type::f32, Type::f64}) {
    for (const bool ftz : {false, true}) {
      if (ftz && type != Type::f16 && type != Type::f16x2 && type != Type::f32) continue;
      for (const auto& entry : kCompares) {
        if (!applies(entry.first, type)) continue;
        for (int join = 0; join < 4; ++join) {
          const Compare compare{std::string(".") + entry.first + kJoins[join] + (ftz ? ".ftz" : ""), entry.second, join,
                                type, ftz};
          addPredicate(truths, compare);
          for (const Type target : targetsOf(type, ftz)) addNumber(truths, compare, target);
        }
      }
    }
  }
}

template <class T>
void selections(Truths& truths, const std::string& type) {
  truths.map<T, T, T, bool>("selp" + type, [](T a, T b, bool c) { return c ? a : b; });
  truths.map<T, T, T, int32_t>("slct" + type + ".s32", [](T a, T b, int32_t c) { return c < 0 ? b : a; });
  // NaN is not at least zero; -0 is, and so is a negative subnormal that is flushed.
  for (const bool ftz : {false, true}) {
    Truth& slct = truths.map<T, T, T, B32>((ftz ? "slct.ftz" : "slct") + type + ".f32", [ftz](T a, T b, B32 c) {
      return decode(c.bits, Type::f32, ftz) >= 0 ? a : b;
    });
    slct.values[2] = edgesOf(Type::f32);
  }
}

template <class T>
void tests(Truths& truths, Type type) {
  const std::string t = std::string(".") + nameOf(type);
  const int fractionBits = type == Type::f32 ? 23 : 52;
  const auto parts = [=](uint64_t bits, bool& zero, bool& top, bool& fraction) {
    const uint64_t mask = (uint64_t{1} << fractionBits) - 1, exponents = type == Type::f32 ? 0xff : 0x7ff;
    const uint64_t exponent = bits >> fractionBits & exponents;
    zero = exponent == 0, top = exponent == exponents, fraction = (bits & mask) != 0;
  };
  const auto put = [&](const char* name, bool (*f)(bool zero, bool top, bool fraction)) {
    Truth& truth = truths.map<bool, T>(std::string("testp.") + name + t, [=](T value) {
      bool zero, top, fraction;
      parts(value.bits, zero, top, fraction);
      return f(zero, top, fraction);
    });
    truth.values[0] = edgesOf(type);
  };
  put("finite", [](bool, bool top, bool) { return !top; });
  put("infinite", [](bool, bool top, bool fraction) { return top && !fraction; });
  put("number", [](bool, bool top, bool fraction) { return !(top && fraction); });
  put("notanumber", [](bool, bool top, bool fraction) { return top && fraction; });
  // Zeros count as normal.
  put("normal", [](bool zero, bool top, bool fraction) { return !top && !(zero && fraction); });
  put("subnormal", [](bool zero, bool, bool fraction) { return zero && fraction; });
}

}  // namespace

void addCompareTruths(Truths& truths) {
  comparisons(truths);
  for (const char* type : {".b16", ".u16", ".s16"}) selections<B16>(truths, type);
  for (const char* type : {".b32", ".u32", ".s32", ".f32"}) selections<B32>(truths, type);
  for (const char* type : {".b64", ".u64", ".s64", ".f64"}) selections<B64>(truths, type);
  tests<B32>(truths, Type::f32);
  tests<B64>(truths, Type::f64);
}

}  // namespace warploom::test
