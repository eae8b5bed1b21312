// Truths of float16 and bfloat16, one and two in a register.
#include "exact.h"

namespace warploom::test {

namespace {

// A form and its x2: the same function for each half.
using OfHalves = std::function<uint64_t(const uint64_t* sources)>;

std::vector<uint64_t> hardValues(const Format& f, std::size_t extra) {
  std::vector<uint64_t> values = edgesOf(f.fraction == 10 ? Type::f16 : Type::bf16);
  // A product halfway between two numbers, of which the least of addends decides: 1.5 times 1 and an ulp.
  values.push_back(f.one() + 1);
  values.push_back(f.one() + (uint64_t{1} << (f.fraction - 1)));
  // Bits without a pattern, with exponents near that of 1; and some of any exponent.
  uint64_t state = 1234567;
  for (std::size_t i = 0; i < extra; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const uint64_t near = static_cast<uint64_t>(f.bias) - 3 + (state >> 33 & 7);
    const uint64_t field = i % 4 == 3 ? state >> 40 & (f.infinity() >> f.fraction) : near;
    values.push_back((state >> 60 & 1) << 15 | field << f.fraction | (state >> 20 & ((uint64_t{1} << f.fraction) - 1)));
  }
  return values;
}

// What differs between the two registers' forms is the packing. The upper half runs through the values in another
// order.
Truth truthOf(const Format& f, bool two, int sources, std::size_t extra, const OfHalves& reference) {
  Truth truth;
  const bool f16 = f.fraction == 10;
  truth.d = truth.dRegister = two ? (f16 ? Type::f16x2 : Type::bf16x2) : (f16 ? Type::f16 : Type::bf16);
  truth.sources.assign(static_cast<std::size_t>(sources), truth.d);
  truth.sourceRegisters = truth.sources;
  const std::vector<uint64_t> values = hardValues(f, extra);
  for (int i = 0; i < sources; ++i) {
    std::vector<uint64_t>& list = truth.values[i];
    for (std::size_t k = 0; k < values.size(); ++k) {
      list.push_back(values[k] | (two ? values[(k * 7 + 3) % values.size()] << 16 : 0));
    }
  }
  truth.reference = [reference, sources, two](Lane& lane) {
    lane.d = 0;
    for (int shift = 0; shift < (two ? 32 : 16); shift += 16) {
      uint64_t s[3] = {0, 0, 0};
      for (int i = 0; i < sources; ++i) s[i] = lane.s[i] >> shift & 0xffff;
      lane.d |= reference(s) << shift;
    }
  };
  return truth;
}

struct Adder {
  Truths& truths;
  Format f;
  std::string t;  // of one
  bool f16;

  Truth* last[2] = {nullptr, nullptr};
  void both(const std::string& name, int sources, std::size_t extra, const char* target, const OfHalves& reference,
            bool exact = true) {
    for (const bool two : {false, true}) {
      Truth truth = truthOf(f, two, sources, extra, reference);
      truth.target = target;
      if (exact) asksEveryBit(truth);
      last[two] = &truths.add(name + t + (two ? "x2" : ""), std::move(truth));
    }
  }
  void arithmetic(const NamedOperation& operation, const std::string& modifiers, const Modifiers& with,
                  const char* target) {
    both(operation.name + modifiers, operation.sources, operation.sources == 3 ? 12 : 60, target,
         [operation, with, f = f](const uint64_t* s) { return computed(f, with, s, operation.sources, operation.f); });
  }
  void approximate(const std::string& name, long double (*function)(long double), bool ftz, double ulp, double absolute,
                   const char* target) {
    both(
        name, 1, 600, target,
        [function, ftz, f = f](const uint64_t* s) {
          const uint64_t d = bitsOf(function(valueOf(ftz ? flushed(s[0], f) : s[0], f)), f);
          return ftz ? flushed(d, f) : d;
        },
        false);
    for (Truth* truth : last) {
      truth->ulp = ulp;
      truth->absolute = absolute;
    }
  }

  void all() {
    // bfloat16 was given fma, neg, abs, min and max first; the rest came with sm_90.
    const char* const later = f16 ? "sm_80" : "sm_90";
    for (const char* rn : {"", ".rn"}) {
      for (const NamedOperation& operation : {kAdd, kSub, kMul}) {
        arithmetic(operation, rn, {}, later);
        if (!f16) continue;
        arithmetic(operation, std::string(rn) + ".sat", {Round::nearest, false, true}, later);
        arithmetic(operation, std::string(rn) + ".ftz", {Round::nearest, true}, later);
        arithmetic(operation, std::string(rn) + ".ftz.sat", {Round::nearest, true, true}, later);
      }
    }
    arithmetic(kFma, ".rn", {}, "sm_80");
    arithmetic(kFma, ".rn.relu", {Round::nearest, false, false, true}, "sm_80");
    if (f16) {
      arithmetic(kFma, ".rn.sat", {Round::nearest, false, true}, "sm_80");
      arithmetic(kFma, ".rn.ftz", {Round::nearest, true}, "sm_80");
      arithmetic(kFma, ".rn.ftz.sat", {Round::nearest, true, true}, "sm_80");
      arithmetic(kFma, ".rn.ftz.relu", {Round::nearest, true, false, true}, "sm_80");
    }
    for (const bool ftz : {false, true}) {
      if (ftz && !f16) continue;
      const std::string z = ftz ? ".ftz" : "";
      const auto in = [f = f, ftz](uint64_t v) { return ftz ? flushed(v, f) : v; };
      both("neg" + z, 1, 600, "sm_80", [=](const uint64_t* s) { return in(s[0]) ^ 0x8000; });
      both("abs" + z, 1, 600, "sm_80", [=](const uint64_t* s) { return in(s[0]) & 0x7fff; });
      for (const bool smaller : {true, false}) {
        for (const bool nan : {false, true}) {
          for (const bool xorsign : {false, true}) {
            const Extreme with{smaller, nan, xorsign};
            both((smaller ? "min" : "max") + z + (nan ? ".NaN" : "") + (xorsign ? ".xorsign.abs" : ""), 2, 60,
                 xorsign ? "sm_86" : "sm_80",
                 [=, f = f](const uint64_t* s) { return extreme(in(s[0]), in(s[1]), f, with); });
          }
        }
      }
    }
    // The bounds of the PTX ISA: relative 2^-9.9 and 2^-7 for ex2, absolute 2^-10.987 and 2^-8 for tanh.
    approximate(
        f16 ? "ex2.approx" : "ex2.approx.ftz", [](long double a) { return std::exp2(a); }, !f16, 1, 0, later);
    approximate(
        "tanh.approx", [](long double a) { return std::tanh(a); }, false, 0, f16 ? std::exp2(-10.987) : std::exp2(-8),
        later);
  }
};

}  // namespace

void addHalfTruths(Truths& truths) {
  Adder{truths, kF16, ".f16", true}.all();
  Adder{truths, kBF16, ".bf16", false}.all();
}

}  // namespace warploom::test
