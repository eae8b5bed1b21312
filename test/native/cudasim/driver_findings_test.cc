// Findings as a program sees them: the synchronizing call fails and the report has a line of JSON for each; correct
// kernels leave nothing behind. One process a kernel.
#include <algorithm>

#include "driver_api.h"
#include "source_lines.h"

using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {

constexpr int kZeros = -1000, kFresh = -1001, kFreed = -1002;  // arguments that are buffers of 4 KB

struct Row {
  const char* module;
  const char* kernel;
  unsigned grid, block;
  std::vector<int> args;
  const char* check;  // null for a correct kernel
  CUresult status;
};
const Row* row = nullptr;

std::string numberOf(const std::string& line, const std::string& field) {
  const std::size_t at = line.find("\"" + field + "\":");
  if (at == std::string::npos) return "no " + field;
  const std::size_t start = at + field.size() + 3;
  return line.substr(start, line.find_first_of(line[start] == '[' ? "]" : ",", start) - start);
}

void launch() {
  openDevice();
  const std::string text = kernelText(row->module);
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  OK(CU(cuModuleLoadData)(&module, text.c_str()));
  OK(CU(cuModuleGetFunction)(&function, module, row->kernel));
  std::vector<CUdeviceptr> buffers(row->args.size());
  std::vector<int> values = row->args;
  std::vector<void*> params;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool isBuffer = values[i] <= kZeros;
    if (isBuffer) buffers[i] = deviceBytes(4096);
    if (values[i] == kZeros) OK(CU(cuMemsetD8_v2)(buffers[i], 0, 4096));
    if (values[i] == kFreed) OK(CU(cuMemFree_v2)(buffers[i]));
    params.push_back(isBuffer ? static_cast<void*>(&buffers[i]) : &values[i]);
  }
  OK(CU(cuLaunchKernel)(function, row->grid, 1, 1, row->block, 1, 1, 0, nullptr, params.data(), nullptr));
  FAILS(row->status, CU(cuCtxSynchronize)());
  // A device that is lost stays lost.
  CUdeviceptr more = 0;
  FAILS(row->status, CU(cuMemAlloc_v2)(&more, 64));
}

void expect(const Row& one, const Environment& more = {}) {
  Note where(one.kernel);
  row = &one;
  const std::string file = temporaryFile("findings");
  Environment environment = {{"CUDASIM_REPORT", file}, {"CUDASIM_MAX_STEPS", "2000000"}, {"CUDASIM_THREADS", "1"}};
  environment.insert(environment.end(), more.begin(), more.end());
  isolated(environment, &launch);
  std::istringstream report(slurp(file));
  int found = 0;
  for (std::string line; std::getline(report, line); ++found) {
    const std::string source = numberOf(line, "file");
    const std::string cu = source.size() > 2 ? source.substr(1, source.size() - 2) : "";
    Note text(line);
    CHECK(one.check != nullptr && numberOf(line, "check") == "\"" + std::string(one.check) + "\"");
    CHECK(numberOf(line, "kernel") == "\"" + std::string(one.kernel) + "\"");
    CHECK(cu.find(std::string(one.module) + ".cu") != std::string::npos);
    if (more.empty()) CHECK(numberOf(line, "line") == std::to_string(lineOf(cu, std::string("// bug: ") + one.kernel)));
    CHECK(numberOf(line, "block")[0] == '[' && numberOf(line, "thread")[0] == '[');
    CHECK(std::stoi(numberOf(line, "ptx_line")) > 0);
    CHECK(line.find("\"message\":\"") != std::string::npos && line.back() == '}');
  }
  CHECK((found > 0) == (one.check != nullptr));
}

}  // namespace

