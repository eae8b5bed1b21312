// How reductions and rows are shared out among threads: from shapes and strides alone.
#include "cuda/reduce.h"
#include "cuda/row_choice.h"
#include "native/check.h"

using namespace warploom;
using namespace warploom::cuda;
using namespace warploom::test;

namespace {

alignas(16) char storage[64];

View view(std::initializer_list<int64_t> sizes, std::initializer_list<int64_t> strides, int64_t offset = 0) {
  View v = {};
  v.data = storage + offset;
  v.dtype = DType::float32;
  for (const int64_t size : sizes) v.sizes[v.rank++] = size;
  int dim = 0;
  for (const int64_t stride : strides) v.strides[dim++] = stride;
  return v;
}

ReduceArgs reduction(const View& x, int64_t kept) {
  ReduceArgs args = {};
  static_cast<View&>(args.x) = x;
  args.y.dtype = x.dtype;
  args.kept = kept;
  return args;
}

}  // namespace

TEST(rows_columns_and_strides) {
  const ReduceLaunch row = planReduce(reduction(view({100, 64}, {64, 1}), 1), Reduction::sum);
  CHECK(!row.columns && row.plan.access == ReduceAccess::packed && row.plan.width == 16);
  CHECK(row.blocks == 7);  // 16 rows each

  const ReduceLaunch offset = planReduce(reduction(view({100, 64}, {64, 1}, 4), 1), Reduction::sum);
  CHECK(offset.plan.access == ReduceAccess::run && offset.plan.width == row.plan.width);

  const ReduceLaunch column = planReduce(reduction(view({64, 100}, {1, 64}), 1), Reduction::sum);
  CHECK(column.columns && column.plan.width == 32 && column.plan.chunks == 1 && column.blocks == 2);

  const ReduceLaunch strided = planReduce(reduction(view({3, 50, 7}, {2, 60, 6}), 1), Reduction::argmax);
  CHECK(!strided.columns && strided.plan.access == ReduceAccess::strided && strided.plan.single == 0);
}

TEST(sums_walk_dims_by_falling_stride_and_positions_do_not) {
  const ReduceArgs args = reduction(view({5, 7}, {1, 5}), 0);
  CHECK(planReduce(args, Reduction::sum).plan.single == 1);
  CHECK(planReduce(args, Reduction::sum).plan.innerStride == 1);
  CHECK(planReduce(args, Reduction::argmax).plan.single == 0);
}

TEST(chunks_are_of_the_shape_and_cover_it) {
  for (const int64_t count : {1, 1024, 1025, 32768, 32769, 70001, 5000000}) {
    Note where(std::to_string(count));
    for (const bool columns : {false, true}) {
      const View x = columns ? view({40, count}, {1, 40}) : view({1, count}, {count, 1});
      const ReducePlan plan = planReduce(reduction(x, 1), Reduction::sum).plan;
      CHECK(plan.chunks * plan.chunk >= count && (plan.chunks - 1) * plan.chunk < count);
      const int64_t scratch = reduceScratch(reduction(x, 1), Reduction::sum);
      CHECK(scratch == (plan.chunks == 1 ? 0 : plan.chunks * plan.outputs * 4));
    }
  }
}

TEST(rows_that_are_held) {
  const auto choose = [](int64_t outer, int64_t n, int64_t inner) {
    const View x = view({outer, n, inner}, {n * inner, inner, 1});
    return chooseRows({&x, &x});
  };
  CHECK(choose(9, 10, 1).shape == RowShape::rows2 && choose(9, 10, 1).plan.width == 16);
  CHECK(choose(9, 1024, 1).shape == RowShape::rows8 && choose(9, 1024, 1).plan.width == 32);
  CHECK(choose(9, 1025, 1).shape == RowShape::rows2 && choose(9, 1025, 1).plan.width == kRowThreads);
  CHECK(choose(9, 8192, 1).shape == RowShape::rows8 && choose(9, 8192, 1).blocks() == 9);
  CHECK(choose(9, 8193, 1).shape == RowShape::rowsLong);
  CHECK(choose(9, 21, 500).shape == RowShape::columns8 && choose(9, 21, 500).plan.width == 32);
  CHECK(choose(9, 1024, 500).shape == RowShape::columns8 && choose(9, 1024, 500).plan.width == 8);
  CHECK(choose(9, 1025, 500).shape == RowShape::columnsLong);
}

TEST(rows_of_one_call_load_alike) {
  const View whole = view({4, 8, 1}, {8, 1, 1}), offset = view({4, 8, 1}, {8, 1, 1}, 4);
  CHECK(chooseRows({&whole, &whole}).plan.packed == 1);
  CHECK(chooseRows({&whole, &offset}).plan.packed == 0);
}
