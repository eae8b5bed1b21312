// GELU, exact and by tanh, and their derivatives, of vectors: for the elementwise ops and for matmul's epilogue, which
// so have the same bits. Included after simd.h, once inside each instruction-set region. x * 0.5 * (1 + erf(...))
// cancels for negative x; here both tails keep their relative accuracy: only e^-|...| is formed, and its argument has
// twice the digits of float32, since an error in it is multiplied by its size. The two functions, not their
// derivatives, are within 4 ulp; functions_test.cc proves it.

constexpr double kInvSqrt2 = 0.70710678118654752440;
constexpr double kInvSqrt2Pi = 0.39894228040143267794;
constexpr double kSqrt8OverPi = 1.59576912160573071176;  // 2 sqrt(2 / pi)
constexpr double kCubic = 0.044715;

// A gelu of infinity is infinity, of -infinity NaN (0 times infinity), as in PyTorch.
WL_INLINE vfloat vgeluLimit(vfloat x, vfloat result) { return vabs(x) < __builtin_inff() ? result : x + vabs(x); }

// ---- exact: x times the normal distribution function ----

// e^(-a^2 / 2) for 0 <= a <= 15.
WL_INLINE Exponential vgaussianParts(vfloat a) {
  const vfloat square = a * a;
  return vexpParts(square * -0.5f, vfmaExact(a, a, -square) * -0.5f);
}
WL_INLINE vfloat vgaussian(vfloat a) {
  const Exponential e = vgaussianParts(a);
  return vscale2(e.mantissa(), e.n);
}
WL_INLINE vdouble vgaussian(vdouble x) { return vexp(x * x * -0.5); }

// m(a) = erfcx(a / sqrt 2) / 2 for 0 <= a <= 15, so that the upper normal tail is e^(-a^2 / 2) m(a). A polynomial in
// t = (a - 4) / (a + 4) times 1 - t. Corrected: what a + 4 and t lose by rounding is put right by the slope
// m' = a m - 1 / sqrt(2 pi), as is the last rounding of the polynomial.
template <bool kCorrected>
WL_INLINE vfloat vmills(vfloat a) {
  const vfloat u = a + 4.0f, v = u - 8.0f;
  const vfloat t = v / u;
  vfloat p = vset(-0x1.00e87p-16f);
  p = vfma(p, t, vset(0x1.a532bep-16f));
  p = vfma(p, t, vset(0x1.9c6488p-13f));
  p = vfma(p, t, vset(-0x1.ceb4fp-12f));
  p = vfma(p, t, vset(-0x1.ed86acp-11f));
  p = vfma(p, t, vset(0x1.eedeb6p-8f));
  p = vfma(p, t, vset(-0x1.7dff6cp-6f));
  p = vfma(p, t, vset(0x1.8c6d7ap-5f));
  p = vfma(p, t, vset(-0x1.373e3ap-4f));
  const vfloat whole = vfma(p, t, vset(0x1.82b4bcp-4f)), rest = 1.0f - t;
  const vfloat m = whole * rest;
  if (!kCorrected) return m;
  const vfloat low = vfmaExact(p, t, 0x1.82b4bcp-4f - whole);
  const vfloat lost = vfma(vfmaExact(-t, u, v), u * 0.125f, a - (u - 4.0f));  // da = u^2 / 8 dt
  const vfloat slope = vfma(a, m, vset(static_cast<float>(-kInvSqrt2Pi)));
  return vfma(lost, slope, low * rest) + m;
}

// The normal distribution function at x, with e = vgaussian(|x|) already there.
WL_INLINE vfloat vnormalCdf(vfloat x, vfloat a, vfloat e) {
  const vfloat tail =
      e * vmills<false>(a);  // a derivative is a sum of two terms, which may cancel: more digits would be lost
  return x < 0.0f ? tail : 1.0f - tail;
}
WL_INLINE vdouble vnormalCdf(vdouble x) { return 0.5 * verfc(x * -kInvSqrt2); }

struct Gelu {
  static constexpr bool kMask = false;
  WL_INLINE static vfloat apply(vfloat x) {
    const vfloat bounded = vatMost(vatLeast(x, -15.0f), 15.0f);  // where the tail is 0
    const vfloat a = vabs(bounded);
    const Exponential e = vgaussianParts(a);
    // The power of 2 comes last, as the result may be subnormal.
    const vfloat tail = vscale2(vfma(bounded, e.q, bounded) * vmills<true>(a), e.n);
    // For x > 0 this is x minus a smaller number: no accuracy is lost.
    return vgeluLimit(x, x > 0.0f ? x - tail : tail);
  }
  WL_INLINE static vdouble apply(vdouble x) { return x * vnormalCdf(x); }
};

