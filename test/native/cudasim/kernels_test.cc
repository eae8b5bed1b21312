// CUDA kernels compiled by nvcc, executed by the simulator, against plain loops. Without nvcc there is nothing to run.
#include "sim.h"

using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {
std::string ptx(const std::string& name) { return readText(std::string(WARPLOOM_SIM_PTX) + "/" + name + ".ptx"); }
}  // namespace

TEST(saxpy) {
  Sim sim(ptx("basic"));
  const int n = 1000;
  const std::vector<float> x = floats(n, 1), y = floats(n, 2);
  const uint64_t dx = sim.put(x), dy = sim.put(y);
  sim.clean("saxpy", {4}, {256}, 0, dy, dx, 2.5f, n);
  const std::vector<float> r = sim.get<float>(dy, n);
  for (int i = 0; i < n; ++i) CHECK(r[i] == std::fma(2.5f, x[i], y[i]));
}

TEST(reduction) {
  Sim sim(ptx("basic"));
  const std::vector<float> x = floats(5000, 3);
  double expected = 0;
  for (float v : x) expected += v;
  for (uint64_t seed : {0, 1, 2, 3}) {
    sim.settings.seed = seed;
    const uint64_t dx = sim.put(x), out = sim.room(4);
    sim.clean("reduceSum", {1}, {256}, 0, dx, out, 5000);
    CHECK_NEAR(sim.get<float>(out, 1)[0], expected, 1e-3);
  }
}

TEST(transposes) {
  Sim sim(ptx("basic"));
  const int rows = 70, columns = 45;
  const std::vector<float> x = floats(rows * columns, 4);
  const uint64_t dx = sim.put(x), dy = sim.room(x.size() * 4);
  sim.clean("transpose", {2, 3}, {32, 8}, 0, dx, dy, rows, columns);
  const std::vector<float> y = sim.get<float>(dy, x.size());
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) CHECK(y[c * rows + r] == x[r * columns + c]);
  }
}

TEST(softmax_rows) {
  Sim sim(ptx("basic"));
  const int rows = 5, n = 300;
  const std::vector<float> x = floats(rows * n, 5);
  const uint64_t dx = sim.put(x), dy = sim.room(x.size() * 4);
  sim.clean("softmaxRows", {rows}, {128}, 128 * 4, dx, dy, n);
  const std::vector<float> y = sim.get<float>(dy, x.size());
  for (int r = 0; r < rows; ++r) {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[r * n + i]));
    for (int i = 0; i < n; ++i) {
      const double expected = std::exp(static_cast<double>(x[r * n + i])) / sum;
      CHECK_NEAR(y[r * n + i], expected, 1e-6 * expected + 1e-9);
    }
  }
}

TEST(histogram_by_atomics) {
  Sim sim(ptx("basic"));
  std::vector<unsigned char> x(10000);
  std::vector<unsigned> expected(256);
  for (std::size_t i = 0; i < x.size(); ++i) ++expected[x[i] = static_cast<unsigned char>(i * i / 7)];
  const uint64_t dx = sim.put(x), bins = sim.put(std::vector<unsigned>(256));
  sim.clean("histogram", {6}, {128}, 0, dx, bins, 10000);
  CHECK(sim.get<unsigned>(bins, 256) == expected);
}

TEST(half_types) {
  Sim sim(ptx("basic"));
  // Small integers: every step is exact.
  const int n = 64;
  std::vector<uint16_t> a(2 * n), b(2 * n);
  const auto half = [](int v) -> uint16_t {  // 0 <= v < 2048
    if (v == 0) return 0;
    const int e = 31 - __builtin_clz(static_cast<unsigned>(v));
    return static_cast<uint16_t>((e + 15) << 10 | ((v << (10 - e)) & 0x3ff));
  };
  for (int i = 0; i < 2 * n; ++i) a[i] = half(i % 7), b[i] = half(i % 5);
  const uint64_t da = sim.put(a), db = sim.put(b), dc = sim.room(a.size() * 2);
  sim.clean("halves", {1}, {64}, 0, da, db, dc, n);
  const std::vector<uint16_t> c = sim.get<uint16_t>(dc, a.size());
  for (int i = 0; i < 2 * n; ++i) {
    const int x = i % 7, y = i % 5;
    CHECK(c[i] == half(x * y + x + y * y));
  }
  std::vector<uint16_t> ba(n), bb(n);
  const auto bfloat = [](float f) {
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    return static_cast<uint16_t>(bits >> 16);
  };
  for (int i = 0; i < n; ++i) ba[i] = bfloat(static_cast<float>(i % 7)), bb[i] = bfloat(static_cast<float>(i % 5));
  const uint64_t dba = sim.put(ba), dbb = sim.put(bb), dbc = sim.room(n * 2);
  sim.clean("bfloats", {1}, {64}, 0, dba, dbb, dbc, n);
  const std::vector<uint16_t> bc = sim.get<uint16_t>(dbc, n);
  for (int i = 0; i < n; ++i) CHECK(bc[i] == bfloat(static_cast<float>((i % 7) * (i % 5) + 1)));
}

