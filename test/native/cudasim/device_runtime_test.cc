// What kernels take from the system besides instructions: the shared memory that cooperative groups of several warps
// find their barriers in, and the barrier of a grid.
#ifdef WARPLOOM_SIM_PTX
#include "finding_checks.h"

using namespace warploom::test;

namespace {

std::vector<int> counted(std::size_t n) {
  std::vector<int> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<int>(i * i % 101);
  return x;
}

}  // namespace

TEST(groups_of_several_warps) {
  for (uint64_t seed : {0, 1, 2, 3}) {
    for (std::size_t size : {64, 256}) {
      Sim sim(kernelText("device_runtime"));
      sim.settings.seed = seed;
      const std::vector<int> x = counted(512);
      const uint64_t given = sim.put(x), y = sim.room(512 * 4);
      sim.clean("sumOf" + std::to_string(size), {1}, {512}, 0, given, y);
      const std::vector<int> sums = sim.get<int>(y, 512);
      for (std::size_t i = 0; i < 512; ++i) {
        int expected = static_cast<int>(size) + (size == 256 && i < 100 ? x[i] : 0);
        for (std::size_t k = i / size * size; k < i / size * size + size; ++k) expected += x[k];
        CHECK(sums[i] == expected);
      }
    }
  }
}

TEST(a_grid_that_waits_for_itself) {
  const std::string text = kernelText("device_runtime");
  forEachSchedule(text, [](Sim& sim) {
    sim.cooperative = true;
    const uint64_t x = sim.room(6 * 40 * 4), y = sim.room(6 * 40 * 4);
    for (int again = 0; again < 2; ++again) {
      sim.clean("roundOfBlocks", {6}, {40}, 0, x, y);
      const std::vector<int> sums = sim.get<int>(y, 240);
      for (int i = 0; i < 240; ++i) CHECK(sums[static_cast<std::size_t>(i)] == 6 * ((i + 40) % 240));
    }
  });
  // All blocks of such a launch are there at once.
  Sim many(text);
  many.cooperative = true;
  const uint64_t y = many.room(400 * 32 * 4);
  many.clean("roundOfBlocks", {400}, {32}, 0, many.room(400 * 32 * 4), y);
  CHECK(many.get<int>(y, 1)[0] == 6 * 32);
  // A launch that is not cooperative has no such barrier.
  Sim sim(text);
  const LaunchResult result = sim.run("roundOfBlocks", {6}, {40}, 0, sim.room(960), sim.room(960));
  CHECK(result.status == 719 && result.findings.size() == 1 && result.findings[0].check == "trap");
}

#else
#include "native/check.h"
#endif
