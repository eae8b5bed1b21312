// GELU, exact and by tanh, and their derivatives; the mathematics is in gelu.h.
#ifndef WL_ISA
#include "cpu/elementwise_loop.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/elementwise_gelu.cc"
#include "cpu/foreach_isa.h"
#else
// clang-format off
#include "cpu/elementwise_rows.h"  // first: it brings simd.h, which gelu.h needs
#include "cpu/gelu.h"
// clang-format on

namespace {

struct GeluBackward {
  static constexpr bool kMask = false;
  template <class V>
  WL_INLINE static V apply(V g, V x) {
    const V e = vgaussian(x);
    return g * (vnormalCdf(x, e) + x * e * static_cast<std::remove_reference_t<decltype(x[0])> >(kInvSqrt2Pi));
  }
};

struct GeluTanhBackward {
  static constexpr bool kMask = false;
  template <class V>
  WL_INLINE static V apply(V g, V x) {
    using T = std::remove_cv_t<std::remove_reference_t<decltype(x[0])> >;
    const V e = vtanhExp(x);
    const V one = V{} + 1;
    const V s = (x < 0 ? e : one) / (one + e);
    // Far out e is 0 while x^3 overflows; bounded, the product is the 0 that it tends to.
    const V b = vmin(vmax(x, vset(T{-100})), vset(T{100}));
    const V slope = static_cast<T>(kSqrt8OverPi) + static_cast<T>(3 * kSqrt8OverPi * kCubic) * b * b;
    return g * (s + b * slope * (e / ((one + e) * (one + e))));
  }
};

}  // namespace

namespace ops {

void gelu(const UnaryArgs& args, Context& context) {
  runUnary("gelu", args, context, functionGrain(args.x.dtype), pickFloats<Gelu, 1>(args.x.dtype));
}
void geluTanh(const UnaryArgs& args, Context& context) {
  runUnary("geluTanh", args, context, functionGrain(args.x.dtype), pickFloats<GeluTanh, 1>(args.x.dtype));
}
void geluBackward(const BinaryArgs& args, Context& context) {
  const DType dtype = operandDType(args);
  runBinary("geluBackward", args, context, functionGrain(dtype), pickFloats<GeluBackward, 2>(dtype));
}
void geluTanhBackward(const BinaryArgs& args, Context& context) {
  const DType dtype = operandDType(args);
  runBinary("geluTanhBackward", args, context, functionGrain(dtype), pickFloats<GeluTanhBackward, 2>(dtype));
}

}  // namespace ops
#endif
