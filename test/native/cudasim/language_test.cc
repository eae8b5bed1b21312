// What PTX has beside instructions: special registers, calls through registers.
#include <set>

#include "sim.h"

using namespace warploom::test;

namespace {

const char* const kHead = ".version 8.0\n.target sm_80\n.address_size 64\n";

// A word from each thread of a grid: what `registerName` reads.
std::vector<uint64_t> read(const std::string& registerName, bool wide, Sim::Size grid, Sim::Size block,
                           uint32_t dynamicShared = 0) {
  const std::string type = wide ? "u64" : "u32", r = wide ? "%rd2" : "%r8";
  Sim sim(kHead +
          std::string(".visible .entry k(.param .u64 out, .param .u32 n)\n{\n.reg .b32 %r<9>; .reg .b64 "
                      "%rd<4>;\n.shared .b8 own[100];\nld.param.u64 %rd0, [out]; ld.param.u32 %r0, [n];\n"
                      // The place of the thread: block after block, each x first.
                      "mov.u32 %r1, %ctaid.z; mov.u32 %r2, %nctaid.y; mov.u32 %r3, %ctaid.y;\n"
                      "mad.lo.u32 %r1, %r1, %r2, %r3; mov.u32 %r2, %nctaid.x; mov.u32 %r3, %ctaid.x;\n"
                      "mad.lo.u32 %r1, %r1, %r2, %r3; mov.u32 %r4, %tid.z; mov.u32 %r2, %ntid.y;\n"
                      "mov.u32 %r3, %tid.y; mad.lo.u32 %r4, %r4, %r2, %r3; mov.u32 %r2, %ntid.x;\n"
                      "mov.u32 %r3, %tid.x; mad.lo.u32 %r4, %r4, %r2, %r3; mad.lo.u32 %r1, %r1, %r0, %r4;\n"
                      "mul.wide.u32 %rd1, %r1, 8; add.u64 %rd0, %rd0, %rd1;\nmov.") +
          type + " " + r + ", " + registerName + ";\n" + (wide ? "" : "cvt.u64.u32 %rd2, %r8;\n") +
          "mov.u32 %r5, own; st.shared.u8 [%r5], 1; st.global.u64 [%rd0], %rd2;\nret;\n}\n");
  sim.settings.race = false;  // all threads write `own`, which is there to take room
  const uint32_t threads = block.x * block.y * block.z, all = threads * grid.x * grid.y * grid.z;
  const uint64_t out = sim.put(std::vector<uint64_t>(all, 77));
  sim.clean("k", grid, block, dynamicShared, out, threads);
  return sim.get<uint64_t>(out, all);
}

// `wanted(thread in its block, block)` for every thread of a grid of 3x2x2 blocks of 5x4x3.
void expect(const std::string& registerName, uint64_t (*wanted)(uint64_t thread, uint64_t block), bool wide = false) {
  const std::vector<uint64_t> got = read(registerName, wide, {3, 2, 2}, {5, 4, 3}, 40);
  for (uint64_t i = 0; i < got.size(); ++i) {
    if (got[i] == wanted(i % 60, i / 60)) continue;
    failed("special", 0, registerName + " of thread " + std::to_string(i) + " reads " + std::to_string(got[i]));
    return;
  }
}

}  // namespace

TEST(special_registers) {
  expect("%tid.x", [](uint64_t t, uint64_t) { return t % 5; });
  expect("%tid.y", [](uint64_t t, uint64_t) { return t / 5 % 4; });
  expect("%tid.z", [](uint64_t t, uint64_t) { return t / 20; });
  expect("%ntid.x", [](uint64_t, uint64_t) { return uint64_t{5}; });
  expect("%ntid.y", [](uint64_t, uint64_t) { return uint64_t{4}; });
  expect("%ntid.z", [](uint64_t, uint64_t) { return uint64_t{3}; });
  expect("%ctaid.x", [](uint64_t, uint64_t b) { return b % 3; });
  expect("%ctaid.y", [](uint64_t, uint64_t b) { return b / 3 % 2; });
  expect("%ctaid.z", [](uint64_t, uint64_t b) { return b / 6; });
  expect("%nctaid.x", [](uint64_t, uint64_t) { return uint64_t{3}; });
  expect("%nctaid.y", [](uint64_t, uint64_t) { return uint64_t{2}; });
  expect("%nctaid.z", [](uint64_t, uint64_t) { return uint64_t{2}; });
  expect("%laneid", [](uint64_t t, uint64_t) { return t % 32; });
  expect("%warpid", [](uint64_t t, uint64_t) { return t / 32; });
  // An A100: 2048 threads a multiprocessor.
  expect("%nwarpid", [](uint64_t, uint64_t) { return uint64_t{64}; });
  expect("%nsmid", [](uint64_t, uint64_t) { return uint64_t{108}; });
  expect("%lanemask_eq", [](uint64_t t, uint64_t) { return uint64_t{1} << t % 32; });
  expect("%lanemask_lt", [](uint64_t t, uint64_t) { return (uint64_t{1} << t % 32) - 1; });
  expect("%lanemask_le", [](uint64_t t, uint64_t) { return (uint64_t{2} << t % 32) - 1; });
  expect("%lanemask_gt", [](uint64_t t, uint64_t) { return 0xffffffff - ((uint64_t{2} << t % 32) - 1); });
  expect("%lanemask_ge", [](uint64_t t, uint64_t) { return 0xffffffff - ((uint64_t{1} << t % 32) - 1); });
  // 100 bytes declared, aligned to 16, and 40 at the launch: 152, in units of 128.
  expect("%dynamic_smem_size", [](uint64_t, uint64_t) { return uint64_t{40}; });
  expect("%total_smem_size", [](uint64_t, uint64_t) { return uint64_t{256}; });
  for (const char* name : {"%envreg0", "%envreg2", "%envreg31", "%pm0", "%pm7"}) {
    expect(name, [](uint64_t, uint64_t) { return uint64_t{0}; });
  }
  expect(
      "%pm3_64", [](uint64_t, uint64_t) { return uint64_t{0}; }, true);
}

