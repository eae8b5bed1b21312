// Layer normalisation: the row kernel that the shape asks for; the gradients of weight and bias in a second launch.
#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/layout.h"
#include "cuda/reduce.h"
#include "cuda/row_choice.h"

namespace warploom::cuda {
namespace {

constexpr RowEntries kForward = WL_ROW_ENTRIES("layerNorm_f32"), kBackward = WL_ROW_ENTRIES("layerNormBackward_f32");

struct NormChoice {
  RowChoice rows;
  int32_t rounds;     // rows of a team, one after another
  int64_t blockRows;  // rows of a block
  int64_t blocks;
};

// What a block reads and leaves behind of width C is to be that many rows' share of a row that it reads and writes; so
// few blocks are enough only where each has much to do, in large tensors.
constexpr int64_t kLargeTensor = int64_t{1} << 22;
// A block's weight and bias against x and y of its rows: 2 / (2 rows) <= 0.05, with something left for mean and rstd.
constexpr int64_t kForwardRows = 24;
// Weight, and both sums, written here and read by the launch that adds them up: 5 / (3 rows).
constexpr int64_t kBackwardRows = 48;

// Rows of a block share what it reads of weight and bias, up to 64 of them while 96 blocks remain; in a large tensor at
// least `atLeast`. No more than 1,024 blocks leave sums of columns behind.
NormChoice choose(const View& x, std::initializer_list<const View*> rows, std::initializer_list<const View*> columns,
                  int64_t atLeast) {
  View views[3] = {};
  const View* list[3];
  int count = 0;
  for (const View* view : rows) {
    View& row = views[count];
    row = *view;
    row.rank = 3;
    row.sizes[0] = x.sizes[0];
    row.sizes[1] = x.sizes[1];
    row.sizes[2] = 1;
    row.strides[0] = x.sizes[1];
    row.strides[1] = row.strides[2] = 1;
    list[count] = &row;
    ++count;
  }
  NormChoice choice;
  choice.rows = count == 3 ? chooseRows({list[0], list[1], list[2]}) : chooseRows({list[0], list[1]});
  for (const View* view : columns) {
    if (view->present() && !isAligned(view->data, 16)) choice.rows.plan.packed = false;
  }
  const int64_t R = x.sizes[0];
  const int64_t least = R * x.sizes[1] >= kLargeTensor ? atLeast : 1;
  const int64_t wanted = std::max({std::min<int64_t>(64, ceilDiv(R, 96)), ceilDiv(R, 1024), least});
  choice.rounds = static_cast<int32_t>(std::max<int64_t>(1, ceilDiv(wanted, choice.rows.tasksBlock)));
  choice.blockRows = choice.rounds * choice.rows.tasksBlock;
  choice.blocks = ceilDiv(R, choice.blockRows);
  return choice;
}

bool hasParts(const LayerNormBackwardArgs& args) { return args.dweight.present() || args.dbias.present(); }

NormChoice chooseBackward(const LayerNormBackwardArgs& args) {
  const View& dx = args.dx.present() ? static_cast<const View&>(args.dx) : args.x;
  return choose(args.x, {&args.g, &args.x, &dx}, {&args.weight}, hasParts(args) ? kBackwardRows : 1);
}

}  // namespace

namespace ops {

void layerNorm(const LayerNormArgs& args, CudaContext& context) {
  if (args.x.sizes[0] == 0) return;
  const NormChoice choice = choose(args.x, {&args.x, &args.y}, {&args.weight, &args.bias},
                                   args.weight.present() || args.bias.present() ? kForwardRows : 1);
  const bool isLong = choice.rows.shape == RowShape::rowsLong;
  const unsigned blocks = static_cast<unsigned>(isLong ? args.x.sizes[0] : choice.blocks);
  context.launch("norm", kForward.of(choice.rows.shape), {blocks}, {kRowThreads}, 0, args, choice.rows.plan,
                 choice.rounds);
}

int64_t layerNormBackwardScratch(const LayerNormBackwardArgs& args) {
  if (!hasParts(args)) return 0;
  return chooseBackward(args).blocks * 2 * args.x.sizes[1] * static_cast<int64_t>(sizeof(float));
}

void layerNormBackward(const LayerNormBackwardArgs& args, CudaContext& context) {
  const int64_t C = args.x.sizes[1];
  const NormChoice choice = chooseBackward(args);
  const RowPlan& plan = choice.rows.plan;
  float* parts = hasParts(args) ? static_cast<float*>(context.scratch()) : nullptr;
  const unsigned blocks = static_cast<unsigned>(choice.blocks);
  if (choice.rows.shape != RowShape::rowsLong) {
    context.launch("norm", kBackward.of(choice.rows.shape), {blocks}, {kRowThreads}, 0, args, plan, choice.rounds,
                   parts);
  } else {
    if (args.dx.present()) {
      context.launch("norm", "layerNormBackward_f32_rowsLong", {static_cast<unsigned>(args.x.sizes[0])}, {kRowThreads},
                     0, args, plan);
    }
    if (parts != nullptr) {
      context.launch("norm", "layerNormBackward_f32_parametersLong",
                     {static_cast<unsigned>(ceilDiv(C, kRowThreads)), blocks}, {kRowThreads}, 0, args, choice.blockRows,
                     parts);
    }
  }
  if (parts == nullptr) return;
  const auto sum = [&](const View& to, float* from) {
    if (!to.present()) return;
    ReduceArgs rest = {};
    rest.x.data = from;
    rest.x.dtype = DType::float32;
    rest.x.rank = 2;
    rest.x.sizes[0] = C;
    rest.x.sizes[1] = choice.blocks;
    rest.x.strides[0] = 1;
    rest.x.strides[1] = 2 * C;
    static_cast<View&>(rest.y) = to;
    rest.kept = 1;
    reduceAtOnce(rest, Reduction::sum, 1, nullptr, context);
  };
  sum(args.dweight, parts);
  sum(args.dbias, parts + C);
}

}  // namespace ops
}  // namespace warploom::cuda
