#include "cudasim/driver/driver.h"

#include <cstdlib>
#include <cstring>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

uint64_t numberFrom(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == 0) return otherwise;
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 10);
  if (*end != 0) {
    std::fprintf(stderr, "cudasim: %s=%s is not a number\n", name, text);
    throw ApiError{CUDA_ERROR_INVALID_VALUE};
  }
  return value;
}

constexpr const char* kApiNames[] = {
#define API(since, name, params) #name,
#include "cudasim/driver/api.def"
#undef API
};

}  // namespace

Driver& Driver::get() {
  // Never destroyed: other threads may still be inside a call while the process ends.
  static Driver* driver = new Driver();
  return *driver;
}

void Driver::initialise() {
  if (ready_) return;
  try {
    settings = Settings::fromEnvironment();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cudasim: %s\n", error.what());
    throw ApiError{CUDA_ERROR_INVALID_VALUE};
  }
  version = static_cast<int>(numberFrom("CUDASIM_DRIVER", 13000));
  const uint64_t capacity = numberFrom("CUDASIM_MEMORY", uint64_t{8} << 30);
  // CUDASIM_FAIL=cuMemAlloc_v2:3:2 fails the third call with error 2; 3+ that one and all later ones; commas between.
  if (const char* text = std::getenv("CUDASIM_FAIL")) {
    const std::string all = text;
    for (std::size_t start = 0; start < all.size();) {
      const std::size_t end = std::min(all.find(',', start), all.size());
      const std::string item = all.substr(start, end - start);
      char name[96], plus[2] = "";
      unsigned long long call = 0;
      int code = 0, api = 0;
      const bool parsed = std::sscanf(item.c_str(), "%95[^:]:%llu:%d", name, &call, &code) == 3 ||
                          std::sscanf(item.c_str(), "%95[^:]:%llu%1[+]:%d", name, &call, plus, &code) == 4;
      while (api < static_cast<int>(Api::count) && std::strcmp(kApiNames[api], name) != 0) ++api;
      if (!parsed || api == static_cast<int>(Api::count)) {
        std::fprintf(stderr, "cudasim: CUDASIM_FAIL: %s is not function:call:code of an exported function\n",
                     item.c_str());
        throw ApiError{CUDA_ERROR_INVALID_VALUE};
      }
      failures_.push_back({static_cast<Api>(api), call, plus[0] == '+', code});
      start = end + 1;
    }
  }
  schedule = std::make_unique<Schedule>(mutex, settings);
  schedule->onOutcome = [this](const Job& job, const Outcome& outcome) {
    for (const Finding& finding : outcome.findings) report(finding);
    if (outcome.status != 0 && job.device != nullptr && job.device->sticky == 0) job.device->sticky = outcome.status;
  };
  host = std::make_unique<Memory>(uint64_t{16} << 30);
  for (int i = 0; i < 2; ++i) {
    Device& device = devices[static_cast<std::size_t>(i)];
    device.ordinal = i;
    device.memory = std::make_unique<Memory>(capacity);
    device.defaultPool.device = &device;
    device.defaultPool.isDefault = true;
    device.pool = &device.defaultPool;
  }
  const char* leaks = std::getenv("CUDASIM_LEAKS");
  if (leaks != nullptr && std::strcmp(leaks, "1") == 0) std::atexit([] { Driver::get().leaks(); });
  ready_ = true;
}

void Driver::report(const Finding& finding) {
  const std::string line = finding.json() + "\n";
  std::lock_guard<std::mutex> guard(files_);
  std::FILE* file = settings.reportFile.empty() ? stderr : std::fopen(settings.reportFile.c_str(), "a");
  if (file == nullptr) file = stderr;
  std::fwrite(line.data(), 1, line.size(), file);
  if (file != stderr) std::fclose(file);
}

void Driver::count(const Kernel& kernel, const Counters& counters) {
  const std::string line = counters.json(kernel.name) + "\n";
  std::lock_guard<std::mutex> guard(files_);
  if (std::FILE* file = std::fopen(settings.countersFile.c_str(), "a")) {
    std::fwrite(line.data(), 1, line.size(), file);
    std::fclose(file);
  }
}

