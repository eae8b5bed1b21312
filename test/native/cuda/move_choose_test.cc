// Which kernels moves of memory choose: by layout, address and size alone.
#include "cuda/dims.h"
#include "cuda/embedding_plan.h"
#include "cuda/index_sort.h"
#include "cuda/move_plan.h"
#include "native/check.h"

using namespace warploom;
using namespace warploom::cuda;
using namespace warploom::test;

namespace {

using List = std::vector<int64_t>;
constexpr uintptr_t kBase = 0x10000;  // addresses are looked at, never followed

template <class Role>
Role view(DType dtype, const List& sizes, const List& strides, int64_t offset = 0) {
  Role v{};
  v.data = reinterpret_cast<void*>(kBase + static_cast<uintptr_t>(offset * itemSize(dtype)));
  v.dtype = dtype;
  v.rank = static_cast<int32_t>(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    v.sizes[i] = sizes[i];
    v.strides[i] = strides[i];
  }
  return v;
}
List rowMajor(const List& sizes) {
  List strides(sizes.size());
  int64_t next = 1;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    strides[i] = next;
    next *= sizes[i];
  }
  return strides;
}

struct Layout {
  List sizes, x, y;  // strides; none: row-major
  int64_t xOffset = 0, yOffset = 0;
};
CopyPlan copyOf(DType from, DType to, const Layout& layout) {
  const List strides = rowMajor(layout.sizes);
  return planCopy({view<In>(from, layout.sizes, layout.x.empty() ? strides : layout.x, layout.xOffset),
                   view<Out>(to, layout.sizes, layout.y.empty() ? strides : layout.y, layout.yOffset)});
}
bool is(const char* entry, const char* expected) {
  if (entry != nullptr && std::string(entry) == expected) return true;
  std::printf("  chose %s\n", entry == nullptr ? "nothing" : entry);
  return false;
}

constexpr DType f32 = DType::float32, i64 = DType::int64, u8 = DType::uint8, boolean = DType::boolean;

}  // namespace

TEST(dense_copies_count_bytes) {
  const CopyPlan plan = copyOf(f32, f32, {{3, 1, 1000}, {}, {}});
  CHECK(is(plan.entry, "move_dense"));
  CHECK(plan.count == 12000 && plan.grid.x == 3 && plan.block.x == 256);
  // The largest: more bytes than 32 bits count.
  const CopyPlan large = copyOf(u8, u8, {{(int64_t{1} << 31) + 5}, {}, {}});
  CHECK(is(large.entry, "move_dense"));
  CHECK(large.count == (int64_t{1} << 31) + 5 && large.grid.x == (1u << 19) + 1);
  // Both alike permuted: still every byte once.
  CHECK(is(copyOf(i64, i64, {{7, 9}, {1, 7}, {1, 7}}).entry, "move_dense"));
  CHECK(copyOf(f32, f32, {{5, 0}, {}, {}}).entry == nullptr);
}

TEST(conversions_group_by_the_wider_dtype) {
  CHECK(is(copyOf(f32, i64, {{1024}, {}, {}}).entry, "copy_f32_dense"));
  CHECK(copyOf(f32, i64, {{1024}, {}, {}}).grid.x == 2);
  CHECK(copyOf(u8, boolean, {{8192}, {}, {}}).grid.x == 2);
  CHECK(copyOf(u8, boolean, {{8192}, {}, {}}).to == boolean);
  CHECK(copyOf(boolean, boolean, {{8192}, {}, {}}).to == u8);
  CHECK(is(copyOf(i64, f32, {{100}, {}, {}, 1}).entry, "copy_i64_strided32"));
}

