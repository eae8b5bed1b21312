#include "cuda/library.h"

#include <cstdio>
#include <memory>
#include <vector>

namespace warploom::cuda {
namespace {

// The bytes of a file and a closing NUL, which PTX text needs; empty where there is no such file.
std::vector<char> readFile(const std::string& path) {
  std::vector<char> bytes;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return bytes;
  char buffer[65536];
  for (std::size_t got; (got = std::fread(buffer, 1, sizeof(buffer), file.get())) > 0;) {
    bytes.insert(bytes.end(), buffer, buffer + got);
  }
  if (!bytes.empty()) bytes.push_back('\0');
  return bytes;
}

}  // namespace

const KernelLibrary::Loaded& KernelLibrary::module(const std::string& family) {
  const auto found = modules_.find(family);
  if (found != modules_.end()) return found->second;
  std::string refused;
  for (const char* kind : {"fatbin", "ptx"}) {
    const std::string path = folder_ + "/" + family + "." + kind;
    const std::vector<char> image = readFile(path);
    if (image.empty()) {
      refused += (refused.empty() ? "" : "; ") + path + ": no such file";
      continue;
    }
    char log[4096] = {};
    int options[] = {abi::CU_JIT_ERROR_LOG_BUFFER, abi::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log, reinterpret_cast<void*>(sizeof(log))};
    Loaded loaded{nullptr, kind};
    const abi::CUresult result = driver_.moduleLoadDataEx(&loaded.module, image.data(), 2, options, values);
    if (result == abi::CUDA_SUCCESS) {
      if (!refused.empty()) loaded.origin += " (" + refused + ")";
      return modules_.emplace(family, std::move(loaded)).first->second;
    }
    if (isFatal(result)) throw DriverError(result, "cuModuleLoadDataEx(" + path + "): " + driver_.describe(result));
    log[sizeof(log) - 1] = '\0';
    refused += (refused.empty() ? "" : "; ") + path + ": " + driver_.describe(result) +
               (log[0] != '\0' ? std::string(": ") + log : "");
  }
  throw DriverFailure("the driver loads no kernels of the family " + family + ": " + refused);
}

abi::CUfunction KernelLibrary::load(const char* family, const char* entry) {
  const Loaded& loaded = module(family);
  abi::CUfunction function = nullptr;
  const abi::CUresult result = driver_.moduleGetFunction(&function, loaded.module, entry);
  if (result != abi::CUDA_SUCCESS)
    driver_.fail(result, std::string("cuModuleGetFunction(") + family + ", " + entry + ")");
  functions_.emplace(entry, function);
  return function;
}

void KernelLibrary::unloadAll() {
  functions_.clear();
  for (const auto& entry : modules_) driver_.moduleUnload(entry.second.module);
  modules_.clear();
}

std::string KernelLibrary::origins() const {
  std::string text;
  for (const auto& entry : modules_) text += (text.empty() ? "" : ", ") + entry.first + ": " + entry.second.origin;
  return text;
}

}  // namespace warploom::cuda
