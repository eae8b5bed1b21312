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

// a * b + c rounded once on every instruction set: for the low parts of products, which a second rounding would
// destroy.
WL_INLINE vfloat vfmaExact(vfloat a, vfloat b, vfloat c) {
#if WL_ISA_LEVEL > 0
  return vfma(a, b, c);
#else
  // Products of floats are exact in float64.
  return vnarrow(vwidenLow(a) * vwidenLow(b) + vwidenLow(c), vwidenHigh(a) * vwidenHigh(b) + vwidenHigh(c));
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

// The larger or smaller lane; b where either is NaN. One instruction on x86, four times as fast as those above.
#if WL_ISA_LEVEL == 2
#define WL_LARGER(V, suffix, all)                                                \
  WL_INLINE V vlarger(V a, V b) { return _mm512_maskz_max_##suffix(all, a, b); } \
  WL_INLINE V vsmaller(V a, V b) { return _mm512_maskz_min_##suffix(all, a, b); }
WL_LARGER(vfloat, ps, 0xffff)
WL_LARGER(vdouble, pd, 0xff)
#elif WL_ISA_LEVEL == 1
#define WL_LARGER(V, suffix)                                          \
  WL_INLINE V vlarger(V a, V b) { return _mm256_max_##suffix(a, b); } \
  WL_INLINE V vsmaller(V a, V b) { return _mm256_min_##suffix(a, b); }
WL_LARGER(vfloat, ps)
WL_LARGER(vdouble, pd)
#elif defined(__x86_64__)
#define WL_LARGER(V, suffix)                                       \
  WL_INLINE V vlarger(V a, V b) { return _mm_max_##suffix(a, b); } \
  WL_INLINE V vsmaller(V a, V b) { return _mm_min_##suffix(a, b); }
WL_LARGER(vfloat, ps)
WL_LARGER(vdouble, pd)
#else
#define WL_LARGER(V)                                      \
  WL_INLINE V vlarger(V a, V b) { return a > b ? a : b; } \
  WL_INLINE V vsmaller(V a, V b) { return a < b ? a : b; }
WL_LARGER(vfloat)
WL_LARGER(vdouble)
#endif
#undef WL_LARGER
// x held above or below a bound; a NaN stays one.
WL_INLINE vfloat vatLeast(vfloat x, float low) { return vlarger(vset(low), x); }
WL_INLINE vfloat vatMost(vfloat x, float high) { return vsmaller(vset(high), x); }

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

// Half of v's lanes, from kFirst on.
template <int kFirst, class T, class V, int... kLane>
WL_INLINE auto vhalf(V v, std::integer_sequence<int, kLane...>) {
  typedef T Half __attribute__((vector_size(sizeof(V) / 2)));
  return static_cast<Half>(__builtin_shufflevector(v, v, (kFirst + kLane)...));
}
// Joins all lanes, halves first: lane i with lane i + lanes / 2, and so on. The order is fixed, so the bits are.
template <class T, class V, class Join>
WL_INLINE T vacross(V v, Join&& join) {
  constexpr int kHalf = sizeof(V) / sizeof(T) / 2;
  if constexpr (sizeof(V) > 16) {
    constexpr auto half = std::make_integer_sequence<int, kHalf>{};
    return vacross<T>(join(vhalf<0, T>(v, half), vhalf<kHalf, T>(v, half)), join);
  } else if constexpr (kHalf == 2) {
    v = join(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));
    return join(v, __builtin_shufflevector(v, v, 1, 0, 3, 2))[0];
  } else {
    static_assert(kHalf == 1, "4 or 8 bytes a lane");
    return join(v, __builtin_shufflevector(v, v, 1, 0))[0];
  }
}
// One step of a transpose in registers: lanes j and j + kBy of a and b, where j has not the bit kBy, change places.
template <int kBy, class V, int... kLane>
WL_INLINE void vexchange(V& a, V& b, std::integer_sequence<int, kLane...>) {
  constexpr int L = sizeof...(kLane);
  const V low = __builtin_shufflevector(a, b, ((kLane & kBy) == 0 ? kLane : L + kLane - kBy)...);
  b = __builtin_shufflevector(a, b, ((kLane & kBy) == 0 ? kLane + kBy : L + kLane)...);
  a = low;
}
// Lane k is vacross(v[k]), bit for bit: as many vectors as a vector has lanes are joined in an operation or two each
// instead of ten. Uses v up.
template <class T, int kBy = kLanes<T> / 2, class Join>
WL_INLINE VectorOf<T> vacrossEach(VectorOf<T> (&v)[kLanes<T>], Join&& join) {
#pragma GCC unroll 16
  for (int i = 0; i < kBy; ++i) {
    vexchange<kBy>(v[i], v[i + kBy], std::make_integer_sequence<int, kLanes<T> >{});
    v[i] = join(v[i], v[i + kBy]);
  }
  if constexpr (kBy > 1) {
    return vacrossEach<T, kBy / 2>(v, join);
  } else {
    return v[0];
  }
}
template <class T>
WL_INLINE T vsumAcross(VectorOf<T> v) {
  return vacross<T>(
      v, [&](auto a, auto b) __attribute__((always_inline)) { return a + b; });
}
// Of floats without a NaN.
template <class T>
WL_INLINE T vmaxAcross(VectorOf<T> v) {
  return vacross<T>(
      v, [&](auto a, auto b) __attribute__((always_inline)) { return a > b ? a : b; });
}

template <class T>
WL_INLINE VectorOf<T> vsumAcrossEach(VectorOf<T> (&v)[kLanes<T>]) {
  return vacrossEach<T>(
      v, [&](auto a, auto b) __attribute__((always_inline)) { return a + b; });
}
// Of floats without a NaN.
template <class T>
WL_INLINE VectorOf<T> vmaxAcrossEach(VectorOf<T> (&v)[kLanes<T>]) {
  return vacrossEach<T>(
      v, [&](auto a, auto b) __attribute__((always_inline)) { return vlarger(a, b); });
}

#include "cpu/functions.h"
