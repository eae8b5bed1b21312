#include "cpu/backend.h"

#include <sched.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "cpu/kernels.h"
#include "cpu/thread_pool.h"

namespace warploom::cpu {
namespace {

class CpuContext final : public Context {
 public:
  explicit CpuContext(int threads) : pool_(threads) {}

  int lanes() const override { return pool_.lanes(); }

  void indexError(const char* op, int64_t value, int64_t bound) override {
    if (hasIndexError_.load(std::memory_order_relaxed))
      return;  // every index of a batch may be wrong: only one is kept
    std::lock_guard<std::mutex> lock(mutex_);
    if (hasIndexError_.load(std::memory_order_relaxed)) return;
    indexError_ = {op, value, bound};
    hasIndexError_.store(true, std::memory_order_relaxed);
  }

  void fail(const char* op, const std::string& message) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (hasFailure_.load(std::memory_order_relaxed)) return;
    failure_ = "[" + std::string(op) + "] " + message;
    hasFailure_.store(true, std::memory_order_relaxed);
  }

  bool takeIndexError(IndexErrorInfo& info) override {
    if (!hasIndexError_.load(std::memory_order_relaxed)) return false;
    std::lock_guard<std::mutex> lock(mutex_);
    info = indexError_;
    hasIndexError_.store(false, std::memory_order_relaxed);
    return true;
  }

  bool takeFailure(std::string& message) override {
    if (!hasFailure_.load(std::memory_order_relaxed)) return false;
    std::lock_guard<std::mutex> lock(mutex_);
    message = std::move(failure_);
    failure_.clear();
    hasFailure_.store(false, std::memory_order_relaxed);
    return true;
  }

  bool cancelled() const override { return cancelled_.load(std::memory_order_relaxed); }
  void cancel() override { cancelled_.store(true, std::memory_order_relaxed); }

 protected:
  void runChunks(int64_t chunks, void* data, void (*fn)(void*, int64_t, int)) override {
    pool_.run(chunks, data, fn, &cancelled_);
  }

 private:
  ThreadPool pool_;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::atomic<bool> hasIndexError_{false};
  std::atomic<bool> hasFailure_{false};
  IndexErrorInfo indexError_;
  std::string failure_;
};

// Large blocks ask for pages of 2 MiB: rows that lie pages apart need the address of another page each, and a fresh
// block comes with one fault where it had 512.
constexpr std::size_t kHugePage = std::size_t{2} << 20, kHugeFrom = 2 * kHugePage;

class CpuDevice final : public DeviceImpl {
 public:
  CpuDevice(int threads, Isa isa, std::size_t capacity)
      : isa_(isa), table_(kernelTable(isa)), capacity_(capacity), context_(threads) {}

  void* allocate(std::size_t bytes) override {
    constexpr std::size_t kAlignment = 64;
    if (bytes > SIZE_MAX - kAlignment) return nullptr;
    if (bytes >= kHugeFrom) {
      void* data = nullptr;
      if (posix_memalign(&data, kHugePage, bytes) != 0) return nullptr;
      madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // where the system has none, nothing is lost
      return data;
    }
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
  }
  void release(void* data, std::size_t) override { std::free(data); }
  std::size_t capacity() const override { return capacity_; }
  void copyFromHost(void* device, const void* host, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(device, host, bytes);
  }
  bool copyToHost(void* host, const void* device, std::size_t bytes, Arrival&) override {
    if (bytes > 0) std::memcpy(host, device, bytes);
    return true;
  }
  bool hostVisible() const override { return true; }
  const OpEntry* op(int id) const override { return id >= 0 && id < kOpCount ? &table_[id] : nullptr; }
  Context& context() override { return context_; }

  DeviceFacts facts() const override {
    DeviceFacts facts;
    facts.isa = isaName(isa_);
    facts.threads = context_.lanes();
    return facts;
  }

 private:
  const Isa isa_;
  const OpEntry* const table_;
  const std::size_t capacity_;
  CpuContext context_;
};

}  // namespace

int usableCores() {
  int cores = 1;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
    long long quota = 0, period = 0;
    // "max 100000" where there is no quota: then nothing is read as a number.
    if (std::fscanf(file, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0) {
      const long long allowed = (quota + period - 1) / period;
      if (allowed < cores) cores = static_cast<int>(allowed);
    }
    std::fclose(file);
  }
  return cores < 1 ? 1 : cores;
}

std::unique_ptr<DeviceImpl> openDevice(const Options& options, std::size_t capacity) {
  const int threads = options.threads > 0 ? options.threads : usableCores();
  return std::make_unique<CpuDevice>(threads, chooseIsa(options.isa.c_str()), capacity);
}

}  // namespace warploom::cpu
