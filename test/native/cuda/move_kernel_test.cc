// The 64-bit kernels of moves and sorts: the results of the 32-bit ones, and offsets that 32 bits do not hold.
#include <algorithm>
#include <numeric>

#include "cuda/index_sort_pass.h"
#include "engine/args/create.h"
#include "engine/args/elementwise.h"
#include "kernel_harness.h"

using namespace warploom;
using namespace warploom::cuda;
using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

std::vector<uint8_t> bytes(std::size_t n) {
  std::vector<uint8_t> data(n);
  uint32_t seed = 7;
  for (uint8_t& x : data) x = static_cast<uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
  return data;
}

// [5, 6, 7] in a permuted order of memory, with gaps.
template <class Role>
Role permuted(uint64_t address, DType dtype) {
  Role v{};
  v.data = pointer(address);
  v.dtype = dtype;
  v.rank = 3;
  const int64_t sizes[] = {5, 6, 7}, strides[] = {2, 70, 10};
  std::copy(sizes, sizes + 3, v.sizes);
  std::copy(strides, strides + 3, v.strides);
  return v;
}
constexpr int64_t kCount = 5 * 6 * 7;
constexpr std::size_t kSpan = 4 * 2 + 5 * 70 + 6 * 10 + 1;
const char* const kWidths[] = {"32", "64"};

// A test's runs of both widths, on the same operands; `run` gives what was written.
template <class Run>
void sameForBothWidths(const std::string& entry, Run run) {
  Note where(entry);
  const std::vector<uint8_t> narrow = run(entry + kWidths[0]), wide = run(entry + kWidths[1]);
  CHECK(narrow == wide);
  CHECK(narrow != std::vector<uint8_t>(narrow.size(), 0xee));
}

}  // namespace

TEST(strided_kernels_of_64_bits_do_what_those_of_32_do) {
  Sim copy(kernelsOf("copy")), where(kernelsOf("where")), create(kernelsOf("create"));
  const auto blank = [](Sim& sim, std::size_t item) { return sim.put(std::vector<uint8_t>(kSpan * item, 0xee)); };
  const struct {
    const char* name;
    std::size_t bytes;
  } units[] = {{"b1", 1}, {"b4", 4}, {"b8", 8}, {"b16", 16}};
  for (const auto& unit : units) {
    const uint64_t x = copy.put(bytes(kSpan * unit.bytes));
    sameForBothWidths(std::string("move_") + unit.name + "_strided", [&](const std::string& entry) {
      const uint64_t y = blank(copy, unit.bytes);
      const UnaryArgs args = {permuted<In>(x, DType::uint8), permuted<Out>(y, DType::uint8)};
      copy.clean(entry, {1}, {256}, 0, args, kCount);
      return copy.get<uint8_t>(y, kSpan * unit.bytes);
    });
    sameForBothWidths(std::string("fill_") + unit.name + "_strided", [&](const std::string& entry) {
      const uint64_t y = blank(create, unit.bytes);
      const FillArgs args = {permuted<Out>(y, DType::uint8), 0};
      create.clean(entry, {1}, {256}, 0, args, uint64_t{0x0123456789abcdef}, kCount);
      return create.get<uint8_t>(y, kSpan * unit.bytes);
    });
    if (unit.bytes == 16) continue;
    const uint64_t cond = where.put(bytes(kSpan)), a = where.put(bytes(kSpan * unit.bytes));
    sameForBothWidths(std::string("where_") + unit.name + "_strided", [&](const std::string& entry) {
      const uint64_t y = blank(where, unit.bytes);
      WhereArgs args = {permuted<In>(cond, DType::boolean),
                        permuted<OptIn>(a, DType::uint8),
                        {},
                        permuted<Out>(y, DType::uint8),
                        0,
                        0};
      args.b.rank = -1;
      where.clean(entry, {1}, {256}, 0, args, uint64_t{1}, uint64_t{2}, kCount);
      return where.get<uint8_t>(y, kSpan * unit.bytes);
    });
  }
  const DType dtypes[] = {DType::float32, DType::int32, DType::int64, DType::uint8};
  const char* const names[] = {"f32", "i32", "i64", "u8"};
  for (int k = 0; k < 4; ++k) {
    const uint64_t x = copy.put(bytes(kSpan * 8));
    for (const DType to : dtypes) {
      sameForBothWidths(std::string("copy_") + names[k] + "_strided", [&](const std::string& entry) {
        const uint64_t y = blank(copy, 8);
        const UnaryArgs args = {permuted<In>(x, dtypes[k]), permuted<Out>(y, to)};
        copy.clean(entry, {1}, {256}, 0, args, kCount, to);
        return copy.get<uint8_t>(y, kSpan * 8);
      });
    }
  }
}

