// Barriers that are objects in shared memory: a missing or wrong wait is found, correct neighbours are silent.
#ifdef WARPLOOM_SIM_PTX
#include <algorithm>
#include <functional>

#include "finding_checks.h"

using namespace warploom::test;

namespace {

void eachSchedule(void (*body)(Sim&)) { forEachSchedule(kernelText("bugs_mbarrier"), body); }

// All findings are of the check, and in one of a few schedules some have the words.
void expectSome(const char* kernel, const std::string& check, const std::string& words,
                const std::function<LaunchResult(Sim&)>& run) {
  Note where(kernel);
  bool found = false;
  for (const uint64_t seed : {0, 1, 2, 3}) {
    Sim sim(kernelText("bugs_mbarrier"));
    sim.settings.seed = seed;
    sim.settings.threads = 1;
    sim.settings.maxSteps = 2000000;
    const LaunchResult result = run(sim);
    for (const Finding& finding : result.findings) {
      if (finding.check != check) failed(kernel, finding.line, "not expected: " + finding.json());
      found = found || (finding.message.find(words) != std::string::npos && result.status == 719);
    }
  }
  if (!found) failed(kernel, 0, "no finding of " + check);
}

uint64_t ints(Sim& sim) { return sim.put(std::vector<int>(64)); }

}  // namespace

TEST(threads_that_wait_for_each_other) {
  eachSchedule([](Sim& any) {
    const uint64_t y = ints(any);
    any.clean("exchange", {1}, {64}, 0, y);
    for (int i = 0; i < 64; ++i) CHECK(any.get<int>(y, 64)[static_cast<std::size_t>(i)] == 63 - i);
  });
  const auto exchange = [](const char* kernel) {
    return [kernel](Sim& sim) {
      sim.settings.init = false;
      return sim.run(kernel, {1}, {64}, 0, ints(sim));
    };
  };
  expectSome("exchangeNoWait", "race", "race on shared memory", exchange("exchangeNoWait"));
  expectSome("exchangeOneTest", "race", "race on shared memory", exchange("exchangeOneTest"));
  expectSome("initUnseen", "race", "nothing orders this use behind its mbarrier.init", [](Sim& sim) {
    sim.settings.init = false;
    LaunchResult result = sim.run("initUnseen", {1}, {64}, 0, ints(sim));
    // Who comes before the first thread finds no barrier at all.
    auto& all = result.findings;
    all.erase(std::remove_if(all.begin(), all.end(), [](const Finding& one) { return one.check != "race"; }),
              all.end());
    return result;
  });
  expectSome("completesWithoutLeave", "sync", ".noComplete that completes the phase", [](Sim& sim) {
    sim.settings.init = sim.settings.race = false;
    return sim.run("completesWithoutLeave", {1}, {64}, 0, ints(sim));
  });
}

TEST(a_phase_that_never_ends) {
  Sim sim(kernelText("bugs_mbarrier"));
  sim.settings.threads = 1;
  sim.settings.maxSteps = 2000000;
  expectFinding(sim.run("neverComplete", {1}, {64}, 0, ints(sim)), "neverComplete", "timeout", 719,
                "steps (CUDASIM_MAX_STEPS)");
}

TEST(copies_that_arrive_by_themselves) {
  eachSchedule([](Sim& any) {
    const std::vector<float> values = floats(64, 1);
    const uint64_t y = any.room(256);
    any.clean("copies", {1}, {64}, 0, any.put(values), y);
    for (std::size_t i = 0; i < 64; ++i) CHECK(any.get<float>(y, 64)[i] == values[i ^ 1]);
  });
  for (const char* kernel : {"copiesNoWait", "copiesOneTest"}) {
    expectSome(kernel, "sync", "a cp.async that has not been waited for", [kernel](Sim& sim) {
      sim.settings.race = false;
      return sim.run(kernel, {1}, {64}, 0, sim.put(floats(64, 1)), sim.room(256));
    });
  }
  expectSome("copiesLeft", "sync", "ended without waiting for this cp.async",
             [](Sim& sim) { return sim.run("copiesLeft", {1}, {64}, 0, sim.put(floats(64, 1))); });
}

#else
#include "native/check.h"
#endif
