#include "cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "cuda/current.h"
#include "engine/codec.h"
#include "engine/futex.h"

namespace warploom::cuda {
namespace {

constexpr int kMaxSmall = 64, kMaxLarge = 4;

}  // namespace

Staging::Staging(const Driver& driver, abi::CUcontext context) : driver_(driver), context_(context) {
  thread_ = std::thread([this] { work(); });
}

Staging::~Staging() {
  stop();
  for (Piece* piece : all_) {
    driver_.eventDestroy(piece->event);
    driver_.memFreeHost(piece->data);
    delete piece;
  }
}

Piece* Staging::make(std::size_t bytes) {
  void* data = nullptr;
  const abi::CUresult got = driver_.memHostAlloc(&data, bytes + sizeof(IndexErrorWord), 0);
  if (got != abi::CUDA_SUCCESS) {
    driver_.fail(got, "cuMemHostAlloc of " + std::to_string(bytes) + " bytes of pinned memory");
  }
  // The waiter sleeps instead of spinning: training reads one number a step.
  abi::CUevent event = nullptr;
  const abi::CUresult made = driver_.eventCreate(&event, abi::CU_EVENT_BLOCKING_SYNC | abi::CU_EVENT_DISABLE_TIMING);
  if (made != abi::CUDA_SUCCESS) {
    driver_.memFreeHost(data);
    driver_.fail(made, "cuEventCreate");
  }
  auto* bytesAt = static_cast<char*>(data);
  all_.push_back(new Piece{bytesAt, bytes, event, reinterpret_cast<IndexErrorWord*>(bytesAt + bytes)});
  return all_.back();
}

Piece* Staging::take(std::size_t bytes) {
  const bool small = bytes <= kSmall;
  for (;;) {
    const uint32_t seen = freed_.load(std::memory_order_acquire);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      std::vector<Piece*>& free = small ? freeSmall_ : freeLarge_;
      if (!free.empty()) {
        Piece* piece = free.back();
        free.pop_back();
        return piece;
      }
      int& made = small ? madeSmall_ : madeLarge_;
      if (made < (small ? kMaxSmall : kMaxLarge)) {
        Piece* piece = make(small ? kSmall : kLarge);
        ++made;  // not before: a piece that could not be made would never come back
        return piece;
      }
    }
    futexWait(&freed_, seen);
  }
}

void Staging::give(Piece* piece) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    (piece->bytes == kSmall ? freeSmall_ : freeLarge_).push_back(piece);
  }
  freed_.fetch_add(1, std::memory_order_release);
  futexWake(&freed_);
}

void Staging::await(const Landing& landing) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    landings_.push_back(landing);
  }
  queued_.fetch_add(1, std::memory_order_release);
  futexWake(&queued_);
}

void Staging::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  queued_.fetch_add(1, std::memory_order_release);
  futexWake(&queued_);
  thread_.join();
}

void Staging::work() {
  for (;;) {
    const uint32_t seen = queued_.load(std::memory_order_acquire);
    Landing landing;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (landings_.empty() && stopping_) return;
      if (!landings_.empty()) {
        landing = landings_.front();
        landings_.pop_front();
      }
    }
    if (landing.piece != nullptr) {
      land(landing);
    } else {
      futexWait(&queued_, seen);
    }
  }
}

void Staging::land(const Landing& landing) {
  if (lost_.empty()) {
    try {
      Current current(driver_, context_);
      driver_.check(driver_.eventSynchronize(landing.piece->event), "cuEventSynchronize");
    } catch (const DriverError& error) {
      lost_ = std::string("the CUDA device is lost: ") + error.what();
    }
  }
  IndexErrorInfo info;
  bool offended = false;
  if (lost_.empty()) {
    if (landing.target != nullptr) std::memcpy(landing.target, landing.piece->data, landing.bytes);
    const IndexErrorWord& word = *landing.piece->error;
    if (landing.carriesError && word.op > 0 && word.op <= kOpCount) {
      info = {kOpCodecs[word.op - 1].name, word.value, word.bound};
      offended = true;
    }
  }
  Arrival* const arrival = landing.arrival;
  give(landing.piece);
  if (arrival != nullptr) arrival->arrived(offended ? &info : nullptr, lost_.empty() ? nullptr : lost_.c_str());
}

}  // namespace warploom::cuda
