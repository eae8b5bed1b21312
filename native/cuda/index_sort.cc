#include "cuda/index_sort.h"

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

SortedIndex sortIndex(CudaContext& context, const IndexSort& sort, const View& index, int64_t skipped, OpId op,
                      void* scratch) {
  char* const base = static_cast<char*>(scratch);
  IndexErrorWord* const errors = context.indexErrors();
  const Entries& entries = sort.wide ? kWide : kNarrow;
  const auto tiles = static_cast<unsigned>(sort.tiles);
  IndexSortPass pass = {};
  pass.index = index;
  pass.count = sort.count;
  pass.bound = sort.bound;
  pass.skipped = skipped;
  pass.tiles = sort.tiles;
  pass.op = static_cast<int32_t>(op);
  pass.counts = base + sort.counts;
  pass.totals = base + sort.totals;
  for (int k = 0; k < sort.passes; ++k) {
    const int buffer = (sort.passes - 1 - k) % 2;  // the last pass ends in the first
    pass.shift = k * kDigitBits;
    pass.keysOut = base + sort.keys[buffer];
    pass.positionsOut = base + sort.positions[buffer];
    if (sort.tiles > 1) {
      context.launch("index_sort", entries.count, {tiles}, {kSortThreads}, 0, pass);
      context.launch("index_sort", entries.scan, {kDigits}, {kSortThreads}, 0, pass);
    }
    context.launch("index_sort", entries.scatter, {tiles}, {kSortThreads}, 0, pass, errors);
    pass.keysIn = pass.keysOut;
    pass.positionsIn = pass.positionsOut;
  }
  return {base + sort.keys[0], base + sort.positions[0]};
}

}  // namespace warploom::cuda
