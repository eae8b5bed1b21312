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
