// Vectors and vector mathematics of one instruction set. Included inside its namespace (see foreach_isa.h), once per
// kernel file, so there is no include guard and no #include here: prelude.h has brought what is needed.
//
// Types are GCC vectors of WL_VECTOR_BYTES, so + - * / & | ^ ~ << >> and comparisons (lanes of 0 or -1) are the
// operators, and `mask ? a : b` selects. Everything else has a v in front, because kernels live in `namespace ops`
// beside ops::exp and the like. Operations round one by one; only vfma fuses, and on baseline, which has no such
// instruction, it rounds twice.

#define WL_INLINE inline __attribute__((always_inline))

typedef float vfloat __attribute__((vector_size(WL_VECTOR_BYTES)));
typedef double vdouble __attribute__((vector_size(WL_VECTOR_BYTES)));
typedef int32_t vint32 __attribute__((vector_size(WL_VECTOR_BYTES)));
typedef int64_t vint64 __attribute__((vector_size(WL_VECTOR_BYTES)));
typedef uint8_t vuint8 __attribute__((vector_size(WL_VECTOR_BYTES)));
typedef int8_t vint8 __attribute__((vector_size(WL_VECTOR_BYTES)));
typedef uint32_t vuint32 __attribute__((vector_size(WL_VECTOR_BYTES)));
typedef uint64_t vuint64 __attribute__((vector_size(WL_VECTOR_BYTES)));
typedef float vfloatHalf __attribute__((vector_size(WL_VECTOR_BYTES / 2)));

// Vector<T>::type, ::mask (what a comparison gives), ::bytes (as many lanes of one byte), ::lanes.
template <class T>
struct Vector;
#define WL_VECTOR(T, V, M)                                     \
  template <>                                                  \
  struct Vector<T> {                                           \
    using type = V;                                            \
    using mask = M;                                            \
    static constexpr int lanes = WL_VECTOR_BYTES / sizeof(T);  \
    typedef uint8_t bytes __attribute__((vector_size(lanes))); \
  };
WL_VECTOR(float, vfloat, vint32)
WL_VECTOR(double, vdouble, vint64)
WL_VECTOR(int32_t, vint32, vint32)
WL_VECTOR(int64_t, vint64, vint64)
WL_VECTOR(uint32_t, vuint32, vint32)
WL_VECTOR(uint64_t, vuint64, vint64)
WL_VECTOR(uint8_t, vuint8, vint8)
#undef WL_VECTOR
template <class T>
using VectorOf = typename Vector<T>::type;
template <class T>
constexpr int kLanes = Vector<T>::lanes;
constexpr int kFloatLanes = kLanes<float>;
constexpr int kDoubleLanes = kLanes<double>;

// ---- moving ----

// All lanes x. (x - 0 is x for every x, while 0 + x loses the sign of a zero; the compiler folds it to a broadcast.)
template <class T>
WL_INLINE VectorOf<T> vset(T x) {
  return x - VectorOf<T>{};
}

template <class T>
WL_INLINE VectorOf<T> vload(const T* p) {
  VectorOf<T> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
template <class T>
WL_INLINE void vstore(T* p, VectorOf<T> v) {
  std::memcpy(p, &v, sizeof(v));
}

// The first n lanes, 0 <= n <= lanes; the others read as 0 and are not written. Nothing outside p[0, n) is touched.
template <class T>
WL_INLINE VectorOf<T> vloadPartial(const T* p, int n) {
  VectorOf<T> v{};
  std::memcpy(&v, p, static_cast<size_t>(n) * sizeof(T));
  return v;
}
template <class T>
WL_INLINE void vstorePartial(T* p, VectorOf<T> v, int n) {
  std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(T));
}
#if WL_ISA_LEVEL == 2
template <>
WL_INLINE vfloat vloadPartial<float>(const float* p, int n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
template <>
WL_INLINE void vstorePartial<float>(float* p, vfloat v, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
}
template <>
WL_INLINE vdouble vloadPartial<double>(const double* p, int n) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
}
template <>
WL_INLINE void vstorePartial<double>(double* p, vdouble v, int n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), v);
}
#elif WL_ISA_LEVEL == 1
WL_INLINE __m256i vpartialMask32(int n) { return reinterpret_cast<__m256i>(vint32{0, 1, 2, 3, 4, 5, 6, 7} < n); }
WL_INLINE __m256i vpartialMask64(int n) { return reinterpret_cast<__m256i>(vint64{0, 1, 2, 3} < int64_t{n}); }
template <>
WL_INLINE vfloat vloadPartial<float>(const float* p, int n) {
  return _mm256_maskload_ps(p, vpartialMask32(n));
}
template <>
WL_INLINE void vstorePartial<float>(float* p, vfloat v, int n) {
  _mm256_maskstore_ps(p, vpartialMask32(n), v);
}
template <>
WL_INLINE vdouble vloadPartial<double>(const double* p, int n) {
  return _mm256_maskload_pd(p, vpartialMask64(n));
}
template <>
WL_INLINE void vstorePartial<double>(double* p, vdouble v, int n) {
  _mm256_maskstore_pd(p, vpartialMask64(n), v);
}
#endif

