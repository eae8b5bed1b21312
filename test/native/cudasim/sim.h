// One simulated device for a test: loads PTX, moves vectors, launches.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cudasim/executor.h"
#include "native/check.h"
#include "source_lines.h"

namespace warploom::test {

using namespace warploom::cudasim;

class Sim {
 public:
  explicit Sim(const std::string& ptx, bool shareRegisters = true) : memory(uint64_t{1} << 30) {
    std::string log;
    module = parseModule(ptx.data(), ptx.size(), log, shareRegisters);
    if (module == nullptr) throw std::runtime_error("parseModule: " + log);
    if (!module->place(memory, log)) throw std::runtime_error("place: " + log);
    settings.threads = 2;
  }

  template <class T>
  uint64_t put(const std::vector<T>& data) {
    const uint64_t address = memory.alloc(data.size() * sizeof(T));
    std::memcpy(reinterpret_cast<void*>(address), data.data(), data.size() * sizeof(T));
    memory.setInitialised(address, data.size() * sizeof(T));
    return address;
  }
  uint64_t room(uint64_t bytes) { return memory.alloc(bytes); }
  template <class T>
  std::vector<T> get(uint64_t address, std::size_t count) const {
    std::vector<T> data(count);
    std::memcpy(data.data(), reinterpret_cast<const void*>(address), count * sizeof(T));
    return data;
  }

  struct Size {
    uint32_t x = 1, y = 1, z = 1;
  };
  template <class... Args>
  LaunchResult run(const std::string& name, Size grid, Size block, uint32_t shared, Args... args) {
    Launch launch;
    launch.kernel = module->kernel(name);
    if (launch.kernel == nullptr) throw std::runtime_error("no kernel " + name);
    const uint32_t g[3] = {grid.x, grid.y, grid.z}, b[3] = {block.x, block.y, block.z};
    std::memcpy(launch.grid, g, sizeof(g));
    std::memcpy(launch.block, b, sizeof(b));
    launch.dynamicShared = shared;
    launch.cooperative = cooperative;
    launch.params.resize(launch.kernel->paramBytes);
    std::size_t i = 0;
    const auto set = [&](const void* value, std::size_t bytes) {
      const Param& param = launch.kernel->params.at(i++);
      if (param.size != bytes) throw std::runtime_error(name + ": parameter of another size: " + param.name);
      std::memcpy(launch.params.data() + param.offset, value, bytes);
    };
    (set(&args, sizeof(args)), ...);
    launch.memory = &memory;
    return execute(launch, settings);
  }
  // Must end without findings.
  template <class... Args>
  LaunchResult clean(const std::string& name, Size grid, Size block, uint32_t shared, Args... args) {
    LaunchResult result = run(name, grid, block, shared, args...);
    for (const Finding& finding : result.findings) failed(name.c_str(), finding.line, finding.json());
    CHECK(result.status == 0);
    return result;
  }

  Memory memory;
  std::unique_ptr<Module> module;
  // The environment's CUDASIM_SKIP breaks a kernel on purpose; nothing else of it reaches a test.
  static Settings initial() {
    const Settings environment = Settings::fromEnvironment();
    Settings settings;
    settings.skipKernel = environment.skipKernel;
    settings.skipLine = environment.skipLine;
    return settings;
  }

  Settings settings = initial();
  bool cooperative = false;  // of the launches
};

inline std::vector<float> floats(std::size_t n, uint32_t seed) {
  std::vector<float> data(n);
  for (float& x : data) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<int32_t>(seed)) / 2147483648.0f;
  }
  return data;
}

}  // namespace warploom::test
