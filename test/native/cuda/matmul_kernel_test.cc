// Every tile of the matrix product against the kernel of one thread an element: equal bits, whatever the layout, the
// edges, the epilogue, and whether one block or several sum over k. And what the tiles move.
#include <cstdlib>

#include "cuda/gemm_args.h"
#include "kernel_harness.h"

using namespace warploom::cuda;
using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {

constexpr Tile kTiles[] = {{"128x128", 128, 128, 256},
                           {"64x64", 64, 64, 128},
                           {"128x32", 128, 32, 128},
                           {"128x16", 128, 16, 64},
                           {"128x4", 128, 4, 128}};
const char* const kLayouts[] = {"nn", "nt", "tn", "tt"};

Sim& sim() {
  static Sim only(kernelsOf("matmul"));
  return only;
}

struct Shape {
  int64_t rows, cols, depth, batches = 1;
  int layout = 0;       // of kLayouts
  int64_t padding = 0;  // elements between lines
  int64_t offset = 0;   // of the operands, in elements
  bool exchanged = false, split = false;
};

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

// Operands of random numbers, freed with the object.
class Product {
 public:
  explicit Product(const Shape& c) : case_(c) {
    const bool aTransposed = c.layout >= 2, bTransposed = c.layout % 2 != 0;
    args.rows = c.rows;
    args.cols = c.cols;
    args.depth = c.depth;
    args.segment = segmentOf(c.depth);
    args.a = operand(c.rows, !aTransposed, 1);
    args.b = operand(c.cols, bTransposed, 2);
    const int64_t m = c.exchanged ? c.cols : c.rows, n = c.exchanged ? c.rows : c.cols;
    args.yStride = n + c.padding;
    args.exchanged = c.exchanged;
    args.vectorStore = n % 4 == 0 && c.padding % 4 == 0;
    args.batchRank = 1;
    args.batches = args.batchSizes[0] = c.batches;
    args.aBatch[0] = batchOf(c.rows, !aTransposed);
    args.bBatch[0] = batchOf(c.cols, bTransposed);
    args.yBatch[0] = m * args.yStride;
    elements_ = c.rows * c.cols * c.batches;
  }

  std::size_t yCount() const { return static_cast<std::size_t>(args.yBatch[0] * args.batches); }
  // y begins as `old`.
  std::vector<float> run(const std::string& entry, const Tile* tile, bool split) {
    args.y = memory.put(floats(yCount(), 3));
    if (tile == nullptr) {
      sim().clean(entry, {blocksOf(elements_)}, {256}, 0, args);
      return memory.get(args.y, static_cast<int64_t>(yCount()));
    }
    const int64_t tiles = (args.rows + tile->rows - 1) / tile->rows * ((args.cols + tile->cols - 1) / tile->cols);
    const int64_t segments = split ? segmentsOf(args.depth) : 1;
    const int32_t vectorStore = args.vectorStore;
    if (split) {
      args.partials = memory.room(segments * elements_);
      args.vectorStore = (args.exchanged ? args.rows : args.cols) % 4 == 0;
    }
    last = sim().clean(entry, {static_cast<uint32_t>(tiles * segments * args.batches)},
                       {static_cast<uint32_t>(tile->threads)}, 0, args);
    if (split) sim().clean("gemm_f32_combine", {blocksOf(elements_)}, {256}, 0, args);
    args.partials = nullptr;
    args.vectorStore = vectorStore;
    return memory.get(args.y, static_cast<int64_t>(yCount()));
  }
  // The tile against the simple kernel, pre included.
  void compare(const Tile& tile, bool split) {
    const std::string entry = std::string("gemm_f32_") + kLayouts[case_.layout] + "_" + tile.name;
    Note where(entry + " " + std::to_string(case_.rows) + " x " + std::to_string(case_.cols) + " x " +
               std::to_string(case_.depth) + (case_.exchanged ? " exchanged" : "") + (split ? " split" : "") +
               " padding " + std::to_string(case_.padding));
    const auto pre = [&] {
      return args.pre == nullptr ? std::vector<float>{} : memory.get(args.pre, static_cast<int64_t>(yCount()));
    };
    const std::vector<float> expected = run("gemm_f32_simple", nullptr, false), expectedPre = pre();
    CHECK(sameBits(run(entry, &tile, split), expected));
    CHECK(sameBits(pre(), expectedPre));
  }

  DeviceFloats memory{sim()};
  GemmArgs args = {};
  LaunchResult last;

 private:
  int64_t pitch(int64_t lines, bool alongDepth) const { return (alongDepth ? case_.depth : lines) + case_.padding; }
  int64_t batchOf(int64_t lines, bool alongDepth) const {
    return pitch(lines, alongDepth) * (alongDepth ? lines : case_.depth);
  }
  // Exactly as large as needed, so that reading beyond is found.
  GemmOperand operand(int64_t lines, bool alongDepth, uint32_t seed) {
    const int64_t step = pitch(lines, alongDepth);
    const auto count = static_cast<std::size_t>(batchOf(lines, alongDepth) * case_.batches - case_.padding);
    const float* at = memory.put(floats(count + static_cast<std::size_t>(case_.offset), seed));
    const bool vector = !alongDepth && lines % 4 == 0 && step % 4 == 0 && case_.offset % 4 == 0;
    return {at + case_.offset, alongDepth ? step : 1, alongDepth ? 1 : step, vector};
  }

  const Shape case_;
  int64_t elements_ = 0;
};

}  // namespace

