// The thread pool and the device around it: every chunk once, quick regions, cancellation, escaping exceptions, errors.
#include "cpu/thread_pool.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "check.h"

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