// The lane's number in each lane.
template <class T>
WL_INLINE VectorOf<T> viota() {
  VectorOf<T> v{};
  for (int i = 0; i < kLanes<T>; ++i) v[i] = static_cast<T>(i);
  return v;
}

// Bits of one type read as another.
template <class To, class From>
WL_INLINE To vbits(From v) {
  static_assert(sizeof(To) == sizeof(From), "same width");
  return reinterpret_cast<To>(v);
}

// float32 lanes as float64: the lower and the upper half.
#if WL_ISA_LEVEL == 2
#define WL_LOW_LANES 0, 1, 2, 3, 4, 5, 6, 7
#define WL_HIGH_LANES 8, 9, 10, 11, 12, 13, 14, 15
#define WL_ALL_LANES WL_LOW_LANES, WL_HIGH_LANES
#elif WL_ISA_LEVEL == 1
#define WL_LOW_LANES 0, 1, 2, 3
#define WL_HIGH_LANES 4, 5, 6, 7
#define WL_ALL_LANES WL_LOW_LANES, WL_HIGH_LANES
#else
#define WL_LOW_LANES 0, 1
#define WL_HIGH_LANES 2, 3
#define WL_ALL_LANES WL_LOW_LANES, WL_HIGH_LANES
#endif
WL_INLINE vdouble vwidenLow(vfloat v) {
  return __builtin_convertvector(__builtin_shufflevector(v, v, WL_LOW_LANES), vdouble);
}
WL_INLINE vdouble vwidenHigh(vfloat v) {
  return __builtin_convertvector(__builtin_shufflevector(v, v, WL_HIGH_LANES), vdouble);
}
WL_INLINE vfloat vnarrow(vdouble low, vdouble high) {
  return __builtin_shufflevector(__builtin_convertvector(low, vfloatHalf), __builtin_convertvector(high, vfloatHalf),
                                 WL_ALL_LANES);
}
#undef WL_LOW_LANES
#undef WL_HIGH_LANES
#undef WL_ALL_LANES

// ---- arithmetic ----

// a * b + c, rounded once where the instruction set can.
WL_INLINE vfloat vfma(vfloat a, vfloat b, vfloat c) {
#if WL_ISA_LEVEL == 2
  return _mm512_fmadd_ps(a, b, c);
#elif WL_ISA_LEVEL == 1
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}
WL_INLINE vdouble vfma(vdouble a, vdouble b, vdouble c) {
#if WL_ISA_LEVEL == 2
  return _mm512_fmadd_pd(a, b, c);
#elif WL_ISA_LEVEL == 1
  return _mm256_fmadd_pd(a, b, c);
#else
  return a * b + c;
#endif
}

// The larger or smaller lane; NaN where either is NaN.
template <class V>
WL_INLINE V vmax(V a, V b) {
  return ((a > b) | (a != a)) ? a : b;
}
template <class V>
WL_INLINE V vmin(V a, V b) {
  return ((a < b) | (a != a)) ? a : b;
}

WL_INLINE vfloat vabs(vfloat x) { return vbits<vfloat>(vbits<vint32>(x) & 0x7fffffff); }
WL_INLINE vdouble vabs(vdouble x) { return vbits<vdouble>(vbits<vint64>(x) & INT64_MAX); }
template <class V>
WL_INLINE V vabs(V x) {
  return x < 0 ? -x : x;
}
// The magnitude of x with the sign of s.
WL_INLINE vfloat vcopysign(vfloat x, vfloat s) {
  return vbits<vfloat>((vbits<vint32>(x) & 0x7fffffff) | (vbits<vint32>(s) & INT32_MIN));
}

WL_INLINE vfloat vsqrt(vfloat x) {
#if WL_ISA_LEVEL == 2
  return _mm512_maskz_sqrt_ps(0xffff, x);
#elif WL_ISA_LEVEL == 1
  return _mm256_sqrt_ps(x);
#else
  vfloat y{};
  for (int i = 0; i < kFloatLanes; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
#endif
}
WL_INLINE vdouble vsqrt(vdouble x) {
#if WL_ISA_LEVEL == 2
  return _mm512_maskz_sqrt_pd(0xff, x);
#elif WL_ISA_LEVEL == 1
  return _mm256_sqrt_pd(x);
#else
  vdouble y{};
  for (int i = 0; i < kDoubleLanes; ++i) y[i] = __builtin_sqrt(x[i]);
  return y;
#endif
}

// Across the lanes, halves first: lane i with lane i + lanes / 2, and so on. The order is fixed, so the bits are.
template <class T>
WL_INLINE T vsumAcross(VectorOf<T> v) {
  T lane[kLanes<T>];
  std::memcpy(lane, &v, sizeof(v));
  for (int half = kLanes<T> / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] = static_cast<T>(lane[i] + lane[i + half]);
  }
  return lane[0];
}
template <class T>
WL_INLINE T vmaxAcross(VectorOf<T> v) {
  T best = v[0];
  for (int i = 1; i < kLanes<T>; ++i) best = (best > v[i] || best != best) ? best : v[i];
  return best;
}
template <class T>
WL_INLINE T vminAcross(VectorOf<T> v) {
  T best = v[0];
  for (int i = 1; i < kLanes<T>; ++i) best = (best < v[i] || best != best) ? best : v[i];
  return best;
}

