// CUDA's functions of mathematics, as nvcc compiles them with and without fast mathematics, against libm in long double
// within the errors that CUDA's programming guide states. Without nvcc there is nothing to run.
#include <algorithm>

#include "sim.h"
#include "truth/exact.h"

using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {

using Long = long double;
const Long kPi = 3.141592653589793238462643383279502884L;

// What libm does not have. Each by a way of its own: series, Newton's iteration.
namespace reference {
using std::acos, std::acosh, std::asin, std::asinh, std::atan, std::atan2, std::atanh, std::cbrt, std::ceil,
    std::copysign, std::cos, std::cosh, std::erf, std::erfc, std::exp, std::exp2, std::expm1, std::fabs, std::fdim,
    std::floor, std::fma, std::fmax, std::fmin, std::fmod, std::hypot, std::lgamma, std::log, std::log10, std::log1p,
    std::log2, std::logb, std::pow, std::remainder, std::rint, std::round, std::sin, std::sinh, std::sqrt, std::tan,
    std::tanh, std::tgamma, std::trunc;
Long rsqrt(Long a) { return 1 / std::sqrt(a); }
Long rcbrt(Long a) { return 1 / std::cbrt(a); }
Long reciprocal(Long a) { return 1 / a; }
Long exp10(Long a) { return std::pow(Long(10), a); }
Long sinpi(Long a) { return std::isinf(a) ? NAN : std::sin(kPi * std::remainder(a, Long(2))); }
Long cospi(Long a) { return std::isinf(a) ? NAN : std::sin(kPi * (Long(0.5) - std::fabs(std::remainder(a, Long(2))))); }
Long erfcx(Long a) {
  if (a < 20) return std::exp(a * a) * std::erfc(a);
  Long tail = a;  // the continued fraction
  for (int k = 60; k > 0; --k) tail = a + k / Long(2) / tail;
  return 1 / (std::sqrt(kPi) * tail);
}
Long erfcinv(Long a) {
  if (!(a >= 0 && a <= 2)) return NAN;
  if (a == 0 || a == 2) return a == 0 ? INFINITY : -INFINITY;
  Long low = -10, high = 110;
  for (int i = 0; i < 200; ++i) {
    const Long middle = (low + high) / 2;
    (std::erfc(middle) > a ? low : high) = middle;
  }
  return low;
}
Long erfinv(Long a) {
  if (a < -1 || a > 1 || a != a) return NAN;
  if (a == 1 || a == -1) return a * INFINITY;
  Long low = -10, high = 10;
  for (int i = 0; i < 200; ++i) {
    const Long middle = (low + high) / 2;
    (std::erf(middle) < a ? low : high) = middle;
  }
  return a == 0 ? a : low;
}
Long normcdf(Long a) { return std::erfc(-a / std::sqrt(Long(2))) / 2; }
Long normcdfinv(Long a) { return -std::sqrt(Long(2)) * erfcinv(2 * a); }
Long besselSeries(Long a, int order) {
  if (std::isinf(a)) return order == 0 ? INFINITY : a;
  Long term = order == 0 ? 1 : a / 2, sum = term;
  for (int k = 1; k < 200; ++k) sum += term *= a * a / 4 / (Long(k) * (k + order));
  return sum;
}
Long i0(Long a) { return besselSeries(a, 0); }
Long i1(Long a) { return besselSeries(a, 1); }
Long fractionOf(Long a) {
  int exponent;
  return std::frexp(a, &exponent);
}
Long exponentOf(Long a) {
  int exponent;
  std::frexp(a, &exponent);
  return exponent + std::ilogb(a);
}
Long afterPoint(Long a) { return std::isinf(a) ? std::copysign(Long(0), a) : std::copysign(a - std::trunc(a), a); }
Long rhypot(Long a, Long b) { return 1 / std::hypot(a, b); }
Long quotient(Long a, Long b) { return a / b; }
Long scaled(Long a, Long b) { return std::ldexp(a, static_cast<int>(b) + 3); }
Long norm3d(Long a, Long b, Long c) { return std::sqrt(a * a + b * b + c * c); }
Long rnorm3d(Long a, Long b, Long c) { return 1 / norm3d(a, b, c); }
}  // namespace reference

std::string ptx(const std::string& name) { return readText(std::string(WARPLOOM_SIM_PTX) + "/" + name + ".ptx"); }

// Half the arguments spread evenly, half over the exponents of the interval.
template <class T>
std::vector<T> arguments(double low, double high, uint32_t seed) {
  std::vector<T> values;
  const double least = std::max(low > 0 ? low : 1e-20, 1e-36), most = std::max(std::fabs(low), std::fabs(high));
  for (int i = 0; i < 2048; ++i) {
    seed = seed * 1664525u + 1013904223u;
    const double part = seed / 4294967296.0;
    double v = low + (high - low) * part;
    if (i % 2 != 0) {
      v = std::exp(std::log(least) + part * std::log(most / least));
      if (low < 0 && i % 4 == 1) v = -v;
    }
    values.push_back(static_cast<T>(std::min(std::max(v, low), high)));
  }
  return values;
}

using Reference = std::function<Long(Long, Long, Long)>;
struct Function {
  std::string name;
  int arguments;
  double low, high, ulp[2];
  Reference f;
};
const std::vector<Function>& functions() {
  static const std::vector<Function> all = {
#define UNARY(name, f, low, high, single, twice) \
  {#name, 1, low, high, {single, twice}, [](Long a, Long, Long) { return Long(reference::f(a)); }},
#define BINARY(name, f, low, high, single, twice) \
  {#name, 2, low, high, {single, twice}, [](Long a, Long b, Long) { return Long(reference::f(a, b)); }},
#define TERNARY(name, f, low, high, single, twice) \
  {#name, 3, low, high, {single, twice}, [](Long a, Long b, Long c) { return Long(reference::f(a, b, c)); }},
#include "kernels/math_functions.def"
  };
  return all;
}

// `error`: in ulp of T; and what an absolute error may be.
template <class T>
void compare(Sim& sim, const Function& function, double ulp, double absolute, double low, double high) {
  const Format& format = sizeof(T) == 4 ? kF32 : kF64;
  std::vector<T> s[3];
  for (uint32_t i = 0; i < 3; ++i) s[i] = arguments<T>(low, high, 17 + i);
  if (function.arguments == 1) {
    for (T special : {T(0), T(-0.0), std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN()}) {
      // Integers have no infinity, and their like of logb's.
      if (function.name.find("Long") != std::string::npos || function.name == "exponentOf") break;
      for (auto& list : s) list.push_back(special);
    }
  }
  const uint32_t n = static_cast<uint32_t>(s[0].size());
  const uint64_t a = sim.put(s[0]), b = sim.put(s[1]), c = sim.put(s[2]), d = sim.room(n * sizeof(T));
  const std::string name = function.name + (sizeof(T) == 4 ? "_f32" : "_f64");
  sim.clean(name, {(n + 127) / 128}, {128}, 0, a, b, c, d, static_cast<int>(n));
  const std::vector<T> results = sim.get<T>(d, n);
  int wrong = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const Long exact = function.f(s[0][i], s[1][i], s[2][i]);
    const T wanted = from<T>(bitsOf(exact, format)), got = results[i];
    if (got == wanted || (std::isnan(got) && std::isnan(wanted))) continue;
    // The guide counts from the result that is rounded right.
    const T unit = std::nextafter(std::fabs(wanted), std::numeric_limits<T>::infinity()) - std::fabs(wanted);
    const Long apart = std::fabs(static_cast<Long>(got) - static_cast<Long>(wanted));
    // libm's long double rounds too, which shows where a result lies halfway.
    const bool tie = std::fabs(static_cast<Long>(got) - exact) <= 0.5005L * unit;
    if (apart <= absolute || apart <= static_cast<Long>(ulp) * unit || tie) continue;
    if (++wrong > 1) continue;
    char what[256];
    std::snprintf(what, sizeof(what), "%s(%.17g, %.17g, %.17g) = %.17g, expected %.17Lg: %.2Lf ulp", name.c_str(),
                  static_cast<double>(s[0][i]), static_cast<double>(s[1][i]), static_cast<double>(s[2][i]),
                  static_cast<double>(got), exact, apart / static_cast<Long>(unit));
    failed("math", 0, what);
  }
}

struct Half {
  const char* name;
  Long (*f)(Long);
  int ulp;
};
const Half kHalves[] = {
#define HALF(name, f, ulp) {#name, [](Long a) { return Long(reference::f(a)); }, ulp},
#include "kernels/half_functions.def"
};

void compareHalf(Sim& sim, const Half& function, const Format& format, const std::string& name) {
  std::vector<uint16_t> all(65536);
  for (uint32_t i = 0; i < 65536; ++i) all[i] = static_cast<uint16_t>(i);
  const uint64_t a = sim.put(all), d = sim.room(4 * all.size());
  sim.clean(name, {512}, {128}, 0, a, a, a, d, 65536);
  const std::vector<uint32_t> results = sim.get<uint32_t>(d, all.size());
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint64_t wanted = bitsOf(function.f(valueOf(i, format)), format);
    for (const uint64_t got : {results[i] & 0xffffu, results[i] >> 16}) {
      if (got == wanted || (format.isNaN(got) && format.isNaN(wanted))) continue;
      // The bits of neighbours of one sign are neighbours.
      const int64_t apart = static_cast<int64_t>(got) - static_cast<int64_t>(wanted);
      if (((got ^ wanted) & 0x8000) == 0 && !format.isNaN(got) && std::abs(apart) <= function.ulp) continue;
      char what[160];
      std::snprintf(what, sizeof(what), "%s(%x) = %x, expected %x", name.c_str(), i, static_cast<unsigned>(got),
                    static_cast<unsigned>(wanted));
      failed("math", 0, what);
      return;
    }
  }
}

}  // namespace

TEST(functions_are_as_exact_as_documented) {
  Sim sim(ptx("math"));
  for (const Function& function : functions()) {
    compare<float>(sim, function, function.ulp[0], 0, function.low, function.high);
    compare<double>(sim, function, function.ulp[1], 0, function.low, function.high);
  }
}

// What -use_fast_math replaces, within the errors of the intrinsics; the rest of float only loses its subnormals, and
// double nothing.
TEST(fast_functions_are_as_exact_as_documented) {
  struct Fast {
    const char* name;
    double low, high, ulp, absolute;
  };
  const double pi = 3.14159;
  const Fast fast[] = {{"sin", -pi, pi, 0, std::exp2(-21.41)},
                       {"cos", -pi, pi, 0, std::exp2(-21.19)},
                       {"sinOfBoth", -pi, pi, 0, std::exp2(-21.41)},
                       {"cosOfBoth", -pi, pi, 0, std::exp2(-21.19)},
                       {"tan", -1, 1, 8, 0},
                       {"exp", -10, 10, 2 + 11, 0},
                       {"exp10", -5, 5, 2 + 14, 0},
                       {"log", 2, 1e30, 3, 0},
                       {"log2", 2, 1e30, 2, 0},
                       {"log10", 2, 1e30, 3, 0},
                       {"log", 0.5, 2, 0, std::exp2(-21.41)},
                       {"log2", 0.5, 2, 0, std::exp2(-22)},
                       {"log10", 0.5, 2, 0, std::exp2(-24)},
                       {"pow", 0.5, 4, 32, 0},
                       {"tanh", -12, 12, 4096, 0},
                       {"reciprocal", -1e10, 1e10, 1, 0},
                       {"sqrt", 1e-30, 1e30, 2, 0},
                       {"quotient", -1e5, 1e5, 2, 0}};
  Sim sim(ptx("math_fast"));
  for (const Function& function : functions()) {
    bool known = false;
    for (const Fast& one : fast) {
      if (function.name != one.name) continue;
      known = true;
      compare<float>(sim, function, one.ulp, one.absolute, one.low, one.high);
    }
    // What ends near the subnormals, or is built of approximate quotients, has no stated error.
    const double single = function.ulp[0] == 0 ? 0 : function.ulp[0] + 4;
    if (!known) compare<float>(sim, function, single, 1.2e-38, function.low, function.high);
    compare<double>(sim, function, function.ulp[1], 0, function.low, function.high);
  }
}

TEST(functions_of_halves) {
  for (const char* file : {"math", "math_fast"}) {
    Note note(file);
    Sim sim(ptx(file));
    for (const Half& function : kHalves) {
      compareHalf(sim, function, kF16, std::string("h") + function.name + "_f16");
      compareHalf(sim, function, kBF16, std::string("h") + function.name + "_bf16");
    }
  }
}

#endif