// g times the derivative, the distribution function plus x times its density.
struct GeluBackward {
  static constexpr bool kMask = false;
  WL_INLINE static vfloat apply(vfloat g, vfloat x) {
    const vfloat bounded = vatMost(vatLeast(x, -15.0f), 15.0f);
    const vfloat a = vabs(bounded), e = vgaussian(a);
    return g * (vnormalCdf(x, a, e) + bounded * e * static_cast<float>(kInvSqrt2Pi));
  }
  WL_INLINE static vdouble apply(vdouble g, vdouble x) { return g * (vnormalCdf(x) + x * vgaussian(x) * kInvSqrt2Pi); }
};

// ---- by tanh: x / (1 + e^-v) with v = 2 sqrt(2 / pi) (x + 0.044715 x^3) ----

// e^-|v| for 0 <= a = |x| <= 10.9, as a power of 2: its exponent is -a (linear + cubic a^2).
WL_INLINE Exponential vtanhParts(vfloat a) {
  constexpr double kLinear = kSqrt8OverPi * 1.44269504088896340736, kCubed = kLinear * kCubic;
  // A multiple of 2^-20, so that `kHigh - factor` is exact: factor lies below 16, where neighbours lie 2^-20 apart.
  constexpr float kHigh = static_cast<float>(static_cast<int>(kLinear * 0x1p20)) * 0x1p-20f;
  constexpr float kCubedHigh = static_cast<float>(kCubed);
  const vfloat square = a * a, squareLow = vfmaExact(a, a, -square);
  const vfloat factor = vfma(vset(kCubedHigh), square, vset(kHigh));
  vfloat low = vfma(vset(kCubedHigh), squareLow, vset(static_cast<float>(kLinear - kHigh)));
  low = vfma(vset(static_cast<float>(kCubed - kCubedHigh)), square, low);
  low = vfmaExact(vset(kCubedHigh), square, kHigh - factor) + low;
  const vfloat exponent = -a * factor;
  return vexp2Parts(exponent, vfma(-a, low, vfmaExact(-a, factor, -exponent)));
}
WL_INLINE vdouble vtanhExp(vdouble x) { return vexp(vabs(x) * -(kSqrt8OverPi + kSqrt8OverPi * kCubic * x * x)); }

struct GeluTanh {
  static constexpr bool kMask = false;
  WL_INLINE static vfloat apply(vfloat x) {
    const vfloat bounded = vatMost(vatLeast(x, -10.9f), 10.9f);  // where e^-|v| is 0
    const Exponential e = vtanhParts(vabs(bounded));
    // The power of 2 comes last, as the result may be subnormal.
    const auto positive = x > 0.0f;
    const vfloat over = positive ? x : vfma(bounded, e.q, bounded);
    const vfloat quotient = vdivideByOnePlus(over, vscale2(e.mantissa(), e.n));
    return vgeluLimit(x, vscale2(quotient, positive ? vfloat{} : e.n));
  }
  WL_INLINE static vdouble apply(vdouble x) {
    const vdouble e = vtanhExp(x);
    return x * ((x < 0 ? e : vset(1.0)) / (1 + e));
  }
};

struct GeluTanhBackward {
  static constexpr bool kMask = false;
  WL_INLINE static vfloat apply(vfloat g, vfloat x) {
    const vfloat bounded = vatMost(vatLeast(x, -10.9f), 10.9f);
    const Exponential parts = vtanhParts(vabs(bounded));
    const vfloat e = vscale2(parts.mantissa(), parts.n);
    return slope(g, x, bounded, e);
  }
  WL_INLINE static vdouble apply(vdouble g, vdouble x) {
    // Far out e is 0 while x^3 overflows; bounded, the product is the 0 that it tends to.
    return slope(g, x, vmin(vmax(x, vset(-100.0)), vset(100.0)), vtanhExp(x));
  }

 private:
  template <class V>
  WL_INLINE static V slope(V g, V x, V bounded, V e) {
    using T = std::remove_cv_t<std::remove_reference_t<decltype(x[0])> >;
    const V one = V{} + 1;
    const V inverse = one / (one + e);
    const V s = (x < 0 ? e : one) * inverse;
    const V dv = static_cast<T>(kSqrt8OverPi) + static_cast<T>(3 * kSqrt8OverPi * kCubic) * bounded * bounded;
    return g * (s + bounded * dv * (e * inverse * inverse));
  }
};
