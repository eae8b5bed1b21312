#include "cuda/index_sort.h"

#include <algorithm>

#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

constexpr int64_t kAlignment = 256;

struct Entries {
  const char *count, *scan, *scatter;
};
constexpr Entries kNarrow = {"sort_count_w32", "sort_scan_w32", "sort_scatter_w32"};
constexpr Entries kWide = {"sort_count_w64", "sort_scan_w64", "sort_scatter_w64"};

}  // namespace

IndexSort planIndexSort(int64_t count, int64_t bound) {
  IndexSort sort = {};
  sort.count = count;
  sort.bound = bound;
  sort.wide = count > UINT32_MAX || bound > UINT32_MAX;
  sort.passes = 1;
  while (sort.passes * kDigitBits < 63 && bound >> (sort.passes * kDigitBits) != 0) ++sort.passes;
  sort.tiles = ceilDiv(count, kSortTile);
  const int64_t word = sort.wide ? 8 : 4;
  int64_t at = 0;
  const auto place = [&](int64_t words) {
    const int64_t begin = at;
    at = ceilDiv(at + words * word, kAlignment) * kAlignment;
    return begin;
  };
  const int buffers = sort.passes > 1 ? 2 : 1;
  for (int k = 0; k < buffers; ++k) {
    sort.keys[k] = place(count);
    sort.positions[k] = place(count);
  }
  if (sort.tiles > 1) {
    sort.counts = place(kDigits * sort.tiles);
    sort.totals = place(kDigits);
  }
  sort.bytes = at;
  return sort;
}

namespace {

// The highest row is `bound`, for what names none.
int32_t digitsOf(int64_t bound, int shift) {
  return static_cast<int32_t>(std::min<int64_t>(kDigits, (bound >> shift) + 1));
}

// What all passes have in common.
IndexSortPass passOf(const IndexSort& sort, const View& index, int64_t skipped, OpId op, char* base) {
  IndexSortPass pass = {};
  pass.index = index;
  pass.count = sort.count;
  pass.bound = sort.bound;
  pass.skipped = skipped;
  pass.tiles = sort.tiles;
  pass.op = static_cast<int32_t>(op);
  pass.counts = base + sort.counts;
  pass.totals = base + sort.totals;
  return pass;
}

void run(CudaContext& context, const IndexSort& sort, const IndexSortPass& pass) {
  const Entries& entries = sort.wide ? kWide : kNarrow;
  const auto tiles = static_cast<unsigned>(sort.tiles);
  if (sort.tiles > 1) {
    context.launch("index_sort", entries.count, {tiles}, {kSortThreads}, 0, pass);
    context.launch("index_sort", entries.scan, {static_cast<unsigned>(pass.digits)}, {kSortThreads}, 0, pass);
  }
  context.launch("index_sort", entries.scatter, {tiles}, {kSortThreads}, 0, pass, context.indexErrors());
}

}  // namespace

SortedIndex sortIndex(CudaContext& context, const IndexSort& sort, const View& index, int64_t skipped, OpId op,
                      void* scratch) {
  char* const base = static_cast<char*>(scratch);
  IndexSortPass pass = passOf(sort, index, skipped, op, base);
  for (int k = 0; k < sort.passes; ++k) {
    const int buffer = (sort.passes - 1 - k) % 2;  // the last pass ends in the first
    pass.shift = k * kDigitBits;
    pass.digits = digitsOf(sort.bound, pass.shift);
    pass.keysOut = base + sort.keys[buffer];
    pass.positionsOut = base + sort.positions[buffer];
    run(context, sort, pass);
    pass.keysIn = pass.keysOut;
    pass.positionsIn = pass.positionsOut;
  }
  return {base + sort.keys[0], base + sort.positions[0]};
}

IndexBuckets planIndexBuckets(int64_t count, int64_t bound) {
  IndexBuckets plan = {planIndexSort(count, bound), 0, 0};
  // What names no row stands for row `bound`: that, too, needs a digit.
  while (plan.bits <= kMostBucketBits && bound >> plan.bits >= kDigits) ++plan.bits;
  if (plan.bits > kMostBucketBits || count > int64_t{1} << (32 - plan.bits) || plan.pass.tiles <= 1) plan.bits = -1;
  if (plan.bits >= 0) plan.buckets = ceilDiv(bound, int64_t{1} << plan.bits);
  return plan;
}

BucketedIndex bucketIndex(CudaContext& context, const IndexBuckets& plan, const View& index, int64_t skipped, OpId op,
                          void* scratch) {
  char* const base = static_cast<char*>(scratch);
  IndexSortPass pass = passOf(plan.pass, index, skipped, op, base);
  pass.shift = plan.bits;
  pass.digits = digitsOf(plan.pass.bound, plan.bits);
  pass.positionsOut = base + plan.pass.positions[0];
  pass.carriesRow = 1;
  run(context, plan.pass, pass);
  return {pass.positionsOut, pass.totals};
}

}  // namespace warploom::cuda