void Driver::leaks() {
  Lock lock(mutex);
  const auto list = [&](const Memory& memory, const char* where) {
    for (const Allocation& allocation : memory.live()) {
      if (allocation.kind == AllocationKind::global || allocation.kind == AllocationKind::constant) continue;
      if (mappings.count(allocation.address) != 0) continue;
      Finding finding;
      finding.check = "mem";
      finding.message = "leaked: allocation " + std::to_string(allocation.id) + " of " +
                        std::to_string(allocation.size) + " bytes " + where + " was never given back";
      report(finding);
    }
  };
  for (const Device& device : devices) list(*device.memory, device.ordinal == 0 ? "on device 0" : "on device 1");
  list(*host, "of pinned host memory");
  for (const auto& [address, mapping] : mappings) {
    Finding finding;
    finding.check = "mem";
    finding.message = "leaked: a mapping of " + std::to_string(mapping.bytes) + " bytes was never taken back";
    report(finding);
  }
}

Place Driver::locate(uint64_t address) const {
  for (const Device& device : devices) {
    if (device.memory->findLive(address, 1) != nullptr) {
      return {const_cast<Device*>(&device), device.memory.get(), false};
    }
  }
  if (host->findLive(address, 1) != nullptr) return {nullptr, host.get(), true};
  return {};
}

bool Driver::covers(const Place& place, uint64_t address, uint64_t bytes) const {
  if (place.memory == nullptr) return false;
  const uint64_t end = address + bytes;
  if (end < address) return false;
  while (address < end) {
    const Allocation* allocation = place.memory->findLive(address, 1);
    if (allocation == nullptr) return false;
    address = allocation->address + allocation->size;
  }
  return true;
}

void Driver::checkFailure(Api api) {
  if (failures_.empty()) return;
  const uint64_t call = ++calls_[static_cast<std::size_t>(api)];
  for (const Failure& failure : failures_) {
    if (failure.api == api && (call == failure.call || (failure.after && call > failure.call))) {
      throw ApiError{failure.code};
    }
  }
}

std::vector<Context*>& contextStack() {
  thread_local std::vector<Context*> stack;
  return stack;
}

bool& insideHostFunction() {
  thread_local bool inside = false;
  return inside;
}

void checkSticky(const Device& device) { require(device.sticky == 0, device.sticky); }

void checkCaptures(Driver& driver) {
  if (driver.captures.empty() || captureModeOfThread() == 2) return;
  bool forbidden = false;
  for (const std::weak_ptr<Capture>& weak : driver.captures) {
    const std::shared_ptr<Capture> capture = weak.lock();
    if (capture == nullptr || capture->mode == 2) continue;
    if (capture->thread != std::this_thread::get_id() && (capture->mode == 1 || captureModeOfThread() == 1)) continue;
    capture->valid = false;
    forbidden = true;
  }
  require(!forbidden, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

void enter(Api api, Call& call, unsigned flags) {
  require(!insideHostFunction(), CUDA_ERROR_NOT_PERMITTED);
  require(call.driver.ready(), CUDA_ERROR_NOT_INITIALIZED);
  require(apiEntry(api).since <= call.driver.version, CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER);
  call.driver.checkFailure(api);
  if (!contextStack().empty()) call.context = contextStack().back();
  if ((flags & kNoContext) == 0) {
    require(call.context != nullptr, CUDA_ERROR_INVALID_CONTEXT);
    require(call.driver.contextAlive(call.context), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    checkSticky(call.device());
  }
  if ((flags & kUnsafe) != 0) checkCaptures(call.driver);
}

Device& deviceAt(Driver& driver, CUdevice ordinal) {
  require(ordinal >= 0 && ordinal < static_cast<int>(driver.devices.size()), CUDA_ERROR_INVALID_DEVICE);
  return driver.devices[static_cast<std::size_t>(ordinal)];
}

Context& contextAt(Driver& driver, CUcontext context) {
  require(context != nullptr && driver.contextAlive(context), CUDA_ERROR_INVALID_CONTEXT);
  return *context;
}

Event& eventAt(Driver& driver, CUevent event) {
  require(driver.events.count(event) != 0, CUDA_ERROR_INVALID_HANDLE);
  return *event;
}

Function& functionAt(Driver& driver, CUfunction function) {
  require(driver.functions.count(function) != 0, CUDA_ERROR_INVALID_HANDLE);
  return *function;
}

Graph& graphAt(Driver& driver, CUgraph graph) {
  require(driver.graphs.count(graph) != 0, CUDA_ERROR_INVALID_VALUE);
  return *graph;
}

Node& nodeAt(Driver& driver, CUgraphNode node) {
  require(driver.nodes.count(node) != 0, CUDA_ERROR_INVALID_VALUE);
  return *node;
}

const ApiEntry& apiEntry(Api api) {
  static const ApiEntry entries[] = {
#define API(since, name, params) {#name, since, reinterpret_cast<void*>(&::warploom::cudasim::name)},
#include "cudasim/driver/api.def"
#undef API
  };
  return entries[static_cast<std::size_t>(api)];
}

}  // namespace warploom::cudasim
