// Modules from PTX text, their functions and globals. Machine code is refused: the text is what this driver runs.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "cudasim/driver/work.h"

namespace warploom::cudasim {

namespace {

// What a caller gave for the log buffers of the JIT.
struct Logs {
  char *info = nullptr, *error = nullptr;
  uint64_t infoBytes = 0, errorBytes = 0;
  void **infoSize = nullptr, **errorSize = nullptr;

  static void put(const std::string& text, char* buffer, uint64_t bytes, void** size) {
    uint64_t written = 0;
    if (buffer != nullptr && bytes > 0) {
      written = std::min<uint64_t>(text.size(), bytes - 1);
      std::memcpy(buffer, text.data(), written);
      buffer[written] = 0;
    }
    // The size is an output, too: what was filled in.
    if (size != nullptr) *size = reinterpret_cast<void*>(static_cast<uintptr_t>(written));
  }
};

Logs logsOf(unsigned count, const int* options, void** values) {
  require(count == 0 || (options != nullptr && values != nullptr), CUDA_ERROR_INVALID_VALUE);
  Logs logs;
  for (unsigned i = 0; i < count; ++i) {
    switch (options[i]) {
      case 3:
        logs.info = static_cast<char*>(values[i]);
        break;
      case 4:
        logs.infoBytes = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(values[i]));
        logs.infoSize = &values[i];
        break;
      case 5:
        logs.error = static_cast<char*>(values[i]);
        break;
      case 6:
        logs.errorBytes = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(values[i]));
        logs.errorSize = &values[i];
        break;
      default:
        require(options[i] >= 0 && options[i] < 35, CUDA_ERROR_INVALID_VALUE);  // the others change no result here
    }
  }
  return logs;
}

// The newest PTX that a driver of that version reads, as 10 major + minor.
int ptxOf(int version) {
  static constexpr int known[][2] = {{13000, 90}, {12090, 88}, {12080, 87}, {12070, 86}, {12050, 85},
                                     {12040, 84}, {12030, 83}, {12020, 82}, {12010, 81}, {12000, 80},
                                     {11080, 78}, {11070, 77}, {11060, 76}, {11050, 75}, {11040, 74},
                                     {11030, 73}, {11020, 72}, {11010, 71}, {11000, 70}};
  for (const auto& row : known) {
    if (version >= row[0]) return row[1] + (version > 13000 ? (version - 13000) / 10 : 0);
  }
  return 65;
}

bool isMachineCode(const unsigned char* bytes) {
  static constexpr unsigned char elf[] = {0x7f, 'E', 'L', 'F'}, fatbin[] = {0x50, 0xed, 0x55, 0xba},
                                 wrapper[] = {0xb1, 0x43, 0x62, 0x46};
  for (const auto* magic : {elf, fatbin, wrapper}) {
    // Compared byte by byte: a short text ends at its NUL.
    if (bytes[0] == magic[0] && bytes[1] == magic[1] && bytes[2] == magic[2] && bytes[3] == magic[3]) return true;
  }
  return false;
}

void load(Call& call, CUmodule* out, const void* image, const Logs& logs) {
  require(out != nullptr && image != nullptr, CUDA_ERROR_INVALID_VALUE);
  const auto fail = [&](CUresult code, const std::string& text) {
    Logs::put(text, logs.error, logs.errorBytes, logs.errorSize);
    Logs::put("", logs.info, logs.infoBytes, logs.infoSize);
    throw ApiError{code};
  };
  const auto* bytes = static_cast<const unsigned char*>(image);
  if (isMachineCode(bytes)) {
    fail(CUDA_ERROR_NO_BINARY_FOR_GPU, "this driver runs PTX text; cubins and fatbins are refused");
  }
  const char* text = static_cast<const char*>(image);
  const std::size_t length = std::strlen(text);
  if (std::strstr(text, ".version") == nullptr) {
    fail(CUDA_ERROR_INVALID_IMAGE, "neither PTX (no .version) nor machine code");
  }
  std::string log;
  auto loaded = std::make_unique<LoadedModule>();
  loaded->context = call.context;
  loaded->module = parseModule(text, length, log);
  if (loaded->module == nullptr) fail(CUDA_ERROR_INVALID_PTX, log);
  const Module& module = *loaded->module;
  const int written = 10 * module.versionMajor + module.versionMinor, newest = ptxOf(call.driver.version);
  if (written > newest) {
    fail(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "Unsupported .version " + std::to_string(module.versionMajor) + "." +
                                                 std::to_string(module.versionMinor) + "; current version is '" +
                                                 std::to_string(newest / 10) + "." + std::to_string(newest % 10) + "'");
  }
  if (module.target > 80) {
    fail(CUDA_ERROR_INVALID_PTX, "SM version specified by .target (sm_" + std::to_string(module.target) +
                                     ") is higher than the device's sm_80");
  }
  if (!loaded->module->place(*call.device().memory, log)) fail(CUDA_ERROR_OUT_OF_MEMORY, log);
  Logs::put("", logs.error, logs.errorBytes, logs.errorSize);
  Logs::put(log, logs.info, logs.infoBytes, logs.infoSize);
  *out = loaded.get();
  call.driver.modules[loaded.get()] = std::move(loaded);
}

