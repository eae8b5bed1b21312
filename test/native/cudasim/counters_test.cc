// Each counter by a kernel whose value is known by hand. PTX is written out, so that every instruction is known.
#include <algorithm>

#include "sim.h"

using namespace warploom::test;

namespace {

// %r0 is the thread, %rd0 and %rd1 are the parameters x and y; %rd2 = x + thread * STRIDE + OFFSET, %r1 the same in a
// shared array. Setting this up takes 2 ld.param, 1 mov, and of integers 2 for x and 1 for shared memory.
std::string kernel(const std::string& body, int stride = 4, int offset = 0) {
  return R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y)
{
  .reg .pred %p<4>;
  .reg .b16 %h<4>;
  .reg .b32 %r<16>;
  .reg .f32 %f<8>;
  .reg .b64 %rd<8>;
  .reg .f64 %fd<4>;
  .shared .align 16 .b8 s[4096];
  .local .align 4 .b8 l[16];
  ld.param.u64 %rd0, [x];
  ld.param.u64 %rd1, [y];
  mov.u32 %r0, %tid.x;
  mad.wide.s32 %rd2, %r0, )" +
         std::to_string(stride) + ", %rd0;\n  add.s64 %rd2, %rd2, " + std::to_string(offset) +
         ";\n  mul.lo.u32 %r1, %r0, " + std::to_string(stride) + ";\n" + body + "\n  ret;\n}\n";
}

using Member = uint64_t Counters::*;
struct Expected {
  const char* name;
  Member member;
  uint64_t value;
};
#define IS(counter, value)              \
  Expected {                            \
#counter, &Counters::counter, value \
  }

// Some kernels write a word twice, by several threads: those run without the check for races.
Counters run(const std::string& text, uint32_t blocks, uint32_t threads, bool race = true) {
  Sim sim(text);
  sim.settings.counters = true;
  sim.settings.race = race;
  const uint64_t x = sim.put(std::vector<int>(4096)), y = sim.put(std::vector<int>(4096));
  return sim.clean("k", {blocks}, {threads}, 0, x, y).counters;
}
void expect(const char* name, const Counters& counters, const std::vector<Expected>& expected) {
  Note where(name);
  for (const Expected& one : expected) {
    const uint64_t value = counters.*one.member;
    if (value == one.value) continue;
    failed(one.name, 0, std::to_string(value) + " instead of " + std::to_string(one.value));
  }
}

}  // namespace

TEST(sectors_of_loads) {
  struct {
    const char* name;
    const char* load;
    int stride, offset;
    uint64_t sectors, bytes, compulsory;
  } cases[] = {
      {"coalesced", "ld.global.u32 %r2, [%rd2];", 4, 0, 4, 128, 128},
      {"every second word", "ld.global.u32 %r2, [%rd2];", 8, 0, 8, 128, 128},
      {"every 32nd word", "ld.global.u32 %r2, [%rd2];", 128, 0, 32, 128, 128},
      {"one word for all", "ld.global.u32 %r2, [%rd2];", 0, 0, 1, 128, 4},
      {"backwards", "ld.global.u32 %r2, [%rd2];", -4, 124, 4, 128, 128},
      {"from the middle of a sector", "ld.global.u32 %r2, [%rd2];", 4, 16, 5, 128, 128},
      {"vectors of four", "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd2];", 16, 0, 16, 512, 512},
      {"vectors that half overlap", "ld.global.v2.u32 {%r2, %r3}, [%rd2];", 8, 8, 9, 256, 256},
      {"bytes", "ld.global.u8 %r2, [%rd2];", 1, 0, 1, 32, 32},
      {"halves, every third", "ld.global.u16 %h0, [%rd2];", 6, 0, 6, 64, 64},
      {"doubles", "ld.global.f64 %fd0, [%rd2];", 8, 0, 8, 256, 256},
      {"twice the same", "ld.global.u32 %r2, [%rd2];\nld.global.u32 %r3, [%rd2];", 4, 0, 8, 256, 128},
      {"half of the lanes", "setp.lt.u32 %p0, %r0, 16;\n@%p0 ld.global.u32 %r2, [%rd2];", 4, 0, 2, 64, 64},
      {"by a generic address", "ld.u32 %r2, [%rd2];", 4, 0, 4, 128, 128},
      {"into shared memory", "mov.u32 %r2, s;\ncp.async.ca.shared.global [%r2], [%rd2], 4;\ncp.async.wait_all;", 0, 0,
       1, 128, 4},
  };
  for (const auto& one : cases) {
    const bool asynchronous = std::strstr(one.load, "cp.async") != nullptr;
    expect(one.name, run(kernel(one.load, one.stride, one.offset), 1, 32, !asynchronous),
           {IS(globalLoadRequests, one.name == std::string("twice the same") ? 2u : 1u),
            IS(globalLoadSectors, one.sectors), IS(globalLoadBytes, one.bytes), IS(compulsoryLoadBytes, one.compulsory),
            IS(globalStoreRequests, 0), IS(compulsoryStoreBytes, 0)});
  }
}

