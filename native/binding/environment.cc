#include "binding/environment.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/backend.h"

namespace warploom::binding {
namespace {

// Environments of this process whose CPU device is open: they share out the cores.
std::atomic<int> computing{0};

// The memory this process may use: the machine's, or its control group's where that is less.
std::size_t hostMemory() {
  std::size_t bytes =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (std::FILE* file = std::fopen(path, "r")) {
      unsigned long long limit = 0;
      if (std::fscanf(file, "%llu", &limit) == 1 && limit > 0 && limit < bytes) bytes = limit;
      std::fclose(file);
    }
  }
  return bytes;
}

int environmentThreads() {
  const char* text = std::getenv("WARPLOOM_THREADS");
  const int threads = text != nullptr ? std::atoi(text) : 0;
  return threads > 0 ? threads : 0;
}

template <class Args>
bool decodeArgs(Decoder& decoder, void* args) {
  visitFields(*static_cast<Args*>(args), decoder);
  return decoder.ok();
}

// By OpId.
constexpr bool (*kDecoders[])(Decoder& decoder, void* args) = {
#define WL_OP(name, Args) &decodeArgs<Args>,
#define WL_OP_SCRATCH(name, Args) &decodeArgs<Args>,
#include "engine/ops.def"
#undef WL_OP
#undef WL_OP_SCRATCH
};

}  // namespace

// Once the state says so the JavaScript thread may delete the object: nothing is touched behind a won exchange.
void PromiseCompletion::post() {
  arrived = Clock::now();
  uint32_t expected = kWatched;
  if (!state_.compare_exchange_strong(expected, kArrived, std::memory_order_acq_rel)) environment_.post(this);
}

void PromiseCompletion::abandon() {
  uint32_t expected = kWatched;
  if (!state_.compare_exchange_strong(expected, kArrived, std::memory_order_acq_rel)) environment_.abandon(this);
}

bool PromiseCompletion::arrivedBefore(Clock::time_point until) const {
  do {
    for (int i = 0; i < 16; ++i) {
      if (state_.load(std::memory_order_acquire) == kArrived) return true;
      relax();
    }
  } while (Clock::now() < until);
  return false;
}

bool PromiseCompletion::handOver() {
  uint32_t expected = kWatched;
  return state_.compare_exchange_strong(expected, kHandedOver, std::memory_order_acq_rel);
}

void PromiseCompletion::settle(Napi::Env env) {
  environment_.noteWait(*this);
  if (error) {
    deferred->Reject(environment_.errorObject(env, error));
  } else {
    deferred->Resolve(env.Undefined());
  }
}

Environment::Environment(Napi::Env env) {
  Napi::Float64Array array = Napi::Float64Array::New(env, kWords);
  words = array.Data();
  wordsReference = Napi::Persistent(array);
  devices_.push_back({"cpu", Slot::cpu, nullptr, 0, nullptr});
  wake_ =
      Napi::ThreadSafeFunction::New(env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), "warploom", 0, 1);
  wake_.Unref(env);
}

Environment::~Environment() { shutDown(); }

void Environment::shutDown() {
  if (down_) return;
  down_ = true;
  for (Slot& slot : devices_) {
    if (slot.device) slot.device->stop();
  }
  // Promises that nobody will settle: their references are given up here, on the JavaScript thread.
  for (PromiseCompletion* completion : completed_) delete completion;
  completed_.clear();
  if (devices_[0].device) --computing;
  wake_.Release();
}

// The driver is opened by the first question that needs it: that takes it a tenth of a second.
std::vector<std::string> Environment::deviceNames() {
  if (!probed_) {
    probed_ = true;
    const int count = cuda::probe().devices;
    for (int i = 0; i < count; ++i) {
      devices_.push_back({i == 0 ? "cuda" : "cuda:" + std::to_string(i), Slot::cuda, nullptr, i, nullptr});
    }
  }
  std::vector<std::string> names;
  for (const Slot& slot : devices_) names.push_back(slot.name);
  return names;
}

bool Environment::openDevice(int id) {
  if (id < 0 || id >= static_cast<int>(devices_.size()) || down_) {
    lastError = Error();
    lastError.code = ErrorCode::invalid;
    lastError.message = "there is no device of that number";
    return false;
  }
  Slot& slot = devices_[id];
  if (slot.device) return true;
  std::unique_ptr<DeviceImpl> impl;
  std::string reason;
  if (slot.kind == Slot::cpu) {
    cpu::Options options = cpuOptions_;
    if (options.threads <= 0) options.threads = environmentThreads();
    const int sharers = ++computing;
    if (options.threads <= 0) options.threads = std::max(1, cpu::usableCores() / sharers);
    if (options.isa.empty()) {
      if (const char* isa = std::getenv("WARPLOOM_ISA")) options.isa = isa;
    }
    // A fifth is left to everything else: the limit must bite before the kernel's out-of-memory killer does.
    impl = cpu::openDevice(options, hostMemory() / 5 * 4);
  } else if (slot.kind == Slot::cuda) {
    impl = cuda::openDevice(slot.index, kernelFolder, reason);
  } else {
    impl = slot.backend->open(slot.index);
  }
  if (!impl) {
    lastError = Error();
    lastError.code = ErrorCode::deviceLost;
    lastError.message = "device " + slot.name + " could not be opened" + (reason.empty() ? "" : ": " + reason);
    return false;
  }
  slot.device = std::make_unique<Device>(slot.name, std::move(impl));
  return true;
}