LoadedModule& moduleAt(Driver& driver, CUmodule module) {
  require(driver.modules.count(module) != 0, CUDA_ERROR_INVALID_HANDLE);
  return *module;
}

Function* functionOf(Driver& driver, LoadedModule& module, const Kernel& kernel) {
  std::unique_ptr<Function>& slot = module.functions[kernel.name];
  if (slot == nullptr) {
    slot = std::make_unique<Function>();
    slot->module = &module;
    slot->kernel = &kernel;
    slot->maxDynamicShared = std::max(0, kSharedDefault - static_cast<int>(kernel.staticShared));
    driver.functions.insert(slot.get());
  }
  return slot.get();
}

int maxThreads(const Kernel& kernel) {
  const uint32_t* bound = kernel.reqThreads[0] != 0 ? kernel.reqThreads : kernel.maxThreads;
  if (bound[0] == 0) return kMaxThreads;
  return static_cast<int>(
      std::min<uint64_t>(kMaxThreads, uint64_t{bound[0]} * std::max(1u, bound[1]) * std::max(1u, bound[2])));
}

}  // namespace

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, int* options, void** values) {
  return call(Api::cuModuleLoadDataEx, kUnsafe,
              [&](Call& c) { load(c, module, image, logsOf(count, options, values)); });
}
CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return call(Api::cuModuleLoadData, kUnsafe, [&](Call& c) { load(c, module, image, {}); });
}
CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  return call(Api::cuModuleLoadFatBinary, kUnsafe, [&](Call& c) { load(c, module, image, {}); });
}
CUresult cuModuleLoad(CUmodule* module, const char* path) {
  return call(Api::cuModuleLoad, kUnsafe, [&](Call& c) {
    require(path != nullptr, CUDA_ERROR_INVALID_VALUE);
    std::ifstream file(path, std::ios::binary);
    require(file.good(), CUDA_ERROR_FILE_NOT_FOUND);
    std::stringstream text;
    text << file.rdbuf();
    load(c, module, text.str().c_str(), {});
  });
}

CUresult cuModuleUnload(CUmodule module) {
  return call(Api::cuModuleUnload, kUnsafe, [&](Call& c) {
    LoadedModule& gone = moduleAt(c.driver, module);
    Device& device = *gone.context->device;
    c.schedule().drain(c.lock, &device);
    for (const auto& function : gone.functions) c.driver.functions.erase(function.second.get());
    gone.module->remove(*device.memory);
    c.driver.modules.erase(module);
    checkSticky(device);
  });
}

