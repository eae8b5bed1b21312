// Where a thread runs, and whether it does, for the one thread that hands it work and waits for it. On a busy machine
// the system is slow to answer either: a thread that lost its processor gets it back a tick or two later, milliseconds,
// though the processor of the one that waits for it is free; and a woken thread goes where it ran last, though its
// waker runs there.
#pragma once

#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace warploom {

class ThreadPlace {
 public:
  // On the thread itself: from now on this is about the calling thread.
  void enter() {
    static thread_local const auto id = static_cast<pid_t>(syscall(SYS_gettid));
    if (id_.load(std::memory_order_relaxed) != id) id_.store(id, std::memory_order_release);
  }

  // On the thread itself, whenever it is about to sleep.
  void note() { processor_.store(sched_getcpu(), std::memory_order_relaxed); }

  // Whether it fell asleep on the processor that the caller runs on.
  bool sleepsHere() const { return processor_.load(std::memory_order_relaxed) == sched_getcpu(); }

  // Nanoseconds that it has run for; -1 before it entered, after it ended, and where the system does not tell.
  int64_t timeRun() const {
    const pid_t id = id_.load(std::memory_order_acquire);
    if (id == 0) return -1;
    constexpr int kThread = 4, kScheduler = 2;  // as clock ids are made, see clock_getcpuclockid(3) of the C library
    timespec t;
    if (clock_gettime(static_cast<clockid_t>(~static_cast<unsigned>(id) << 3 | kThread | kScheduler), &t) != 0)
      return -1;
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  }

  // Where it waits for a processor, it waits for the caller's from now on.
  void bringHere() { Moved moved(*this, Side::here); }

  // While this lives the thread may run only on the caller's processor, or anywhere but there.
  enum class Side { here, elsewhere };
  class Moved {
   public:
    Moved(ThreadPlace& place, Side side) : id_(place.id_.load(std::memory_order_acquire)) {
      const int here = sched_getcpu();
      if (id_ == 0 || here < 0 || here >= CPU_SETSIZE || sched_getaffinity(id_, sizeof before_, &before_) != 0) return;
      const auto processor = static_cast<unsigned>(here);
      if (!CPU_ISSET(processor, &before_)) return;
      cpu_set_t set = before_;
      if (side == Side::elsewhere) {
        CPU_CLR(processor, &set);
      } else {
        CPU_ZERO(&set);
        CPU_SET(processor, &set);
      }
      moved_ = CPU_COUNT(&set) > 0 && sched_setaffinity(id_, sizeof set, &set) == 0;
    }
    ~Moved() {
      if (moved_) sched_setaffinity(id_, sizeof before_, &before_);
    }
    Moved(const Moved&) = delete;
    Moved& operator=(const Moved&) = delete;

   private:
    const pid_t id_;
    bool moved_ = false;
    cpu_set_t before_;
  };

 private:
  std::atomic<pid_t> id_{0};
  std::atomic<int> processor_{-1};
};

}  // namespace warploom
