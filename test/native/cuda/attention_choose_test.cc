#include "cuda/attention_choose.h"

#include "cuda/attention_plan.h"
#include "native/check.h"

using namespace warploom::cuda;
using namespace warploom::test;

namespace {

constexpr AttentionPass kPasses[] = {AttentionPass::forward, AttentionPass::queries, AttentionPass::keys};

AttentionShape shape(int64_t batches, int64_t queries, int64_t keys, int64_t columns) {
  return {batches, queries, keys, columns, columns, columns, true};
}
bool is(const AttentionChoice& choice, const char* entry) { return std::string(choice.entry) == entry; }

}  // namespace

TEST(tile_follows_the_columns) {
  const struct {
    int64_t columns;
    const char *forward, *queries, *keys;
    int64_t shares;
  } cases[] = {{1, "attention_f32_32", "attentionQueries_f32_32", "attentionKeys_f32_32", 1},
               {32, "attention_f32_32", "attentionQueries_f32_32", "attentionKeys_f32_32", 1},
               {33, "attention_f32_64", "attentionQueries_f32_64", "attentionKeys_f32_64", 1},
               {64, "attention_f32_64", "attentionQueries_f32_64", "attentionKeys_f32_64", 1},
               {65, "attention_f32_128", "attentionQueries_f32_128", "attentionKeys_f32_128", 1},
               {128, "attention_f32_128", "attentionQueries_f32_128", "attentionKeys_f32_128", 1},
               {129, "attention_f32_128", "attentionQueries_f32_128", "attentionKeys_f32_128", 2}};
  for (const auto& c : cases) {
    Note where(std::to_string(c.columns) + " columns");
    for (AttentionPass pass : kPasses) {
      const AttentionChoice choice = chooseAttention(pass, shape(6, 65, 200, c.columns));
      const int64_t tiles = pass == AttentionPass::keys ? 4 : 2;
      CHECK(is(choice, pass == AttentionPass::forward   ? c.forward
                       : pass == AttentionPass::queries ? c.queries
                                                        : c.keys));
      CHECK(choice.blocks == 6 * tiles * c.shares);
      CHECK(choice.threads == kAttentionThreads && choice.lines == kAttentionLines);
      CHECK(std::string(choice.family) == (pass == AttentionPass::forward ? "attention" : "attention_backward"));
      CHECK(choice.reason != nullptr && choice.reason[0] != 0);
    }
  }
}

TEST(no_columns_still_make_a_tile) { CHECK(chooseAttention(AttentionPass::forward, shape(3, 64, 64, 0)).blocks == 3); }

TEST(few_lines_take_a_warp_each) {
  for (AttentionPass pass : kPasses) {
    const int64_t own = pass == AttentionPass::keys ? 4096 : 4;
    const AttentionChoice choice = chooseAttention(pass, shape(3, 4, 4096, 64));
    CHECK(std::string(choice.family) == "attention_simple");
    CHECK(choice.columns == 0 && choice.threads == kAttentionSimpleThreads);
    CHECK(choice.blocks == (own * 3 + 7) / 8);
    CHECK(std::string(chooseAttention(pass, shape(3, 5, 4096, 64)).family) != "attention_simple");
  }
  CHECK(is(chooseAttention(AttentionPass::forward, shape(70000, 1, 1, 8)), "attentionSimple_f32"));
  CHECK(is(chooseAttention(AttentionPass::queries, shape(1, 70, 0, 8)), "attentionQueriesSimple_f32"));
  CHECK(is(chooseAttention(AttentionPass::keys, shape(1, 0, 70, 8)), "attentionKeysSimple_f32"));
  CHECK(chooseAttention(AttentionPass::forward, shape(1, 0, 70, 8)).blocks == 0);
}

TEST(what_does_not_fit_a_tile_is_simple) {
  AttentionShape s = shape(1, 64, 64, 64);
  s.fits = false;
  CHECK(is(chooseAttention(AttentionPass::forward, s), "attentionSimple_f32"));
  CHECK(is(chooseAttention(AttentionPass::forward, shape(1, int64_t{1} << 31, 64, 1)), "attentionSimple_f32"));
  CHECK(is(chooseAttention(AttentionPass::keys, shape(1, int64_t{1} << 31, 64, 1)), "attentionKeysSimple_f32"));
  CHECK(is(chooseAttention(AttentionPass::forward, shape(1, 64, 64, int64_t{1} << 31)), "attentionSimple_f32"));
  CHECK(is(chooseAttention(AttentionPass::forward, shape(int64_t{1} << 31, 64, 64, 1)), "attentionSimple_f32"));
  CHECK(is(chooseAttention(AttentionPass::forward, shape((int64_t{1} << 31) - 1, 64, 64, 1)), "attention_f32_32"));
}
