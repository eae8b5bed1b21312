// What the machine can do: the rate of fused multiply-adds in registers, and of a triad (a = b + c) over arrays too
// large for any cache; and how long a line of the cache takes from one processor to another and back. Prints
// {"gflops": ..., "gbytes": ..., "trip_ns": ...}, the best of several rounds over the given number of threads; of the
// first two processors, and not for one thread, the last.
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "fma.h"

constexpr long kSteps = 4'000'000;
constexpr long kElements = 32'000'000;

static volatile float sink;

static const std::vector<int> processors = [] {
  cpu_set_t all;
  CPU_ZERO(&all);
  sched_getaffinity(0, sizeof all, &all);
  std::vector<int> found;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(static_cast<unsigned>(i), &all)) found.push_back(i);
  }
  return found;
}();

// A thread that begins where its maker runs waits for a tick of the clock, a third of a round.
static void runOn(int i) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(processors[static_cast<std::size_t>(i) % processors.size()]), &set);
  sched_setaffinity(0, sizeof set, &set);
}

// The least time in which all threads do fn, from when the last of them is there until the last is done: a thread that
// wakes a sleeping processor comes a sixth of a round late.
template <typename Fn>
static double best(int threads, int rounds, Fn fn) {
  using Clock = std::chrono::steady_clock;
  double least = 1e30;
  for (int round = 0; round < rounds; ++round) {
    std::atomic<int> missing{threads}, working{threads};
    const auto take = [&](int i) {
      missing.fetch_sub(1);
      while (missing.load() > 0) {
      }
      fn(i);
      working.fetch_sub(1);
    };
    std::vector<std::thread> helpers;
    for (int i = 1; i < threads; ++i) {
      helpers.emplace_back([&take, i] {
        runOn(i);
        take(i);
      });
    }
    while (missing.load() > 1) {
    }
    const auto from = Clock::now();
    take(0);
    while (working.load() > 0) {
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - from).count();
    for (std::thread& helper : helpers) helper.join();
    if (seconds < least) least = seconds;
  }
  return least;
}

// Nanoseconds; 0 where there is one processor only.
static double tripBetweenProcessors() {
  if (processors.size() < 2) return 0;
  alignas(64) std::atomic<long> ball{0};  // odd: on its way there; even: back; negative: the game is over
  std::thread other([&] {
    runOn(1);
    for (long next = 1;; next += 2) {
      long now;
      while ((now = ball.load(std::memory_order_acquire)) != next) {
        if (now < 0) return;
      }
      ball.store(next + 1, std::memory_order_release);
    }
  });
  double least = 1e30;
  std::thread([&] {
    runOn(0);
    constexpr int kTrips = 1000;
    long next = 1;
    for (int round = 0; round < 200; ++round) {
      const auto from = std::chrono::steady_clock::now();
      for (int i = 0; i < kTrips; ++i, next += 2) {
        ball.store(next, std::memory_order_release);
        while (ball.load(std::memory_order_acquire) != next + 1) {
        }
      }
      const double trip =
          std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - from).count() / kTrips;
      if (trip < least) least = trip;
    }
    ball.store(-1, std::memory_order_release);
  }).join();
  other.join();
  return least;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  runOn(0);
  const double fma = best(threads, 7, [](int) { sink = multiply(kSteps); });
  std::vector<float> x(kElements, 1.0f), y(kElements, 2.0f), z(kElements, 0.0f);
  const double triad = best(threads, 7, [&](int i) {
    const long from = kElements * i / threads, to = kElements * (i + 1) / threads;
    for (long k = from; k < to; ++k) z[k] = x[k] + y[k];
  });
  sink = z[kElements / 2];
  std::printf("{\"gflops\": %.1f, \"gbytes\": %.2f", fmaFlops(kSteps) * threads / fma * 1e-9,
              3.0 * 4.0 * kElements / triad * 1e-9);
  const double trip = threads > 1 ? tripBetweenProcessors() : 0;
  if (trip > 0) std::printf(", \"trip_ns\": %.0f", trip);
  std::printf("}\n");
}