TEST(every_kind_of_finding) {
  const Row rows[] = {
      {"bugs_memory", "writesFreed", 1, 32, {kFreed}, "mem", 700},
      {"bugs_memory", "localOutOfBounds", 1, 32, {kZeros, 8}, "mem", 700},
      {"bugs_memory", "sharedOutOfBounds", 1, 32, {1}, "mem", 700},
      {"bugs_memory", "vectorMisaligned", 1, 1, {kZeros, kZeros, 2}, "mem", 700},
      {"bugs_memory", "localFresh", 1, 1, {kZeros, 5}, "init", 719},
      {"bugs_memory", "copiesFresh", 1, 32, {kFresh, kFresh}, "init", 719},
      {"bugs", "missingSyncwarp", 1, 32, {kZeros}, "race", 719},
      {"bugs_global", "blocksShareWord", 4, 32, {kZeros}, "race", 719},
      {"bugs_global", "lastBlockNoFence", 4, 64, {kZeros, kZeros, kZeros}, "race", 719},
      {"bugs_sync", "twoBarriers", 1, 32, {kZeros}, "sync", 719},
      {"bugs_sync", "exitedSource", 1, 32, {kZeros}, "sync", 719},
      {"bugs_sync", "fewAtBarrier", 1, 96, {kZeros}, "sync", 719},
      {"bugs_sync", "pipelineTooSoon", 1, 32, {kZeros, kZeros, 4}, "sync", 719},
      {"bugs_sync", "leavesCopy", 2, 32, {kZeros}, "sync", 719},
      {"bugs_sync", "waitsForFlag", 3, 32, {kZeros, kZeros, 0}, "timeout", 719},
      {"bugs_sync", "loops", 1, 32, {kZeros}, "timeout", 719},
      {"bugs_system", "asserts", 1, 32, {kZeros, 20}, "assert", 710},
  };
  for (const Row& one : rows) expect(one);
}

TEST(correct_kernels_leave_no_report) {
  const Row rows[] = {
      {"bugs_memory", "localFresh", 1, 1, {kZeros, 6}, nullptr, 0},
      {"bugs", "hasSyncwarp", 1, 32, {kZeros}, nullptr, 0},
      {"bugs_global", "lastBlock", 4, 64, {kZeros, kZeros, kZeros}, nullptr, 0},
      {"bugs_sync", "exitedMembers", 1, 32, {kZeros}, nullptr, 0},
      {"bugs_sync", "enoughAtBarrier", 1, 96, {kZeros}, nullptr, 0},
      {"bugs_sync", "waitsForFlag", 3, 32, {kZeros, kZeros, 1}, nullptr, 0},
      {"bugs_sync", "pipeline", 1, 32, {kZeros, kZeros, 4}, nullptr, 0},
      {"bugs_system", "asserts", 1, 32, {kZeros, 32}, nullptr, 0},
  };
  for (const Row& one : rows) expect(one);
}

TEST(printf_goes_to_stdout_when_waited_for) {
  isolated({{"CUDASIM_THREADS", "1"}}, [] {
    const std::string path = temporaryFile("printed");
    const int kept = dup(1);
    CHECK(std::freopen(path.c_str(), "w", stdout) != nullptr);
    openDevice();
    const std::string text = kernelText("bugs_system");
    CUmodule module = nullptr;
    CUfunction function = nullptr;
    OK(CU(cuModuleLoadData)(&module, text.c_str()));
    OK(CU(cuModuleGetFunction)(&function, module, "prints"));
    float x = 1.5f;
    void* params[] = {&x};
    OK(CU(cuLaunchKernel)(function, 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
    OK(CU(cuCtxSynchronize)());
    dup2(kept, 1);  // failed checks go where they always do
    const std::string printed = slurp(path);
    if (printed != "thread 0 of block zero: 0.00\nthread 1 of block zero: 1.50\n") failed("prints", 0, printed);
  });
}

TEST(variables_choose_checks_and_mutants) {
  const std::string text = kernelText("bugs");
  const std::size_t barrier = text.find("bar.sync", text.find(".entry hasBarrier("));
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(barrier), '\n');
  const Row correct = {"bugs", "hasBarrier", 1, 64, {kZeros}, nullptr, 0};
  const Row mutant = {"bugs", "hasBarrier", 1, 64, {kZeros}, "race", 719};
  const std::string skip = "hasBarrier:" + std::to_string(line);
  expect(correct);
  expect(mutant, {{"CUDASIM_SKIP", skip}, {"CUDASIM_CHECK", "race"}});
  expect(correct, {{"CUDASIM_SKIP", skip}, {"CUDASIM_CHECK", "none"}});
  const Row silenced = {"bugs_global", "blocksShareWord", 4, 32, {kZeros}, nullptr, 0};
  expect(silenced, {{"CUDASIM_CHECK", "mem,init,sync"}});
}

#endif