TEST(simple_matches_plain_loops) {
  Shape c = {9, 7, 600};
  Product product(c);
  const std::vector<float> y = product.run("gemm_f32_simple", nullptr, false);
  const std::vector<float> a = floats(9 * 600, 1), b = floats(600 * 7, 2);
  for (int i = 0; i < 9; ++i) {
    for (int j = 0; j < 7; ++j) {
      double sum = 0, size = 0;
      for (int k = 0; k < 600; ++k) {
        const double term = static_cast<double>(a[i * 600 + k]) * static_cast<double>(b[k * 7 + j]);
        sum += term;
        size += std::fabs(term);
      }
      CHECK_NEAR(y[i * 7 + j], sum, 4 * 0x1p-23 * size);
    }
  }
}

TEST(tiles_give_the_bits_of_the_simple_kernel) {
  for (const Tile& tile : kTiles) {
    for (int layout = 0; layout < 4; ++layout) {
      for (bool even : {true, false}) {
        sim().settings.seed = static_cast<uint64_t>(layout + 1);
        Shape c;
        c.rows = tile.rows + (even ? 4 : 5);
        c.cols = tile.cols + (even ? 4 : 3);
        c.depth = even ? 329 : 79;
        c.layout = layout;
        c.padding = even ? 4 : 1;
        c.offset = even ? 4 : 1;
        c.exchanged = even == (layout % 2 == 0);
        Product(c).compare(tile, false);
        c.exchanged = !c.exchanged;
        c.batches = 2;
        c.depth = even ? 79 : 329;
        Product(c).compare(tile, true);
      }
    }
  }
}

TEST(ladder) {
  static Sim steps(kernelsOf("matmul_ladder"));
  for (const Shape& c : {Shape{70, 65, 329}, Shape{16, 16, 16}, Shape{1, 1, 1}, Shape{33, 5, 257}}) {
    const std::vector<float> a = floats(static_cast<std::size_t>(c.rows * c.depth), 1),
                             b = floats(static_cast<std::size_t>(c.depth * c.cols), 2);
    Product product(c);
    const std::vector<float> expected = product.run("gemm_f32_simple", nullptr, false);
    for (const auto& [name, size] : {std::pair{"gemm_ladder_shared", 16}, std::pair{"gemm_ladder_registers", 64}}) {
      Note where(std::string(name) + " " + std::to_string(c.rows) + " x " + std::to_string(c.cols));
      GemmArgs args = product.args;
      args.a.data = pointer(steps.put(a));
      args.b.data = pointer(steps.put(b));
      const uint64_t y = steps.room(expected.size() * 4);
      args.y = pointer(y);
      const int64_t blocks = (c.rows + size - 1) / size * ((c.cols + size - 1) / size);
      steps.clean(name, {static_cast<uint32_t>(blocks)}, {256}, 0, args);
      CHECK(sameBits(steps.get<float>(y, expected.size()), expected));
    }
  }
}

TEST(edges) {
  for (const Tile& tile : kTiles) {
    for (const int64_t depth : {1, 15, 16, 17, 64, 65, 256, 257}) {
      Shape c = {tile.rows - 1, tile.cols, depth, 1, static_cast<int>(depth % 4)};
      Product(c).compare(tile, depth > 256);
    }
    Shape one = {1, 1, 40};
    Product(one).compare(tile, false);
    Shape row = {1, tile.cols + 1, 33, 3, 3};
    Product(row).compare(tile, false);
  }
}

TEST(epilogues) {
  for (const Tile& tile : {kTiles[1], kTiles[4]}) {
    for (int activation = 0; activation < 4; ++activation) {
      for (int variant = 0; variant < 8; ++variant) {
        Shape c;
        c.rows = 12;
        c.cols = (variant & 1) != 0 ? 8 : 5;
        c.depth = 300;
        c.exchanged = (variant & 2) != 0;
        Product product(c);
        product.args.activation = activation;
        product.args.bias = product.memory.put(floats(12, 7));
        product.args.biasStride = variant % 3 != 0;
        if ((variant & 4) != 0) {
          product.args.pre = product.memory.put(std::vector<float>(product.yCount(), 0));
          product.args.preStride = product.args.yStride;
          product.args.preBatch[0] = product.args.yBatch[0];
        }
        Note where("activation " + std::to_string(activation) + ", variant " + std::to_string(variant));
        product.compare(tile, false);
        product.compare(tile, true);
      }
    }
    Shape c = {12, 9, 300};
    Product added(c);
    added.args.accumulate = 1;
    added.compare(tile, false);
    added.compare(tile, true);
  }
}

