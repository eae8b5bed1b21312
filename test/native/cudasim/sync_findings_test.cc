// Barriers, lanes, waits and kernels that never end: found at their line, and correct neighbours are silent.
#ifdef WARPLOOM_SIM_PTX
#include "finding_checks.h"

using namespace warploom::test;

namespace {

struct Plain : Sim {
  Plain() : Sim(kernelText("bugs_sync")) { settings.threads = 1; }
};

void eachSchedule(void (*body)(Sim&)) { forEachSchedule(kernelText("bugs_sync"), body); }
uint64_t ints(Sim& sim, std::size_t many) { return sim.put(std::vector<int>(many)); }

}  // namespace

TEST(barriers_at_two_instructions) {
  Plain sim;
  const LaunchResult result = sim.run("twoBarriers", {1}, {32}, 0, sim.room(128));
  expectFinding(result, "twoBarriers", "sync", 719, "divergent barrier");
  eachSchedule([](Sim& any) {
    any.clean("oneBarrier", {1}, {32}, 0, any.room(128));
    any.clean("barrierByWarp", {1}, {64}, 0, any.room(512));
  });
}

TEST(lanes_that_do_not_take_part) {
  Plain sim;
  const LaunchResult exited = sim.run("exitedSource", {1}, {32}, 0, ints(sim, 32));
  expectFinding(exited, "exitedSource", "sync", 719, "shfl reads lane 16, which does not take part");
  CHECK(isBy(exited, 0, 12));
  const LaunchResult foreign = sim.run("notMember", {1}, {32}, 0, ints(sim, 32));
  expectFinding(foreign, "notMember", "sync", 719, "not in the member mask");
  CHECK(isBy(foreign, 0, 16));
  eachSchedule([](Sim& any) {
    const uint64_t y = ints(any, 32);
    any.clean("exitedMembers", {1}, {32}, 0, y);
    CHECK(any.get<int>(y, 32)[15] == 11 + 16);
    any.clean("membersOfHalves", {1}, {32}, 0, y);
    CHECK(any.get<int>(y, 32)[3] == 2 && any.get<int>(y, 32)[17] == 19);
  });
}

TEST(barriers_that_never_open) {
  for (uint64_t seed : {0, 1, 2}) {
    Plain sim;
    sim.settings.seed = seed;
    const LaunchResult few = sim.run("fewAtBarrier", {1}, {96}, 0, ints(sim, 96));
    expectFinding(few, "fewAtBarrier", "sync", 719, "deadlock: threads wait at this barrier");
    CHECK(isBy(few, 0, 0));
    const LaunchResult lanes = sim.run("lanesApart", {1}, {32}, 0, ints(sim, 32));
    CHECK(lanes.status == 719 && lanes.findings.size() == 2);  // each half, where it waits
    for (const Finding& finding : lanes.findings) CHECK(finding.message.find("deadlock: lanes wait") == 0);
  }
  Plain sim;
  const LaunchResult differ = sim.run("countsDiffer", {1}, {96}, 0, ints(sim, 96));
  expectFinding(differ, "countsDiffer", "sync", 719, "different thread counts");
  eachSchedule([](Sim& any) { any.clean("enoughAtBarrier", {1}, {96}, 0, ints(any, 96)); });
}

TEST(kernels_that_never_end) {
  for (uint64_t seed : {0, 1}) {
    Plain sim;
    sim.settings.seed = seed;
    sim.settings.maxSteps = 2000000;
    const LaunchResult waits = sim.run("waitsForFlag", {3}, {32}, 0, ints(sim, 1), ints(sim, 96), 0);
    expectFinding(waits, "waitsForFlag", "timeout", 719, "steps (CUDASIM_MAX_STEPS)");
    expectFinding(sim.run("loops", {1}, {32}, 0, ints(sim, 32)), "loops", "timeout", 719);
  }
  eachSchedule([](Sim& any) {
    const uint64_t flag = ints(any, 1), y = ints(any, 96);
    any.clean("waitsForFlag", {3}, {32}, 0, flag, y, 1);
    CHECK(any.get<int>(y, 96) == std::vector<int>(96, 1));
    const uint64_t sum = ints(any, 1);
    any.clean("lock", {3}, {64}, 0, ints(any, 1), sum);
    CHECK(any.get<int>(sum, 1)[0] == 192);
  });
}

TEST(pipelines_of_async_copies) {
  Plain sim;
  const uint64_t x = sim.put(floats(128 * 5, 1)), y = sim.room(128 * 5 * 4);
  const LaunchResult soon = sim.run("pipelineTooSoon", {1}, {32}, 0, x, y, 5);
  expectFinding(soon, "pipelineTooSoon", "sync", 719, "a cp.async that has not been waited for");
  CHECK(isBy(soon, 0, 0));
  const LaunchResult left = sim.run("leavesCopy", {2}, {32}, 0, x);
  expectFinding(left, "leavesCopy", "sync", 719, "ended without waiting");
  eachSchedule([](Sim& any) {
    const std::vector<float> values = floats(128 * 5, 1);
    const uint64_t from = any.put(values), to = any.room(128 * 5 * 4);
    any.clean("pipeline", {1}, {32}, 0, from, to, 5);
    CHECK(any.get<float>(to, 128 * 5) == values);
    any.clean("awaitsCopy", {2}, {32}, 0, from);
  });
}

#else
#include "native/check.h"
#endif
