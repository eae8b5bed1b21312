// y = cond ? a : b. Bits are moved and never looked at, so that elements are units of 1, 4 or 8 bytes.
#include "cuda/dims.h"
#include "cuda/kernels.h"
#include "cuda/scalar.h"

namespace warploom::cuda {
namespace {

constexpr int64_t kThreads = 256;  // as in kernels/where.cu
constexpr int64_t kPerThread = 4;

enum class Shape { dense, strided32, strided64 };

const char* entryOf(int64_t item, Shape shape) {
  static constexpr const char* entries[3][3] = {{"where_b1_dense", "where_b1_strided32", "where_b1_strided64"},
                                                {"where_b4_dense", "where_b4_strided32", "where_b4_strided64"},
                                                {"where_b8_dense", "where_b8_strided32", "where_b8_strided64"}};
  return entries[item == 8 ? 2 : item == 4 ? 1 : 0][static_cast<int>(shape)];
}

}  // namespace

namespace ops {

void where(const WhereArgs& given, CudaContext& context) {
  WhereArgs args = given;
  const int64_t n = args.y.numel();
  if (n == 0) return;
  const DType dtype = args.y.dtype;
  const int64_t item = itemSize(dtype);
  sortDims(args.y, {&args.cond, &args.a, &args.b});
  mergeDims({&args.y, &args.cond, &args.a, &args.b});
  const auto row = [](const View& view) { return !view.present() || isDenseRow(view); };
  const bool dense = row(args.cond) && row(args.a) && row(args.b) && row(args.y);
  const bool small = fits32({&args.cond, &args.a, &args.b, &args.y});
  const Shape shape = dense ? Shape::dense : small ? Shape::strided32 : Shape::strided64;
  const int64_t each = dense ? 16 / item : kPerThread;
  context.launch("where", entryOf(item, shape), {static_cast<unsigned>(ceilDiv(n, kThreads * each))}, {kThreads}, 0,
                 args, scalarBits(args.aScalar, dtype), scalarBits(args.bScalar, dtype), n);
}

}  // namespace ops
}  // namespace warploom::cuda
