// Unary elementwise operations but copy (elementwise_copy.cc) and gelu (elementwise_gelu.cc).
#ifndef WL_ISA
#include "cpu/elementwise_loop.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/elementwise_unary.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/elementwise_rows.h"

namespace {

struct Neg {
  static constexpr bool kMask = false;
  template <class V>
  WL_INLINE static V apply(V x) {
    return -x;
  }
};
struct Abs {
  static constexpr bool kMask = false;
  template <class V>
  WL_INLINE static V apply(V x) {
    return vabs(x);
  }
  // As unsigned, so that the least integer maps to itself and nothing overflows.
  WL_INLINE static vint32 apply(vint32 x) {
    const vuint32 sign = vbits<vuint32>(x >> 31);
    return vbits<vint32>((vbits<vuint32>(x) ^ sign) - sign);
  }
  WL_INLINE static vint64 apply(vint64 x) {
    const vuint64 sign = vbits<vuint64>(x >> 63);
    return vbits<vint64>((vbits<vuint64>(x) ^ sign) - sign);
  }
  WL_INLINE static vuint8 apply(vuint8 x) { return x; }
};
// 0 for NaN, as in PyTorch.
struct Sign {
  static constexpr bool kMask = false;
  template <class V>
  WL_INLINE static V apply(V x) {
    const V zero{};
    const V one = zero + 1;
    return x > zero ? one : (x < zero ? zero - one : zero);
  }
};
// A NaN stays one.
struct Relu {
  static constexpr bool kMask = false;
  template <class V>
  WL_INLINE static V apply(V x) {
    return x <= 0 ? V{} : x;
  }
};
struct LogicalNot {
  static constexpr bool kMask = true;
  WL_INLINE static vint8 apply(vuint8 x) { return x == uint8_t{0}; }
};

#define WL_FUNCTION_OP(Name, function)   \
  struct Name {                          \
    static constexpr bool kMask = false; \
    template <class V>                   \
    WL_INLINE static V apply(V x) {      \
      return function(x);                \
    }                                    \
  };
WL_FUNCTION_OP(Exp, vexp)
WL_FUNCTION_OP(Log, vlog)
WL_FUNCTION_OP(Sqrt, vsqrt)
WL_FUNCTION_OP(Tanh, vtanh)
WL_FUNCTION_OP(Sigmoid, vsigmoid)
WL_FUNCTION_OP(Erf, verf)
#undef WL_FUNCTION_OP

}  // namespace

namespace ops {

#define WL_UNARY(name, pick, grain) \
  void name(const UnaryArgs& args, Context& context) { runUnary(#name, args, context, grain, pick(args.x.dtype)); }
WL_UNARY(neg, (pickWrapping<Neg, 1>), kGrainArithmetic)
WL_UNARY(abs, (pickOrdered<Abs, 1>), kGrainArithmetic)
WL_UNARY(sign, (pickOrdered<Sign, 1>), kGrainArithmetic)
WL_UNARY(relu, (pickOrdered<Relu, 1>), kGrainArithmetic)
WL_UNARY(sqrt, (pickFloats<Sqrt, 1>), kGrainArithmetic)
WL_UNARY(exp, (pickFloats<Exp, 1>), functionGrain(args.x.dtype))
WL_UNARY(log, (pickFloats<Log, 1>), functionGrain(args.x.dtype))
WL_UNARY(tanh, (pickFloats<Tanh, 1>), functionGrain(args.x.dtype))
WL_UNARY(sigmoid, (pickFloats<Sigmoid, 1>), functionGrain(args.x.dtype))
WL_UNARY(erf, (pickFloats<Erf, 1>), functionGrain(args.x.dtype))
#undef WL_UNARY

void logicalNot(const UnaryArgs& args, Context& context) {
  runUnary("logicalNot", args, context, kGrainArithmetic,
           args.x.dtype == DType::boolean ? elementRow<LogicalNot, uint8_t, 1> : nullptr);
}

}  // namespace ops
#endif
