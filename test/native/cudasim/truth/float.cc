// Truths of float32 and float64 arithmetic.
#include <cfloat>

#include "exact.h"

namespace warploom::test {

namespace {

struct Rounding {
  const char* name;
  Round round;
};
constexpr Rounding kRoundings[] = {
    {".rn", Round::nearest}, {".rz", Round::zero}, {".rm", Round::down}, {".rp", Round::up}, {"", Round::nearest}};

// The edges, and numbers whose sums, products and quotients have more bits than fit, near one another and near the
// limits: underflow into and within the subnormals, overflow.
std::vector<uint64_t> hardValues(Type type, std::size_t extra) {
  static const uint64_t narrow[] = {0x3f800001, 0x3f7fffff, 0xbf800003, 0x33800000, 0x34000001, 0x3effffff,
                                    0x40490fdb, 0xbeaaaaab, 0x3dcccccd, 0x4b7fffff, 0x007fffff, 0x00ffffff,
                                    0x80800001, 0x20000003, 0x5f000001, 0xdf7fffff, 0x1f7fffff, 0x3fc00000};
  static const uint64_t wide[] = {0x3ff0000000000001, 0x3fefffffffffffff, 0xbff0000000000003, 0x3ca0000000000000,
                                  0x3cb0000000000001, 0x3fdfffffffffffff, 0x400921fb54442d18, 0xbfd5555555555555,
                                  0x3fb999999999999a, 0x433fffffffffffff, 0x000fffffffffffff, 0x001fffffffffffff,
                                  0x8010000000000001, 0x1ff0000000000003, 0x5fe0000000000001, 0xdfefffffffffffff,
                                  0x1fefffffffffffff, 0x3ff8000000000000};
  std::vector<uint64_t> values = edgesOf(type);
  for (std::size_t i = 0; i < std::size(narrow); ++i) values.push_back(type == Type::f32 ? narrow[i] : wide[i]);
  // Bits without a pattern, with exponents near that of 1.
  uint64_t state = 987654321;
  const Format& f = formatOf(type);
  for (std::size_t i = 0; i < extra; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const uint64_t mantissa = (state >> 11) & ((uint64_t{1} << f.fraction) - 1);
    const uint64_t field = static_cast<uint64_t>(f.bias) - 3 + (state >> 7 & 7);
    values.push_back((state & 1) * f.sign() | field << f.fraction | mantissa);
  }
  return values;
}

void put(Truths& truths, const std::string& form, Type type, const NamedOperation& operation, const Modifiers& with) {
  Truth truth;
  truth.d = truth.dRegister = type;
  truth.sources.assign(static_cast<std::size_t>(operation.sources), type);
  truth.sourceRegisters = truth.sources;
  const std::vector<uint64_t> values = hardValues(type, operation.sources == 1 ? 400 : operation.sources == 2 ? 40 : 0);
  for (int i = 0; i < operation.sources; ++i) truth.values[i] = values;
  truth.reference = [type, operation, with](Lane& lane) {
    lane.d = computed(formatOf(type), with, lane.s, operation.sources, operation.f);
  };
  if (type == Type::f32) asksEveryBit(truth);  // float64 keeps payloads
  truths.add(form, std::move(truth));
}

void arithmetic(Truths& truths) {
  constexpr NamedOperation div{"div", 2, [](const Exact* s, Round) { return over(s[0], s[1]); }};
  constexpr NamedOperation rcp{"rcp", 1, [](const Exact* s, Round) {
                                 Exact one;
                                 one.m = 1;
                                 return over(one, s[0]);
                               }};
  constexpr NamedOperation sqrt{"sqrt", 1, [](const Exact* s, Round) { return root(s[0]); }};
  for (const NamedOperation& operation : {kAdd, kSub, kMul, kFma, kMad, div, rcp, sqrt}) {
    const std::string name = operation.name;
    const bool bare = name == "add" || name == "sub" || name == "mul";
    const bool saturates = bare || name == "fma" || name == "mad";
    for (const Rounding& rounding : kRoundings) {
      if (*rounding.name == '\0' && !bare) continue;
      const std::string base = name + rounding.name;
      put(truths, base + ".f64", Type::f64, operation, {rounding.round});
      for (const bool ftz : {false, true}) {
        const std::string full = base + (ftz ? ".ftz" : "");
        put(truths, full + ".f32", Type::f32, operation, {rounding.round, ftz});
        if (saturates) put(truths, full + ".sat.f32", Type::f32, operation, {rounding.round, ftz, true});
      }
    }
  }
}

// Bits to bits, of one type.
template <class F>
Truth& plain(Truths& truths, const std::string& form, Type type, int sources, const F& f) {
  Truth truth;
  truth.d = truth.dRegister = type;
  truth.sources.assign(static_cast<std::size_t>(sources), type);
  truth.sourceRegisters = truth.sources;
  truth.reference = [f](Lane& lane) { lane.d = f(lane.s[0], lane.s[1]); };
  return truths.add(form, std::move(truth));
}

void signsAndExtremes(Truths& truths) {
  for (const Type type : {Type::f32, Type::f64}) {
    const Format f = formatOf(type);
    const std::string t = std::string(".") + nameOf(type);
    const auto exactly = [&](const std::string& form, int sources, const auto& reference) -> Truth& {
      Truth& truth = plain(truths, form, type, sources, reference);
      if (type == Type::f32) asksEveryBit(truth);
      return truth;
    };
    exactly("copysign" + t, 2, [f](uint64_t a, uint64_t b) { return (a & f.sign()) | (b & (f.sign() - 1)); });
    for (const bool ftz : {false, true}) {
      if (ftz && type == Type::f64) continue;
      const std::string z = ftz ? ".ftz" : "";
      const auto in = [f, ftz](uint64_t v) { return ftz ? flushed(v, f) : v; };
      exactly("neg" + z + t, 1, [=](uint64_t a, uint64_t) { return in(a) ^ f.sign(); });
      exactly("abs" + z + t, 1, [=](uint64_t a, uint64_t) { return in(a) & (f.sign() - 1); });
      for (const bool smaller : {true, false}) {
        for (const bool nan : {false, true}) {
          for (const bool xorsign : {false, true}) {
            if (type == Type::f64 && (nan || xorsign)) continue;
            const Extreme with{smaller, nan, xorsign};
            const std::string name = std::string(smaller ? "min" : "max") + z + (nan ? ".NaN" : "");
            Truth& truth = exactly(name + (xorsign ? ".xorsign.abs" : "") + t, 2,
                                   [=](uint64_t a, uint64_t b) { return extreme(in(a), in(b), f, with); });
            if (xorsign) truth.target = "sm_86";
          }
        }
      }
    }
  }
}

// Approximations: the bound is the one of the PTX ISA, which gives relative errors; 2^-23 is one ulp of 1.
struct Approximation {
  const char* name;
  long double (*f)(long double);
  double ulp, absolute;
  std::vector<uint64_t> values;
};

void approximations(Truths& truths) {
  const std::vector<uint64_t> all = hardValues(Type::f32, 400);
  // Up to 100 pi; beyond, the PTX ISA promises nothing. The tighter bound of [-2 pi, 2 pi] is asked of all of it.
  std::vector<uint64_t> angles, exponents, logarithms = all, steep = all;
  for (uint64_t v : all) {
    const float a = from<float>(v);
    if (!(std::fabs(a) > 314.0f) || std::isinf(a)) angles.push_back(v);
  }
  for (int i = -628; i <= 628; ++i) angles.push_back(to<float>(static_cast<float>(i) * 0.5f));
  exponents = all;
  for (int i = -1520; i <= 1300; ++i) exponents.push_back(to<float>(static_cast<float>(i) * 0.1f));
  for (int i = -200; i <= 200; ++i) logarithms.push_back(to<float>(1.0f + static_cast<float>(i) * 1e-5f));
  for (int i = -200; i <= 200; ++i) steep.push_back(to<float>(static_cast<float>(i) * 0.05f));
  const Approximation list[] = {
      {"rcp", [](long double a) { return 1 / a; }, 1, 0, all},
      {"sqrt", [](long double a) { return std::sqrt(a); }, 1, 0, all},
      {"rsqrt", [](long double a) { return 1 / std::sqrt(a); }, 1, 0, all},
      {"ex2", [](long double a) { return std::exp2(a); }, 2, 0, exponents},
      {"lg2", [](long double a) { return std::log2(a); }, 2, std::exp2(-22.6), logarithms},
      {"sin", [](long double a) { return std::sin(a); }, 0, std::exp2(-20.5), angles},
      {"cos", [](long double a) { return std::cos(a); }, 0, std::exp2(-20.5), angles},
      {"tanh", [](long double a) { return std::tanh(a); }, 4096, 0, steep},
  };
  for (const Approximation& one : list) {
    for (const bool ftz : {false, true}) {
      const std::string name = one.name;
      if (ftz && name == "tanh") continue;
      Truth& truth = plain(truths, name + ".approx" + (ftz ? ".ftz" : "") + ".f32", Type::f32, 1,
                           [f = one.f, ftz](uint64_t a, uint64_t) {
                             const uint64_t d = bitsOf(f(valueOf(ftz ? flushed(a, kF32) : a, kF32)), kF32);
                             return ftz ? flushed(d, kF32) : d;
                           });
      truth.ulp = one.ulp;
      truth.absolute = one.absolute;
      truth.values[0] = one.values;
    }
  }
}

// div.full: 2 ulp everywhere. div.approx: 2 ulp for divisors of 2^-126 to 2^126; above, a zero of the right sign, or
// NaN of an infinity; below, nothing is promised.
void divisions(Truths& truths) {
  const std::vector<uint64_t> all = hardValues(Type::f32, 40);
  for (const bool full : {false, true}) {
    for (const bool ftz : {false, true}) {
      Truth& truth = plain(truths, std::string(full ? "div.full" : "div.approx") + (ftz ? ".ftz" : "") + ".f32",
                           Type::f32, 2, [=](uint64_t a, uint64_t b) {
                             const auto in = [ftz](uint64_t v) { return ftz ? flushed(v, kF32) : v; };
                             const Exact x = decode(in(a), kF32), y = decode(in(b), kF32);
                             uint64_t d = encode(over(x, y), kF32, Round::nearest);
                             const uint64_t size = b & 0x7fffffff;
                             if (!full && size > 0x7e800000 && size < 0x7f800000 && !x.nan)
                               d = x.infinite ? kF32.canonicalNaN() : (a ^ b) & 0x80000000;
                             return in(d);
                           });
      truth.ulp = 2;
      truth.values[0] = all;
      for (uint64_t b : all) {
        if (full || flushed(b, kF32) == b) truth.values[1].push_back(b);
      }
      for (uint64_t b : {0x7e7fffffu, 0x7e800000u, 0x7e800001u, 0xfe800001u}) truth.values[1].push_back(b);
    }
  }
}

// The gross approximations of float64 know the upper words alone, and say nothing of their error; 1.11.20 bits can
// hold it to a unit of the last of 20 bits.
void gross(Truths& truths) {
  const std::vector<uint64_t> values = hardValues(Type::f64, 400);
  for (const bool square : {false, true}) {
    Truth& truth = plain(truths, square ? "rsqrt.approx.ftz.f64" : "rcp.approx.ftz.f64", Type::f64, 1,
                         [square](uint64_t a, uint64_t) {
                           if (kF64.isNaN(a)) return uint64_t{0x7fffffff00000000};
                           const uint64_t upper = flushed(a, kF64) & ~uint64_t{0xffffffff};
                           Exact one;
                           one.m = 1;
                           const Exact x = decode(upper, kF64);
                           // The root of -0 is -0, and its reciprocal is -inf.
                           const uint64_t d = encode(over(one, square ? root(x) : x), kF64, Round::nearest);
                           return kF64.isNaN(d) ? uint64_t{0x7fffffff00000000} : flushed(d, kF64);
                         });
    truth.values[0] = values;
    truth.accept = [](const Lane& lane, uint64_t got) {
      if ((got & 0xffffffff) != 0) return false;
      const int64_t apart = static_cast<int64_t>(got >> 32) - static_cast<int64_t>(lane.d >> 32);
      const bool special = (lane.d & kF64.infinity()) == kF64.infinity() || (lane.d & ~kF64.sign()) == 0;
      return special ? got == lane.d : apart >= -1 && apart <= 1;
    };
  }
  Truth& truth = plain(truths, "rsqrt.approx.f64", Type::f64, 1, [](uint64_t a, uint64_t) {
    Exact one;
    one.m = 1;
    return encode(over(one, root(decode(a, kF64))), kF64, Round::nearest);
  });
  truth.values[0] = values;
  truth.ulp = 2;  // the PTX ISA gives no bound; the libraries count on 2
}

}  // namespace

void addFloatTruths(Truths& truths) {
  arithmetic(truths);
  signsAndExtremes(truths);
  approximations(truths);
  divisions(truths);
  gross(truths);
}

}  // namespace warploom::test
