// Elementwise operations: dims are merged, then the dense kernel where every operand is one aligned row, else the
// strided one.
#include "cuda/elementwise_ops.h"
#include "cuda/kernels.h"
#include "cuda/layout.h"
#include "cuda/scalar.h"

namespace warploom::cuda {
namespace {

constexpr unsigned kThreads = 256;  // as in kernels/elementwise.cu
constexpr int64_t kPerThread = 4;

constexpr int kShapes = 3;  // dense, strided32, strided64
struct Entries {
  const char* names[kShapes];
};

// The entries of a class for each dtype the kernels know.
struct Family {
  Entries f32, i32, i64, u8;
};
#define WL_ENTRIES(kind, dtype)                                                           \
  {                                                                                       \
    { kind "_" dtype "_dense", kind "_" dtype "_strided32", kind "_" dtype "_strided64" } \
  }
#define WL_FAMILY(kind) \
  { WL_ENTRIES(kind, "f32"), WL_ENTRIES(kind, "i32"), WL_ENTRIES(kind, "i64"), WL_ENTRIES(kind, "u8") }
constexpr Family kUnary = WL_FAMILY("unary"), kBinary = WL_FAMILY("binary"), kCompare = WL_FAMILY("compare");

const Entries& pick(const Family& family, DType dtype) {
  switch (dtype) {
    case DType::float32:
      return family.f32;
    case DType::int32:
      return family.i32;
    case DType::int64:
      return family.i64;
    default:
      return family.u8;
  }
}

struct Choice {
  const char* entry;
  unsigned blocks;
};

Choice choose(const Entries& entries, bool dense, bool small, int64_t n, int64_t itemBytes) {
  if (dense) return {entries.names[0], static_cast<unsigned>(ceilDiv(n, kThreads * (16 / itemBytes)))};
  return {entries.names[small ? 1 : 2], static_cast<unsigned>(ceilDiv(n, kThreads * kPerThread))};
}

void runUnary(CudaContext& context, const UnaryArgs& given, UnaryOp op) {
  UnaryArgs args = given;
  const int64_t n = args.y.numel();
  if (n == 0) return;
  mergeDims({&args.x, &args.y});
  const bool dense = isDenseRow(args.x) && isDenseRow(args.y);
  const Choice chosen =
      choose(pick(kUnary, args.x.dtype), dense, fits32({&args.x, &args.y}), n, itemSize(args.x.dtype));
  context.launch("elementwise", chosen.entry, {chosen.blocks}, {kThreads}, 0, args, op, n);
}

DType operandDType(const BinaryArgs& args) {
  return args.a.present() ? args.a.dtype : args.b.present() ? args.b.dtype : args.y.dtype;
}

template <class Op>
void runBinary(CudaContext& context, const Family& family, const BinaryArgs& given, Op op) {
  BinaryArgs args = given;
  const int64_t n = args.y.numel();
  if (n == 0) return;
  const DType dtype = operandDType(args);
  mergeDims({&args.a, &args.b, &args.y});
  const auto row = [](const View& view) { return !view.present() || isDenseRow(view); };
  const bool dense = row(args.a) && row(args.b) && row(args.y);
  const Choice chosen = choose(pick(family, dtype), dense, fits32({&args.a, &args.b, &args.y}), n, itemSize(dtype));
  context.launch("elementwise", chosen.entry, {chosen.blocks}, {kThreads}, 0, args, op, scalarBits(args.aScalar, dtype),
                 scalarBits(args.bScalar, dtype), n);
}

}  // namespace

namespace ops {

#define WL_UNARY(name) \
  void name(const UnaryArgs& args, CudaContext& context) { runUnary(context, args, UnaryOp::name); }
WL_UNARY(neg)
WL_UNARY(abs)
WL_UNARY(sign)
WL_UNARY(relu)
WL_UNARY(exp)
WL_UNARY(log)
WL_UNARY(sqrt)
WL_UNARY(tanh)
WL_UNARY(sigmoid)
WL_UNARY(erf)
WL_UNARY(gelu)
WL_UNARY(geluTanh)
#undef WL_UNARY

#define WL_BINARY(name) \
  void name(const BinaryArgs& args, CudaContext& context) { runBinary(context, kBinary, args, BinaryOp::name); }
WL_BINARY(sub)
WL_BINARY(div)
WL_BINARY(minimum)
WL_BINARY(maximum)
WL_BINARY(tanhBackward)
WL_BINARY(sigmoidBackward)
WL_BINARY(reluBackward)
WL_BINARY(geluBackward)
WL_BINARY(geluTanhBackward)
#undef WL_BINARY

// Sums and products of bools are bools (PyTorch): or, and.
void add(const BinaryArgs& args, CudaContext& context) {
  runBinary(context, kBinary, args, operandDType(args) == DType::boolean ? BinaryOp::bitOr : BinaryOp::add);
}
void mul(const BinaryArgs& args, CudaContext& context) {
  runBinary(context, kBinary, args, operandDType(args) == DType::boolean ? BinaryOp::bitAnd : BinaryOp::mul);
}

#define WL_COMPARE(name) \
  void name(const BinaryArgs& args, CudaContext& context) { runBinary(context, kCompare, args, CompareOp::name); }
WL_COMPARE(eq)
WL_COMPARE(ne)
WL_COMPARE(lt)
WL_COMPARE(le)
WL_COMPARE(gt)
WL_COMPARE(ge)
WL_COMPARE(logicalAnd)
WL_COMPARE(logicalOr)
#undef WL_COMPARE

void logicalNot(const UnaryArgs& args, CudaContext& context) {
  BinaryArgs equal = {};
  static_cast<View&>(equal.a) = args.x;
  equal.b.rank = -1;
  static_cast<View&>(equal.y) = args.y;
  runBinary(context, kCompare, equal, CompareOp::eq);
}

}  // namespace ops
}  // namespace warploom::cuda