TEST(sectors_of_stores) {
  const std::vector<Expected> coalesced = {IS(globalStoreRequests, 1),    IS(globalStoreSectors, 4),
                                           IS(globalStoreBytes, 128),     IS(globalLoadRequests, 0),
                                           IS(compulsoryStoreBytes, 128), IS(compulsoryLoadBytes, 0)};
  expect("coalesced", run(kernel("st.global.u32 [%rd2], %r0;"), 1, 32), coalesced);
  expect("scattered", run(kernel("st.global.u32 [%rd2], %r0;", 128), 1, 32),
         {IS(globalStoreSectors, 32), IS(globalStoreBytes, 128), IS(compulsoryStoreBytes, 128)});
  expect("bytes", run(kernel("st.global.u8 [%rd2], %r0;", 3), 1, 32),
         {IS(globalStoreSectors, 3), IS(globalStoreBytes, 32), IS(compulsoryStoreBytes, 32)});
}

TEST(bytes_that_must_move) {
  const std::string load = "ld.global.u32 %r2, [%rd2];\n", store = "st.global.u32 [%rd2], %r0;\n";
  expect("written, then read", run(kernel(store + load), 1, 32),
         {IS(compulsoryLoadBytes, 0), IS(compulsoryStoreBytes, 128), IS(globalLoadBytes, 128)});
  expect("read, then written", run(kernel(load + store + load + store), 1, 32),
         {IS(compulsoryLoadBytes, 128), IS(compulsoryStoreBytes, 128), IS(globalStoreBytes, 256)});
  expect("read by 8 blocks", run(kernel(load), 8, 32),
         {IS(compulsoryLoadBytes, 128), IS(globalLoadBytes, 1024), IS(globalLoadSectors, 32)});
  // Three bytes of each word were written before the word is read.
  expect("written in part", run(kernel("st.global.u16 [%rd2], %h0;\nst.global.u8 [%rd2+2], %r0;\n" + load), 1, 32),
         {IS(compulsoryLoadBytes, 32), IS(compulsoryStoreBytes, 96)});
  const Counters sum = run(kernel("atom.global.add.u32 %r2, [%rd0], %r0;"), 2, 64);
  expect("atomics on one word", sum,
         {IS(atomics, 128), IS(compulsoryLoadBytes, 4), IS(compulsoryStoreBytes, 4), IS(globalStoreRequests, 4),
          IS(globalStoreSectors, 4), IS(globalLoadRequests, 0)});
}

TEST(cycles_of_banks) {
  struct {
    const char* name;
    const char* access;
    int stride;
    uint64_t cycles, ideal, bytes;
  } cases[] = {
      {"no conflict", "st.shared.u32 [%r2], %r0;", 4, 1, 1, 128},
      {"two in a bank", "st.shared.u32 [%r2], %r0;", 8, 2, 1, 128},
      {"32 in a bank", "st.shared.u32 [%r2], %r0;", 128, 32, 1, 128},
      {"a row padded by a word", "st.shared.u32 [%r2], %r0;", 124, 1, 1, 128},
      {"one word for all", "red.shared.add.u32 [%r2], 1;", 0, 1, 1, 128},
      {"bytes, four in a word", "st.shared.u8 [%r2], %r0;", 1, 1, 1, 32},
      {"doubles", "st.shared.f64 [%r2], %fd0;", 8, 2, 2, 256},
      {"vectors of four", "st.shared.v4.u32 [%r2], {%r0, %r0, %r0, %r0};", 16, 4, 4, 512},
      {"vectors of four, every second", "st.shared.v4.u32 [%r2], {%r0, %r0, %r0, %r0};", 32, 8, 4, 512},
      {"half of the lanes", "setp.lt.u32 %p0, %r0, 16;\n@%p0 st.shared.u32 [%r2], %r0;", 8, 1, 1, 64},
  };
  for (const auto& one : cases) {
    const std::string access = one.access;
    const std::string address = "mov.u32 %r3, s;\nadd.u32 %r2, %r1, %r3;\nst.shared.u32 [%r3], 0;\nbar.sync 0;\n";
    // The store that makes the first word valid is a broadcast: one cycle, 128 bytes.
    expect(one.name, run(kernel(address + access, one.stride), 1, 32),
           {IS(sharedCycles, one.cycles + 1), IS(sharedIdealCycles, one.ideal + 1), IS(sharedBytes, one.bytes + 128),
            IS(globalStoreBytes, 0), IS(compulsoryStoreBytes, 0)});
  }
}

