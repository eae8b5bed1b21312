// The program behind `npm run cudasim`: one module, one launch, through the driver API of the library that it is given,
// as any user of a CUDA driver would do it. Everything that has to do with people (values, types, text) is in
// scripts/cudasim.
//
//   cudasim_tool LIBRARY PTX                                                lists the kernels
//   cudasim_tool LIBRARY PTX KERNEL GRID BLOCK SHARED FOLDER ARGUMENT...    launches one
//
// An argument is in:BYTES (filled from FOLDER/<index>.in), fresh:BYTES (left as allocated) or value:HEX, the bytes of
// a scalar. Buffers come back as FOLDER/<index>.out. Lines on stdout, fields divided by tabs:
//
//   kernel NAME SIZE,SIZE,...       a kernel and the bytes of its parameters
//   log TEXT                        a line of what the driver says about the module
//   failed CALL CODE NAME TEXT      a call failed; nothing follows
//   done                            the launch ended well
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cudasim/driver/api.h"

namespace warploom::cudasim {

namespace {

void* library = nullptr;

template <class Function>
Function symbol(const char* name) {
  void* found = dlsym(library, name);
  if (found == nullptr) throw std::runtime_error(std::string("the library has no ") + name);
  return reinterpret_cast<Function>(found);
}
// CU(cuInit)(0): the library's function, with the type that api.def gives it.
#define CU(name) (symbol<decltype(&::warploom::cudasim::name)>(#name))

struct CallFailed {
  const char* call;
  CUresult code;
};
#define CHECKED(name, ...)                                   \
  do {                                                       \
    const CUresult code = CU(name)(__VA_ARGS__);             \
    if (code != CUDA_SUCCESS) throw CallFailed{#name, code}; \
  } while (false)

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Argument {
  bool buffer = false, filled = false;
  uint64_t bytes = 0;
  std::string value;  // a scalar's bytes, or the address of a buffer
};

Argument argumentOf(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon), rest = text.substr(colon + 1);
  Argument argument;
  if (kind == "value") {
    for (std::size_t i = 0; i + 1 < rest.size(); i += 2) {
      argument.value += static_cast<char>(std::stoi(rest.substr(i, 2), nullptr, 16));
    }
    return argument;
  }
  if (kind != "in" && kind != "fresh") throw std::runtime_error("an argument is in:, fresh: or value:, not " + text);
  argument.buffer = true;
  argument.filled = kind == "in";
  argument.bytes = std::stoull(rest);
  return argument;
}

struct Size {
  unsigned x = 0, y = 0, z = 0;
};
Size sizeOf(const char* text) {
  Size size;
  if (std::sscanf(text, "%u,%u,%u", &size.x, &size.y, &size.z) != 3) throw std::runtime_error("a size is X,Y,Z");
  return size;
}

CUmodule load(const std::string& path) {
  const std::string text = contents(path);
  std::vector<char> log(16384);
  constexpr int kErrorLog = 5, kErrorLogBytes = 6;
  int options[] = {kErrorLog, kErrorLogBytes};
  void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
  CUmodule module = nullptr;
  const CUresult code = CU(cuModuleLoadDataEx)(&module, text.c_str(), 2, options, values);
  if (code == CUDA_SUCCESS) return module;
  std::istringstream lines(log.data());
  for (std::string line; std::getline(lines, line);) std::printf("log\t%s\n", line.c_str());
  throw CallFailed{"cuModuleLoadDataEx", code};
}

void list(CUmodule module) {
  unsigned count = 0;
  CHECKED(cuModuleGetFunctionCount, &count, module);
  std::vector<CUfunction> functions(count);
  CHECKED(cuModuleEnumerateFunctions, functions.data(), count, module);
  for (CUfunction function : functions) {
    const char* name = nullptr;
    CHECKED(cuFuncGetName, &name, function);
    std::printf("kernel\t%s\t", name);
    std::size_t offset = 0, size = 0;
    for (std::size_t i = 0; CU(cuFuncGetParamInfo)(function, i, &offset, &size) == CUDA_SUCCESS; ++i) {
      std::printf(i == 0 ? "%zu" : ",%zu", size);
    }
    std::printf("\n");
  }
}

void launch(CUmodule module, const char* name, Size grid, Size block, unsigned shared, const std::string& folder,
            std::vector<Argument>& arguments) {
  CUfunction function = nullptr;
  CHECKED(cuModuleGetFunction, &function, module, name);
  // The caller has compared sizes with the list; a wrong one would read past a value here.
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::size_t offset = 0, size = 0;
    CHECKED(cuFuncGetParamInfo, function, i, &offset, &size);
    if (size != (arguments[i].buffer ? sizeof(CUdeviceptr) : arguments[i].value.size())) {
      throw std::runtime_error("argument " + std::to_string(i) + " has another size than its parameter");
    }
  }
  std::size_t offset = 0;
  if (CU(cuFuncGetParamInfo)(function, arguments.size(), &offset, nullptr) == CUDA_SUCCESS) {
    throw std::runtime_error("too few arguments");
  }
  const auto file = [&](std::size_t i, const char* suffix) { return folder + "/" + std::to_string(i) + suffix; };
  std::vector<CUdeviceptr> addresses(arguments.size());
  std::vector<void*> params;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    Argument& argument = arguments[i];
    if (argument.buffer) {
      CHECKED(cuMemAlloc_v2, &addresses[i], argument.bytes);
      if (argument.filled) {
        const std::string bytes = contents(file(i, ".in"));
        if (bytes.size() != argument.bytes) throw std::runtime_error(file(i, ".in") + " has another size");
        CHECKED(cuMemcpyHtoD_v2, addresses[i], bytes.data(), bytes.size());
      }
      params.push_back(&addresses[i]);
    } else {
      params.push_back(argument.value.data());
    }
  }
  constexpr int kMaxDynamicShared = 8;
  constexpr unsigned kWithoutAsking = 48 * 1024;
  if (shared > kWithoutAsking) CHECKED(cuFuncSetAttribute, function, kMaxDynamicShared, static_cast<int>(shared));
  CHECKED(cuLaunchKernel, function, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, nullptr, params.data(),
          nullptr);
  CHECKED(cuCtxSynchronize);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].buffer) continue;
    std::string bytes(arguments[i].bytes, '\0');
    CHECKED(cuMemcpyDtoH_v2, bytes.data(), addresses[i], bytes.size());
    std::ofstream out(file(i, ".out"), std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out.flush()) throw std::runtime_error("cannot write " + file(i, ".out"));
    CHECKED(cuMemFree_v2, addresses[i]);
  }
  std::printf("done\n");
}