CUresult cuModuleGetLoadingMode(int* mode) {
  return call(Api::cuModuleGetLoadingMode, kNoContext, [&](Call&) {
    require(mode != nullptr, CUDA_ERROR_INVALID_VALUE);
    *mode = 2;  // lazy
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return call(Api::cuModuleGetFunction, 0, [&](Call& c) {
    LoadedModule& owner = moduleAt(c.driver, module);
    require(function != nullptr && name != nullptr, CUDA_ERROR_INVALID_VALUE);
    const Kernel* kernel = owner.module->kernel(name);
    require(kernel != nullptr, CUDA_ERROR_NOT_FOUND);
    *function = functionOf(c.driver, owner, *kernel);
  });
}

CUresult cuModuleGetFunctionCount(unsigned* count, CUmodule module) {
  return call(Api::cuModuleGetFunctionCount, 0, [&](Call& c) {
    require(count != nullptr, CUDA_ERROR_INVALID_VALUE);
    *count = static_cast<unsigned>(moduleAt(c.driver, module).module->kernels.size());
  });
}

CUresult cuModuleEnumerateFunctions(CUfunction* functions, unsigned count, CUmodule module) {
  return call(Api::cuModuleEnumerateFunctions, 0, [&](Call& c) {
    LoadedModule& owner = moduleAt(c.driver, module);
    require(functions != nullptr && count <= owner.module->kernels.size(), CUDA_ERROR_INVALID_VALUE);
    for (unsigned i = 0; i < count; ++i) functions[i] = functionOf(c.driver, owner, *owner.module->kernels[i]);
  });
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* address, size_t* bytes, CUmodule module, const char* name) {
  return call(Api::cuModuleGetGlobal_v2, 0, [&](Call& c) {
    require(name != nullptr && (address != nullptr || bytes != nullptr), CUDA_ERROR_INVALID_VALUE);
    const Global* global = moduleAt(c.driver, module).module->global(name);
    require(global != nullptr, CUDA_ERROR_NOT_FOUND);
    if (address != nullptr) *address = global->address;
    if (bytes != nullptr) *bytes = global->size;
  });
}

CUresult cuFuncGetAttribute(int* value, int attribute, CUfunction function) {
  return call(Api::cuFuncGetAttribute, 0, [&](Call& c) {
    const Function& asked = functionAt(c.driver, function);
    require(value != nullptr, CUDA_ERROR_INVALID_VALUE);
    const Kernel& kernel = *asked.kernel;
    const Module& module = *asked.module->module;
    const int answers[] = {maxThreads(kernel),
                           static_cast<int>(kernel.staticShared),
                           0,
                           static_cast<int>(kernel.localBytes),
                           static_cast<int>(kernel.registers),
                           10 * module.versionMajor + module.versionMinor,
                           80,
                           0,
                           asked.maxDynamicShared,
                           asked.carveout,
                           0,
                           0,
                           0,
                           0,
                           0,
                           0};
    require(attribute >= 0 && attribute < static_cast<int>(std::size(answers)), CUDA_ERROR_INVALID_VALUE);
    *value = answers[attribute];
  });
}

CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  return call(Api::cuFuncSetAttribute, 0, [&](Call& c) {
    Function& target = functionAt(c.driver, function);
    if (attribute == 8) {
      require(value >= 0 && value + static_cast<int>(target.kernel->staticShared) <= kSharedOptin,
              CUDA_ERROR_INVALID_VALUE);
      target.maxDynamicShared = value;
    } else if (attribute == 9) {
      require(value >= -1 && value <= 100, CUDA_ERROR_INVALID_VALUE);
      target.carveout = value;
    } else {
      throw ApiError{CUDA_ERROR_INVALID_VALUE};
    }
  });
}

CUresult cuFuncSetCacheConfig(CUfunction function, int config) {
  return call(Api::cuFuncSetCacheConfig, 0, [&](Call& c) {
    functionAt(c.driver, function);
    require(config >= 0 && config <= 3, CUDA_ERROR_INVALID_VALUE);
  });
}
CUresult cuFuncGetModule(CUmodule* module, CUfunction function) {
  return call(Api::cuFuncGetModule, 0, [&](Call& c) {
    require(module != nullptr, CUDA_ERROR_INVALID_VALUE);
    *module = functionAt(c.driver, function).module;
  });
}
CUresult cuFuncGetName(const char** name, CUfunction function) {
  return call(Api::cuFuncGetName, 0, [&](Call& c) {
    require(name != nullptr, CUDA_ERROR_INVALID_VALUE);
    *name = functionAt(c.driver, function).kernel->name.c_str();
  });
}
CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t* offset, size_t* size) {
  return call(Api::cuFuncGetParamInfo, 0, [&](Call& c) {
    const Kernel& kernel = *functionAt(c.driver, function).kernel;
    require(index < kernel.params.size() && offset != nullptr, CUDA_ERROR_INVALID_VALUE);
    *offset = kernel.params[index].offset;
    if (size != nullptr) *size = kernel.params[index].size;
  });
}
CUresult cuFuncLoad(CUfunction function) {
  return call(Api::cuFuncLoad, 0, [&](Call& c) { functionAt(c.driver, function); });
}
CUresult cuFuncIsLoaded(int* state, CUfunction function) {
  return call(Api::cuFuncIsLoaded, 0, [&](Call& c) {
    functionAt(c.driver, function);
    require(state != nullptr, CUDA_ERROR_INVALID_VALUE);
    *state = 1;
  });
}

}  // namespace warploom::cudasim
