// The state behind the driver API, and how a call enters it. One mutex guards all of it; it is let go only while a job
// runs. Handles are pointers to these objects, checked against the set of live ones before they are followed.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "cudasim/driver/api.h"
#include "cudasim/driver/schedule.h"

namespace warploom::cudasim {

// Thrown inside, returned outside.
struct ApiError {
  CUresult code;
};
inline void require(bool condition, CUresult code) {
  if (!condition) throw ApiError{code};
}

struct Work;
struct Capture;

struct Stream {
  Context* context = nullptr;
  unsigned flags = 0;  // 1: does not wait for the legacy default stream
  int priority = 0;
  uint64_t id = 0;
  uint32_t lane = 0;
  bool legacy = false;
  JobPtr last;                       // the newest job, done or not
  std::vector<JobPtr> waits;         // events that the next job must follow
  std::shared_ptr<Capture> capture;  // under way on this stream
};

// When a recorded event was reached: CPU time.
struct Stamp {
  std::chrono::steady_clock::time_point at;
};

struct Event {
  Context* context = nullptr;
  unsigned flags = 0;  // 1 blocking, 2 no timing
  JobPtr job;          // of the newest record; null while never recorded
  std::shared_ptr<Stamp> stamp;
  std::shared_ptr<Capture> capture;  // recorded inside this capture, behind these nodes
  std::vector<Node*> nodes;
};

struct Pool {
  Device* device = nullptr;
  bool isDefault = false;
  uint64_t threshold = 0, used = 0, usedHigh = 0;
  int reuse[4] = {0, 1, 1, 1};
};

struct Context {
  Device* device = nullptr;
  bool primary = false;
  unsigned flags = 0;
  uint64_t id = 0;
  int cacheConfig = 0;
  std::map<int, std::size_t> limits;
  std::set<Device*> peers;
  Stream legacy;
  std::map<std::thread::id, std::unique_ptr<Stream>> perThread;
  std::unordered_map<Stream*, std::unique_ptr<Stream>> streams;
};

struct Device {
  int ordinal = 0;
  std::unique_ptr<Memory> memory;
  Context* primary = nullptr;
  unsigned primaryFlags = 0;
  int primaryUses = 0;
  int sticky = 0;  // after a failed kernel every call on this device gives this error
  Pool defaultPool;
  Pool* pool = nullptr;
};

struct Function {
  LoadedModule* module = nullptr;
  const Kernel* kernel = nullptr;
  int maxDynamicShared = 0;  // 48 KB less the static bytes, until raised
  int carveout = -1;
};

struct LoadedModule {
  Context* context = nullptr;
  std::unique_ptr<Module> module;
  std::unordered_map<std::string, std::unique_ptr<Function>> functions;
};

// Physical memory of cuMemCreate and the places where it is mapped.
struct Physical {
  int file = -1;
  uint64_t bytes = 0;
  int device = 0;
  int uses = 1;  // the handle and each mapping
};
struct Mapping {
  uint64_t bytes = 0;
  unsigned long long handle = 0;
  bool accessible = false;
};

// Where an address lies.
struct Place {
  Device* device = nullptr;  // null: the host
  Memory* memory = nullptr;  // that knows the range; null for pageable host memory
  bool pinned = false;
};

class Driver {
 public:
  static Driver& get();

  void initialise();  // throws ApiError
  bool ready() const { return ready_; }
  void report(const Finding& finding);
  void count(const Kernel& kernel, const Counters& counters);
  Place locate(uint64_t address) const;
  // Is the whole range inside live memory of that place? Neighbouring mappings count as one.
  bool covers(const Place& place, uint64_t address, uint64_t bytes) const;
  Context* makeContext(Device& device, bool primary);
  void dropContext(Lock& lock, Context* context);
  bool contextAlive(const Context* context) const { return contexts.count(const_cast<Context*>(context)) != 0; }
  void checkFailure(Api api);
  void leaks();