// ---- functions: float32 by polynomial, float64 by the C library, lane for lane ----

// x * 2^n for n in [-252, 254], exact up to the one rounding of a subnormal result.
WL_INLINE vfloat vscale2(vfloat x, vint32 n) {
#if WL_ISA_LEVEL == 2
  // maskz: the plain intrinsic of g++ 12 reads an undefined register and warns.
  return _mm512_maskz_scalef_ps(0xffff, x, __builtin_convertvector(n, vfloat));
#else
  const vint32 half = n >> 1;
  return x * vbits<vfloat>((half + 127) << 23) * vbits<vfloat>((n - half + 127) << 23);
#endif
}

// e^(x + low), within 1.5 ulp, where low is what x lost by rounding. Range reduction after Cody and Waite; coefficients
// of Cephes' expf (Moshier).
WL_INLINE vfloat vexpSum(vfloat x, vfloat low) {
  // Beyond these the result is infinite or 0 anyhow; NaN passes.
  const vfloat bounded = vmin(vmax(x, vset(-104.0f)), vset(89.0f));
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const vfloat shifted = bounded * 1.44269504088896341f + 12582912.0f;
  const vint32 n = vbits<vint32>(shifted) - 0x4b400000;
  const vfloat nf = shifted - 12582912.0f;
  vfloat r = vfma(nf, vset(-0.693359375f), bounded);
  r = vfma(nf, vset(2.12194440e-4f), r) + low;
  vfloat p = vset(1.9875691500e-4f);
  p = vfma(p, r, vset(1.3981999507e-3f));
  p = vfma(p, r, vset(8.3334519073e-3f));
  p = vfma(p, r, vset(4.1665795894e-2f));
  p = vfma(p, r, vset(1.6666665459e-1f));
  p = vfma(p, r, vset(5.0000001201e-1f));
  p = vfma(p, r * r, r) + 1.0f;
  // For a NaN the bits above are no exponent: keep the scale harmless.
  return vscale2(p, x != x ? vint32{} : n);
}

WL_INLINE vfloat vexp(vfloat x) { return vexpSum(x, vfloat{}); }

// Natural logarithm, within 1.5 ulp; log(0) = -inf, of a negative NaN. Coefficients of Cephes' logf (Moshier).
WL_INLINE vfloat vlog(vfloat x) {
  const vint32 tiny = x < 1.17549435e-38f;
  const vfloat scaled = tiny ? x * 33554432.0f : x;  // subnormals by 2^25
  vint32 bits = vbits<vint32>(scaled);
  // Take the mantissa into [sqrt(1/2), sqrt(2)).
  const vint32 offset = bits - 0x3f3504f3;
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

// Hyperbolic tangent, within 2 ulp: an odd polynomial near 0 (Cephes' tanhf), 1 - 2 / (e^2|x| + 1) elsewhere.
WL_INLINE vfloat vtanh(vfloat x) {
  const vfloat a = vabs(x);
  const vfloat far = 1.0f - 2.0f / (vexp(a + a) + 1.0f);
  const vfloat z = x * x;
  vfloat p = vset(-5.70498872745e-3f);
  p = vfma(p, z, vset(2.06390887954e-2f));
  p = vfma(p, z, vset(-5.37397155531e-2f));
  p = vfma(p, z, vset(1.33314422036e-1f));
  p = vfma(p, z, vset(-3.33332819422e-1f));
  const vfloat near = vfma(p * z, x, x);
  return vcopysign(a < 0.625f ? near : far, x);  // of -0 too
}

// 1 / (1 + e^-x), within 2.5 ulp in both tails: only e^-|x| is formed, so nothing overflows or cancels.
WL_INLINE vfloat vsigmoid(vfloat x) {
  const vfloat e = vexp(-vabs(x));
  return (x < 0.0f ? e : vset(1.0f)) / (1.0f + e);
}

// Error function, within 2 ulp. Polynomials after N. Juffa: odd near 0, 1 - e^q(|x|) elsewhere.
WL_INLINE vfloat verf(vfloat x) {
  const vfloat a = vmin(vabs(x), vset(4.0f));  // erf(4) rounds to 1
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
  const vfloat far = vcopysign(1.0f - vexp(q), x);
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
WL_INLINE vdouble vsigmoid(vdouble x) {
  const vdouble e = vexp(-vabs(x));
  return (x < 0.0 ? e : vset(1.0)) / (1.0 + e);
}