TEST(branches_and_barriers) {
  const std::string split = "setp.lt.u32 %p0, %r0, 16;\n@%p0 bra LOW;\nadd.u32 %r2, %r0, 1;\nLOW:\n";
  expect("a branch that parts a warp", run(kernel(split), 1, 64), {IS(branches, 2), IS(divergentBranches, 1)});
  const std::string whole = "setp.lt.u32 %p0, %r0, 32;\n@%p0 bra LOW;\nadd.u32 %r2, %r0, 1;\nLOW:\n";
  expect("a branch between warps", run(kernel(whole), 1, 64), {IS(branches, 2), IS(divergentBranches, 0)});
  const std::string loop = "mov.u32 %r2, 0;\nLOOP:\nadd.u32 %r2, %r2, 1;\nsetp.lt.u32 %p0, %r2, 5;\n@%p0 bra LOOP;\n";
  expect("a loop", run(kernel(loop), 1, 32), {IS(branches, 5), IS(divergentBranches, 0)});
  expect("barriers", run(kernel("bar.sync 0;\nbar.sync 0;"), 3, 96), {IS(barriers, 18)});
  expect("local memory", run(kernel("st.local.u32 [l], %r0;\nld.local.u32 %r2, [l];"), 1, 32), {IS(localBytes, 256)});
  expect("local memory of 20 threads", run(kernel("st.local.u32 [l], %r0;"), 1, 20), {IS(localBytes, 80)});
}

TEST(instructions) {
  const std::string body = R"(
  add.u32 %r2, %r0, 1;
  and.b32 %r2, %r2, 7;
  mov.f32 %f0, 0f3F800000;
  fma.rn.f32 %f1, %f0, %f0, %f0;
  fma.rn.f32 %f2, %f1, %f1, %f0;
  add.f32 %f2, %f2, %f0;
  cvt.f64.f32 %fd0, %f2;
  mul.f64 %fd1, %fd0, %fd0;
  cvt.rn.f16.f32 %h0, %f2;
  fma.rn.f16 %h1, %h0, %h0, %h0;
  st.global.f32 [%rd2], %f2;)";
  const Counters full = run(kernel(body), 1, 32);
  // 17 and the return.
  expect("a full warp", full,
         {IS(launches, 1), IS(warpInstructions, 18), IS(laneInstructions, 18 * 32), IS(integer, 5 * 32),
          IS(float32, 3 * 32), IS(float64, 32), IS(half, 32), IS(conversion, 2 * 32), IS(move, 2 * 32),
          IS(memory, 3 * 32), IS(control, 32), IS(flops32, 5 * 32), IS(flops64, 32), IS(flops16, 2 * 32), IS(mma, 0)});
  CHECK_NEAR(full.simtEfficiency(), 1, 0);
  const Counters part = run(kernel(body), 2, 40, false);
  expect("40 threads", part, {IS(warpInstructions, 18 * 4), IS(laneInstructions, 18 * 80), IS(flops32, 5 * 80)});
  CHECK_NEAR(part.simtEfficiency(), 0.625, 1e-12);
  CHECK(part.json("k").find("\"simtEfficiency\":0.625000}") != std::string::npos);
  // A guard that holds for 8 lanes: the instruction is issued all the same.
  const Counters guarded = run(kernel("setp.lt.u32 %p0, %r0, 8;\n@%p0 add.u32 %r2, %r0, 1;"), 1, 32);
  expect("a guard", guarded, {IS(warpInstructions, 9), IS(laneInstructions, 8 * 32 + 8)});
}

TEST(matrix_operations) {
  const std::string body =
      "mov.b32 %r2, 0;\nmov.f32 %f0, 0f00000000;\n"
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, {%r2, %r2, %r2, %r2}, {%r2, %r2}, "
      "{%f0, %f0, %f0, %f0};";
  expect("mma", run(kernel(body), 2, 64), {IS(mma, 4), IS(flopsMma, 4 * 2 * 16 * 8 * 16)});
}

TEST(sums_over_launches) {
  Counters a, b;
  a.launches = b.launches = 1;
  a.compulsoryLoadBytes = 3;
  b.compulsoryLoadBytes = 4;
  a.memory = 5;
  a.add(b);
  CHECK(a.launches == 2 && a.compulsoryLoadBytes == 7 && a.memory == 5);
  CHECK(a.json("a\"b").find("{\"kernel\":\"a\\\"b\",\"launches\":2,") == 0);
}
