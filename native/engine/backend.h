// What a device must provide: the vtable between the engine and a backend (cpu, cuda, or a plug-in shared library).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace warploom {

// An index that lay outside [0, bound). `op` is a literal.
struct IndexErrorInfo {
  const char* op = nullptr;
  int64_t value = 0;
  int64_t bound = 0;
};

// What a kernel sees of the stream that runs it. One per stream; used on the stream's thread only.
class Context {
 public:
  virtual ~Context() = default;

  // Calls fn(begin, end, lane) over [0, n) in chunks of `grain` elements, possibly on several threads at once. Chunk
  // boundaries depend on n and grain alone, so results never depend on the number of threads; lane in [0, lanes()) is
  // the running thread's slot, for scratch that threads must not share. At most `grain` elements run serially, without
  // a hand-off.
  template <class Fn>
  void parallel(int64_t n, int64_t grain, Fn&& fn) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    if (n <= grain) {
      fn(int64_t{0}, n, 0);
      return;
    }
    struct Call {
      std::remove_reference_t<Fn>* fn;
      int64_t n, grain;
    } call{&fn, n, grain};
    runChunks((n + grain - 1) / grain, &call, [](void* data, int64_t chunk, int lane) {
      const Call& c = *static_cast<Call*>(data);
      const int64_t begin = chunk * c.grain;
      const int64_t end = begin + c.grain < c.n ? begin + c.grain : c.n;
      (*c.fn)(begin, end, lane);
    });
  }

  // The number of threads that parallel() may use.
  virtual int lanes() const = 0;

  // Scratch of the size that the op's scratch function asked for; 64-byte aligned, uninitialised.
  void* scratch() const { return scratch_; }

  // Records the first offender of an out-of-range index. Callable from any thread inside parallel(). The kernel writes
  // a neutral value instead; the next read of the stream rejects with IndexError.
  virtual void indexError(const char* op, int64_t value, int64_t bound) = 0;

  // Marks the running job as failed: its outputs are poisoned, and reading one rejects with this message.
  virtual void fail(const char* op, const std::string& message) = 0;

  // True once the environment is going away: long kernels may return early, nobody will read the result.
  virtual bool cancelled() const = 0;

  // For the stream, between jobs: moves out the pending index error or failure, and says whether there was one.
  virtual bool takeIndexError(IndexErrorInfo& info) = 0;
  virtual bool takeFailure(std::string& message) = 0;

  // Makes cancelled() true for good. Callable from any thread.
  virtual void cancel() = 0;

  void* scratch_ = nullptr;  // set by the stream before each job

 protected:
  virtual void runChunks(int64_t chunks, void* data, void (*fn)(void*, int64_t, int)) = 0;
};

// One row of a backend's table. `args` points at the op's argument struct. scratchBytes may be null: no scratch.
// refuses may be null: the kernel takes whatever the op's rules allow; else it says at the call, on the JavaScript
// thread, why it does not take these arguments (a literal), or gives null.
struct OpEntry {
  void (*run)(const void* args, Context& context) = nullptr;
  int64_t (*scratchBytes)(const void* args, int lanes) = nullptr;
  const char* (*refuses)(const void* args) = nullptr;
};

// Told once that bytes have reached the host, with the first index outside its range since the last read (or null), and
// the reason when the device was lost on the way (or null). On any thread.
struct Arrival {
  virtual ~Arrival() = default;
  virtual void arrived(const IndexErrorInfo* offender, const char* lost) = 0;
};

// Jobs that a device turned into one launch of its own.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch() = 0;
};

// Thrown by a device whose context is gone for good.
class DeviceLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What there is to say about a device.
struct DeviceFacts {
  std::string hardware;  // "NVIDIA H100"
  std::string isa;       // of a CPU
  int threads = 1;
  bool simulated = false;  // no time measured on it means anything
  std::string kernels;     // where its device code came from
  uint64_t launches = 0;   // kernels, fills and copies on the device begun so far; a graph's count each time
  uint64_t reads = 0;      // copies to the host so far
};

// One device of a backend, owned by one Node-API environment.
class DeviceImpl {
 public:
  virtual ~DeviceImpl() = default;
  // 64-byte aligned memory, or null when there is none. Called on the JavaScript thread.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* data, std::size_t bytes) = 0;
  // Bytes this device can hold; the default limit of its allocator.
  virtual std::size_t capacity() const = 0;
  // Host copies, called on the stream's thread in queue order. `host` may be freed when copyFromHost returns, except
  // between beginGraph() and endGraph(), where it lives as long as the graph. copyToHost returns true when the bytes
  // are there, or false when `arrival` will be told; zero bytes ask only for everything before them to be done.
  virtual void copyFromHost(void* device, const void* host, std::size_t bytes) = 0;
  virtual bool copyToHost(void* host, const void* device, std::size_t bytes, Arrival& arrival) = 0;
  // Waits until everything that jobs began is done; true when an index error is pending that no read has carried away.
  // Called on the JavaScript thread, after the stream has run dry.
  virtual bool finish(IndexErrorInfo&) { return false; }
  // Called on the JavaScript thread after the stream's thread has ended: afterwards no arrival is told any more.
  virtual void stop() {}
  // Between the two, on the stream's thread, jobs are not run but become the nodes of a graph. False: this device
  // replays jobs one by one.
  virtual bool beginGraph() { return false; }
  virtual std::unique_ptr<Graph> endGraph() { return nullptr; }
  virtual DeviceFacts facts() const { return {}; }
  // True where the JavaScript thread may touch device memory that no queued job uses.
  virtual bool hostVisible() const = 0;
  // The entry of an op, or null where this backend lacks it. Entries are asked for once, by id of ops.def.
  virtual const OpEntry* op(int id) const = 0;
  virtual Context& context() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;
  virtual int deviceCount() = 0;
  virtual std::unique_ptr<DeviceImpl> open(int index) = 0;
};

}  // namespace warploom

// A plug-in exports this: `extern "C" warploom::Backend* warploomBackend(int version)`, where version is
// kBackendVersion and a plug-in built for another returns null. The backend lives as long as the process.
namespace warploom {
constexpr int kBackendVersion = 2;
using BackendFactory = Backend* (*)(int version);
}  // namespace warploom