TEST(units_are_as_wide_as_layouts_allow) {
  const auto entry = [](DType dtype, int64_t columns, int64_t pitch, int64_t offset) {
    return copyOf(dtype, dtype, {{10, columns}, {pitch, 1}, {}, offset}).entry;
  };
  CHECK(is(entry(f32, 32, 64, 0), "move_b16_strided32"));
  CHECK(is(entry(f32, 32, 64, 4), "move_b16_strided32"));
  CHECK(is(entry(f32, 32, 64, 2), "move_b8_strided32"));
  CHECK(is(entry(f32, 32, 64, 1), "move_b4_strided32"));
  CHECK(is(entry(f32, 32, 65, 0), "move_b4_strided32"));
  CHECK(is(entry(f32, 30, 64, 0), "move_b8_strided32"));
  CHECK(is(entry(i64, 31, 64, 0), "move_b8_strided32"));
  CHECK(is(entry(u8, 48, 64, 0), "move_b16_strided32"));
  CHECK(is(entry(u8, 4, 64, 8), "move_b4_strided32"));
  CHECK(is(entry(u8, 6, 64, 0), "move_b1_strided32"));
  // A row that only its address keeps from being dense.
  CHECK(is(copyOf(f32, f32, {{4097}, {}, {}, 1}).entry, "move_b4_strided32"));
  CHECK(copyOf(f32, f32, {{10, 32}, {64, 1}, {}}).count == 80);
}

TEST(different_dense_dims_go_by_tiles) {
  const CopyPlan plan = copyOf(f32, f32, {{65, 33}, {1, 65}, {}});
  CHECK(is(plan.entry, "copy_f32_transposed"));
  CHECK(plan.tile.rows == 65 && plan.tile.columns == 33 && plan.grid.x == 6);
  CHECK(plan.tile.xRow == 1 && plan.tile.xColumn == 65 && plan.tile.yRow == 33 && plan.tile.yColumn == 1);
  // [N, HW, C] from [N, C, H, W]; the dims of the image merge.
  const CopyPlan channels = copyOf(u8, f32, {{2, 8, 8, 16}, {1024, 8, 1, 64}, {}});
  CHECK(is(channels.entry, "copy_u8_transposed"));
  CHECK(channels.tile.rows == 64 && channels.tile.columns == 16 && channels.grid.x == 4);
  CHECK(channels.args.y.rank == 1 && channels.args.y.sizes[0] == 2);
  // The outermost dim of x is the dense one of y.
  const CopyPlan outer = copyOf(i64, i64, {{50, 3, 40}, {1, 50, 150}, {}});
  CHECK(outer.shape == CopyShape::transposed && outer.tile.rows == 50 && outer.tile.columns == 40);
  // Too narrow for tiles; broadcast.
  CHECK(copyOf(f32, f32, {{300, 3}, {1, 300}, {}}).shape == CopyShape::strided);
  CHECK(copyOf(f32, f32, {{64, 64}, {0, 1}, {}}).shape == CopyShape::strided);
  // Written through a transposed view instead.
  CHECK(copyOf(f32, f32, {{65, 33}, {}, {1, 65}}).shape == CopyShape::transposed);
}

TEST(offsets_beyond_32_bits_take_the_64_bit_kernels) {
  const int64_t far = int64_t{1} << 31;
  CHECK(is(copyOf(u8, u8, {{2, 3}, {far, 1}, {}}).entry, "move_b1_strided64"));
  CHECK(is(copyOf(u8, u8, {{2, 3}, {}, {far, 1}}).entry, "move_b1_strided64"));
  CHECK(is(copyOf(u8, f32, {{2, 3}, {far, 1}, {}}).entry, "copy_u8_strided64"));
  CHECK(is(copyOf(u8, u8, {{2, 3}, {far - 4, 1}, {}}).entry, "move_b1_strided32"));
  CHECK(is(copyOf(u8, u8, {{2, 3}, {far - 3, 1}, {}}).entry, "move_b1_strided64"));
  // Few offsets, many elements.
  CHECK(is(copyOf(u8, u8, {{far}, {0}, {}}).entry, "move_b1_strided64"));
  // What is far in bytes is near in units of 16.
  CHECK(is(copyOf(u8, u8, {{2, 16}, {far * 4, 1}, {}}).entry, "move_b16_strided32"));
  CHECK(is(planFill({view<Out>(u8, {2, 3}, {far, 1}), 1}).entry, "fill_b1_strided64"));
  WhereArgs where = {view<In>(boolean, {2, 3}, {far, 1}), {}, {}, view<Out>(f32, {2, 3}, {3, 1}), 0, 0};
  where.a.rank = where.b.rank = -1;
  CHECK(is(planWhere(where).entry, "where_b4_strided64"));
}

