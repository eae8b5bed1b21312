// The thread pool and the device around it: every chunk once, quick regions, cancellation, escaping exceptions, errors,
// and where threads are moved.
#include "cpu/thread_pool.h"

#include <dirent.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"
#include "engine/futex.h"
#include "engine/thread_place.h"

using namespace warploom;
using namespace warploom::test;

TEST(every_chunk_runs_once) {
  for (int lanes : {1, 2, 3, 5}) {
    cpu::ThreadPool pool(lanes);
    CHECK(pool.lanes() == lanes);
    for (int64_t chunks : {0, 1, 2, 3, 7, 100}) {
      for (int round = 0; round < 100; ++round) {
        struct Call {
          std::vector<std::atomic<int>> hits;
          std::atomic<int> worst{0};
        } call{std::vector<std::atomic<int>>(static_cast<std::size_t>(chunks)), {}};
        pool.run(
            chunks, &call,
            [](void* data, int64_t chunk, int lane) {
              Call& c = *static_cast<Call*>(data);
              c.hits[static_cast<std::size_t>(chunk)].fetch_add(1);
              if (lane > c.worst.load()) c.worst.store(lane);
            },
            nullptr);
        for (auto& hit : call.hits) CHECK(hit.load() == 1);
        CHECK(call.worst.load() < lanes);
      }
    }
  }
}

TEST(parked_helpers_wake) {
  cpu::ThreadPool pool(3);
  std::atomic<int> sum{0};
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // long enough to park
    pool.run(
        8, &sum,
        [](void* data, int64_t chunk, int) {
          static_cast<std::atomic<int>*>(data)->fetch_add(static_cast<int>(chunk));
        },
        nullptr);
  }
  CHECK(sum.load() == 20 * 28);
}

// A helper may be late for a region, and find that the pool has ended meanwhile: it must not wait for another.
TEST(a_pool_ends_right_behind_a_region) {
  std::atomic<int> sum{0};
  int expected = 0;
  for (int round = 0; round < 1000; ++round) {
    cpu::ThreadPool pool(3);
    for (int region = 0; region <= round % 3; ++region) {
      pool.run(
          3, &sum, [](void* data, int64_t, int) { static_cast<std::atomic<int>*>(data)->fetch_add(1); }, nullptr);
      expected += 3;
    }
  }
  CHECK(sum.load() == expected);
}

// Each lane works through its own share first, so that a region's parts stay where those of the last one were.
TEST(a_lane_begins_with_its_share_and_takes_the_rest_from_the_end) {
  cpu::ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    struct Call {
      std::atomic<bool> helperBegan{false};
      std::atomic<int> done{0};
      std::vector<int64_t> mine, helpers;
    } call;
    pool.run(
        9, &call,
        [](void* data, int64_t chunk, int lane) {
          Call& c = *static_cast<Call*>(data);
          if (lane == 1) {
            c.helpers.push_back(chunk);
            c.helperBegan = true;
            while (c.done < 8) std::this_thread::yield();
          } else {
            while (!c.helperBegan) std::this_thread::yield();
            c.mine.push_back(chunk);
          }
          ++c.done;
        },
        nullptr);
    CHECK((call.helpers == std::vector<int64_t>{5}));
    CHECK((call.mine == std::vector<int64_t>{0, 1, 2, 3, 4, 8, 7, 6}));
  }
}

TEST(cancelled_chunks_are_dropped) {
  cpu::ThreadPool pool(2);
  struct Call {
    std::atomic<bool> cancelled{false};
    std::atomic<int> begun{0};
  } call;
  pool.run(
      100000, &call,
      [](void* data, int64_t, int) {
        Call& c = *static_cast<Call*>(data);
        if (c.begun.fetch_add(1) == 10) c.cancelled.store(true);
      },
      &call.cancelled);
  CHECK(call.begun.load() > 10 && call.begun.load() < 100000);
}

TEST(exceptions_reach_the_caller) {
  cpu::ThreadPool pool(2);
  for (int round = 0; round < 50; ++round) {
    bool caught = false;
    try {
      pool.run(
          64, nullptr,
          [](void*, int64_t chunk, int) {
            if (chunk == 5) throw std::runtime_error("five");
          },
          nullptr);
    } catch (const std::runtime_error& error) {
      caught = std::string(error.what()) == "five";
    }
    CHECK(caught);
  }
}

namespace {

cpu_set_t allowed(pid_t thread) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CHECK(sched_getaffinity(thread, sizeof set, &set) == 0);
  return set;
}

const cpu_set_t all = allowed(0);  // before any pool could have moved this thread

// A thread that never sleeps, until this ends.
class Busy {
 public:
  ~Busy() {
    over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> over_{false};
  std::thread thread_{[this] {
    while (!over_) {
    }
  }};
};

}  // namespace

