// Functions on vectors: float32 by polynomial, float64 by the C library, lane for lane. Part of simd.h, which includes
// it inside each instruction-set region. Every float32 function is within 2 ulp of the exact value for every input,
// which test/native/functions_test.cc proves; polynomials were fitted to the least greatest relative error by
// reweighted least squares, their coefficients rounded to float32 one after the other.

// ---- exponentials ----

// e^v or 2^v as (1 + q) * 2^n, with |q| < 0.42: what is multiplied by it takes x + x q, and so spares itself a
// rounding.
struct Exponential {
  vfloat q;
  vfloat n;  // whole
  WL_INLINE vfloat mantissa() const { return q + 1.0f; }
};

// x * 2^n for a whole n in [-252, 254], exact up to the one rounding of a subnormal result.
WL_INLINE vfloat vscale2(vfloat x, vfloat n) {
#if WL_ISA_LEVEL == 2
  // maskz: the plain intrinsic of g++ 12 reads an undefined register and warns.
  return _mm512_maskz_scalef_ps(0xffff, x, n);
#else
  const vint32 whole = __builtin_convertvector(n, vint32);
  const vint32 half = whole >> 1;
  return x * vbits<vfloat>((half + 127) << 23) * vbits<vfloat>((whole - half + 127) << 23);
#endif
}

// Adding it rounds to a whole number, which subtracting it leaves: 1.5 * 2^23.
constexpr float kRounder = 12582912.0f;

// e^r for |r| <= 0.35, times 2^n.
WL_INLINE Exponential vexpPolynomial(vfloat r, vfloat n) {
  vfloat p = vset(0x1.6a3fb2p-10f);
  p = vfma(p, r, vset(0x1.1239ep-7f));
  p = vfma(p, r, vset(0x1.5558bep-5f));
  p = vfma(p, r, vset(0x1.555492p-3f));
  p = vfma(p, r, vset(0x1.fffffcp-2f));
  return {vfma(p, r * r, r), n};
}
// x - n log 2, after Cody and Waite: log 2 in two parts, of which n times the first is exact.
WL_INLINE vfloat vexpRest(vfloat x, vfloat n) { return vfma(n, vset(2.12194440e-4f), vfma(n, vset(-0.693359375f), x)); }
WL_INLINE vfloat vexpWhole(vfloat x) { return vfma(x, vset(1.44269504088896341f), vset(kRounder)) - kRounder; }

// e^x, and e^(x + low) where low is what x lost by rounding, for -104 <= x <= 89.
WL_INLINE Exponential vexpParts(vfloat x) {
  const vfloat n = vexpWhole(x);
  return vexpPolynomial(vexpRest(x, n), n);
}
WL_INLINE Exponential vexpParts(vfloat x, vfloat low) {
  const vfloat n = vexpWhole(x);
  return vexpPolynomial(vexpRest(x, n) + low, n);
}

// 2^(x + low), the same.
WL_INLINE Exponential vexp2Parts(vfloat x, vfloat low) {
  const vfloat n = (x + kRounder) - kRounder;
  const vfloat r = (x - n) + low;
  vfloat p = vset(0x1.416d08p-13f);
  p = vfma(p, r, vset(0x1.5f09a6p-10f));
  p = vfma(p, r, vset(0x1.3b2dep-7f));
  p = vfma(p, r, vset(0x1.c6af7ap-5f));
  p = vfma(p, r, vset(0x1.ebfbdcp-3f));
  p = vfma(p, r, vset(0x1.62e43p-1f));
  return {p * r, n};
}

WL_INLINE vfloat vexp(vfloat x) {
  // Beyond these the result is infinite or 0 anyhow.
  const Exponential e = vexpParts(vatMost(vatLeast(x, -104.0f), 89.0f));
  return vscale2(e.mantissa(), e.n);
}

// e^x for x <= 0 or NaN.
WL_INLINE vfloat vexpOfNegative(vfloat x) {
  const Exponential e = vexpParts(vatLeast(x, -104.0f));
  return vscale2(e.mantissa(), e.n);
}

// x / (1 + e) for 0 <= e <= 1 and finite x, rounded about once: the quotient by the rounded sum, and what that is off.
// (The correction of a zero would lose its sign.)
WL_INLINE vfloat vdivideByOnePlus(vfloat x, vfloat e) {
  const vfloat sum = 1.0f + e;
  const vfloat lost = e - (sum - 1.0f);
  const vfloat inverse = 1.0f / sum;
  const vfloat quotient = x * inverse;
  const vfloat rest = vfma(-quotient, lost, vfmaExact(-quotient, sum, x));
  return vcopysign(vfma(rest, inverse, quotient), x);
}

// ---- the others ----

