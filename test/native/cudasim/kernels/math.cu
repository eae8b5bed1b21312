// One kernel for each function of math_functions.def and each precision, and for the functions of the half types.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

// Functions with two results or another type of result, as functions of one.
#define WRAPPERS(T, f)                                                        \
  __device__ T sinOfBoth##f(T a) {                                            \
    T s, c;                                                                   \
    sincos##f(a, &s, &c);                                                     \
    return s;                                                                 \
  }                                                                           \
  __device__ T cosOfBoth##f(T a) {                                            \
    T s, c;                                                                   \
    sincos##f(a, &s, &c);                                                     \
    return c;                                                                 \
  }                                                                           \
  __device__ T fractionOf##f(T a) {                                           \
    int exponent;                                                             \
    return frexp##f(a, &exponent);                                            \
  }                                                                           \
  __device__ T exponentOf##f(T a) {                                           \
    int exponent;                                                             \
    frexp##f(a, &exponent);                                                   \
    return static_cast<T>(exponent + ilogb##f(a));                            \
  }                                                                           \
  __device__ T afterPoint##f(T a) {                                           \
    T whole;                                                                  \
    return modf##f(a, &whole);                                                \
  }                                                                           \
  __device__ T beforePoint##f(T a) {                                          \
    T whole;                                                                  \
    modf##f(a, &whole);                                                       \
    return whole;                                                             \
  }                                                                           \
  __device__ T remainderOfBoth##f(T a, T b) {                                 \
    int quotient;                                                             \
    return remquo##f(a, b, &quotient);                                        \
  }                                                                           \
  __device__ T asLong##f(T a) { return static_cast<T>(lrint##f(a)); }         \
  __device__ T asLongLong##f(T a) { return static_cast<T>(llrint##f(a)); }    \
  __device__ T awayLong##f(T a) { return static_cast<T>(lround##f(a)); }      \
  __device__ T awayLongLong##f(T a) { return static_cast<T>(llround##f(a)); } \
  __device__ T reciprocal##f(T a) { return 1 / a; }                           \
  __device__ T quotient##f(T a, T b) { return a / b; }                        \
  __device__ T scaled##f(T a, T b) { return ldexp##f(scalbn##f(a, static_cast<int>(b)), 3); }
WRAPPERS(float, f)
WRAPPERS(double, )

#define KERNEL(name, T, call)                                                        \
  extern "C" __global__ void name(const T* a, const T* b, const T* c, T* d, int n) { \
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);           \
    if (i < n) d[i] = call;                                                          \
  }
#define UNARY(name, ...) KERNEL(name##_f32, float, name##f(a[i])) KERNEL(name##_f64, double, name(a[i]))
#define BINARY(name, ...) KERNEL(name##_f32, float, name##f(a[i], b[i])) KERNEL(name##_f64, double, name(a[i], b[i]))
#define TERNARY(name, ...) \
  KERNEL(name##_f32, float, name##f(a[i], b[i], c[i])) KERNEL(name##_f64, double, name(a[i], b[i], c[i]))
#include "math_functions.def"

// Halves: the scalar function gives the lower 16 bits, that for two the upper half of its result.
#define HALVES(name, one, two)                                                                                   \
  extern "C" __global__ void name##_f16(const __half* a, const __half* b, const __half* c, __half2* d, int n) {  \
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);                                       \
    using Two = __half2;                                                                                         \
    const __half x = a[i % n];                                                                                   \
    const Two xx = __half2half2(x);                                                                              \
    if (i < n) d[i] = __halves2half2(one, __high2half(two));                                                     \
  }                                                                                                              \
  extern "C" __global__ void name##_bf16(const __nv_bfloat16* a, const __nv_bfloat16* b, const __nv_bfloat16* c, \
                                         __nv_bfloat162* d, int n) {                                             \
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);                                       \
    using Two = __nv_bfloat162;                                                                                  \
    const __nv_bfloat16 x = a[i % n];                                                                            \
    const Two xx = __bfloat162bfloat162(x);                                                                      \
    if (i < n) d[i] = __halves2bfloat162(one, __high2bfloat16(two));                                             \
  }
#define HALF(name, reference, ulp) HALVES(h##name, h##name(x), h2##name(xx))
#include "half_functions.def"