// The masks of processors are what counts: a system with one processor leaves nothing to choose, and nothing may
// change.
TEST(a_thread_is_moved_and_let_go_again) {
  cpu_set_t now = allowed(0);
  CHECK(CPU_EQUAL(&now, &all));
  const bool several = CPU_COUNT(&all) > 1;
  ThreadPlace place;
  CHECK(place.timeRun() == -1);
  std::atomic<pid_t> id{0};
  std::atomic<bool> over{false};
  std::atomic<int> processor{-1};
  std::thread other([&] {
    place.enter();
    id = static_cast<pid_t>(syscall(SYS_gettid));
    while (!over) processor = sched_getcpu();
  });
  while (id == 0) std::this_thread::yield();
  // This thread stays where it is, so that "here" means something.
  cpu_set_t mine;
  CPU_ZERO(&mine);
  const int here = sched_getcpu();
  CPU_SET(static_cast<unsigned>(here), &mine);
  CHECK(sched_setaffinity(0, sizeof mine, &mine) == 0);
  const auto seenOn = [&] {
    processor = -1;
    while (processor == -1) std::this_thread::sleep_for(std::chrono::microseconds(100));
    return processor.load();
  };
  for (int round = 0; round < 20; ++round) {
    {
      ThreadPlace::Moved moved(place, ThreadPlace::Side::elsewhere);
      now = allowed(id);
      CHECK(CPU_ISSET(static_cast<unsigned>(here), &now) == !several);
      CHECK((seenOn() != here) == several);
    }
    now = allowed(id);
    CHECK(CPU_EQUAL(&now, &all));
    {
      ThreadPlace::Moved moved(place, ThreadPlace::Side::here);
      now = allowed(id);
      CHECK(CPU_EQUAL(&now, &mine));
      CHECK(seenOn() == here);
    }
    now = allowed(id);
    CHECK(CPU_EQUAL(&now, &all));
  }
  const int64_t before = place.timeRun();
  CHECK(before > 0);
  while (place.timeRun() == before) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  over = true;
  other.join();
  CHECK(place.timeRun() == -1);
  CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
}

TEST(a_sleeping_thread_does_not_run) {
  ThreadPlace place;
  std::atomic<uint32_t> word{0};
  std::thread other([&] {
    place.enter();
    place.note();
    while (word == 0) futexWait(&word, 0);
  });
  int64_t seen = -1;
  for (int64_t now; (now = place.timeRun()) == -1 || now != seen; seen = now) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(place.timeRun() == seen);
  word = 1;
  futexWake(&word);
  other.join();
}

TEST(no_thread_stays_bound_beside_busy_ones) {
  Busy first, second;
  cpu::ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  constexpr int regions = 3000;
  for (int round = 0; round < regions; ++round) {
    pool.run(
        6, &sum,
        [](void* data, int64_t chunk, int) {
          for (volatile int i = 0; i < 2000; i = i + 1) {
          }
          static_cast<std::atomic<int64_t>*>(data)->fetch_add(chunk);
        },
        nullptr);
  }
  CHECK(sum.load() == regions * 15);
  int threads = 0;
  DIR* const tasks = opendir("/proc/self/task");
  while (const dirent* entry = readdir(tasks)) {
    if (entry->d_name[0] == '.') continue;
    // A helper that is moving this thread may have lost its own processor between the two steps.
    cpu_set_t set = allowed(std::atoi(entry->d_name));
    for (int wait = 0; wait < 1000 && !CPU_EQUAL(&set, &all); ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      set = allowed(std::atoi(entry->d_name));
    }
    CHECK(CPU_EQUAL(&set, &all));
    ++threads;
  }
  closedir(tasks);
  CHECK(threads >= 5);
}

TEST(device) {
  cpu::Options options;
  options.threads = 2;
  auto device = cpu::openDevice(options, 12345);
  CHECK(device->capacity() == 12345 && device->hostVisible() && device->facts().threads == 2);
  for (std::size_t bytes : {0, 1, 65}) {
    void* data = device->allocate(bytes);
    CHECK(data != nullptr && reinterpret_cast<std::uintptr_t>(data) % 64 == 0);
    device->release(data, bytes);
  }
  CHECK(device->allocate(SIZE_MAX) == nullptr);
  CHECK(device->op(-1) == nullptr && device->op(kOpCount) == nullptr && device->op(0) != nullptr);

  Context& context = device->context();
  IndexErrorInfo info;
  CHECK(!context.takeIndexError(info));
  context.parallel(1000, 1, [&](int64_t begin, int64_t, int) { context.indexError("embedding", begin, 7); });
  CHECK(context.takeIndexError(info) && std::string(info.op) == "embedding" && info.bound == 7);
  CHECK(!context.takeIndexError(info));

  // Chunks cover the range in steps of the grain, whatever the lanes.
  std::atomic<int64_t> covered{0};
  context.parallel(1001, 100, [&](int64_t begin, int64_t end, int) {
    if (begin % 100 == 0 && (end - begin == 100 || end == 1001)) covered += end - begin;
  });
  CHECK(covered.load() == 1001);

  context.cancel();
  CHECK(context.cancelled());
  std::atomic<int> begun{0};
  context.parallel(1000, 1, [&](int64_t, int64_t, int) { ++begun; });
  CHECK(begun.load() == 0);
}