TEST(multiprocessors_and_grids) {
  std::set<uint64_t> used;
  for (const uint64_t id : read("%smid", false, {500}, {1})) used.insert(id);
  CHECK(used.size() == 108 && *used.rbegin() == 107);
  const uint64_t first = read("%gridid", true, {1}, {1})[0], second = read("%gridid", true, {1}, {1})[0];
  CHECK(second > first);
}

namespace {
const std::string kCalls = std::string(kHead) + R"(
.func (.param .b32 r) twice(.param .b32 x);
.func (.param .b32 r) next(.param .b32 x)
{ .reg .b32 %r<3>; ld.param.u32 %r1, [x]; add.u32 %r1, %r1, 1; st.param.u32 [r], %r1; ret; }
.func (.param .b32 r) twice(.param .b32 x)
{ .reg .b32 %r<3>; ld.param.u32 %r1, [x]; add.u32 %r1, %r1, %r1; st.param.u32 [r], %r1; ret; }
.func other(.param .b64 x) { ret; }
.global .align 8 .u64 table[3] = {twice, next, twice};
.visible .entry k(.param .u64 out, .param .u32 which)
{
.reg .pred %p<3>; .reg .b32 %r<5>; .reg .b64 %rd<9>;
ld.param.u64 %rd1, [out]; ld.param.u32 %r4, [which]; mov.u32 %r1, %tid.x;
mul.wide.u32 %rd5, %r1, 4; add.u64 %rd1, %rd1, %rd5;
// From the table, by the thread's number; then one of two by its parity, in odd threads only.
rem.u32 %r2, %r1, 3; mul.wide.u32 %rd6, %r2, 8; mov.u64 %rd7, table; add.u64 %rd7, %rd7, %rd6;
ld.global.u64 %rd2, [%rd7];
targets: .calltargets twice, next;
shape: .callprototype (.param .b32 _) _ (.param .b32 _);
{ .param .b32 a; .param .b32 b; st.param.u32 [a], %r1;
call (b), %rd2, (a), targets;
ld.param.u32 %r3, [b]; }
and.b32 %r2, %r1, 1; setp.eq.u32 %p1, %r2, 1; setp.lt.u32 %p2, %r1, 16;
mov.u64 %rd3, twice; mov.u64 %rd4, next; selp.u64 %rd3, %rd3, %rd4, %p2;
setp.eq.u32 %p2, %r4, 1; mov.u64 %rd8, other; selp.u64 %rd3, %rd8, %rd3, %p2;
{ .param .b32 a; .param .b32 b; st.param.u32 [a], %r3; st.param.u32 [b], %r3;
@%p1 call (b), %rd3, (a), shape;
ld.param.u32 %r3, [b]; }
st.global.u32 [%rd1], %r3;
ret;
}
)";
}  // namespace

TEST(calls_through_registers) {
  Sim sim(kCalls);
  const uint64_t out = sim.put(std::vector<uint32_t>(32));
  sim.clean("k", {1}, {32}, 0, out, uint32_t{0});
  const std::vector<uint32_t> got = sim.get<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; ++i) {
    uint32_t wanted = i % 3 == 1 ? i + 1 : 2 * i;
    if (i % 2 == 1) wanted = i < 16 ? 2 * wanted : wanted + 1;
    if (got[i] != wanted) failed("calls", 0, "thread " + std::to_string(i) + ": " + std::to_string(got[i]));
  }
  // A function of another shape is none that the call may reach.
  CHECK(sim.run("k", {1}, {32}, 0, out, uint32_t{1}).status == 719);
}