// Natural logarithm; log(0) = -inf, of a negative NaN. Coefficients of Cephes' logf (Moshier).
WL_INLINE vfloat vlog(vfloat x) {
  const vint32 tiny = x < 1.17549435e-38f;
  const vfloat scaled = tiny ? x * 33554432.0f : x;  // subnormals by 2^25
  vint32 bits = vbits<vint32>(scaled);
  // Take the mantissa into [sqrt(1/2), sqrt(2)). Unsigned, because a negative x passes here, too, and may wrap.
  const vint32 offset = vbits<vint32>(vbits<vuint32>(bits) - 0x3f3504f3u);
  vint32 e = offset >> 23;
  bits = (offset & 0x007fffff) + 0x3f3504f3;
  const vfloat f = vbits<vfloat>(bits) - 1.0f;
  e = tiny ? e - 25 : e;
  const vfloat ef = __builtin_convertvector(e, vfloat);
  const vfloat z = f * f;
  vfloat p = vset(7.0376836292e-2f);
  p = vfma(p, f, vset(-1.1514610310e-1f));
  p = vfma(p, f, vset(1.1676998740e-1f));
  p = vfma(p, f, vset(-1.2420140846e-1f));
  p = vfma(p, f, vset(1.4249322787e-1f));
  p = vfma(p, f, vset(-1.6668057665e-1f));
  p = vfma(p, f, vset(2.0000714765e-1f));
  p = vfma(p, f, vset(-2.4999993993e-1f));
  p = vfma(p, f, vset(3.3333331174e-1f));
  vfloat y = p * f * z;
  y = vfma(ef, vset(-2.12194440e-4f), y);
  y = vfma(z, vset(-0.5f), y);
  vfloat result = vfma(ef, vset(0.693359375f), f + y);
  const float infinity = __builtin_inff();
  result = x == infinity ? x : result;
  result = x == 0.0f ? vset(-infinity) : result;
  return ((x < 0.0f) | (x != x)) ? vset(__builtin_nanf("")) : result;
}

// Hyperbolic tangent: an odd polynomial near 0 (Cephes' tanhf), 1 - 2 / (e^2|x| + 1) elsewhere.
WL_INLINE vfloat vtanh(vfloat x) {
  const vfloat a = vabs(x);
  const vfloat bounded = vatMost(a, 10.0f);  // tanh(10) rounds to 1
  const Exponential e = vexpParts(bounded + bounded);
  const vfloat far = 1.0f - 2.0f / (vscale2(e.mantissa(), e.n) + 1.0f);
  const vfloat z = x * x;
  vfloat p = vset(-5.70498872745e-3f);
  p = vfma(p, z, vset(2.06390887954e-2f));
  p = vfma(p, z, vset(-5.37397155531e-2f));
  p = vfma(p, z, vset(1.33314422036e-1f));
  p = vfma(p, z, vset(-3.33332819422e-1f));
  const vfloat near = vfma(p * z, x, x);
  return vcopysign(a < 0.625f ? near : far, x);  // of -0 too
}

// 1 / (1 + e^-x). Only e^-|x| is formed, so nothing overflows or cancels.
WL_INLINE vfloat vsigmoid(vfloat x) {
  const vfloat e = vexpOfNegative(-vabs(x));
  return vdivideByOnePlus(x < 0.0f ? e : vset(1.0f), e);
}

// Error function. Polynomials after N. Juffa: odd near 0, 1 - e^q(|x|) elsewhere.
WL_INLINE vfloat verf(vfloat x) {
  const vfloat a = vatMost(vabs(x), 4.0f);  // erf(4) rounds to 1
  const vfloat s = x * x;
  vfloat near = vset(-5.96761703e-4f);
  near = vfma(near, s, vset(4.99119423e-3f));
  near = vfma(near, s, vset(-2.67681349e-2f));
  near = vfma(near, s, vset(1.12819925e-1f));
  near = vfma(near, s, vset(-3.76125336e-1f));
  near = vfma(near, s, vset(1.28379166e-1f));
  near = vfma(near, x, x);
  const vfloat t = a * a;
  vfloat q = vfma(vset(-1.72853470e-5f), a, vset(3.83197126e-4f));
  const vfloat u = vfma(vset(-3.88396438e-3f), a, vset(2.42546219e-2f));
  q = vfma(q, t, u);
  q = vfma(q, a, vset(-1.06777877e-1f));
  q = vfma(q, a, vset(-6.34846687e-1f));
  q = vfma(q, a, vset(-1.28717512e-1f));
  q = vfma(q, a, -a);
  const vfloat far = vcopysign(1.0f - vexpOfNegative(q), x);
  return vabs(x) < 0.927734375f ? near : far;
}

#define WL_BY_LANE(name, function)                                \
  WL_INLINE vdouble name(vdouble x) {                             \
    vdouble y{};                                                  \
    for (int i = 0; i < kDoubleLanes; ++i) y[i] = function(x[i]); \
    return y;                                                     \
  }
WL_BY_LANE(vexp, __builtin_exp)
WL_BY_LANE(vlog, __builtin_log)
WL_BY_LANE(vtanh, __builtin_tanh)
WL_BY_LANE(verf, __builtin_erf)
WL_BY_LANE(verfc, __builtin_erfc)
#undef WL_BY_LANE
WL_INLINE vdouble vexpOfNegative(vdouble x) { return vexp(x); }
WL_INLINE vdouble vsigmoid(vdouble x) {
  const vdouble e = vexp(-vabs(x));
  return (x < 0.0 ? e : vset(1.0)) / (1.0 + e);
}