// Two rows of eight bytes, more than 2^32 bytes apart, made dense and put back.
TEST(strides_beyond_32_bits) {
  Sim sim(kernelsOf("copy"));
  const int64_t apart = (int64_t{1} << 32) + 64;
  Sparse all(sim, static_cast<std::size_t>(apart) + 4096);
  all.registerBytes(0, 8);
  all.registerBytes(static_cast<std::size_t>(apart), 8);
  const uint64_t far = reinterpret_cast<uint64_t>(all.data());
  const auto rows = [&](uint64_t address, int64_t stride) {
    UnaryArgs args = {};
    View& v = args.x;
    v.data = pointer(address);
    v.dtype = DType::uint8;
    v.rank = 2;
    v.sizes[0] = 2;
    v.sizes[1] = 8;
    v.strides[0] = stride;
    v.strides[1] = 1;
    return v;
  };
  const std::vector<uint8_t> data = bytes(16);
  const uint64_t dense = sim.put(data), back = sim.put(std::vector<uint8_t>(16, 0));
  UnaryArgs out = {};
  static_cast<View&>(out.x) = rows(dense, 8);
  static_cast<View&>(out.y) = rows(far, apart);
  sim.clean("move_b1_strided64", {1}, {256}, 0, out, int64_t{16});
  CHECK(std::memcmp(pointer(far + static_cast<uint64_t>(apart)), data.data() + 8, 8) == 0);
  UnaryArgs in = {};
  static_cast<View&>(in.x) = rows(far, apart);
  static_cast<View&>(in.y) = rows(back, 8);
  sim.clean("move_b1_strided64", {1}, {256}, 0, in, int64_t{16});
  CHECK(sim.get<uint8_t>(back, 16) == data);
}

// Both words, against a stable sort of the host: three tiles, then one; an index outside and a row to skip.
template <class Word>
void sortsLikeTheHost(Sim& sim, const std::string& word, int64_t count, int64_t bound, int passes) {
  Note where(word + ", " + std::to_string(count) + " below " + std::to_string(bound));
  std::vector<int64_t> rows(static_cast<std::size_t>(count));
  uint64_t seed = 3;
  for (int64_t& row : rows) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    row = static_cast<int64_t>((seed >> 33) % static_cast<uint64_t>(bound));
  }
  rows[5] = bound;
  rows[9] = -1;
  const int64_t skipped = rows[1];
  std::vector<int64_t> order(rows.size()), keys = rows;
  std::iota(order.begin(), order.end(), 0);
  for (int64_t& key : keys) key = key < 0 || key == skipped ? bound : key;
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
  });

  const uint64_t bytes = static_cast<uint64_t>(count) * sizeof(Word);
  IndexSortPass pass = {};
  pass.index.data = pointer(sim.put(rows));
  pass.index.dtype = DType::int64;
  pass.count = count;
  pass.bound = bound;
  pass.skipped = skipped;
  pass.tiles = (count + kSortTile - 1) / kSortTile;
  pass.op = 41;
  pass.counts = pointer(sim.room(static_cast<uint64_t>(pass.tiles) * kDigits * sizeof(Word)));
  pass.totals = pointer(sim.room(kDigits * sizeof(Word)));
  const uint64_t errors = sim.put(std::vector<int64_t>(3, 0));
  const auto tiles = static_cast<uint32_t>(pass.tiles);
  for (int k = 0; k < passes; ++k) {
    pass.shift = k * kDigitBits;
    // The last pass has as many digits as the highest row needs.
    pass.digits = static_cast<int32_t>(std::min<int64_t>(kDigits, (bound >> pass.shift) + 1));
    pass.keysOut = pointer(sim.room(bytes));
    pass.positionsOut = pointer(sim.room(bytes));
    if (tiles > 1) {
      sim.clean("sort_count_" + word, {tiles}, {kSortThreads}, 0, pass);
      sim.clean("sort_scan_" + word, {static_cast<uint32_t>(pass.digits)}, {kSortThreads}, 0, pass);
    }
    sim.clean("sort_scatter_" + word, {tiles}, {kSortThreads}, 0, pass, errors);
    pass.keysIn = pass.keysOut;
    pass.positionsIn = pass.positionsOut;
  }
  const auto positions = sim.get<Word>(reinterpret_cast<uint64_t>(pass.positionsOut), order.size());
  CHECK(std::equal(order.begin(), order.end(), positions.begin(),
                   [](int64_t a, Word b) { return static_cast<Word>(a) == b; }));
  const auto error = sim.get<int64_t>(errors, 3);
  CHECK((error[0] & 0xffffffff) == 42 && (error[1] == -1 || error[1] == bound) && error[2] == bound);

  if (bound > 5000) return;
  const uint64_t starts = sim.room(static_cast<uint64_t>(bound + 1) * sizeof(Word));
  sim.clean("sort_starts_" + word, {static_cast<uint32_t>(bound / kSortThreads + 1)}, {kSortThreads}, 0,
            reinterpret_cast<uint64_t>(pass.keysOut), count, starts, bound);
  const auto found = sim.get<Word>(starts, static_cast<std::size_t>(bound + 1));
  std::sort(keys.begin(), keys.end());
  for (int64_t v = 0; v <= bound; ++v) {
    const auto expected = std::lower_bound(keys.begin(), keys.end(), v) - keys.begin();
    CHECK(found[static_cast<std::size_t>(v)] == static_cast<Word>(expected));
  }
}
TEST(indices_are_sorted_as_the_host_sorts_them) {
  Sim sim(kernelsOf("index_sort"));
  sortsLikeTheHost<uint32_t>(sim, "w32", 5000, 1000, 2);
  sortsLikeTheHost<uint64_t>(sim, "w64", 5000, 1000, 2);
  sortsLikeTheHost<uint32_t>(sim, "w32", 2000, 200, 1);
  sortsLikeTheHost<uint64_t>(sim, "w64", 2000, 200, 1);
  sortsLikeTheHost<uint64_t>(sim, "w64", 4100, int64_t{1} << 33, 5);
}

#endif