// Sums of integers wrap, and are added to what is there only when told.
template <class T>
void checkIntegers(const char* entry) {
  constexpr int kRows = 5, kCols = 60, kDepth = 7;  // more than one block
  std::vector<T> a(kRows * kDepth), b(kDepth * kCols), y(kRows * kCols, T(3));
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i * 0x9e3779b97f4a7c15u);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(~i * 0xbf58476d1ce4e5b9u);
  for (int32_t accumulate : {0, 1}) {
    Note where(std::string(entry) + (accumulate != 0 ? " accumulating" : ""));
    GemmArgs args = {};
    args.rows = kRows;
    args.cols = kCols;
    args.depth = kDepth;
    args.a = {pointer(sim().put(a)), kDepth, 1, 0};
    args.b = {pointer(sim().put(b)), 1, kCols, 0};
    const uint64_t at = sim().put(y);
    args.y = pointer(at);
    args.yStride = kCols;
    args.accumulate = accumulate;
    args.batches = 1;
    sim().clean(entry, {2}, {256}, 0, args);
    const std::vector<T> result = sim().get<T>(at, y.size());
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kCols; ++j) {
        uint64_t sum = accumulate != 0 ? 3 : 0;  // modulo 2^64, of which T keeps the low bits
        for (int k = 0; k < kDepth; ++k) {
          sum += static_cast<uint64_t>(a[i * kDepth + k]) * static_cast<uint64_t>(b[k * kCols + j]);
        }
        CHECK(result[i * kCols + j] == static_cast<T>(sum));
      }
    }
  }
}
TEST(integers_wrap) {
  checkIntegers<int32_t>("gemm_i32_simple");
  checkIntegers<int64_t>("gemm_i64_simple");
}

TEST(negative_zero_survives_the_padding_of_k) {
  // -2^-80 times 2^-80 underflows to -0, and so does the sum.
  for (const Tile& tile : kTiles) {
    Shape c = {3, 3, 3};
    Product product(c);
    product.args.a.data = product.memory.put(std::vector<float>(9, -0x1p-80f));
    product.args.b.data = product.memory.put(std::vector<float>(9, 0x1p-80f));
    const std::vector<float> y = product.run(std::string("gemm_f32_nn_") + tile.name, &tile, false);
    CHECK(y[0] == 0.0f && std::signbit(y[0]));
  }
}

// Modelled traffic of whole tiles: no bank conflicts, no sector of which only a part is used.
TEST(traffic) {
  const bool show = std::getenv("WARPLOOM_FIGURES") != nullptr;
  sim().settings.counters = true;
  for (const Tile& tile : kTiles) {
    for (int layout = 0; layout < 4; ++layout) {
      Shape c;
      c.rows = tile.rows * 2;
      c.cols = tile.cols * 2;
      c.depth = 256;
      c.layout = layout;
      Product product(c);
      product.run(std::string("gemm_f32_") + kLayouts[layout] + "_" + tile.name, &tile, false);
      const Counters& n = product.last.counters;
      const double flops = 2.0 * static_cast<double>(c.rows * c.cols * c.depth);
      Note where(std::string(kLayouts[layout]) + " " + tile.name);
      CHECK(static_cast<double>(n.sharedCycles) <= 1.1 * static_cast<double>(n.sharedIdealCycles));
      // Four columns side by side are half a sector.
      const bool halves = tile.cols == 4 && layout % 2 == 0;
      CHECK(n.globalLoadSectors * 32 == n.globalLoadBytes || halves);
      CHECK(n.localBytes == 0);
      if (show) {
        std::printf(
            "%s %-8s shared %.3f bytes/FLOP, bank cycles %.3f of ideal, global %.4f bytes/FLOP, %.2f sectors a "
            "load, %.2f a store (%.2f of ideal), %.2f warp instructions of 32 FLOP\n",
            kLayouts[layout], tile.name, static_cast<double>(n.sharedBytes) / flops,
            static_cast<double>(n.sharedCycles) / static_cast<double>(n.sharedIdealCycles),
            static_cast<double>(n.globalLoadSectors + n.globalStoreSectors) * 32 / flops,
            static_cast<double>(n.globalLoadSectors) / static_cast<double>(n.globalLoadRequests),
            static_cast<double>(n.globalStoreSectors) / static_cast<double>(n.globalStoreRequests),
            static_cast<double>(n.globalStoreSectors) * 32 / static_cast<double>(n.globalStoreBytes),
            static_cast<double>(n.warpInstructions) / (flops / 64));
      }
    }
  }
  sim().settings.counters = false;
}

#endif
