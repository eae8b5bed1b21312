// What the machine can do: the rate of fused multiply-adds in registers, and of a triad (a = b + c) over arrays too
// large for any cache. Prints {"gflops": ..., "gbytes": ...}, the best of several rounds over the given number of
// threads.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "fma.h"

constexpr long kSteps = 4'000'000;
constexpr long kElements = 32'000'000;

static volatile float sink;

template <typename Fn>
static double best(int threads, int rounds, Fn fn) {
  double least = 1e30;
  for (int round = 0; round < rounds; ++round) {
    const auto from = std::chrono::steady_clock::now();
    std::vector<std::thread> helpers;
    for (int i = 1; i < threads; ++i) helpers.emplace_back(fn, i);
    fn(0);
    for (std::thread& helper : helpers) helper.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
    if (seconds < least) least = seconds;
  }
  return least;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const double fma = best(threads, 7, [](int) { sink = multiply(kSteps); });
  std::vector<float> x(kElements, 1.0f), y(kElements, 2.0f), z(kElements, 0.0f);
  const double triad = best(threads, 7, [&](int i) {
    const long from = kElements * i / threads, to = kElements * (i + 1) / threads;
    for (long k = from; k < to; ++k) z[k] = x[k] + y[k];
  });
  sink = z[kElements / 2];
  std::printf("{\"gflops\": %.1f, \"gbytes\": %.2f}\n", fmaFlops(kSteps) * threads / fma * 1e-9,
              3.0 * 4.0 * kElements / triad * 1e-9);
}