bool Environment::configureCpu(int threads, const std::string& isa) {
  if (devices_[0].device) return false;
  cpuOptions_.threads = threads;
  cpuOptions_.isa = isa;
  return true;
}

Device* Environment::device(int id) {
  if (id >= 0 && id < static_cast<int>(devices_.size()) && devices_[id].device && !down_)
    return devices_[id].device.get();
  return openDevice(id) ? devices_[id].device.get() : nullptr;
}

std::vector<std::string> Environment::addBackend(const std::string& path) {
  // Never closed: threads and tables of a back end may outlive this environment.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  auto* factory = reinterpret_cast<BackendFactory>(dlsym(library, "warploomBackend"));
  if (factory == nullptr) throw std::runtime_error(path + " exports no function warploomBackend");
  Backend* backend = factory(kBackendVersion);
  if (backend == nullptr) {
    throw std::runtime_error(path + " was built for another version of the back-end interface than " +
                             std::to_string(kBackendVersion));
  }
  std::vector<std::string> names;
  for (int i = 0; i < backend->deviceCount(); ++i) {
    std::string name = backend->name();
    if (i > 0) name += ":" + std::to_string(i);
    for (const Slot& slot : devices_) {
      if (slot.name == name) throw std::runtime_error("a device named " + name + " exists already");
    }
    names.push_back(name);
    devices_.push_back({name, Slot::plugin, backend, i, nullptr});
  }
  return names;
}

int Environment::submit(int op, int deviceId) {
  Device* target = device(deviceId);
  if (target == nullptr) return 1;
  lastError.code = ErrorCode::none;
  if (op < 0 || op >= kOpCount) {
    lastError.code = ErrorCode::invalid;
    lastError.message = "there is no operation of that number";
    return 1;
  }
  const OpCodec& codec = kOpCodecs[op];
  const OpEntry* entry = target->impl().op(op);
  if (entry == nullptr || entry->run == nullptr) {
    lastError = Error();
    lastError.code = ErrorCode::notSupported;
    lastError.op = codec.name;
    lastError.message = "device " + target->name() + " has no kernel for this operation";
    return 1;
  }
  Decoder decoder(words, storages, *target, codec.name);
  alignas(64) unsigned char args[4096];
  if (!kDecoders[op](decoder, args)) {
    decoder.undo();
    lastError = decoder.error;
    return 1;
  }
  if (!target->queue(*entry, codec, args, decoder.uses, decoder.useCount, lastError)) {
    decoder.undo();
    return 1;
  }
  return 0;
}

void Environment::expectArrival(Napi::Env env) {
  // A pending promise keeps the process alive; an idle addon does not.
  if (pending_++ == 0) wake_.Ref(env);
}

void Environment::post(PromiseCompletion* completion) {
  bool first;
  {
    std::lock_guard<std::mutex> lock(completedMutex_);
    first = completed_.empty();
    completed_.push_back(completion);
  }
  if (first) {
    wake_.NonBlockingCall([this](Napi::Env env, Napi::Function) { settleAll(env); });
  }
}

void Environment::abandon(PromiseCompletion* completion) {
  std::lock_guard<std::mutex> lock(completedMutex_);
  completed_.push_back(completion);
}

void Environment::settleAll(Napi::Env env) {
  std::vector<PromiseCompletion*> batch;
  {
    std::lock_guard<std::mutex> lock(completedMutex_);
    batch.swap(completed_);
  }
  lastTurn_ = Clock::now();
  Napi::HandleScope scope(env);
  for (PromiseCompletion* completion : batch) {
    settleNow(env, *completion);
    delete completion;
  }
}

void Environment::settleNow(Napi::Env env, PromiseCompletion& completion) {
  if (--pending_ == 0) wake_.Unref(env);
  completion.settle(env);
}

Napi::Object Environment::errorObject(Napi::Env env, const Error& error) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", errorCodeName(error.code));
  object.Set("message", error.message);
  if (!error.op.empty()) object.Set("op", error.op);
  if (error.code == ErrorCode::outOfMemory) {
    object.Set("requested", static_cast<double>(error.requested));
    object.Set("active", static_cast<double>(error.active));
    object.Set("limit", static_cast<double>(error.limit));
  }
  if (error.code == ErrorCode::index) {
    object.Set("value", static_cast<double>(error.value));
    object.Set("bound", static_cast<double>(error.bound));
  }
  return object;
}

}  // namespace warploom::binding