  std::mutex mutex;
  Settings settings;
  int version = 13000;
  std::unique_ptr<Schedule> schedule;
  std::array<Device, 2> devices;
  std::unique_ptr<Memory> host;  // pinned and registered memory, seen by both devices
  std::unordered_map<uint64_t, unsigned> hostFlags;
  std::unordered_map<Context*, std::unique_ptr<Context>> contexts;
  std::unordered_map<LoadedModule*, std::unique_ptr<LoadedModule>> modules;
  std::unordered_set<Function*> functions;
  std::unordered_map<Event*, std::unique_ptr<Event>> events;
  std::unordered_map<Pool*, std::unique_ptr<Pool>> pools;
  std::unordered_map<uint64_t, Pool*> pooled;  // address -> pool
  std::unordered_map<Graph*, std::shared_ptr<Graph>> graphs;
  std::unordered_map<Node*, Graph*> nodes;
  std::unordered_map<GraphExec*, std::unique_ptr<GraphExec>> execs;
  std::map<uint64_t, uint64_t> reservations;  // address -> bytes
  std::map<unsigned long long, Physical> physical;
  std::map<uint64_t, Mapping> mappings;
  std::vector<std::weak_ptr<Capture>> captures;
  uint64_t ids = 0;

 private:
  Driver() = default;
  struct Failure {
    Api api;
    uint64_t call;
    bool after;  // this call and all later ones
    CUresult code;
  };
  bool ready_ = false;
  std::vector<Failure> failures_;
  std::array<std::atomic<uint64_t>, static_cast<std::size_t>(Api::count)> calls_{};
  std::mutex files_;
};

// One call under way: the lock and the context that is current on this thread.
struct Call {
  Driver& driver;
  Lock lock;
  Context* context = nullptr;

  Device& device() const { return *context->device; }
  Schedule& schedule() const { return *driver.schedule; }
};

std::vector<Context*>& contextStack();
bool& insideHostFunction();

enum CallFlags : unsigned {
  kNoContext = 1,  // works without a current context, and on a lost device
  kUnsafe = 2,     // may synchronize: a capture under way forbids it
};

// Throws the sticky error of the device, if it has one.
void checkSticky(const Device& device);
void checkCaptures(Driver& driver);  // throws when a capture forbids synchronizing calls
void enter(Api api, Call& call, unsigned flags);

template <class Body>
CUresult call(Api api, unsigned flags, Body&& body) {
  try {
    Driver& driver = Driver::get();
    Call call{driver, Lock(driver.mutex), nullptr};
    enter(api, call, flags);
    body(call);
    return CUDA_SUCCESS;
  } catch (const ApiError& error) {
    return error.code;
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cudasim: %s\n", error.what());
    return CUDA_ERROR_UNKNOWN;
  }
}

// The objects behind handles; throw what a driver returns for a bad one.
Device& deviceAt(Driver& driver, CUdevice ordinal);
Context& contextAt(Driver& driver, CUcontext context);
Stream& streamAt(Call& call, CUstream stream);
Event& eventAt(Driver& driver, CUevent event);
Function& functionAt(Driver& driver, CUfunction function);
Graph& graphAt(Driver& driver, CUgraph graph);
Node& nodeAt(Driver& driver, CUgraphNode node);

// Queues work on a stream, or records it where the stream is capturing. Returns the job (null when recorded).
JobPtr submit(Call& call, Stream& stream, Work&& work);
// A new job behind everything that the stream's next operation must follow.
JobPtr openJob(Call& call, Stream& stream);
void queueJob(Call& call, Stream& stream, const JobPtr& job);
// Waits, then throws the sticky error if the work failed.
void waitFor(Call& call, const JobPtr& job);
// The legacy stream stands for work before it too: throws if a capture forbids its use.
void checkLegacyUse(Call& call, const Stream& stream);

}  // namespace warploom::cudasim
