// Binary elementwise operations: arithmetic, comparisons, logic, and the gradients of tanh, sigmoid and relu.
#ifndef WL_ISA
#include "cpu/elementwise_loop.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/elementwise_binary.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/elementwise_rows.h"

namespace {

#define WL_BINARY_OP(Name, mask, expression) \
  struct Name {                              \
    static constexpr bool kMask = mask;      \
    template <class V>                       \
    WL_INLINE static auto apply(V a, V b) {  \
      return expression;                     \
    }                                        \
  };
WL_BINARY_OP(Add, false, a + b)
WL_BINARY_OP(Sub, false, a - b)
WL_BINARY_OP(Mul, false, a* b)
WL_BINARY_OP(Div, false, a / b)
WL_BINARY_OP(Minimum, false, vmin(a, b))
WL_BINARY_OP(Maximum, false, vmax(a, b))
WL_BINARY_OP(BitOr, false, a | b)
WL_BINARY_OP(BitAnd, false, a& b)
WL_BINARY_OP(Eq, true, a == b)
WL_BINARY_OP(Ne, true, a != b)
WL_BINARY_OP(Lt, true, a < b)
WL_BINARY_OP(Le, true, a <= b)
WL_BINARY_OP(Gt, true, a > b)
WL_BINARY_OP(Ge, true, a >= b)
WL_BINARY_OP(LogicalAnd, true, (a != 0) & (b != 0))
WL_BINARY_OP(LogicalOr, true, (a | b) != 0)
// a is the gradient, b what the comment in ops.def says.
WL_BINARY_OP(TanhBackward, false, a * (1 - b * b))
WL_BINARY_OP(SigmoidBackward, false, a * ((1 - b) * b))
WL_BINARY_OP(ReluBackward, false, b <= 0 ? V{} : a)  // 0 at 0; a NaN in b lets the gradient through
#undef WL_BINARY_OP

}  // namespace

namespace ops {

#define WL_BINARY(name, pick)                               \
  void name(const BinaryArgs& args, Context& context) {     \
    const RowFunction row = pick(operandDType(args));       \
    runBinary(#name, args, context, kGrainArithmetic, row); \
  }
WL_BINARY(sub, (pickWrapping<Sub, 2>))
WL_BINARY(div, (pickFloats<Div, 2>))
WL_BINARY(minimum, (pickOrdered<Minimum, 2>))
WL_BINARY(maximum, (pickOrdered<Maximum, 2>))
WL_BINARY(eq, (pickOrdered<Eq, 2>))
WL_BINARY(ne, (pickOrdered<Ne, 2>))
WL_BINARY(lt, (pickOrdered<Lt, 2>))
WL_BINARY(le, (pickOrdered<Le, 2>))
WL_BINARY(gt, (pickOrdered<Gt, 2>))
WL_BINARY(ge, (pickOrdered<Ge, 2>))
WL_BINARY(tanhBackward, (pickFloats<TanhBackward, 2>))
WL_BINARY(sigmoidBackward, (pickFloats<SigmoidBackward, 2>))
WL_BINARY(reluBackward, (pickFloats<ReluBackward, 2>))
#undef WL_BINARY

// Sums and products of bools are bools (PyTorch): or, and.
void add(const BinaryArgs& args, Context& context) {
  const DType dtype = operandDType(args);
  const RowFunction row = dtype == DType::boolean ? elementRow<BitOr, uint8_t, 2> : pickWrapping<Add, 2>(dtype);
  runBinary("add", args, context, kGrainArithmetic, row);
}
void mul(const BinaryArgs& args, Context& context) {
  const DType dtype = operandDType(args);
  const RowFunction row = dtype == DType::boolean ? elementRow<BitAnd, uint8_t, 2> : pickWrapping<Mul, 2>(dtype);
  runBinary("mul", args, context, kGrainArithmetic, row);
}
void logicalAnd(const BinaryArgs& args, Context& context) {
  const RowFunction row = operandDType(args) == DType::boolean ? elementRow<LogicalAnd, uint8_t, 2> : nullptr;
  runBinary("logicalAnd", args, context, kGrainArithmetic, row);
}
void logicalOr(const BinaryArgs& args, Context& context) {
  const RowFunction row = operandDType(args) == DType::boolean ? elementRow<LogicalOr, uint8_t, 2> : nullptr;
  runBinary("logicalOr", args, context, kGrainArithmetic, row);
}

}  // namespace ops
#endif
