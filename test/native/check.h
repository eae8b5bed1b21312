// A small test harness: TEST(name) { CHECK(...); } in one translation unit per executable; main() is here.
// Usage: the executable takes an optional part of a test's name; the last line printed is `N passed, N failed, N
// skipped`.
#pragma once

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cpu/backend.h"
#include "cpu/kernels.h"
#include "engine/backend.h"
#include "engine/ops.h"

namespace warploom::test {

struct Case {
  const char* name;
  void (*run)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
struct Registrar {
  Registrar(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

// Failures of the running test. Only the first few are printed in full.
inline int& failures() {
  static int count = 0;
  return count;
}
inline std::string& note() {
  static std::string text;
  return text;
}
inline void failed(const char* file, int line, const std::string& what) {
  if (++failures() <= 8) {
    std::printf("  %s:%d: %s%s%s\n", file, line, what.c_str(), note().empty() ? "" : "  with ", note().c_str());
  }
}
inline void checkNear(double actual, double expected, double tolerance, const char* text, const char* file, int line) {
  const bool same = (std::isnan(actual) && std::isnan(expected)) || actual == expected;
  if (same || std::fabs(actual - expected) <= tolerance) return;
  char what[512];
  std::snprintf(what, sizeof(what), "%s: %.17g is not within %.3g of %.17g", text, actual, tolerance, expected);
  failed(file, line, what);
}

// What a failure message adds, for the life of the object: the instruction set, the shape, ...
class Note {
 public:
  explicit Note(std::string text) : before_(note()) { note() = before_.empty() ? text : before_ + ", " + text; }
  ~Note() { note() = before_; }

 private:
  std::string before_;
};

// The distance between two representable neighbours of |x| in float32.
inline double ulpOf(double x) {
  const float f = std::fabs(static_cast<float>(x));
  if (!std::isfinite(f)) return 0;
  return static_cast<double>(std::nextafter(f, INFINITY)) - static_cast<double>(f);
}

// A contiguous tensor's view over `data`.
template <class Role = View>
Role viewOf(void* data, DType dtype, const std::vector<int64_t>& sizes) {
  Role view{};
  view.data = data;
  view.dtype = dtype;
  view.rank = static_cast<int32_t>(sizes.size());
  int64_t stride = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    view.sizes[i] = sizes[static_cast<std::size_t>(i)];
    view.strides[i] = stride;
    stride *= view.sizes[i];
  }
  return view;
}
template <class Role = View>
Role stridedView(void* data, DType dtype, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  Role view = viewOf<Role>(data, dtype, sizes);
  for (int i = 0; i < view.rank; ++i) view.strides[i] = strides[static_cast<std::size_t>(i)];
  return view;
}
// An absent operand.
template <class Role = View>
Role absent() {
  Role view{};
  view.rank = -1;
  return view;
}

// Runs `body(device)` for every instruction set of this machine, or the one of WARPLOOM_ISA, and 1, 2 and 3 threads.
inline void forEachDevice(const std::function<void(DeviceImpl&)>& body) {
  const char* only = std::getenv("WARPLOOM_ISA");
  int devices = 0;
  for (cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::avx2, cpu::Isa::avx512}) {
    const std::string name = cpu::isaName(isa);
    if (cpu::chooseIsa(name.c_str()) != isa) continue;  // this machine lacks it
    if (only != nullptr && name != only) continue;
    for (int threads : {1, 2, 3}) {
      cpu::Options options;
      options.threads = threads;
      options.isa = name;
      std::unique_ptr<DeviceImpl> device = cpu::openDevice(options, std::size_t{1} << 30);
      Note where(name + ", " + std::to_string(threads) + " threads");
      body(*device);
      ++devices;
    }
  }
  if (devices == 0) failed(__FILE__, __LINE__, "this machine lacks the instruction set of WARPLOOM_ISA");
}

// Runs one op as the stream does: with scratch of the size that it asks for.
template <class Args>
void runOp(DeviceImpl& device, OpId id, const Args& args) {
  const OpEntry* entry = device.op(static_cast<int>(id));
  Context& context = device.context();
  const int64_t bytes = entry->scratchBytes == nullptr ? 0 : entry->scratchBytes(&args, context.lanes());
  void* scratch = bytes > 0 ? device.allocate(static_cast<std::size_t>(bytes)) : nullptr;
  if (scratch != nullptr) std::memset(scratch, 0xff, static_cast<std::size_t>(bytes));  // nobody may rely on zeros
  context.scratch_ = scratch;
  entry->run(&args, context);
  context.scratch_ = nullptr;
  if (scratch != nullptr) device.release(scratch, static_cast<std::size_t>(bytes));
}

inline int runAll(const char* filter) {
  int passed = 0, failedTests = 0;
  for (const Case& test : cases()) {
    if (filter != nullptr && std::strstr(test.name, filter) == nullptr) continue;
    failures() = 0;
    try {
      test.run();
    } catch (const std::exception& error) {
      failed(test.name, 0, std::string("threw: ") + error.what());
    }
    if (failures() == 0) {
      ++passed;
    } else {
      ++failedTests;
      std::printf("FAILED %s (%d checks)\n", test.name, failures());
    }
  }
  // Tests of kernels are compiled only where nvcc is.
  const int skipped = cases().empty() ? 1 : 0;
  if (skipped != 0) std::printf("SKIPPED %s: without nvcc it has no tests\n", program_invocation_short_name);
  std::printf("%d passed, %d failed, %d skipped\n", passed, failedTests, skipped);
  return failedTests == 0 ? 0 : 1;
}

}  // namespace warploom::test

#define TEST(name)                                                          \
  static void test_##name();                                                \
  static ::warploom::test::Registrar registrar_##name(#name, &test_##name); \
  static void test_##name()
// Variadic, so that a condition may hold the commas of template arguments.
#define CHECK(...)                                                                               \
  do {                                                                                           \
    if (!(__VA_ARGS__)) ::warploom::test::failed(__FILE__, __LINE__, "CHECK(" #__VA_ARGS__ ")"); \
  } while (false)
#define CHECK_NEAR(actual, expected, tolerance) \
  ::warploom::test::checkNear((actual), (expected), (tolerance), #actual, __FILE__, __LINE__)

// A test of several files defines this for all but one of them.
#ifndef WARPLOOM_CHECK_WITHOUT_MAIN
int main(int argc, char** argv) { return ::warploom::test::runAll(argc > 1 ? argv[1] : nullptr); }
#endif