TEST(mma_layout_by_integers) {
  Sim sim(ptx("basic"));
  std::vector<uint16_t> a(16 * 16), b(16 * 8);
  const uint16_t small[] = {0, 0x3c00, 0x4000, 0x4200, 0x4400};
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = small[i * 7 % 5];
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = small[i * 11 / 3 % 5];
  const uint64_t da = sim.put(a), db = sim.put(b), dd = sim.room(16 * 8 * 4);
  sim.settings.counters = true;
  const LaunchResult result = sim.clean("mmaTile", {1}, {32}, 0, da, db, dd);
  CHECK(result.counters.mma == 1 && result.counters.flopsMma == 2 * 16 * 8 * 16);
  const std::vector<float> d = sim.get<float>(dd, 16 * 8);
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 8; ++c) {
      int sum = 0;
      for (int k = 0; k < 16; ++k)
        sum += static_cast<int>((r * 16 + k) * 7 % 5) * static_cast<int>((k * 8 + c) * 11 / 3 % 5);
      CHECK(d[r * 8 + c] == static_cast<float>(sum));
    }
  }
}

TEST(divergent_loops) {
  Sim sim(ptx("basic"));
  std::vector<int> x(100);
  for (int i = 0; i < 100; ++i) x[i] = i + 1;
  const uint64_t dx = sim.put(x), dy = sim.room(400);
  sim.clean("collatz", {1}, {128}, 0, dx, dy, 100);
  const std::vector<int> y = sim.get<int>(dy, 100);
  for (int i = 0; i < 100; ++i) {
    int64_t v = x[i];
    int count = 0;
    for (; v != 1; ++count) v = v % 2 == 0 ? v / 2 : 3 * v + 1;
    CHECK(y[i] == count);
  }
}

TEST(calls_locals_and_globals) {
  Sim sim(ptx("basic"));
  std::vector<double> x(64);
  for (int i = 0; i < 64; ++i) x[i] = i * 0.37 + (i % 9 == 0 ? 1e7 : 0);
  const uint64_t dx = sim.put(x), dy = sim.room(64 * 8);
  sim.clean("callsAndLocals", {2}, {32}, 0, dx, dy, 64);
  const std::vector<double> y = sim.get<double>(dy, 64);
  const double factors[] = {0.5, 1.5, 2.5};
  for (int i = 0; i < 64; ++i) CHECK_NEAR(y[i], std::sin(x[i] + (i * 5) % 8) * factors[i % 3] + 30, 1e-12);
}

TEST(spinning_ends) {
  Sim sim(ptx("basic"));
  const uint64_t lock = sim.put(std::vector<int>(1)), count = sim.put(std::vector<int>(1));
  sim.clean("spinLock", {3}, {64}, 0, lock, count);
  CHECK(sim.get<int>(count, 1)[0] == 192);
  const uint64_t arrived = sim.put(std::vector<int>(1)), out = sim.room(20 * 64 * 4);
  sim.clean("gridBarrier", {20}, {64}, 0, arrived, out);
  for (int v : sim.get<int>(out, 20 * 64)) CHECK(v == 20);
}

TEST(matmul_tiled) {
  Sim sim(ptx("matmul"));
  const int n = 256;
  const std::vector<float> a = floats(n * n, 8), b = floats(n * n, 9);
  const uint64_t da = sim.put(a), db = sim.put(b), dc = sim.room(n * n * 4);
  sim.clean("matmul128", {2, 2}, {256}, 0, da, db, dc, n, n);
  const std::vector<float> c = sim.get<float>(dc, n * n);
  for (int i = 0; i < n * n; i += 37) {
    double sum = 0, size = 0;
    for (int k = 0; k < n; ++k) {
      const double p = static_cast<double>(a[i / n * n + k]) * b[k * n + i % n];
      sum += p;
      size += std::fabs(p);
    }
    CHECK_NEAR(c[i], sum, 4 * 1.2e-7 * size);
  }
}

TEST(matmul_of_bfloats) {
  Sim sim(ptx("matmul_bf16"));
  const int n = 256, k = 96;
  // Quarters from -2 to 2: products and sums are exact in float32, so every bit of the result is known.
  const auto quarters = [](std::size_t count, uint32_t seed, std::vector<float>& values) {
    std::vector<uint16_t> bits(count);
    for (std::size_t i = 0; i < count; ++i) {
      seed = seed * 1664525u + 1013904223u;
      const float value = static_cast<float>(static_cast<int>(seed >> 24) % 17 - 8) / 4;
      uint32_t whole;
      std::memcpy(&whole, &value, 4);
      bits[i] = static_cast<uint16_t>(whole >> 16);
      values.push_back(value);
    }
    return bits;
  };
  std::vector<float> a, b;
  const uint64_t da = sim.put(quarters(n * k, 11, a)), db = sim.put(quarters(k * n, 12, b)), dc = sim.room(n * n * 4);
  for (uint64_t seed : {0, 1, 2}) {
    sim.settings.seed = seed;
    sim.clean("matmulBf16", {2, 2}, {256}, 0, da, db, dc, n, k);
    const std::vector<float> c = sim.get<float>(dc, n * n);
    int wrong = 0;
    for (int row = 0; row < n; ++row) {
      for (int column = 0; column < n; ++column) {
        float sum = 0;
        for (int i = 0; i < k; ++i) sum += a[row * k + i] * b[i * n + column];
        wrong += c[row * n + column] != sum;
      }
    }
    CHECK(wrong == 0);
  }
}

#endif
