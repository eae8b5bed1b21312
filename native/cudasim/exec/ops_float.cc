// float32 and float64 arithmetic. The approximate functions are computed in double and rounded once: closer than the
// hardware's, so tests must leave the documented errors room.
#include "cudasim/exec/floats.h"
#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

// One type a function, so that each handler is one instantiation.
struct Add {
  template <class T>
  static T f(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static T f(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static T f(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  static T f(T a, T b) {
    return a / b;
  }
};
struct Fma {
  static float f(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static double f(double a, double b, double c) { return __builtin_fma(a, b, c); }
};
struct Rcp {
  template <class T>
  static T f(T a) {
    return T(1) / a;
  }
};
struct Sqrt {
  static float f(float a) { return __builtin_sqrtf(a); }
  static double f(double a) { return __builtin_sqrt(a); }
};
// Beside a NaN the other operand wins, unless NaN is asked for; -0 is less than +0. xorsign.abs: of the magnitudes,
// with the product's sign.
template <bool kSmaller, bool kNaN = false, bool kXorsign = false>
struct Extreme {
  template <class T>
  static T f(T a, T b) {
    if constexpr (kXorsign) {
      const T sign = __builtin_copysign(T(1), a) * __builtin_copysign(T(1), b);
      const T r = Extreme<kSmaller, kNaN>::f(T(__builtin_fabs(a)), T(__builtin_fabs(b)));
      return r != r ? r : T(__builtin_copysign(r, sign));
    }
    if (kNaN ? a != a || b != b : a != a && b != b) return T(bitsToFloat(0x7fffffff));
    if (a != a) return b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) == kSmaller ? a : b;
    return (a < b) == kSmaller ? a : b;
  }
};
struct CopySign {
  static float f(float a, float b) { return __builtin_copysignf(b, a); }
  static double f(double a, double b) { return __builtin_copysign(b, a); }
};
struct Neg {
  template <class T>
  static T f(T a) {
    return -a;
  }
};
struct Abs {
  static float f(float a) { return __builtin_fabsf(a); }
  static double f(double a) { return __builtin_fabs(a); }
};
struct Rsqrt {
  template <class T>
  static T f(T a) {
    return static_cast<T>(1.0 / std::sqrt(static_cast<double>(a)));
  }
};
struct Ex2 {
  static float f(float a) { return static_cast<float>(std::exp2(static_cast<double>(a))); }
};
struct Lg2 {
  static float f(float a) { return static_cast<float>(std::log2(static_cast<double>(a))); }
};
struct Sin {
  static float f(float a) { return static_cast<float>(std::sin(static_cast<double>(a))); }
};
struct Cos {
  static float f(float a) { return static_cast<float>(std::cos(static_cast<double>(a))); }
};
struct Tanh {
  static float f(float a) { return static_cast<float>(std::tanh(static_cast<double>(a))); }
};
// The fast division gives 0 for divisors above 2^126, where its reciprocal is flushed.
struct DivApprox {
  static float f(float a, float b) {
    const float size = __builtin_fabsf(b);
    if (size > 0x1p126f && size <= 0x1.fffffep127f && a == a)
      return std::isinf(a) ? bitsToFloat(0x7fffffff) : __builtin_copysignf(0, a) * __builtin_copysignf(1, b);
    return a / b;
  }
};

// The gross approximations know the upper word of a double and give one: code that does not refine them is seen.
inline double upperWord(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  const uint64_t exponent = bits & 0x7ff0000000000000u;
  if (value != value) bits = 0x7fffffff00000000u;
  bits &= exponent == 0 ? 0x8000000000000000u : 0xffffffff00000000u;
  std::memcpy(&value, &bits, 8);
  return value;
}
template <class Op>
struct Gross {
  static double f(double a) { return upperWord(Op::f(upperWord(a))); }
};

// What moves signs about leaves NaN as they are.
template <class Op>
constexpr bool kMovesSigns = std::is_same_v<Op, Neg> || std::is_same_v<Op, Abs> || std::is_same_v<Op, CopySign>;

template <class Op, bool F, bool S, class... T>
inline auto result(T... operands) {
  const auto value = flush<F>(Op::f(flush<F>(operands)...));
  if constexpr (S) return saturate<S>(value);
  if constexpr (kMovesSigns<Op>) return value;
  return canonical(value);
}

template <class T, class Op, Rounding R, bool F, bool S>
void unary(Warp& w, const Instruction& in, uint32_t mask) {
  const auto work = [&] { map1<T, T>(w, in, mask, [](T a) { return result<Op, F, S>(a); }); };
  if constexpr (R == Rounding::nearest) {
    work();
  } else {
    const RoundingScope scope(R);
    work();
  }
}
template <class T, class Op, Rounding R, bool F, bool S>
void binary(Warp& w, const Instruction& in, uint32_t mask) {
  const auto work = [&] { map2<T, T, T>(w, in, mask, [](T a, T b) { return result<Op, F, S>(a, b); }); };
  if constexpr (R == Rounding::nearest) {
    work();
  } else {
    const RoundingScope scope(R);
    work();
  }
}
template <class T, class Op, Rounding R, bool F, bool S>
void ternary(Warp& w, const Instruction& in, uint32_t mask) {
  const auto work = [&] { map3<T, T, T, T>(w, in, mask, [](T a, T b, T c) { return result<Op, F, S>(a, b, c); }); };
  if constexpr (R == Rounding::nearest) {
    work();
  } else {
    const RoundingScope scope(R);
    work();
  }
}

template <class T>
void testp(Warp& w, const Instruction& in, uint32_t mask) {
  map1<uint32_t, T>(w, in, mask, [mode = in.mode](T a) {
    const int kind = std::fpclassify(a);
    bool is = false;
    switch (mode) {
      case 0:
        is = kind != FP_NAN && kind != FP_INFINITE;
        break;
      case 1:
        is = kind == FP_INFINITE;
        break;
      case 2:
        is = kind != FP_NAN;
        break;
      case 3:
        is = kind == FP_NAN;
        break;
      case 4:
        is = kind == FP_NORMAL || kind == FP_ZERO;
        break;
      default:
        is = kind == FP_SUBNORMAL;
        break;
    }
    return is ? 0xffffffffu : 0u;
  });
}

template <class Op>
struct Shapes {
  template <class T, Rounding R, bool F, bool S>
  static Handler one() {
    return &unary<T, Op, R, F, S>;
  }
  template <class T, Rounding R, bool F, bool S>
  static Handler two() {
    return &binary<T, Op, R, F, S>;
  }
  template <class T, Rounding R, bool F, bool S>
  static Handler three() {
    return &ternary<T, Op, R, F, S>;
  }
  template <int N, class T, Rounding R, bool F, bool S>
  static Handler of() {
    if constexpr (N == 1) return one<T, R, F, S>();
    if constexpr (N == 2) return two<T, R, F, S>();
    if constexpr (N == 3) return three<T, R, F, S>();
  }
};
const char* signature(int n, bool wide) {
  static const char* const narrow[] = {"", "D4A4", "D4A4B4", "D4A4B4C4"};
  static const char* const large[] = {"", "D8A8", "D8A8B8", "D8A8B8C8"};
  return wide ? large[n] : narrow[n];
}

template <class Op, int N, Rounding R>
void addRounded(FormTable& table, const std::string& name, const std::string& r, bool saturates, uint8_t flops) {
  using H = Shapes<Op>;
  const char* s = signature(N, false);
  table.add(name + r + ".f32", s, H::template of<N, float, R, false, false>(), Class::float32, flops);
  table.add(name + r + ".ftz.f32", s, H::template of<N, float, R, true, false>(), Class::float32, flops);
  if (saturates) {
    table.add(name + r + ".sat.f32", s, H::template of<N, float, R, false, true>(), Class::float32, flops);
    table.add(name + r + ".ftz.sat.f32", s, H::template of<N, float, R, true, true>(), Class::float32, flops);
  }
  table.add(name + r + ".f64", signature(N, true), H::template of<N, double, R, false, false>(), Class::float64, flops);
}
template <class Op, int N>
void addAllRoundings(FormTable& table, const std::string& name, bool saturates, bool bare, uint8_t flops) {
  addRounded<Op, N, Rounding::nearest>(table, name, ".rn", saturates, flops);
  addRounded<Op, N, Rounding::zero>(table, name, ".rz", saturates, flops);
  addRounded<Op, N, Rounding::down>(table, name, ".rm", saturates, flops);
  addRounded<Op, N, Rounding::up>(table, name, ".rp", saturates, flops);
  if (bare) addRounded<Op, N, Rounding::nearest>(table, name, "", saturates, flops);
}
template <class Op, int N>
void addSimple(FormTable& table, const std::string& name, bool ftz, uint8_t flops) {
  using H = Shapes<Op>;
  const std::string base = name.substr(0, name.find('|')),
                    rest = name.find('|') == std::string::npos ? "" : name.substr(name.find('|') + 1);
  table.add(base + rest + ".f32", signature(N, false), H::template of<N, float, Rounding::nearest, false, false>(),
            Class::float32, flops);
  if (ftz)
    table.add(base + ".ftz" + rest + ".f32", signature(N, false),
              H::template of<N, float, Rounding::nearest, true, false>(), Class::float32, flops);
}

}  // namespace

void addFloatForms(FormTable& table) {
  addAllRoundings<Add, 2>(table, "add", true, true, 1);
  addAllRoundings<Sub, 2>(table, "sub", true, true, 1);
  addAllRoundings<Mul, 2>(table, "mul", true, true, 1);
  addAllRoundings<Fma, 3>(table, "fma", true, false, 2);
  addAllRoundings<Fma, 3>(table, "mad", true, false, 2);
  addAllRoundings<Div, 2>(table, "div", false, false, 1);
  addAllRoundings<Rcp, 1>(table, "rcp", false, false, 1);
  addAllRoundings<Sqrt, 1>(table, "sqrt", false, false, 1);
  addSimple<Extreme<true>, 2>(table, "min", true, 1);
  addSimple<Extreme<false>, 2>(table, "max", true, 1);
  addSimple<Extreme<true, true>, 2>(table, "min|.NaN", true, 1);
  addSimple<Extreme<false, true>, 2>(table, "max|.NaN", true, 1);
  addSimple<Extreme<true, false, true>, 2>(table, "min|.xorsign.abs", true, 1);
  addSimple<Extreme<false, false, true>, 2>(table, "max|.xorsign.abs", true, 1);
  addSimple<Extreme<true, true, true>, 2>(table, "min|.NaN.xorsign.abs", true, 1);
  addSimple<Extreme<false, true, true>, 2>(table, "max|.NaN.xorsign.abs", true, 1);
  addSimple<Neg, 1>(table, "neg", true, 0);
  addSimple<Abs, 1>(table, "abs", true, 0);
  addSimple<CopySign, 2>(table, "copysign", false, 0);
  addSimple<DivApprox, 2>(table, "div.approx", true, 1);
  addSimple<Div, 2>(table, "div.full", true, 1);
  addSimple<Rcp, 1>(table, "rcp.approx", true, 1);
  addSimple<Sqrt, 1>(table, "sqrt.approx", true, 1);
  addSimple<Rsqrt, 1>(table, "rsqrt.approx", true, 1);
  addSimple<Ex2, 1>(table, "ex2.approx", true, 1);
  addSimple<Lg2, 1>(table, "lg2.approx", true, 1);
  addSimple<Sin, 1>(table, "sin.approx", true, 1);
  addSimple<Cos, 1>(table, "cos.approx", true, 1);
  addSimple<Tanh, 1>(table, "tanh.approx", false, 1);
  table.add("min.f64", "D8A8B8", &binary<double, Extreme<true>, Rounding::nearest, false, false>, Class::float64, 1);
  table.add("max.f64", "D8A8B8", &binary<double, Extreme<false>, Rounding::nearest, false, false>, Class::float64, 1);
  table.add("neg.f64", "D8A8", &unary<double, Neg, Rounding::nearest, false, false>, Class::float64);
  table.add("abs.f64", "D8A8", &unary<double, Abs, Rounding::nearest, false, false>, Class::float64);
  table.add("copysign.f64", "D8A8B8", &binary<double, CopySign, Rounding::nearest, false, false>, Class::float64);
  table.add("rcp.approx.ftz.f64", "D8A8", &unary<double, Gross<Rcp>, Rounding::nearest, false, false>, Class::float64,
            1);
  table.add("rsqrt.approx.f64", "D8A8", &unary<double, Rsqrt, Rounding::nearest, false, false>, Class::float64, 1);
  table.add("rsqrt.approx.ftz.f64", "D8A8", &unary<double, Gross<Rsqrt>, Rounding::nearest, false, false>,
            Class::float64, 1);
  const char* tests[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  for (int i = 0; i < 6; ++i) {
    table.addMode(std::string("testp.") + tests[i] + ".f32", "D1A4", &testp<float>, i, Class::float32);
    table.addMode(std::string("testp.") + tests[i] + ".f64", "D1A8", &testp<double>, i, Class::float32);
  }
}

}  // namespace warploom::cudasim
