// Elementwise operations: dims are merged, then the dense kernel where every operand is one aligned row; the kernel for
// rows where the last dim of two operands is dense or broadcast; else the strided one.
#include "cuda/elementwise_ops.h"
#include "cuda/kernels.h"
#include "cuda/layout.h"
#include "cuda/row_strips.h"
#include "cuda/scalar.h"

namespace warploom::cuda {
namespace {

constexpr unsigned kThreads = 256;  // as in kernels/elementwise.cu
constexpr int64_t kPerThread = 4;
constexpr int64_t kLeastWidth = 8;  // groups side by side: whole sectors of memory
constexpr int32_t kLongestStrip = 32;

constexpr int kShapes = 4;  // dense, strided32, strided64, rows (of two operands)
struct Entries {
  const char* names[kShapes];
};

// The entries of a class for each dtype the kernels know.
struct Family {
  Entries f32, i32, i64, u8;
};
#define WL_ENTRIES(kind, dtype)                                                                                   \
  {                                                                                                               \
    { kind "_" dtype "_dense", kind "_" dtype "_strided32", kind "_" dtype "_strided64", kind "_" dtype "_rows" } \
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

// Whether rows of this view move in groups of `group`, or are one value each.
bool takesGroups(const View& view, int64_t group) {
  if (!view.present()) return true;
  const int last = view.rank - 1;
  if (view.strides[last] == 0) return true;
  bool whole = view.strides[last] == 1 && view.sizes[last] % group == 0 &&
               isAligned(view.data, static_cast<std::size_t>(group * itemSize(view.dtype)));
  for (int dim = 0; dim < last; ++dim) whole = whole && view.strides[dim] % group == 0;
  return whole;
}

// Strips are as long as leaves 2^16 threads, up to 32 rows.
RowStrips planStrips(const BinaryArgs& args, int64_t group) {
  const int last = args.y.rank - 1;
  const int64_t groups = args.y.sizes[last] / group, rows = args.y.numel() / args.y.sizes[last];
  RowStrips strips = {};
  strips.rows = static_cast<uint32_t>(rows);
  strips.groups = static_cast<uint32_t>(groups);
  int64_t width = kThreads, columns = ceilDiv(groups, width);
  const auto idle = [&](int64_t of) { return (ceilDiv(groups, of) * of - groups) * 8 > groups; };
  while (width > kLeastWidth && idle(width)) width /= 2;
  while (width > 1 && width / 2 >= groups) width /= 2;
  columns = ceilDiv(groups, width);
  strips.width = static_cast<int32_t>(width);
  strips.columnBlocks = static_cast<uint32_t>(columns);
  strips.strip = 1;
  while (strips.strip < kLongestStrip && groups * rows >> 16 >= 2 * strips.strip) strips.strip *= 2;
  strips.aStep = args.a.present() && args.a.strides[last] != 0;
  strips.bStep = args.b.present() && args.b.strides[last] != 0;
  return strips;
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
  const bool small = fits32({&args.a, &args.b, &args.y});
  const int64_t group = 16 / itemSize(dtype);
  if (!dense && small && args.y.strides[args.y.rank - 1] == 1 && takesGroups(args.a, group) &&
      takesGroups(args.b, group) && takesGroups(args.y, group)) {
    const RowStrips strips = planStrips(args, group);
    --args.a.rank;
    --args.b.rank;
    --args.y.rank;
    const int64_t rowBlocks = ceilDiv(strips.rows, static_cast<int64_t>(kThreads) / strips.width * strips.strip);
    context.launch("elementwise", pick(family, dtype).names[3],
                   {static_cast<unsigned>(rowBlocks * strips.columnBlocks)}, {kThreads}, 0, args, strips, op,
                   scalarBits(args.aScalar, dtype), scalarBits(args.bScalar, dtype));
    return;
  }
  const Choice chosen = choose(pick(family, dtype), dense, small, n, itemSize(dtype));
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
