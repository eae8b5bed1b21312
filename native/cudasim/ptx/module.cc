#include "cudasim/ptx/module.h"

#include <cstring>

#include "cudasim/memory.h"
#include "cudasim/ptx/ast.h"

namespace warploom::cudasim {

const Kernel* Module::kernel(const std::string& name) const {
  for (const auto& one : kernels) {
    if (one->name == name) return one.get();
  }
  return nullptr;
}
const Global* Module::global(const std::string& name) const {
  for (const auto& one : globals) {
    if (one->name == name) return one.get();
  }
  return nullptr;
}

bool Module::place(Memory& memory, std::string& log) {
  for (const auto& one : globals) {
    if (one->size == 0) continue;
    one->address =
        memory.alloc(one->size, one->constant ? AllocationKind::constant : AllocationKind::global, one->name);
    if (one->address == 0) {
      log = "no memory for the variable " + one->name + " of " + std::to_string(one->size) + " bytes";
      remove(memory);
      return false;
    }
    auto* bytes = reinterpret_cast<uint8_t*>(one->address);
    std::memset(bytes, 0, one->size);
    if (!one->init.empty()) std::memcpy(bytes, one->init.data(), one->init.size());
    memory.setInitialised(one->address, one->size);
  }
  for (const auto& one : globals) {
    for (const Global::Relocation& entry : one->relocations) {
      const uint64_t value =
          globals[static_cast<std::size_t>(entry.symbol)]->address + static_cast<uint64_t>(entry.addend);
      std::memcpy(reinterpret_cast<uint8_t*>(one->address + entry.offset), &value, 8);
    }
  }
  return true;
}

void Module::remove(Memory& memory) {
  for (const auto& one : globals) {
    if (one->address != 0) memory.free(one->address);
    one->address = 0;
  }
}

std::unique_ptr<Module> parseModule(const char* text, std::size_t length, std::string& log, bool shareRegisters) {
  try {
    ParsedModule parsed = parsePtx(text, length);
    for (const auto& function : parsed.functions) {
      if (!function->entry || !function->defined) continue;
      auto kernel = std::make_unique<Kernel>(function->attributes);
      kernel->name = function->name;
      kernel->params = function->params;
      kernel->ptxLine = function->ptxLine;
      if (!kernel->params.empty()) kernel->paramBytes = kernel->params.back().offset + kernel->params.back().size;
      Function body = *function;
      inlineCalls(parsed, body);
      const uint32_t base = (parsed.moduleSharedBytes + 15) / 16 * 16;
      kernel->staticShared = base + (body.sharedBytes + 15) / 16 * 16;
      kernel->localBytes = (body.localBytes + 15) / 16 * 16;
      decodeKernel(parsed, body, *kernel, shareRegisters);
      parsed.module->kernels.push_back(std::move(kernel));
    }
    return std::move(parsed.module);
  } catch (const PtxError& error) {
    log = error.what();
    return nullptr;
  }
}

}  // namespace warploom::cudasim
