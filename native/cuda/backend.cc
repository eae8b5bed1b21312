#include "cuda/backend.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "cuda/context.h"
#include "cuda/current.h"
#include "cuda/kernels.h"
#include "cuda/peer.h"
#include "engine/futex.h"

namespace warploom::cuda {
namespace {

class CudaDevice final : public DeviceImpl, public PeerDevice {
 public:
  explicit CudaDevice(const Driver& driver) : driver_(driver) {}

  // Throws what the driver refuses; the destructor takes back what was done so far.
  void open(int index, const std::string& kernelFolder) {
    driver_.check(driver_.deviceGet(&device_, index), "cuDeviceGet");
    char name[128] = {};
    driver_.check(driver_.deviceGetName(name, sizeof(name), device_), "cuDeviceGetName");
    name_ = name;
    int major = 0;
    driver_.check(driver_.deviceGetAttribute(&major, abi::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device_),
                  "cuDeviceGetAttribute");
    if (major < 8)
      throw std::runtime_error(name_ + " is older than compute capability 8.0 (Ampere), which the kernels need");
    driver_.check(driver_.deviceTotalMem(&capacity_, device_), "cuDeviceTotalMem");
    driver_.check(driver_.devicePrimaryCtxRetain(&primary_, device_), "cuDevicePrimaryCtxRetain");
    retained_ = true;
    Current current(driver_, primary_);
    driver_.check(driver_.streamCreate(&stream_, abi::CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    // A pool of our own: what this environment holds shows in no other's statistics.
    abi::CUmemPoolProps properties = {};
    properties.allocType = abi::CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {abi::CU_MEM_LOCATION_TYPE_DEVICE, device_};
    driver_.check(driver_.memPoolCreate(&pool_, &properties), "cuMemPoolCreate");
    // One of its own, and room for that of another device.
    void* word = allocate(2 * sizeof(IndexErrorWord));
    if (word == nullptr) throw std::runtime_error("no device memory for an error word of 24 bytes");
    context_ = std::make_unique<CudaContext>(driver_, primary_, stream_, kernelFolder);
    context_->errorWord = static_cast<IndexErrorWord*>(word);
    driver_.check(driver_.memsetD8Async(reinterpret_cast<abi::CUdeviceptr>(word), 0, sizeof(IndexErrorWord), stream_),
                  "cuMemsetD8Async");
    staging_ = std::make_unique<Staging>(driver_, primary_);
  }

  ~CudaDevice() override {
    stop();
    if (!retained_) return;
    abi::CUcontext popped = nullptr;
    if (driver_.ctxPushCurrent(primary_) == abi::CUDA_SUCCESS) {
      if (stream_ != nullptr) driver_.streamSynchronize(stream_);
      staging_.reset();
      if (context_) {
        driver_.memFreeAsync(reinterpret_cast<abi::CUdeviceptr>(context_->errorWord), stream_);
        context_->library.unloadAll();
      }
      if (stream_ != nullptr) {
        driver_.streamSynchronize(stream_);
        driver_.streamDestroy(stream_);
      }
      if (pool_ != nullptr) driver_.memPoolDestroy(pool_);
      driver_.ctxPopCurrent(&popped);
    }
    driver_.devicePrimaryCtxRelease(device_);
  }

  // In stream order: what the stream's thread launches later may use it, and a block is given back only behind its last
  // launch.
  void* allocate(std::size_t bytes) override {
    Current current(driver_, primary_);
    abi::CUdeviceptr address = 0;
    abi::CUresult got = driver_.memAllocFromPoolAsync(&address, bytes, pool_, stream_);
    if (got == abi::CUDA_ERROR_OUT_OF_MEMORY) {
      // Blocks given back in stream order may still be in use: once they are not, the pool returns them.
      driver_.streamSynchronize(stream_);
      driver_.memPoolTrimTo(pool_, 0);
      got = driver_.memAllocFromPoolAsync(&address, bytes, pool_, stream_);
    }
    if (got == abi::CUDA_ERROR_OUT_OF_MEMORY) return nullptr;
    if (got != abi::CUDA_SUCCESS) refuse(driver_, got, "cuMemAllocFromPoolAsync");
    return reinterpret_cast<void*>(address);
  }

  void release(void* data, std::size_t) override {
    abi::CUcontext popped = nullptr;
    if (driver_.ctxPushCurrent(primary_) != abi::CUDA_SUCCESS) return;
    driver_.memFreeAsync(reinterpret_cast<abi::CUdeviceptr>(data), stream_);
    driver_.ctxPopCurrent(&popped);
  }

  std::size_t capacity() const override { return capacity_; }

  void copyFromHost(void* device, const void* host, std::size_t bytes) override {
    Current current(driver_, primary_);
    if (context_->building()) {
      context_->copyFromHost(device, host, bytes);
      return;
    }
    for (std::size_t done = 0; done < bytes;) {
      const std::size_t part = std::min(bytes - done, Staging::kLarge);
      Piece* piece = staging_->take(part);
      std::memcpy(piece->data, static_cast<const char*>(host) + done, part);
      const abi::CUresult sent =
          driver_.memcpyHtoDAsync(reinterpret_cast<abi::CUdeviceptr>(device) + done, piece->data, part, stream_);
      if (sent != abi::CUDA_SUCCESS) {
        staging_->give(piece);
        refuse(driver_, sent, "cuMemcpyHtoDAsync");
      }
      land({piece, nullptr, part, nullptr, false});
      done += part;
    }
  }

  bool copyToHost(void* host, const void* device, std::size_t bytes, Arrival& arrival) override {
    Current current(driver_, primary_);
    std::size_t done = 0;
    do {
      const std::size_t part = std::min(bytes - done, Staging::kLarge);
      Piece* piece = staging_->take(part);
      const bool last = done + part == bytes;
      const bool carries = last && context_->mayReport;
      abi::CUresult sent = abi::CUDA_SUCCESS;
      if (part > 0) {
        sent = driver_.memcpyDtoHAsync(piece->data, reinterpret_cast<abi::CUdeviceptr>(device) + done, part, stream_);
      }
      if (sent == abi::CUDA_SUCCESS && carries) sent = collectErrors(piece->error);
      if (sent != abi::CUDA_SUCCESS) {
        staging_->give(piece);
        refuse(driver_, sent, "cuMemcpyDtoHAsync");
      }
      if (part > 0 && last) ++reads_;
      land({piece, static_cast<char*>(host) + done, part, last ? &arrival : nullptr, carries});
      done += part;
    } while (done < bytes);
    return false;
  }

  std::unique_ptr<PeerCopy> copyFromPeer(DeviceImpl& source, const void* from, void* to, std::size_t bytes) override {
    auto* other = dynamic_cast<CudaDevice*>(&source);
    if (other == nullptr) return nullptr;
    other->admit(device_);
    return peerCopy(other->end(), from, end(), to, bytes);
  }

  bool finish(IndexErrorInfo& offender) override {
    struct Wait final : Arrival {
      void arrived(const IndexErrorInfo* found, const char*) override {
        if (found != nullptr) info = *found;
        std::atomic<uint32_t>* const word = &done;
        word->store(1, std::memory_order_release);
        futexWake(word);
      }
      IndexErrorInfo info;
      std::atomic<uint32_t> done{0};
    } wait;
    try {
      copyToHost(nullptr, nullptr, 0, wait);
    } catch (const std::exception&) {
      return false;  // whatever is wrong shows at the next job or read
    }
    while (wait.done.load(std::memory_order_acquire) == 0) futexWait(&wait.done, 0);
    offender = wait.info;
    return offender.op != nullptr;
  }

  void stop() override {
    if (staging_) staging_->stop();
  }

  bool hostVisible() const override { return false; }
  const OpEntry* op(int id) const override { return id >= 0 && id < kOpCount ? &table_[id] : nullptr; }
  Context& context() override { return *context_; }

  bool beginGraph() override {
    context_->beginGraph();
    return true;
  }
  std::unique_ptr<Graph> endGraph() override {
    std::unique_ptr<CudaGraph> graph = context_->endGraph();
    graph->mayReport = &context_->mayReport;
    graph->launches = &context_->launches;
    graph->instantiate();
    return graph;
  }

  DeviceFacts facts() const override {
    DeviceFacts facts;
    facts.hardware = name_;
    facts.simulated = driver_.simulated;
    facts.kernels = context_->library.origins();
    facts.launches = context_->launches;
    facts.reads = reads_;
    return facts;
  }

 private:
  PeerEnd end() const { return {primary_, stream_, context_.get(), context_->errorWord + 1}; }

  // Lets another device read this one's memory directly where the hardware can. Where that fails, for whatever reason,
  // the driver takes the bytes of a copy through the host.
  void admit(abi::CUdevice reader) {
    if (std::find(admitted_.begin(), admitted_.end(), reader) != admitted_.end()) return;
    admitted_.push_back(reader);
    int can = 0;
    if (driver_.deviceCanAccessPeer(&can, reader, device_) != abi::CUDA_SUCCESS || can == 0) return;
    const abi::CUmemAccessDesc access = {{abi::CU_MEM_LOCATION_TYPE_DEVICE, reader},
                                         abi::CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    driver_.memPoolSetAccess(pool_, &access, 1);
  }

  // Queues the error word's way to the host, and clears it behind that.
  abi::CUresult collectErrors(IndexErrorWord* to) {
    const auto word = reinterpret_cast<abi::CUdeviceptr>(context_->errorWord);
    const abi::CUresult sent = driver_.memcpyDtoHAsync(to, word, sizeof(IndexErrorWord), stream_);
    if (sent != abi::CUDA_SUCCESS) return sent;
    context_->mayReport = false;
    return driver_.memsetD8Async(word, 0, sizeof(IndexErrorWord), stream_);
  }

  void land(const Landing& landing) {
    const abi::CUresult recorded = driver_.eventRecord(landing.piece->event, stream_);
    if (recorded != abi::CUDA_SUCCESS)
      refuse(driver_, recorded, "cuEventRecord");  // the piece stays out: the device is lost
    staging_->await(landing);
  }

  const Driver& driver_;
  abi::CUdevice device_ = 0;
  abi::CUcontext primary_ = nullptr;
  bool retained_ = false;
  abi::CUstream stream_ = nullptr;
  abi::CUmemoryPool pool_ = nullptr;
  std::size_t capacity_ = 0;
  std::string name_;
  std::vector<abi::CUdevice> admitted_;
  uint64_t reads_ = 0;
  const OpEntry* const table_ = kernelTable();
  std::unique_ptr<CudaContext> context_;
  std::unique_ptr<Staging> staging_;
};

}  // namespace

Probe probe() {
  Probe result;
  const Driver* driver = Driver::get(result.reason);
  if (driver == nullptr) return result;
  result.devices = driver->devices;
  result.version = driver->version;
  result.simulated = driver->simulated;
  result.library = driver->library;
  return result;
}

std::unique_ptr<DeviceImpl> openDevice(int index, const std::string& kernelFolder, std::string& reason) {
  const Driver* driver = Driver::get(reason);
  if (driver == nullptr) return nullptr;
  try {
    auto device = std::make_unique<CudaDevice>(*driver);
    device->open(index, kernelFolder);
    return device;
  } catch (const std::exception& error) {
    reason = error.what();
    return nullptr;
  }
}

}  // namespace warploom::cuda
