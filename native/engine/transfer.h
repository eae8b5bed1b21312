// Bytes on their way from one device to another, through host memory: the source's stream fills a buffer in its turn,
// the target's stream waits for it and takes it up. So neither device's memory is touched out of its own order. Waiting
// cannot go round in a circle: a stream waits only for what was queued before.
#pragma once

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/futex.h"
#include "engine/job.h"

namespace warploom {

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
    error.code = ErrorCode::failed;
    error.op = "to";
    error.message = "the source's stream was stopped before the copy";
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

}  // namespace warploom
