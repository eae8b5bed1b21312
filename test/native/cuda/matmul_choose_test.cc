#include "cuda/matmul_choose.h"

#include "cuda/gemm_args.h"
#include "native/check.h"

using namespace warploom::cuda;
using namespace warploom::test;

namespace {

// Row-major operands; a transposed one is the transpose of a row-major one.
GemmShape shape(int64_t m, int64_t n, int64_t k, int64_t batches = 1, bool aTransposed = false,
                bool bTransposed = false) {
  GemmShape s = {m, n, k, batches, {k, 1, true}, {1, n, true}};
  if (aTransposed) s.a = {1, m, true};
  if (bTransposed) s.b = {k, 1, true};
  return s;
}
bool is(const GemmChoice& choice, const char* entry) { return std::string(choice.entry) == entry; }

}  // namespace

TEST(tile_follows_the_narrow_side) {
  const struct {
    int64_t m, n;
    const char* entry;
    bool exchanged;
  } cases[] = {{4096, 4096, "gemm_f32_nn_128x128", false}, {512, 512, "gemm_f32_nn_64x64", false},
               {8192, 32, "gemm_f32_nn_128x32", false},    {8192, 17, "gemm_f32_nn_128x32", false},
               {8192, 16, "gemm_f32_nn_128x16", false},    {8192, 5, "gemm_f32_nn_128x16", false},
               {8192, 4, "gemm_f32_nn_128x4", false},      {8192, 1, "gemm_f32_nt_128x4", false},
               {32, 8192, "gemm_f32_tt_128x32", true},     {16, 8192, "gemm_f32_tt_128x16", true},
               {1, 8192, "gemm_f32_tt_128x4", true},       {33, 33, "gemm_f32_nn_64x64", false}};
  // One column lies along k: nt.
  for (const auto& c : cases) {
    Note where(std::to_string(c.m) + " x " + std::to_string(c.n));
    const GemmChoice choice = chooseGemm(shape(c.m, c.n, 100));
    CHECK(is(choice, c.entry));
    CHECK(choice.exchanged == c.exchanged);
    CHECK(choice.reason != nullptr && choice.reason[0] != 0);
    CHECK(!choice.split);
  }
}

TEST(ragged_sizes_take_smaller_tiles) {
  CHECK(is(chooseGemm(shape(4096, 4096, 64)), "gemm_f32_nn_128x128"));
  // 33 x 33 tiles of 128 for 65 x 65 of 64: a twentieth more work.
  CHECK(is(chooseGemm(shape(4160, 4160, 64)), "gemm_f32_nn_128x128"));
  // A quarter of each tile of 128 would be used.
  CHECK(is(chooseGemm(shape(64, 64, 64, 4096)), "gemm_f32_nn_64x64"));
  CHECK(is(chooseGemm(shape(128, 128, 64, 128)), "gemm_f32_nn_128x128"));
  CHECK(is(chooseGemm(shape(128, 128, 64, 127)), "gemm_f32_nn_64x64"));
}

TEST(layouts_and_vectors) {
  const GemmChoice nn = chooseGemm(shape(64, 64, 64)), nt = chooseGemm(shape(64, 64, 64, 1, false, true)),
                   tn = chooseGemm(shape(64, 64, 64, 1, true, false)),
                   tt = chooseGemm(shape(64, 64, 64, 1, true, true));
  CHECK(is(nn, "gemm_f32_nn_64x64") && !nn.aVector && nn.bVector);
  CHECK(is(nt, "gemm_f32_nt_64x64") && !nt.aVector && !nt.bVector);
  CHECK(is(tn, "gemm_f32_tn_64x64") && tn.aVector && tn.bVector);
  CHECK(is(tt, "gemm_f32_tt_64x64") && tt.aVector && !tt.bVector);
  GemmShape s = shape(64, 64, 64);
  s.b.aligned = false;
  CHECK(!chooseGemm(s).bVector);
  CHECK(!chooseGemm(shape(64, 66, 64)).bVector);
  s = shape(64, 64, 64);
  s.b.depthStride = 65;
  CHECK(!chooseGemm(s).bVector);
  // A repeated row, a repeated column, steps of two.
  s = shape(64, 64, 64);
  s.a = {0, 1, true};
  s.b = {0, 1, true};
  CHECK(is(chooseGemm(s), "gemm_f32_nt_64x64"));
  s.a = {2, 128, true};
  s.b = {2, 128, true};
  CHECK(is(chooseGemm(s), "gemm_f32_tn_64x64") && !chooseGemm(s).aVector && !chooseGemm(s).bVector);
  // The exchanged operands carry theirs along.
  const GemmChoice wide = chooseGemm(shape(16, 4096, 64));
  CHECK(is(wide, "gemm_f32_tt_128x16") && wide.aVector && !wide.bVector);
}

TEST(few_tiles_split_k) {
  const GemmChoice choice = chooseGemm(shape(64, 64, 4096));
  CHECK(choice.split);
  CHECK(choice.blocks == 16);
  CHECK(choice.partialBytes == 16 * 64 * 64 * 4);
  CHECK(!chooseGemm(shape(64, 64, 256)).split);
  CHECK(chooseGemm(shape(64, 64, 257)).split);
  CHECK(!chooseGemm(shape(64, 64, 4096, 128)).split);
  CHECK(chooseGemm(shape(64, 64, 4096, 127)).split);
  CHECK(chooseGemm(shape(64, 64, 4096, 127)).blocks == 127 * 16);
}

TEST(segments_depend_on_k) {
  CHECK(segmentOf(1) == 256 && segmentsOf(1) == 1);
  CHECK(segmentsOf(0) == 1);
  CHECK(segmentOf(32768) == 256 && segmentsOf(32768) == 128);
  CHECK(segmentOf(32769) == 320);
  for (int64_t k : {32769, 65535, 1000000, 1 << 30}) {
    Note where("K = " + std::to_string(k));
    CHECK(segmentsOf(k) <= 128 && segmentsOf(k) >= 100);
    CHECK(segmentOf(k) % kChain == 0);
    CHECK(segmentOf(k) * (segmentsOf(k) - 1) < k);
  }
}

TEST(small_empty_and_huge_are_simple) {
  CHECK(is(chooseGemm(shape(2, 2, 2, 70000)), "gemm_f32_simple"));
  CHECK(chooseGemm(shape(2, 2, 2, 70000)).blocks == (280000 + 255) / 256);
  CHECK(is(chooseGemm(shape(1000, 1000, 0)), "gemm_f32_simple"));
  CHECK(!is(chooseGemm(shape(16, 16, 65)), "gemm_f32_simple"));
  CHECK(is(chooseGemm(shape(int64_t{1} << 31, 2, 3)), "gemm_f32_simple"));
  CHECK(is(chooseGemm(shape(2, int64_t{1} << 31, 3)), "gemm_f32_simple"));
  CHECK(is(chooseGemm(shape(1, 1, int64_t{1} << 31)), "gemm_f32_simple"));
  GemmShape s = shape(100, 100, 100);
  s.a.lineStride = INT32_MAX / 128;
  CHECK(is(chooseGemm(s), "gemm_f32_nn_64x64"));
  ++s.a.lineStride;
  CHECK(is(chooseGemm(s), "gemm_f32_simple"));
  s.m = 1;  // no second line, no step
  CHECK(is(chooseGemm(s), "gemm_f32_tt_128x4"));
}
