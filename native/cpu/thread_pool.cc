#include "cpu/thread_pool.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "engine/futex.h"
#include "engine/thread_place.h"

namespace warploom::cpu {
namespace {

constexpr int64_t kSpinNanoseconds = 50'000;
constexpr int64_t kSleepNanoseconds = 500'000;  // between looks at whether helpers with a chunk still run
constexpr int64_t kStands = 1'000;              // a helper that ran for less since the last look does not run

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
bool spin(int64_t nanoseconds, Ready&& ready) {
  if (ready()) return true;
  const int64_t deadline = nowNanoseconds() + nanoseconds;
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
  std::atomic<bool> resting{false};  // helpers park without spinning

  // Chunks that nobody has claimed: the first in the low half, the end in the high one. Each lane has a share, of which
  // it takes the first, and when it has none left it takes the last of another's. So a chunk of the same number stays
  // on the same processor from region to region, and with it, as far as shapes agree, its part of the tensors: what
  // another processor wrote last is several times as far away as this one's own, much more where they share no cache.
  struct alignas(64) Share {
    std::atomic<uint64_t> unclaimed{0};
    void set(int64_t first, int64_t end) {
      unclaimed.store(static_cast<uint64_t>(end) << 32 | static_cast<uint64_t>(first), std::memory_order_relaxed);
    }
    static int64_t first(uint64_t word) { return static_cast<int64_t>(word & 0xffffffff); }
    static int64_t end(uint64_t word) { return static_cast<int64_t>(word >> 32); }

    int64_t takeFirst() {
      uint64_t now = unclaimed.load(std::memory_order_relaxed);
      while (first(now) < end(now)) {
        if (unclaimed.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return first(now);
      }
      return -1;
    }
    int64_t takeLast() {
      uint64_t now = unclaimed.load(std::memory_order_relaxed);
      while (first(now) < end(now)) {
        const uint64_t less = now - (uint64_t{1} << 32);
        if (unclaimed.compare_exchange_weak(now, less, std::memory_order_relaxed)) return end(less);
      }
      return -1;
    }
  };
  static constexpr int64_t kMaxChunks = INT32_MAX;  // at a time
  std::unique_ptr<Share[]> shares;                  // of each lane
  int lanes = 1;
  int64_t base = 0;  // number of the first chunk
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
    for (int lane = 0; lane < lanes; ++lane) shares[lane].set(0, 0);
    std::lock_guard<std::mutex> lock(errorMutex);
    if (thrown != Thrown::nothing) return;
    thrown = what;
    std::snprintf(message, sizeof message, "%s", text);
  }

  ThreadPlace caller;

  struct alignas(64) Helper {
    State* pool;
    int lane;
    pthread_t thread;
    ThreadPlace place;
    std::atomic<bool> inside{false};  // it may have a chunk
    int64_t timeSeen = -1;

    void lookAtTime() { timeSeen = inside.load(std::memory_order_relaxed) ? place.timeRun() : -1; }
    // It has a chunk and has not run since the caller last looked.
    bool stands() const {
      return timeSeen >= 0 && inside.load(std::memory_order_relaxed) && place.timeRun() - timeSeen < kStands;
    }
  };
  std::unique_ptr<Helper[]> helpers;
  int started = 0;

  // -1 when there is none left.
  int64_t claim(int lane) {
    int64_t chunk = shares[lane].takeFirst();
    for (int other = 1; chunk < 0 && other < lanes; ++other) chunk = shares[(lane + other) % lanes].takeLast();
    return chunk;
  }

  void takeChunks(int lane) {
    for (;;) {
      if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) return;
      const int64_t chunk = claim(lane);
      if (chunk < 0) return;
      try {
        fn(data, base + chunk, lane);
      } catch (const std::bad_alloc&) {
        return note(Thrown::badAlloc, "");
      } catch (const std::exception& error) {
        return note(Thrown::other, error.what());
      } catch (...) {
        return note(Thrown::other, "a kernel threw something that is no exception");
      }
    }
  }

  // Wakes helpers that sleep, away from the caller's processor: behind the caller they would be as good as asleep.
  void wake(int count) {
    for (int i = 0; i < started; ++i) {
      if (!helpers[i].place.sleepsHere()) continue;
      ThreadPlace::Moved moved(helpers[i].place, ThreadPlace::Side::elsewhere);
      return futexWake(&epoch, count);
    }
    futexWake(&epoch, count);
  }

  // The caller has no chunk left and waits for helpers that have.
  void waitForHelpers() {
    const auto empty = [this] { return (gate.load(std::memory_order_acquire) & kCount) == 0; };
    constexpr int kLooks = 4;
    if (spin(kSpinNanoseconds / kLooks, empty)) return;
    for (int look = 2;; ++look) {
      for (int i = 0; i < started; ++i) helpers[i].lookAtTime();
      if (spin(kSpinNanoseconds / kLooks, empty)) break;
      Helper* const stuck = std::find_if(&helpers[0], &helpers[started], [](const Helper& h) { return h.stands(); });
      if (stuck == &helpers[started] && look < kLooks) continue;
      const uint32_t now = gate.fetch_or(kCallerWaits, std::memory_order_acq_rel) | kCallerWaits;
      if ((now & kCount) == 0) break;
      if (stuck != &helpers[started]) {
        resting.store(true, std::memory_order_relaxed);  // it leaves this processor when it has done its part
        stuck->place.bringHere();
      }
      futexWait(&gate, now, kSleepNanoseconds);
    }
    if (gate.load(std::memory_order_relaxed) & kCallerWaits) gate.fetch_and(~kCallerWaits, std::memory_order_acq_rel);
  }

