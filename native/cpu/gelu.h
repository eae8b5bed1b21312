// GELU, exact and by tanh, of vectors: for the elementwise ops and for matmul's epilogue, which so have the same bits.
// Included after simd.h, once inside each instruction-set region. x * 0.5 * (1 + erf(...)) cancels for negative x; here
// both tails keep their relative accuracy: only e^-|...| is formed, and its argument is computed in float64, since an
// error in it is multiplied by its size.

constexpr double kInvSqrt2 = 0.70710678118654752440;
constexpr double kInvSqrt2Pi = 0.39894228040143267794;
constexpr double kSqrt8OverPi = 1.59576912160573071176;  // 2 sqrt(2 / pi)
constexpr double kCubic = 0.044715;

// e^v in float32 of a float64 argument v <= 0.
WL_INLINE vfloat vexpWide(vdouble low, vdouble high) {
  const vdouble least = vset(-120.0);  // e^-120 is 0 in float32
  low = vmax(low, least);
  high = vmax(high, least);
  const vfloat v = vnarrow(low, high);
  return vexpSum(v, vnarrow(low - vwidenLow(v), high - vwidenHigh(v)));
}

WL_INLINE vfloat vgaussian(vfloat x) {  // e^(-x^2 / 2)
  const vdouble low = vwidenLow(x), high = vwidenHigh(x);
  return vexpWide(low * low * -0.5, high * high * -0.5);
}
WL_INLINE vdouble vgaussian(vdouble x) { return vexp(x * x * -0.5); }

// erfcx(a / sqrt 2) / 2 for a >= 0, so that the upper normal tail is e^(-a^2 / 2) times this. A polynomial in
// (a - 4) / (a + 4) over 1 + a / 2, fitted for a in [0, 15] by iteratively reweighted least squares to 2.2e-8.
WL_INLINE vfloat vmillsNumerator(vfloat a) {
  a = vmin(a, vset(15.0f));  // the Gaussian is 0 there
  const vfloat t = (a - 4.0f) / (a + 4.0f);
  vfloat p = vset(0.000255455991f);
  p = vfma(p, t, vset(0.000121637153f));
  p = vfma(p, t, vset(-0.00225999765f));
  p = vfma(p, t, vset(0.00473815482f));
  p = vfma(p, t, vset(-0.000662694103f));
  p = vfma(p, t, vset(-0.0215554405f));
  p = vfma(p, t, vset(0.0691891387f));
  p = vfma(p, t, vset(-0.13355054f));
  p = vfma(p, t, vset(0.283231914f));
  return p;
}
WL_INLINE vfloat vmills(vfloat a) { return vmillsNumerator(a) / (1.0f + 0.5f * a); }

// The normal distribution function, with e = vgaussian(x) already there.
WL_INLINE vfloat vnormalCdf(vfloat x, vfloat e) {
  const vfloat tail = e * vmills(vabs(x));
  return x < 0.0f ? tail : 1.0f - tail;
}
WL_INLINE vdouble vnormalCdf(vdouble x, vdouble) { return 0.5 * verfc(x * -kInvSqrt2); }

// x times the upper tail at |x|. Numerator and e have an error each; put together in float32 they would now and then
// pass 4 ulp.
WL_INLINE vdouble vgeluTail(vdouble x, vdouble e, vdouble numerator) {
  return x * e * numerator / (1.0 + 0.5 * vabs(x));
}

struct Gelu {
  static constexpr bool kMask = false;
  WL_INLINE static vfloat apply(vfloat x) {
    const vfloat e = vgaussian(x), p = vmillsNumerator(vabs(x));
    const vfloat tail = vnarrow(vgeluTail(vwidenLow(x), vwidenLow(e), vwidenLow(p)),
                                vgeluTail(vwidenHigh(x), vwidenHigh(e), vwidenHigh(p)));
    // For x > 0 this is x minus a smaller number: no accuracy is lost. Infinite x has a NaN tail.
    return x > 0.0f ? x - (e == 0.0f ? vfloat{} : tail) : tail;
  }
  WL_INLINE static vdouble apply(vdouble x) { return x * vnormalCdf(x, x); }
};

// e^-|v| with v = 2 sqrt(2 / pi) (x + 0.044715 x^3), of which gelu is x / (1 + e^-v).
WL_INLINE vdouble vtanhArgument(vdouble x) { return vabs(x) * (kSqrt8OverPi + kSqrt8OverPi * kCubic * x * x); }
WL_INLINE vfloat vtanhExp(vfloat x) { return vexpWide(-vtanhArgument(vwidenLow(x)), -vtanhArgument(vwidenHigh(x))); }
WL_INLINE vdouble vtanhExp(vdouble x) { return vexp(-vtanhArgument(x)); }

struct GeluTanh {
  static constexpr bool kMask = false;
  template <class V>
  WL_INLINE static V apply(V x) {
    const V e = vtanhExp(x);
    return x * ((x < 0 ? e : V{} + 1) / (1 + e));
  }
};