TEST(fills_and_where) {
  CHECK(is(planFill({view<Out>(f32, {3, 5}, {5, 1}), 1}).entry, "fill_dense"));
  CHECK(planFill({view<Out>(f32, {3, 5}, {5, 1}), 1}).count == 60);
  CHECK(is(planFill({view<Out>(f32, {3, 4}, {1, 3}), 1}).entry, "fill_dense"));
  CHECK(is(planFill({view<Out>(f32, {3, 4}, {8, 1}), 1}).entry, "fill_b16_strided32"));
  CHECK(is(planFill({view<Out>(u8, {3}, {1}, 1), 1}).entry, "fill_b1_strided32"));
  CHECK(planFill({view<Out>(u8, {0}, {1}), 1}).entry == nullptr);
  WhereArgs args = {view<In>(boolean, {64}, {1}), view<OptIn>(i64, {64}, {1}), {}, view<Out>(i64, {64}, {1}), 0, 0};
  args.b.rank = -1;
  CHECK(is(planWhere(args).entry, "where_b8_dense"));
  args.cond = view<In>(boolean, {64}, {1}, 1);
  CHECK(is(planWhere(args).entry, "where_b8_strided32"));
}

TEST(teams_of_rows) {
  const auto team = [](int64_t D, bool aligned) { return planTeams(1000, D, aligned).team; };
  CHECK(team(768, true).lanes == 32 && team(768, true).group == 4 && team(768, true).chunks == 2);
  CHECK(team(128, true).lanes == 8 && team(128, true).chunks == 1);
  CHECK(team(16, true).lanes == 2);
  CHECK(team(4, true).lanes == 1);
  CHECK(team(128, false).group == 1 && team(128, false).lanes == 32 && team(128, false).chunks == 1);
  CHECK(team(33, true).group == 1 && team(33, true).lanes == 16);
  CHECK(team(1, true).lanes == 1 && planTeams(1000, 1, true).blocks == 4);
  for (const int64_t D : {1, 3, 31, 33, 128, 4097, 8192}) {
    for (const bool aligned : {false, true}) {
      const TeamPlan plan = planTeams(77, D, aligned);
      const RowTeam& t = plan.team;
      CHECK(t.lanes * t.group * kTeamRounds * t.chunks >= D);
      CHECK((t.chunks - 1) * t.lanes * t.group * kTeamRounds < D);
      CHECK(plan.blocks * (kTeamThreads / t.lanes) >= 77 * t.chunks);
    }
  }
}

TEST(sorts_have_a_pass_for_each_digit_of_the_bound) {
  CHECK(planIndexSort(100, 0).passes == 1 && planIndexSort(100, 255).passes == 1);
  CHECK(planIndexSort(100, 256).passes == 2 && planIndexSort(100, 65536).passes == 3);
  CHECK(planIndexSort(100, int64_t{1} << 52).passes == 7);
  CHECK(!planIndexSort(100, UINT32_MAX).wide && planIndexSort(100, int64_t{1} << 32).wide);
  CHECK(planIndexSort(int64_t{1} << 32, 10).wide);
  CHECK(planIndexSort(0, 10).tiles == 0 && planIndexSort(2048, 10).tiles == 1 && planIndexSort(2049, 10).tiles == 2);
  // Buffers do not overlap.
  const IndexSort sort = planIndexSort(5000, 70000);
  const int64_t begins[] = {sort.keys[0], sort.positions[0], sort.keys[1], sort.positions[1], sort.counts, sort.totals};
  for (int i = 1; i < 5; ++i) CHECK(begins[i] - begins[i - 1] >= 20000 && begins[i] % 256 == 0);
  CHECK(sort.totals - sort.counts >= 256 * 3 * 4 && sort.bytes - sort.totals >= 1024);
}
