// CUDASIM_SKIP leaves out one barrier, fence or wait of a correct kernel: each kind of them must be missed by somebody.
#ifdef WARPLOOM_SIM_PTX
#include <algorithm>
#include <functional>

#include "cudasim/exec/program.h"
#include "finding_checks.h"

using namespace warploom::test;

namespace {

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

// The PTX lines of a kernel that hold the opcode.
std::vector<int> linesOf(const std::string& text, const std::string& kernel, const std::string& opcode) {
  const std::size_t start = text.find(".entry " + kernel + "(");
  const std::size_t end = std::min(text.find(".entry ", start + 1), text.size());
  std::vector<int> lines;
  for (std::size_t at = text.find(opcode, start); at < end; at = text.find(opcode, at + 1)) {
    lines.push_back(1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<long>(at), '\n')));
  }
  return lines;
}

using Run = std::function<LaunchResult(Sim&)>;

// Silent as it is; with any one of these instructions left out, but the last `harmless` ones, some schedule ends in a
// finding that has the words.
void expectMissed(const std::string& text, const std::string& kernel, const std::string& opcode,
                  const std::string& words, const Run& run, std::size_t harmless = 0) {
  Note where(kernel + " without " + opcode);
  std::vector<int> lines = linesOf(text, kernel, opcode);
  CHECK(lines.size() > harmless);
  lines.resize(lines.size() - harmless);
  for (const uint64_t seed : {0, 1, 2}) {
    Sim sim(text);
    sim.settings.seed = seed;
    CHECK(run(sim).status == 0);
  }
  for (const int line : lines) {
    bool noticed = false;
    for (const uint64_t seed : {0, 1, 2, 3}) {
      Sim sim(text);
      sim.settings.seed = seed;
      sim.settings.maxSteps = 20000000;
      sim.settings.skipKernel = kernel;
      sim.settings.skipLine = line;
      for (const Finding& finding : run(sim).findings) {
        noticed = noticed || finding.message.find(words) != std::string::npos;
      }
    }
    if (!noticed) failed(kernel.c_str(), line, "left out, and nobody noticed");
  }
}

uint64_t words(Sim& sim, std::size_t many) { return sim.put(std::vector<int>(many)); }

}  // namespace

TEST(barriers_of_a_block) {
  const Run run = [](Sim& sim) { return sim.run("hasBarrier", {1}, {64}, 0, words(sim, 64)); };
  const std::string text = kernelText("bugs");
  expectMissed(text, "hasBarrier", "bar.sync", "race on shared memory", run);
  for (const char* form : {"barrier.sync ", "barrier.sync.aligned ", "barrier.cta.sync "}) {
    expectMissed(replaced(text, "bar.sync \t", form), "hasBarrier", form, "race on shared memory", run);
  }
}

// Named by file and line of the source instead: the waits of that line, in every kernel that holds it, and nothing else
// of it.
TEST(lines_of_a_source) {
  Sim sim(kernelText("bugs"));
  const Program& program = *sim.module->kernel("hasBarrier")->program;
  int line = 0;
  for (std::size_t i = 0; i < program.opcodes.size(); ++i) {
    if (program.opcodes[i].rfind("bar.sync", 0) == 0) line = program.places[i].line;
  }
  CHECK(line > 0);
  sim.settings.skipKernel = "bugs.cu";
  sim.settings.skipLine = line;
  const LaunchResult missed = sim.run("hasBarrier", {1}, {64}, 0, words(sim, 64));
  CHECK(!missed.findings.empty() && missed.findings[0].check == "race");
  sim.settings.skipLine = line + 1;
  sim.clean("hasBarrier", {1}, {64}, 0, words(sim, 64));
  sim.settings.skipKernel = "other.cu";
  sim.settings.skipLine = line;
  sim.clean("hasBarrier", {1}, {64}, 0, words(sim, 64));
}

TEST(numbered_barriers) {
  const Run run = [](Sim& sim) { return sim.run("namedBarrier", {1}, {128}, 0, words(sim, 64)); };
  const std::string text = kernelText("bugs");
  expectMissed(text, "namedBarrier", "bar.sync 1", "race on shared memory", run);
  expectMissed(text, "namedBarrier", "bar.arrive 1", "deadlock", run);
}

TEST(barriers_of_a_warp) {
  // The last one of the unrolled loop has nothing behind it.
  expectMissed(
      kernelText("bugs"), "hasSyncwarp", "bar.warp.sync", "race on shared memory",
      [](Sim& sim) { return sim.run("hasSyncwarp", {1}, {32}, 0, words(sim, 32)); }, 1);
  expectMissed(kernelText("bugs_global"), "lanesWithSyncwarp", "bar.warp.sync", "race on global memory",
               [](Sim& sim) { return sim.run("lanesWithSyncwarp", {1}, {32}, 0, words(sim, 32), words(sim, 32)); });
}

TEST(waits_for_async_copies) {
  const std::string text = kernelText("bugs_sync");
  expectMissed(text, "pipeline", "cp.async.wait_group", "a cp.async that has not been waited for",
               [](Sim& sim) { return sim.run("pipeline", {1}, {32}, 0, words(sim, 640), sim.room(640 * 4), 5); });
  expectMissed(text, "awaitsCopy", "cp.async.wait_all", "ended without waiting",
               [](Sim& sim) { return sim.run("awaitsCopy", {1}, {32}, 0, words(sim, 128)); });
}

TEST(fences) {
  const std::string text = kernelText("bugs_global");
  const std::string fence = text.find("membar.gl") != std::string::npos ? "membar.gl" : "fence.acq_rel.gpu";
  const Run run = [](Sim& sim) {
    return sim.run("lastBlockFenceByOne", {8}, {64}, 0, words(sim, 512), words(sim, 64), words(sim, 1));
  };
  for (const std::string form : {"membar.gl", "membar.sys", "fence.acq_rel.gpu", "fence.sc.gpu", "fence.sc.sys"}) {
    expectMissed(replaced(text, fence + ";", form + ";"), "lastBlockFenceByOne", form, "nothing orders the two blocks",
                 run);
  }
}

TEST(only_that_kernel) {
  const std::string text = kernelText("bugs");
  Sim sim(text);
  sim.settings.skipKernel = "hasBarrier";
  sim.settings.skipLine = linesOf(text, "readsSharedWritten", "bar.sync").at(0);
  sim.clean("readsSharedWritten", {1}, {64}, 0, words(sim, 64));
}

TEST(a_line_without_an_instruction_of_the_kernel) {
  const std::string text = kernelText("bugs");
  for (const int line : {1, linesOf(text, "readsSharedWritten", "bar.sync").at(0), 1000000}) {
    Sim sim(text);
    sim.settings.skipKernel = "hasBarrier";
    sim.settings.skipLine = line;
    const LaunchResult result = sim.run("hasBarrier", {1}, {64}, 0, words(sim, 64));
    CHECK(result.status == 719 && result.findings.size() == 1);
    if (result.findings.empty()) continue;
    const Finding& finding = result.findings[0];
    CHECK(finding.check == "skip" && finding.kernel == "hasBarrier" && finding.ptxLine == line);
    CHECK(finding.message.find("CUDASIM_SKIP=hasBarrier:" + std::to_string(line) + ": ") == 0);
  }
}

#else
#include "native/check.h"
#endif
