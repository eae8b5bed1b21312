// Bytes on their way from one device to another. Through host memory: the source's stream fills a buffer in its turn,
// the target's stream waits for it and takes it up. Or by the devices themselves (PeerCopy), with a job on the source
// before and behind the target's. So neither device's memory is touched out of its own order. Waiting cannot go round
// in a circle: a stream waits only for what was queued before.
#pragma once

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "engine/futex.h"
#include "engine/job.h"
#include "engine/peer.h"

namespace warploom {

inline Error stoppedBeforeCopy() {
  Error error;
  error.code = ErrorCode::failed;
  error.op = "to";
  error.message = "the source's stream was stopped before the copy";
  return error;
}

class Transfer final : public Completion {
 public:
  explicit Transfer(std::size_t bytes) : buffer(std::malloc(bytes > 0 ? bytes : 1)) {
    if (buffer == nullptr) throw std::bad_alloc();
  }

  // The source's side.
  void post() override {
    done_.store(1, std::memory_order_release);
    futexWake(&done_);
    release();
  }
  void abandon() override {
    error = stoppedBeforeCopy();
    post();
  }

  // The target's side: waits, looks at error and buffer, and lets go.
  void wait() {
    while (done_.load(std::memory_order_acquire) == 0) futexWait(&done_, 0);
  }
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  void* const buffer;

 private:
  ~Transfer() override { std::free(buffer); }
  std::atomic<uint32_t> done_{0};
  std::atomic<int> references_{2};
};

struct ReceivePayload {
  void* target;
  uint64_t bytes;
  Transfer* transfer;
};

// What the three jobs of a PeerCopy share; a job that is dropped instead of run reaches its step, too.
class PeerTransfer {
 public:
  enum Step : uint32_t { queued, sent, taken };

  explicit PeerTransfer(std::unique_ptr<PeerCopy> copy) : copy(std::move(copy)) {}

  void reach(Step step) {
    uint32_t before = step_.load(std::memory_order_relaxed);
    while (before < step && !step_.compare_exchange_weak(before, step, std::memory_order_acq_rel)) {
    }
    futexWake(&step_);
  }
  void wait(Step step) {
    for (uint32_t at = step_.load(std::memory_order_acquire); at < step; at = step_.load(std::memory_order_acquire)) {
      futexWait(&step_, at);
    }
  }
  // Each of the three jobs lets go once.
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  const std::unique_ptr<PeerCopy> copy;
  Error error;  // of the source; read once `sent` is reached

 private:
  ~PeerTransfer() = default;
  std::atomic<uint32_t> step_{queued};
  std::atomic<int> references_{3};
};

struct PeerPayload {
  PeerTransfer* transfer;
};

}  // namespace warploom
