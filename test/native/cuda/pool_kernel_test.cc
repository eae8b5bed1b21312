// The pooling kernels of both widths against plain loops: windows apart and overlapping, edges, ties, relu, gradients
// at addresses that hold four floats and at others, and planes that begin where 32 bits do not reach. Exact.
#include <cmath>
#include <limits>

#include "cuda/pool_plan.h"
#include "engine/args/pool.h"
#include "kernel_harness.h"

using namespace warploom;
using namespace warploom::cuda;
using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {

constexpr float kUntouched = 12345.0f;
constexpr int32_t kNoPlace = -1;
const char* const kWidths[] = {"32", "64"};

// One dim of a plane and its windows.
struct Axis {
  int32_t size, kernel, stride, pad, dilation;
  int32_t out() const { return (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1; }
  PoolAxis plan(bool ownsX) const {
    return {size,
            out(),
            kernel,
            stride,
            pad,
            dilation,
            (kernel - 1) * dilation / stride,
            fastDivide(ownsX ? size : out()),
            fastDivide(stride),
            fastDivide(dilation)};
  }
};
struct Pool {
  int64_t planes;
  Axis h, w;
  bool relu = false;
  std::size_t xCount() const { return static_cast<std::size_t>(planes) * plane(); }
  std::size_t yCount() const { return static_cast<std::size_t>(planes) * windows(); }
  std::size_t plane() const { return static_cast<std::size_t>(h.size) * static_cast<std::size_t>(w.size); }
  std::size_t windows() const { return static_cast<std::size_t>(h.out()) * static_cast<std::size_t>(w.out()); }
  PoolPlan plan(bool ownsX) const {
    return {h.plan(ownsX), w.plan(ownsX), static_cast<int64_t>(ownsX ? xCount() : yCount()), relu};
  }
  MaxPool2dGatherArgs gather(const void* x, const void* indices, void* y) const {
    MaxPool2dGatherArgs args = {};
    const auto view = [this](View& v, const void* data, int64_t height, int64_t width) {
      v.data = const_cast<void*>(data);
      v.rank = 4;
      const int64_t sizes[] = {1, planes, height, width};
      std::memcpy(v.sizes, sizes, sizeof(sizes));
    };
    view(args.x, x, h.size, w.size);
    view(args.indices, indices, h.out(), w.out());
    view(args.y, y, h.out(), w.out());
    return args;
  }
};

// What the kernels should give.
struct Expected {
  std::vector<float> y, dx, gathered;
  std::vector<int32_t> indices;
};
Expected expect(const Pool& p, const std::vector<float>& x, const std::vector<float>& g) {
  Expected e = {{}, std::vector<float>(p.xCount()), {}, {}};
  for (std::size_t i = 0; i < p.yCount(); ++i) {
    const std::size_t plane = i / p.windows() * p.plane(), window = i % p.windows();
    const int row0 = static_cast<int>(window) / p.w.out() * p.h.stride - p.h.pad;
    const int column0 = static_cast<int>(window) % p.w.out() * p.w.stride - p.w.pad;
    float best = -std::numeric_limits<float>::infinity();
    int32_t at = kNoPlace;
    for (int r = 0; r < p.h.kernel; ++r) {
      for (int c = 0; c < p.w.kernel; ++c) {
        const int row = row0 + r * p.h.dilation, column = column0 + c * p.w.dilation;
        if (row < 0 || row >= p.h.size || column < 0 || column >= p.w.size) continue;
        const int32_t here = row * p.w.size + column;
        const float value = x[plane + static_cast<std::size_t>(here)];
        if (at == kNoPlace || value > best || std::isnan(value)) {
          best = value;
          at = here;
        }
      }
    }
    if (p.relu && best <= 0.0f) {
      best = 0.0f;
      at = kNoPlace;
    }
    e.y.push_back(best);
    e.indices.push_back(at);
    const std::size_t from = plane + static_cast<std::size_t>(at < 0 ? 0 : at);
    e.gathered.push_back(at < 0 ? 0.0f : x[from]);
    if (at >= 0) e.dx[from] += g[i];
  }
  return e;
}

Family& pool() {
  static Family only("pool");
  return only;
}

// Few different numbers, so that there are ties.
std::vector<float> steps(std::size_t n, uint32_t seed) {
  std::vector<float> data = floats(n, seed);
  for (float& x : data) x = std::floor(x * 4.0f);
  return data;
}

void check(const Pool& p) {
  std::vector<float> x = steps(p.xCount(), 1);
  const std::vector<float> g = steps(p.yCount(), 2);
  x[x.size() / 2] = std::numeric_limits<float>::quiet_NaN();
  const Expected expected = expect(p, x, g);
  const auto yCount = static_cast<int64_t>(p.yCount()), xCount = static_cast<int64_t>(p.xCount());
  for (const std::string width : kWidths) {
    Note where(std::to_string(p.h.size) + " x " + std::to_string(p.w.size) + " by " + std::to_string(p.h.kernel) +
               " x " + std::to_string(p.w.kernel) + ", " + width + " bits");
    Sim& sim = pool().sim;
    const float *fromX = pool().put(x), *fromG = pool().put(g);
    float *y = pool().room(yCount), *without = pool().room(yCount), *gathered = pool().room(yCount);
    float* const places = pool().room(yCount);
    sim.clean("max_pool2d_f32_" + width, {blocksOf(yCount)}, {256}, 0, p.plan(false), fromX, y, places);
    sim.clean("max_pool2d_f32_" + width, {blocksOf(yCount)}, {256}, 0, p.plan(false), fromX, without,
              static_cast<float*>(nullptr));
    CHECK(sameBits(pool().get(y, yCount), expected.y) && sameBits(pool().get(without, yCount), expected.y));
    CHECK(sim.get<int32_t>(reinterpret_cast<uint64_t>(places), p.yCount()) == expected.indices);

    // From an address that holds four floats on, and from the others.
    for (int64_t offset = 0; offset < 4; ++offset) {
      float* const all = pool().put(std::vector<float>(p.xCount() + 8, kUntouched));
      sim.clean("max_pool2d_backward_f32_" + width, {blocksOf(xCount, 1024)}, {256}, 0, p.plan(true), fromG, places,
                all + offset);
      const std::vector<float> written = pool().get(all, xCount + 8);
      const auto begin = written.begin() + offset, end = begin + xCount;
      CHECK(sameBits({begin, end}, expected.dx));
      CHECK(std::vector<float>(written.begin(), begin) ==
            std::vector<float>(static_cast<std::size_t>(offset), kUntouched));
      CHECK(std::vector<float>(end, written.end()) ==
            std::vector<float>(static_cast<std::size_t>(8 - offset), kUntouched));
    }

    const uint64_t errors = sim.put(std::vector<int64_t>(3, 0));
    sim.clean("max_pool2d_gather_f32_" + width, {blocksOf(yCount)}, {256}, 0, p.gather(fromX, places, gathered), yCount,
              errors, 7);
    CHECK(sameBits(pool().get(gathered, yCount), expected.gathered));
    CHECK(sim.get<int64_t>(errors, 3) == std::vector<int64_t>(3, 0));
    pool().release();
  }
}

}  // namespace

TEST(pool_kernels_match_plain_loops) {
  check({6, {28, 2, 2, 0, 1}, {28, 2, 2, 0, 1}});
  check({6, {7, 2, 2, 0, 1}, {33, 2, 2, 0, 1}, true});  // rows and planes end within a thread's four elements
  check({5, {3, 1, 2, 0, 1}, {1, 1, 1, 0, 1}});         // so do several rows
  check({3, {9, 3, 2, 1, 1}, {11, 3, 2, 1, 1}});
  check({3, {9, 3, 1, 1, 2}, {13, 3, 1, 1, 2}, true});
  check({2, {10, 2, 1, 0, 2}, {9, 3, 2, 1, 1}});
  check({2, {17, 16, 3, 8, 1}, {18, 16, 3, 8, 1}});
}

// Three planes of x that are 2^30 elements each, of which one is looked at.
TEST(planes_of_x_beyond_32_bits) {
  const Pool p = {3, {1 << 15, 1, 1 << 16, 0, 1}, {1 << 15, 1, 1 << 16, 0, 1}};
  Sparse x(pool().sim, p.xCount() * sizeof(float));
  const std::vector<float> values = {3.0f, 5.0f, 7.0f};
  for (std::size_t plane = 0; plane < 3; ++plane) x.set(plane * p.plane(), values[plane]);
  for (const std::string width : kWidths) {
    Note where(width);
    float *y = pool().room(3), *places = pool().room(3), *gathered = pool().room(3);
    pool().sim.clean("max_pool2d_f32_" + width, {1}, {256}, 0, p.plan(false), x.data(), y, places);
    CHECK(pool().get(y, 3) == values);
    pool().sim.clean("max_pool2d_gather_f32_" + width, {1}, {256}, 0, p.gather(x.data(), places, gathered), int64_t{3},
                     uint64_t{0}, 7);
    CHECK(pool().get(gathered, 3) == values);
    pool().release();
  }
}

// Five planes of dx with one element each, in the midst of 2^29 windows each: the last is another thread's than the
// rest.
TEST(planes_of_windows_beyond_32_bits) {
  const Pool p = {5, {1, 1, 1, 11600, 1}, {1, 1, 1, 11600, 1}};
  CHECK(p.windows() > std::size_t{1} << 29);
  Sparse g(pool().sim, p.yCount() * sizeof(float)), indices(pool().sim, p.yCount() * sizeof(int32_t));
  const std::vector<float> values = {3.0f, 5.0f, 7.0f, 11.0f, 13.0f};
  for (std::size_t plane = 0; plane < 5; ++plane) {
    const std::size_t window = plane * p.windows() + p.windows() / 2;
    g.set(window, values[plane]);
    indices.set(window, int32_t{0});
  }
  // A thread does four elements: for those that do not exist it looks at the windows below the last.
  for (std::size_t row = 1; row <= 3; ++row) {
    const std::size_t below = 4 * p.windows() + p.windows() / 2 + row * static_cast<std::size_t>(p.w.out());
    g.set(below, 17.0f);
    indices.set(below, int32_t{0});
  }
  for (const std::string width : kWidths) {
    Note where(width);
    float* const dx = pool().room(5);
    pool().sim.clean("max_pool2d_backward_f32_" + width, {1}, {256}, 0, p.plan(true), g.data(), indices.data(), dx);
    CHECK(pool().get(dx, 5) == values);
    pool().release();
  }
}

#endif
