// What the tests of the driver share: the library opened with dlopen, as its users do, and a process of its own for
// each test, because a driver keeps its state (and its errors) until the process ends.
#pragma once

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cudasim/driver/api.h"
#include "native/check.h"

namespace warploom::test {

using namespace warploom::cudasim::abi;

inline void* library() {
  static void* handle = [] {
    void* opened = dlopen(CUDASIM_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr) std::printf("%s\n", dlerror());
    return opened;
  }();
  return handle;
}

template <class Function>
Function symbol(const char* name) {
  void* found = dlsym(library(), name);
  if (found == nullptr) throw std::runtime_error(std::string(name) + " is not exported");
  return reinterpret_cast<Function>(found);
}

// CU(cuMemAlloc_v2)(&address, 64): the exported function, with the type that it was declared with.
#define CU(name) (::warploom::test::symbol<decltype(&::warploom::cudasim::name)>(#name))
#define OK(...) CHECK_NEAR((__VA_ARGS__), 0, 0)
#define FAILS(code, ...) CHECK_NEAR((__VA_ARGS__), (code), 0)

using Environment = std::vector<std::pair<std::string, std::string>>;

// Runs the body in a child process with these variables; its failed checks count as this test's.
inline void isolated(const Environment& environment, void (*body)()) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    failures() = 0;
    for (const auto& entry : environment) setenv(entry.first.c_str(), entry.second.c_str(), 1);
    try {
      body();
    } catch (const std::exception& error) {
      failed("child", 0, std::string("threw: ") + error.what());
    }
    std::exit(failures() == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    failed("child", 0, WIFSIGNALED(status) ? "ended by signal " + std::to_string(WTERMSIG(status)) : "failed");
  }
}

inline CUcontext openDevice(int ordinal = 0) {
  OK(CU(cuInit)(0));
  CUcontext context = nullptr;
  OK(CU(cuDevicePrimaryCtxRetain)(&context, ordinal));
  OK(CU(cuCtxSetCurrent)(context));
  return context;
}

inline CUdeviceptr deviceBytes(size_t bytes) {
  CUdeviceptr address = 0;
  OK(CU(cuMemAlloc_v2)(&address, bytes));
  return address;
}

template <class T>
std::vector<T> download(CUdeviceptr from, size_t count) {
  std::vector<T> values(count);
  OK(CU(cuMemcpyDtoH_v2)(values.data(), from, count * sizeof(T)));
  return values;
}

// A fresh name for a report; the file is read and removed by slurp.
inline std::string temporaryFile(const char* name) {
  return "/tmp/cudasim-test-" + std::to_string(getpid()) + "-" + name;
}
inline std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  unlink(path.c_str());
  return text.str();
}

}  // namespace warploom::test
