#include "cuda/attention_choose.h"

#include <algorithm>

#include "cuda/attention_plan.h"
#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

// Of a tile's lines, so few that a warp for each is less work: it takes about 14 warp instructions for 32
// multiplications, a tile 2 if it were full.
constexpr int64_t kFewLines = 4;

struct Entries {
  const char* family;
  const char* tiles[3];
  const char* simple;
};
#define WL_ENTRIES(family, name) \
  { family, {name "_f32_32", name "_f32_64", name "_f32_128"}, name "Simple_f32" }
constexpr Entries kEntries[] = {WL_ENTRIES("attention", "attention"),
                                WL_ENTRIES("attention_backward", "attentionQueries"),
                                WL_ENTRIES("attention_backward", "attentionKeys")};
#undef WL_ENTRIES

AttentionChoice simple(const Entries& entries, int64_t lines, const char* reason) {
  constexpr int kBlockLines = kAttentionSimpleThreads / 32;
  return {"attention_simple",         entries.simple, reason, kBlockLines, 0, kAttentionSimpleThreads,
          ceilDiv(lines, kBlockLines)};
}

}  // namespace

AttentionChoice chooseAttention(AttentionPass pass, const AttentionShape& shape) {
  const Entries& entries = kEntries[static_cast<int>(pass)];
  const int64_t own = pass == AttentionPass::keys ? shape.keys : shape.queries;
  const int64_t other = pass == AttentionPass::keys ? shape.queries : shape.keys;
  constexpr int64_t kMost = INT32_MAX - 512;
  const bool fits = shape.fits && own < kMost && other < kMost && shape.qkWidth < kMost && shape.vWidth < kMost;
  if (!fits) return simple(entries, own * shape.batches, "a size or a stride is beyond 32 bits within a tile");
  if (std::min(own, other) <= kFewLines) {
    return simple(entries, own * shape.batches, "one side has a few lines: most of a tile would be idle");
  }
  const int width = shape.columns <= 32 ? 0 : shape.columns <= 64 ? 1 : 2;
  const int columns = 32 << width;
  const int64_t blocks =
      ceilDiv(own, kAttentionLines) * std::max<int64_t>(ceilDiv(shape.columns, columns), 1) * shape.batches;
  if (blocks > INT32_MAX) return simple(entries, own * shape.batches, "more tiles than a grid has blocks");
  static const char* const kReasons[] = {"at most 32 columns come out", "at most 64 columns come out",
                                         "more than 64 columns come out: blocks own 128 each"};
  return {entries.family, entries.tiles[width], kReasons[width], kAttentionLines, columns, kAttentionThreads, blocks};
}

}  // namespace warploom::cuda
