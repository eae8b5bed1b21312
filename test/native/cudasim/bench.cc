// What the simulator costs: two matmuls of 512^3 on two threads, and small launches. Figures, not a test; see
// bench/cudasim.md. The least of 20 rounds, every mode once a round, so that a busy machine hurts all alike. "cpu" is
// the processor time of the process divided by its threads: it hardly feels other programs.
#include <time.h>

#include <algorithm>
#include <chrono>

#include "cudasim/exec/program.h"
#include "sim.h"

using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {

double cpuMilliseconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}
double wallMilliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Mode {
  const char* name;
  bool checks, counters;
  double wall = 1e30, cpu = 1e30;
};

template <class Run>
void measure(Sim& sim, const char* what, Run&& run) {
  Mode modes[] = {{"bare", false, false}, {"all sanitizers", true, false}, {"counters", false, true}};
  for (int round = 0; round < 20; ++round) {
    for (Mode& mode : modes) {
      sim.settings.mem = sim.settings.init = sim.settings.race = sim.settings.sync = mode.checks;
      sim.settings.counters = mode.counters;
      const double wall = wallMilliseconds(), cpu = cpuMilliseconds();
      run();
      mode.wall = std::min(mode.wall, wallMilliseconds() - wall);
      mode.cpu = std::min(mode.cpu, (cpuMilliseconds() - cpu) / 2);
    }
  }
  for (const Mode& mode : modes) {
    std::printf("%-12s %-15s %8.2f ms wall, %8.2f ms cpu: %5.2f x bare\n", what, mode.name, mode.wall, mode.cpu,
                mode.cpu / modes[0].cpu);
  }
}

constexpr int kSize = 512;
std::string ptx(const std::string& name) { return readText(std::string(WARPLOOM_SIM_PTX) + "/" + name + ".ptx"); }

void describe(const Sim& sim, const char* kernel) {
  const Program& program = *sim.module->kernel(kernel)->program;
  std::printf("%s: %zu instructions, %u bytes of registers a warp\n", kernel, program.code.size(),
              program.registerBytes);
}

}  // namespace

TEST(fp32) {
  for (const bool share : {true, false}) {
    Sim sim(ptx("matmul"), share);
    const uint64_t a = sim.put(floats(kSize * kSize, 1)), b = sim.put(floats(kSize * kSize, 2)),
                   c = sim.room(kSize * kSize * 4);
    describe(sim, "matmul128");
    measure(sim, "fp32 512^3", [&] { sim.clean("matmul128", {4, 4}, {256}, 0, a, b, c, kSize, kSize); });
  }
}

TEST(bf16) {
  for (const bool share : {true, false}) {
    Sim sim(ptx("matmul_bf16"), share);
    const std::vector<uint16_t> ones(kSize * kSize, 0x3f80);
    const uint64_t a = sim.put(ones), b = sim.put(ones), c = sim.room(kSize * kSize * 4);
    describe(sim, "matmulBf16");
    measure(sim, "bf16 512^3", [&] { sim.clean("matmulBf16", {4, 4}, {256}, 0, a, b, c, kSize, kSize); });
  }
}

TEST(launches) {
  Sim sim(ptx("basic"));
  const uint64_t x = sim.put(floats(1024, 1)), y = sim.put(floats(1024, 2));
  for (uint32_t blocks : {1u, 8u}) {
    double wall = 1e30;
    for (int round = 0; round < 20; ++round) {
      const double from = wallMilliseconds();
      for (int i = 0; i < 1000; ++i) sim.run("saxpy", {blocks}, {128}, 0, y, x, 2.0f, static_cast<int>(blocks) * 128);
      wall = std::min(wall, wallMilliseconds() - from);
    }
    std::printf("saxpy of %u blocks of 128: %.2f us a launch, all sanitizers\n", blocks, wall);
  }
}

#endif