int run(int argc, char** argv) {
  if (argc != 3 && argc < 8) throw std::runtime_error("LIBRARY PTX [KERNEL GRID BLOCK SHARED FOLDER ARGUMENT...]");
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  try {
    CUcontext context = nullptr;
    CHECKED(cuInit, 0);
    CHECKED(cuDevicePrimaryCtxRetain, &context, 0);
    CHECKED(cuCtxSetCurrent, context);
    const CUmodule module = load(argv[2]);
    if (argc == 3) {
      list(module);
      return 0;
    }
    std::vector<Argument> arguments;
    for (int i = 8; i < argc; ++i) arguments.push_back(argumentOf(argv[i]));
    launch(module, argv[3], sizeOf(argv[4]), sizeOf(argv[5]), static_cast<unsigned>(std::stoul(argv[6])), argv[7],
           arguments);
    return 0;
  } catch (const CallFailed& failed) {
    const char *name = "?", *text = "?";
    CU(cuGetErrorName)(failed.code, &name);
    CU(cuGetErrorString)(failed.code, &text);
    std::printf("failed\t%s\t%d\t%s\t%s\n", failed.call, failed.code, name, text);
    return 1;
  }
}

}  // namespace

}  // namespace warploom::cudasim

int main(int argc, char** argv) {
  try {
    return warploom::cudasim::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cudasim_tool: %s\n", error.what());
    return 2;
  }
}