  // A helper's wait for a region. Meanwhile the caller computes, and may have lost its processor to somebody else: then
  // it gets this one. Where it sleeps, there is nothing to wait for.
  template <class Ready>
  bool spinBeside(Ready&& ready) {
    if (spin(kSpinNanoseconds / 4, ready)) return true;
    const int64_t before = caller.timeRun();
    if (spin(kSpinNanoseconds / 4, ready)) return true;
    if (before >= 0 && caller.timeRun() - before < kStands) {
      caller.bringHere();
      return false;
    }
    return spin(kSpinNanoseconds / 2, ready);
  }

  // What a helper does all its life.
  void work(Helper& self) {
    uint32_t seen = 0;
    const auto begun = [&] { return epoch.load(std::memory_order_acquire) != seen; };
    const auto released = [&] { return begun() || resting.load(std::memory_order_relaxed); };
    for (;;) {
      while (!spinBeside(released) || !begun()) {
        self.place.note();
        parked.fetch_add(1);
        futexWait(&epoch, seen);
        parked.fetch_sub(1);
      }
      // The count before the word: a pool that ends in between has counted once more, and that is seen next. The other
      // way round its end would be taken for a region, and waited for a next one.
      seen = epoch.load(std::memory_order_acquire);
      if (stopping.load()) return;
      self.inside.store(true, std::memory_order_relaxed);
      if (gate.fetch_add(1, std::memory_order_acq_rel) & kOpen) takeChunks(self.lane);
      const uint32_t left = gate.fetch_sub(1, std::memory_order_acq_rel) - 1;
      self.inside.store(false, std::memory_order_relaxed);
      if ((left & kCallerWaits) && (left & kCount) == 0) futexWake(&gate, 1);
    }
  }

  void region(int64_t chunks) {
    for (int64_t lane = 0; lane < lanes; ++lane) {
      shares[lane].set((lane * chunks + lanes - 1) / lanes, ((lane + 1) * chunks + lanes - 1) / lanes);
    }
    gate.fetch_or(kOpen, std::memory_order_acq_rel);
    if (resting.load(std::memory_order_relaxed)) resting.store(false, std::memory_order_relaxed);
    epoch.fetch_add(1);
    // Either a parking helper sees the new epoch, or this sees the helper: both sides are sequentially consistent.
    if (parked.load() > 0) wake(static_cast<int>(std::min<int64_t>(chunks, lanes) - 1));

    takeChunks(0);

    gate.fetch_and(~kOpen, std::memory_order_acq_rel);
    waitForHelpers();
    const Thrown what = std::exchange(thrown, Thrown::nothing);
    if (what == Thrown::badAlloc) throw std::bad_alloc();
    if (what == Thrown::other) throw std::runtime_error(message);
  }

  void join() {
    stopping.store(true);
    epoch.fetch_add(1);
    futexWake(&epoch, INT_MAX);
    for (int i = 0; i < started; ++i) pthread_join(helpers[i].thread, nullptr);
  }
};

ThreadPool::ThreadPool(int lanes) : lanes_(lanes < 1 ? 1 : lanes), state_(new State) {
  state_->shares.reset(new State::Share[static_cast<std::size_t>(lanes_)]);
  state_->helpers.reset(new State::Helper[static_cast<std::size_t>(lanes_ - 1)]);
  for (int lane = 1; lane < lanes_; ++lane) {
    State::Helper& helper = state_->helpers[lane - 1];
    helper.pool = state_.get();
    helper.lane = lane;
    const int failed = pthread_create(
        &helper.thread, nullptr,
        [](void* argument) -> void* {
          auto* self = static_cast<State::Helper*>(argument);
          self->place.enter();
          self->pool->work(*self);
          return nullptr;
        },
        &helper);
    if (failed != 0) {
      lanes_ = lane;  // the system has no more threads: go on with those there are
      return;
    }
    state_->started = lane;
  }
}

ThreadPool::~ThreadPool() { state_->join(); }

void ThreadPool::run(int64_t chunks, void* data, void (*fn)(void*, int64_t, int), const std::atomic<bool>* cancelled) {
  State& s = *state_;
  if (lanes_ == 1 || chunks <= 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) return;
      fn(data, chunk, 0);
    }
    return;
  }
  s.caller.enter();
  s.lanes = lanes_;
  s.data = data;
  s.fn = fn;
  s.cancelled = cancelled;
  for (s.base = 0; s.base < chunks; s.base += State::kMaxChunks) s.region(std::min(State::kMaxChunks, chunks - s.base));
}

}  // namespace warploom::cpu
