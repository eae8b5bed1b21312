#include "cpu/thread_pool.h"

#include <pthread.h>
#include <time.h>

#include <cstdio>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "engine/futex.h"

namespace warploom::cpu {
namespace {

constexpr int64_t kSpinNanoseconds = 50'000;

void pauseCpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int64_t nowNanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// Spins until ready() or the time is up; says whether it became ready.
template <class Ready>
bool spin(Ready&& ready) {
  if (ready()) return true;
  const int64_t deadline = nowNanoseconds() + kSpinNanoseconds;
  do {
    for (int i = 0; i < 32; ++i) {
      pauseCpu();
      if (ready()) return true;
    }
  } while (nowNanoseconds() < deadline);
  return false;
}

}  // namespace

struct ThreadPool::State {
  // The gate of the current region: a helper that adds itself while kOpen is set may read the region's fields, and the
  // caller closes the gate and waits for the count to fall to 0 before it leaves. So no helper ever sees a region that
  // is being set up or torn down, however late it wakes.
  static constexpr uint32_t kOpen = 1u << 31;
  static constexpr uint32_t kCallerWaits = 1u << 30;
  static constexpr uint32_t kCount = kCallerWaits - 1;
  alignas(64) std::atomic<uint32_t> gate{0};

  alignas(64) std::atomic<uint32_t> epoch{0};  // counts regions; helpers park on it
  std::atomic<int> parked{0};
  std::atomic<bool> stopping{false};

  alignas(64) std::atomic<int64_t> next{0};  // the next chunk nobody has claimed
  int64_t chunks = 0;
  void* data = nullptr;
  void (*fn)(void*, int64_t, int) = nullptr;
  const std::atomic<bool>* cancelled = nullptr;

  std::mutex errorMutex;
  // The first exception that escaped from fn; thrown again by run(). Not a std::exception_ptr: copying one asks for a
  // newer C++ library than Node itself does (CXXABI 1.3.13).
  enum class Thrown { nothing, badAlloc, other };
  Thrown thrown = Thrown::nothing;
  char message[256] = {};

  void note(Thrown what, const char* text) {
    next.store(chunks, std::memory_order_relaxed);
    std::lock_guard<std::mutex> lock(errorMutex);
    if (thrown != Thrown::nothing) return;
    thrown = what;
    std::snprintf(message, sizeof message, "%s", text);
  }

  struct Helper {
    ThreadPool* pool;
    int lane;
    pthread_t thread;
  };
  std::vector<Helper> helpers;

  void takeChunks(int lane) {
    for (;;) {
      if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) return;
      const int64_t chunk = next.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= chunks) return;
      try {
        fn(data, chunk, lane);
      } catch (const std::bad_alloc&) {
        return note(Thrown::badAlloc, "");
      } catch (const std::exception& error) {
        return note(Thrown::other, error.what());
      } catch (...) {
        return note(Thrown::other, "a kernel threw something that is no exception");
      }
    }
  }

  void join() {
    stopping.store(true);
    epoch.fetch_add(1);
    futexWake(&epoch, INT_MAX);
    for (Helper& helper : helpers) pthread_join(helper.thread, nullptr);
  }
};

ThreadPool::ThreadPool(int lanes) : lanes_(lanes < 1 ? 1 : lanes), state_(new State) {
  state_->helpers.reserve(static_cast<std::size_t>(lanes_ - 1));
  for (int lane = 1; lane < lanes_; ++lane) {
    state_->helpers.push_back({this, lane, {}});
    State::Helper& helper = state_->helpers.back();
    const int failed = pthread_create(
        &helper.thread, nullptr,
        [](void* argument) -> void* {
          auto* self = static_cast<State::Helper*>(argument);
          self->pool->work(self->lane);
          return nullptr;
        },
        &helper);
    if (failed != 0) {
      state_->helpers.pop_back();
      lanes_ = lane;  // the system has no more threads: go on with those there are
      return;
    }
  }
}

ThreadPool::~ThreadPool() { state_->join(); }

void ThreadPool::work(int lane) {
  State& s = *state_;
  uint32_t seen = 0;
  for (;;) {
    while (!spin([&] { return s.epoch.load(std::memory_order_acquire) != seen; })) {
      s.parked.fetch_add(1);
      futexWait(&s.epoch, seen);
      s.parked.fetch_sub(1);
    }
    if (s.stopping.load()) return;
    seen = s.epoch.load(std::memory_order_acquire);
    if (s.gate.fetch_add(1, std::memory_order_acq_rel) & State::kOpen) s.takeChunks(lane);
    const uint32_t left = s.gate.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if ((left & State::kCallerWaits) && (left & State::kCount) == 0) futexWake(&s.gate, 1);
  }
}

void ThreadPool::run(int64_t chunks, void* data, void (*fn)(void*, int64_t, int), const std::atomic<bool>* cancelled) {
  State& s = *state_;
  if (lanes_ == 1 || chunks <= 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) return;
      fn(data, chunk, 0);
    }
    return;
  }
  s.chunks = chunks;
  s.data = data;
  s.fn = fn;
  s.cancelled = cancelled;
  s.next.store(0, std::memory_order_relaxed);
  s.gate.fetch_or(State::kOpen, std::memory_order_acq_rel);
  s.epoch.fetch_add(1);
  // Either a parking helper sees the new epoch, or this sees the helper: both sides are sequentially consistent.
  if (s.parked.load() > 0) {
    futexWake(&s.epoch, static_cast<int>(chunks - 1 < lanes_ - 1 ? chunks - 1 : lanes_ - 1));
  }

  s.takeChunks(0);

  s.gate.fetch_and(~State::kOpen, std::memory_order_acq_rel);
  const auto empty = [&] { return (s.gate.load(std::memory_order_acquire) & State::kCount) == 0; };
  if (!spin(empty)) {
    uint32_t now = s.gate.fetch_or(State::kCallerWaits, std::memory_order_acq_rel) | State::kCallerWaits;
    while ((now & State::kCount) != 0) {
      futexWait(&s.gate, now);
      now = s.gate.load(std::memory_order_acquire);
    }
    s.gate.fetch_and(~State::kCallerWaits, std::memory_order_acq_rel);
  }
  const State::Thrown thrown = std::exchange(s.thrown, State::Thrown::nothing);
  if (thrown == State::Thrown::badAlloc) throw std::bad_alloc();
  if (thrown == State::Thrown::other) throw std::runtime_error(s.message);
}

}  // namespace warploom::cpu
