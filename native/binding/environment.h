// Everything the addon holds for one Node-API environment (the main thread, or one worker). Never in C++ statics: two
// environments share nothing but code and the count of those that compute.
#pragma once

#include <napi.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "binding/decode.h"
#include "cpu/backend.h"
#include "engine/device.h"
#include "engine/futex.h"
#include "engine/ops.h"
#include "engine/storage.h"

namespace warploom::binding {

class Environment;
using Clock = std::chrono::steady_clock;

// A read on its way. For a moment the JavaScript thread may look for its arrival itself; then it is handed over to the
// event loop, which settles a promise. Everything but the state belongs to the JavaScript thread.
class PromiseCompletion final : public Completion {
 public:
  explicit PromiseCompletion(Environment& environment) : environment_(environment) {}
  void post() override;
  void abandon() override;

  // Looks until `until` whether the bytes have come.
  bool arrivedBefore(Clock::time_point until) const;
  // Leaves the rest to the event loop; false when the bytes have come meanwhile, and nobody else will see to them.
  bool handOver();
  // Rejects or resolves the promise, which must exist.
  void settle(Napi::Env env);

  std::optional<Napi::Promise::Deferred> deferred;
  Napi::ObjectReference target;
  const Clock::time_point issued = Clock::now();
  Clock::time_point arrived;  // once it has

 private:
  enum State : uint32_t { kWatched, kHandedOver, kArrived };
  std::atomic<uint32_t> state_{kWatched};
  Environment& environment_;
};

// Settled while the JavaScript thread waits.
class SyncCompletion final : public Completion {
 public:
  void post() override {
    // From the store on, the waiting thread may be gone; waking looks at nothing but the address.
    std::atomic<uint32_t>* const word = &done_;
    word->store(1, std::memory_order_release);
    futexWake(word);
  }
  void abandon() override { post(); }
  void wait() {
    while (done_.load(std::memory_order_acquire) == 0) futexWait(&done_, 0);
  }

 private:
  std::atomic<uint32_t> done_{0};
};

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();

  // Stops every stream; nothing of this environment runs afterwards. Called by the environment's cleanup hook.
  void shutDown();

  // The open device at `id`, or null with lastError set.
  Device* device(int id);

  // What deviceNames() lists, and openDevice() opens.
  std::vector<std::string> deviceNames();
  bool openDevice(int id);
  std::vector<std::string> addBackend(const std::string& path);

  int submit(int op, int device);

  // Promise plumbing. expectsSoon: whether the next read is worth a moment's wait here, which spares both threads the
  // way through the event loop. The last one tells: it must have come within that moment. And the loop must have turned
  // lately, since code that awaits one read after the other would otherwise keep it from timers and other events.
  static constexpr auto kMoment = std::chrono::microseconds(40);
  static constexpr auto kTurn = std::chrono::milliseconds(1);
  bool expectsSoon(Clock::time_point now) const { return lastWait_ <= kMoment && now - lastTurn_ < kTurn; }
  void noteWait(const PromiseCompletion& completion) { lastWait_ = completion.arrived - completion.issued; }
  // The process stays alive until these are settled; settleAll does not forget one.
  void expectArrival(Napi::Env env);
  void post(PromiseCompletion* completion);
  void abandon(PromiseCompletion* completion);
  void settleNow(Napi::Env env, PromiseCompletion& completion);
  void settleAll(Napi::Env env);

  Napi::Object errorObject(Napi::Env env, const Error& error);

  std::string kernelFolder;  // where the CUDA kernels lie
  double* words = nullptr;
  Napi::Reference<Napi::Float64Array> wordsReference;
  StorageTable storages;
  Error lastError;
  // False once the CPU device is open.
  bool configureCpu(int threads, const std::string& isa);

  std::unique_ptr<Recording> underway;
  std::unordered_map<int, std::unique_ptr<Recording>> recordings;
  int nextRecording = 1;

 private:
  struct Slot {
    std::string name;
    enum Kind { cpu, cuda, plugin } kind;
    Backend* backend;  // of a plug-in
    int index;
    std::unique_ptr<Device> device;
  };
  cpu::Options cpuOptions_;
  std::vector<Slot> devices_;
  std::mutex completedMutex_;
  std::vector<PromiseCompletion*> completed_;
  Napi::ThreadSafeFunction wake_;
  int pending_ = 0;
  Clock::duration lastWait_ = Clock::duration::max();
  Clock::time_point lastTurn_;  // when the event loop last settled reads
  bool probed_ = false;         // for CUDA devices
  bool down_ = false;
};

// The functions of src/addon.ts, set on `exports`.
void defineFunctions(Napi::Env env, Napi::Object exports, Environment& environment);

}  // namespace warploom::binding
