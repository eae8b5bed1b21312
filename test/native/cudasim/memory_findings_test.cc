// Wrong addresses and uninitialised bytes in every space: found at their line, and correct neighbours are silent.
#ifdef WARPLOOM_SIM_PTX
#include "finding_checks.h"

using namespace warploom::test;

namespace {

struct Device : Sim {
  Device() : Sim(kernelText("bugs_memory")) {}
};

}  // namespace

TEST(freed_memory) {
  Device sim;
  const uint64_t x = sim.room(32 * 4);
  sim.clean("writesFreed", {1}, {32}, 0, x);
  sim.memory.free(x);
  const LaunchResult result = sim.run("writesFreed", {2}, {32}, 0, x);
  expectFinding(result, "writesFreed", "mem", 700, "which was freed");
}

TEST(local_memory) {
  Device sim;
  const uint64_t y = sim.put(std::vector<int>(32, 3));
  const LaunchResult outside = sim.run("localOutOfBounds", {1}, {32}, 0, y, 8);
  expectFinding(outside, "localOutOfBounds", "mem", 700, "local memory, which has 32 bytes a thread");
  CHECK(isBy(outside, 0, 0));
  expectFinding(sim.run("localOutOfBounds", {1}, {32}, 0, y, -1), "localOutOfBounds", "mem", 700);
  sim.clean("localOutOfBounds", {1}, {1}, 0, y, 7);
  expectFinding(sim.run("localFresh", {1}, {1}, 0, y, 5), "localFresh", "init", 719, "uninitialised local");
  sim.clean("localFresh", {1}, {1}, 0, y, 6);
}

TEST(shared_memory) {
  Device sim;
  const LaunchResult result = sim.run("sharedOutOfBounds", {1}, {32}, 0, 1);
  expectFinding(result, "sharedOutOfBounds", "mem", 700, "shared memory, which has 128 bytes");
  CHECK(isBy(result, 0, 31));
  sim.clean("sharedOutOfBounds", {1}, {32}, 0, 0);
  expectFinding(sim.run("sharedOutOfBounds", {1}, {32}, 0, -1), "sharedOutOfBounds", "mem", 700);
  expectFinding(sim.run("dynamicOutOfBounds", {1}, {32}, 256, 33), "dynamicOutOfBounds", "mem", 700);
  sim.clean("dynamicOutOfBounds", {1}, {32}, 256, 32);
}

TEST(alignment_of_vectors) {
  Device sim;
  const uint64_t x = sim.put(floats(64, 1)), y = sim.room(4);
  expectFinding(sim.run("vectorMisaligned", {1}, {1}, 0, x, y, 2), "vectorMisaligned", "mem", 700, "misaligned");
  sim.clean("vectorMisaligned", {1}, {1}, 0, x, y, 4);
}

TEST(bytes_of_a_word) {
  Device sim;
  const uint64_t y = sim.room(4);
  expectFinding(sim.run("freshByte", {1}, {1}, 0, sim.room(4), y, 3), "freshByte", "init", 719, "byte 3 of 4");
  sim.clean("freshByte", {1}, {1}, 0, sim.room(4), y, 4);
  CHECK(sim.get<uint32_t>(y, 1)[0] == 0x03020100u);
}

TEST(sources_of_async_copies) {
  Device sim;
  const uint64_t fresh = sim.room(512), written = sim.put(floats(128, 2)), y = sim.room(512);
  expectFinding(sim.run("copiesFresh", {1}, {32}, 0, fresh, y), "copiesFresh", "init", 719, "global");
  sim.clean("copiesFresh", {1}, {32}, 0, written, y);
  const LaunchResult result = sim.run("copiesPastEnd", {1}, {32}, 0, written + 16, y);
  expectFinding(result, "copiesPastEnd", "mem", 700, "0 bytes past the end");
  CHECK(isBy(result, 0, 31));
}

TEST(checks_can_be_left_out) {
  Device sim;
  const uint64_t y = sim.put(std::vector<int>(32, 3));
  sim.settings.init = false;
  sim.clean("localFresh", {1}, {1}, 0, y, 5);
  sim.settings.mem = false;
  // The launch fails as on a device; only the report is not wanted.
  const LaunchResult outside = sim.run("localOutOfBounds", {1}, {32}, 0, y, 8);
  CHECK(outside.status == 700 && outside.findings.empty());
}

#else
#include "native/check.h"
#endif
