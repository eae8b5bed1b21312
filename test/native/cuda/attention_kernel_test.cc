// The attention kernels, tiles and simple ones, against plain loops in float64 that share nothing with them: every
// width, layouts and edges, masks, and what the tiles move.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>

#include "cuda/attention_plan.h"
#include "kernel_harness.h"

using namespace warploom::cuda;
using namespace warploom::test;

#ifdef WARPLOOM_SIM_PTX

namespace {

constexpr double kEps = 0x1p-23;
constexpr float kUntouched = 12345.0f;

Sim& family(const std::string& name) {
  static std::map<std::string, std::unique_ptr<Sim>> all;
  std::unique_ptr<Sim>& sim = all[name];
  if (sim == nullptr) sim = std::make_unique<Sim>(kernelsOf(name.c_str()));
  return *sim;
}

struct Shape {
  int64_t queries, keys, qkWidth, vWidth;
  bool causal = false;
  AttentionMaskKind mask = AttentionMaskKind::none;
  int64_t outer = 1, heads = 1;  // two leading dims
  int64_t gap = 0, offset = 0;   // elements between lines, and before the first
  bool shared = false;           // k and v have one head for all
  bool maskSteps = false;        // the mask is stored by keys, and one for all heads

  std::string text() const {
    return std::to_string(queries) + " x " + std::to_string(keys) + ", widths " + std::to_string(qkWidth) + " and " +
           std::to_string(vWidth) + (causal ? ", causal" : "") + ", mask " + std::to_string(static_cast<int>(mask)) +
           ", " + std::to_string(outer * heads) + " batches, gap " + std::to_string(gap) + ", offset " +
           std::to_string(offset);
  }
};

// Lines [outer, heads, lines, width], in memory [outer, lines, heads, width].
struct Tensor {
  int64_t lines, width, stride, headStride, outerStride, offset;
  std::vector<float> data;
  bool vector;

  Tensor(const Shape& c, int64_t lines, int64_t width, bool shared, uint32_t seed)
      : lines(lines), width(width), offset(c.offset) {
    const int64_t heads = shared ? 1 : c.heads;
    headStride = shared ? 0 : width + c.gap;
    stride = heads * (width + c.gap);
    outerStride = lines * stride;
    data = floats(static_cast<std::size_t>(c.offset + c.outer * outerStride - (lines > 0 ? c.gap : 0)), seed);
    vector = width % 4 == 0 && c.offset % 4 == 0 && (width + c.gap) % 4 == 0;
  }
  std::size_t at(int64_t outer, int64_t head, int64_t line, int64_t i) const {
    return static_cast<std::size_t>(offset + outer * outerStride + head * headStride + line * stride + i);
  }
  double operator()(int64_t outer, int64_t head, int64_t line, int64_t i) const {
    return data[at(outer, head, line, i)];
  }
};

// What one batch should come to, and how far off float32 may be.
struct Expected {
  std::vector<double> y, lse, dq, dk, dv, yBound, lseBound, dqBound, dkBound, dvBound;
};

class Problem {
 public:
  explicit Problem(const Shape& shape)
      : c(shape),
        q(c, c.queries, c.qkWidth, false, 1),
        k(c, c.keys, c.qkWidth, c.shared, 2),
        v(c, c.keys, c.vWidth, c.shared, 3),
        y(c, c.queries, c.vWidth, false, 4),
        g(c, c.queries, c.vWidth, false, 5),
        dq(c, c.queries, c.qkWidth, false, 6),
        dk(c, c.keys, c.qkWidth, false, 7),
        dv(c, c.keys, c.vWidth, false, 8),
        added(floats(static_cast<std::size_t>(c.outer * (c.maskSteps ? 1 : c.heads) * c.queries * c.keys), 9)) {
    scale = static_cast<float>(1 / std::sqrt(static_cast<double>(std::max<int64_t>(c.qkWidth, 1))));
    for (float x : added) seen.push_back(x > -0.5f);
    for (Tensor* out : {&y, &dq, &dk, &dv}) std::fill(out->data.begin(), out->data.end(), kUntouched);
  }

  std::size_t maskAt(int64_t outer, int64_t head, int64_t query, int64_t key) const {
    const int64_t matrix = c.maskSteps ? outer : outer * c.heads + head;
    return static_cast<std::size_t>(matrix * c.queries * c.keys +
                                    (c.maskSteps ? key * c.queries + query : query * c.keys + key));
  }
  bool hidden(int64_t outer, int64_t head, int64_t query, int64_t key) const {
    return (c.causal && key > query) ||
           (c.mask == AttentionMaskKind::boolean && !seen[maskAt(outer, head, query, key)]);
  }

  // Plain loops. The bounds: 4 eps of what a product of two lines is made of; twice that for the weights, above and
  // below the line; and what follows for sums over them.
  Expected expect(int64_t b, int64_t h) const {
    const auto n = [](int64_t a, int64_t w) { return static_cast<std::size_t>(a * w); };
    Expected e;
    for (auto* values : {&e.y, &e.yBound}) values->assign(n(c.queries, c.vWidth), 0);
    for (auto* values : {&e.lse, &e.lseBound}) values->assign(n(c.queries, 1), 0);
    for (auto* values : {&e.dq, &e.dqBound}) values->assign(n(c.queries, c.qkWidth), 0);
    for (auto* values : {&e.dk, &e.dkBound}) values->assign(n(c.keys, c.qkWidth), 0);
    for (auto* values : {&e.dv, &e.dvBound}) values->assign(n(c.keys, c.vWidth), 0);
    for (int64_t i = 0; i < c.queries; ++i) {
      std::vector<double> score(n(c.keys, 1)), p(n(c.keys, 1));
      double top = -INFINITY, size = 0, sum = 0;
      for (int64_t j = 0; j < c.keys; ++j) {
        double s = 0, a = 0;
        for (int64_t x = 0; x < c.qkWidth; ++x) {
          s += q(b, h, i, x) * k(b, h, j, x);
          a += std::fabs(q(b, h, i, x) * k(b, h, j, x));
        }
        s *= static_cast<double>(scale);
        a *= static_cast<double>(scale);
        if (c.mask == AttentionMaskKind::added) {
          s += static_cast<double>(added[maskAt(b, h, i, j)]);
          a += std::fabs(static_cast<double>(added[maskAt(b, h, i, j)]));
        }
        if (hidden(b, h, i, j)) s = -INFINITY;
        score[j] = s;
        top = std::max(top, s);
        size = std::max(size, a);
      }
      for (int64_t j = 0; j < c.keys; ++j) sum += std::exp(score[j] - top);
      const double off = kEps * (8 * size + 8);  // of a weight, relative
      e.lse[i] = top + std::log(sum);
      e.lseBound[i] = off + kEps * std::fabs(e.lse[i]);
      double delta = 0, deltaOff = 0;
      for (int64_t j = 0; j < c.keys; ++j) p[j] = std::exp(score[j] - e.lse[i]);
      for (int64_t x = 0; x < c.vWidth; ++x) {
        double value = 0, whole = 0;
        for (int64_t j = 0; j < c.keys; ++j) {
          value += p[j] * v(b, h, j, x);
          whole += p[j] * std::fabs(v(b, h, j, x));
        }
        e.y[n(i, c.vWidth) + x] = value;
        e.yBound[n(i, c.vWidth) + x] = off * whole;
        delta += g(b, h, i, x) * value;
        deltaOff += std::fabs(g(b, h, i, x)) * (off * whole + 4 * kEps * std::fabs(value));
      }
      for (int64_t j = 0; j < c.keys; ++j) {
        double dp = 0, dpSize = 0;
        for (int64_t x = 0; x < c.vWidth; ++x) {
          dp += g(b, h, i, x) * v(b, h, j, x);
          dpSize += std::fabs(g(b, h, i, x) * v(b, h, j, x));
          e.dv[n(j, c.vWidth) + x] += p[j] * g(b, h, i, x);
          e.dvBound[n(j, c.vWidth) + x] += 2 * off * p[j] * std::fabs(g(b, h, i, x));
        }
        if (hidden(b, h, i, j)) continue;
        const double ds = p[j] * (dp - delta) * static_cast<double>(scale);
        const double dsOff =
            p[j] * (4 * kEps * dpSize + deltaOff + 2 * off * std::fabs(dp - delta)) * static_cast<double>(scale) +
            4 * kEps * std::fabs(ds);
        for (int64_t x = 0; x < c.qkWidth; ++x) {
          e.dq[n(i, c.qkWidth) + x] += ds * k(b, h, j, x);
          e.dk[n(j, c.qkWidth) + x] += ds * q(b, h, i, x);
          e.dqBound[n(i, c.qkWidth) + x] += dsOff * std::fabs(k(b, h, j, x));
          e.dkBound[n(j, c.qkWidth) + x] += dsOff * std::fabs(q(b, h, i, x));
        }
      }
    }
    return e;
  }

  // Runs all passes on the tiles for so many columns, or on the simple kernels where it is 0; `lastCounters` are those
  // of the three passes.
  void run(int64_t columns) {
    Sim& forward = family(columns > 0 ? "attention" : "attention_simple");
    const std::string suffix = columns > 0 ? "_f32_" + std::to_string(columns) : "Simple_f32";
    AttentionPlan plan = planIn(forward);
    counters[0] = launch(forward, "attention" + suffix, plan, c.queries, c.vWidth, columns);
    take(forward, plan.y, y);
    lse = forward.get<float>(reinterpret_cast<uint64_t>(plan.lse), static_cast<std::size_t>(batches() * c.queries));
    free(forward);

    Sim& simple = family("attention_simple");
    plan = planIn(simple);
    launch(simple, "attentionDelta_f32", plan, c.queries, 0, 0);
    delta = simple.get<float>(reinterpret_cast<uint64_t>(plan.delta), lse.size());
    free(simple);

    Sim& backward = family(columns > 0 ? "attention_backward" : "attention_simple");
    plan = planIn(backward);
    counters[1] = launch(backward, "attentionQueries" + suffix, plan, c.queries, c.qkWidth, columns);
    counters[2] = launch(backward, "attentionKeys" + suffix, plan, c.keys,
                         std::max(wantsK ? c.qkWidth : 0, wantsV ? c.vWidth : 0), columns);
    take(backward, plan.dq, dq);
    take(backward, plan.dk, dk);
    take(backward, plan.dv, dv);
    free(backward);
  }

  void compare() const {
    for (int64_t b = 0; b < c.outer; ++b) {
      for (int64_t h = 0; h < c.heads; ++h) {
        const Expected e = expect(b, h);
        for (int64_t i = 0; i < c.queries; ++i) {
          CHECK_NEAR(lse[static_cast<std::size_t>((b * c.heads + h) * c.queries + i)], e.lse[i], e.lseBound[i]);
        }
        check("y", y, e.y, e.yBound, b, h);
        check("dq", dq, e.dq, e.dqBound, b, h);
        check("dk", dk, e.dk, e.dkBound, b, h);
        check("dv", dv, e.dv, e.dvBound, b, h);
      }
    }
    for (const Tensor* out : {&y, &dq, &dk, &dv}) {
      std::size_t written = 0;
      for (float x : out->data) written += x != kUntouched;
      CHECK(written == static_cast<std::size_t>(batches() * out->lines * out->width));
    }
  }

  const Shape c;
  Tensor q, k, v, y, g, dq, dk, dv;
  std::vector<float> added, lse, delta;
  std::vector<uint8_t> seen;
  float scale;
  bool wantsK = true, wantsV = true;
  Counters counters[3];

 private:
  int64_t batches() const { return c.outer * c.heads; }

  static void check(const char* name, const Tensor& tensor, const std::vector<double>& values,
                    const std::vector<double>& bounds, int64_t b, int64_t h) {
    Note where(name);
    for (int64_t i = 0; i < tensor.lines; ++i) {
      for (int64_t x = 0; x < tensor.width; ++x) {
        const auto at = static_cast<std::size_t>(i * tensor.width + x);
        CHECK_NEAR(tensor(b, h, i, x), values[at], bounds[at]);
      }
    }
  }

  AttentionLines lines(Sim& sim, const Tensor& tensor) {
    const uint64_t at = own(sim.put(tensor.data));
    return {reinterpret_cast<void*>(at + static_cast<uint64_t>(tensor.offset) * 4),
            tensor.stride,
            {tensor.outerStride, tensor.headStride},
            tensor.vector};
  }
  float* ofQueries(Sim& sim, const std::vector<float>& values) {
    const auto count = static_cast<std::size_t>(batches() * c.queries);
    return reinterpret_cast<float*>(own(values.empty() ? sim.room(count * 4) : sim.put(values)));
  }
  AttentionPlan planIn(Sim& sim) {
    AttentionPlan plan = {};
    plan.queries = c.queries;
    plan.keys = c.keys;
    plan.qkWidth = c.qkWidth;
    plan.vWidth = c.vWidth;
    plan.batches = batches();
    plan.batchRank = 2;
    plan.batchSizes[0] = c.outer;
    plan.batchSizes[1] = c.heads;
    plan.causal = c.causal;
    plan.scale = scale;
    plan.mask.kind = c.mask;
    if (c.mask != AttentionMaskKind::none) {
      const uint64_t at = own(c.mask == AttentionMaskKind::added ? sim.put(added) : sim.put(seen));
      const int64_t matrix = c.queries * c.keys;
      plan.mask = {reinterpret_cast<void*>(at),
                   c.maskSteps ? 1 : c.keys,
                   c.maskSteps ? c.queries : 1,
                   {c.maskSteps ? matrix : matrix * c.heads, c.maskSteps ? 0 : matrix},
                   c.mask};
    }
    plan.q = lines(sim, q);
    plan.k = lines(sim, k);
    plan.v = lines(sim, v);
    plan.y = lines(sim, y);
    plan.g = lines(sim, g);
    plan.dq = lines(sim, dq);
    if (wantsK) plan.dk = lines(sim, dk);
    if (wantsV) plan.dv = lines(sim, dv);
    plan.lse = ofQueries(sim, lse);
    plan.delta = ofQueries(sim, delta);
    return plan;
  }
  Counters launch(Sim& sim, const std::string& entry, const AttentionPlan& plan, int64_t own, int64_t width,
                  int64_t columns) {
    Note where(entry);
    if (columns == 0) {
      constexpr int64_t kBlockLines = kAttentionSimpleThreads / 32;
      return sim
          .clean(entry, {static_cast<uint32_t>((own * batches() + kBlockLines - 1) / kBlockLines)},
                 {kAttentionSimpleThreads}, 0, plan)
          .counters;
    }
    const int64_t shares = std::max<int64_t>((width + columns - 1) / columns, 1);
    return sim
        .clean(entry, {static_cast<uint32_t>((own + kAttentionLines - 1) / kAttentionLines * shares * batches())},
               {kAttentionThreads}, 0, plan)
        .counters;
  }
  static void take(Sim& sim, const AttentionLines& from, Tensor& to) {
    if (from.data == nullptr) return;
    const uint64_t at = reinterpret_cast<uint64_t>(from.data) - static_cast<uint64_t>(to.offset) * 4;
    to.data = sim.get<float>(at, to.data.size());
  }
  uint64_t own(uint64_t address) {
    owned_.push_back(address);
    return address;
  }
  void free(Sim& sim) {
    for (uint64_t address : owned_) sim.memory.free(address);
    owned_.clear();
  }

  std::vector<uint64_t> owned_;
};

constexpr int kWidths[] = {0, 32, 64, 128};

void compareAll(const Shape& c) {
  uint64_t seed = 0;
  for (int columns : kWidths) {
    Note where(c.text() + ", " + std::to_string(columns) + " columns");
    for (const char* name : {"attention", "attention_backward", "attention_simple"}) {
      family(name).settings.seed = seed;
    }
    ++seed;
    Problem one(c);
    one.run(columns);
    one.compare();
  }
}

Shape shape(int64_t queries, int64_t keys, int64_t qkWidth, int64_t vWidth, bool causal = false,
            AttentionMaskKind mask = AttentionMaskKind::none) {
  Shape c = {queries, keys, qkWidth, vWidth};
  c.causal = causal;
  c.mask = mask;
  return c;
}

}  // namespace

TEST(whole_tiles) {
  for (bool causal : {false, true}) {
    compareAll(shape(128, 128, 32, 32, causal));
    compareAll(shape(64, 128, 64, 64, causal));
  }
  compareAll(shape(128, 64, 128, 128, true));
}

TEST(edges) {
  compareAll(shape(1, 1, 1, 1));
  compareAll(shape(31, 33, 5, 7));
  compareAll(shape(65, 63, 33, 20, true));
  compareAll(shape(5, 130, 16, 36, true));
  compareAll(shape(130, 5, 17, 3, true));
  compareAll(shape(70, 70, 20, 130));
  compareAll(shape(66, 70, 140, 12, true));
}

TEST(masks) {
  for (AttentionMaskKind mask : {AttentionMaskKind::boolean, AttentionMaskKind::added}) {
    compareAll(shape(70, 90, 12, 8, false, mask));
    Shape c = shape(33, 65, 8, 12, true, mask);
    c.outer = 2;
    c.heads = 3;
    c.maskSteps = true;
    compareAll(c);
    c.maskSteps = false;
    compareAll(c);
  }
}

TEST(layouts) {
  for (int64_t gap : {0, 3, 4}) {
    for (int64_t offset : {0, 1}) {
      Shape c = shape(66, 67, 8, 12);
      c.outer = 2;
      c.heads = 2;
      c.gap = gap;
      c.offset = offset;
      c.shared = gap == 4;
      compareAll(c);
    }
  }
}

TEST(long_rows) {
  Shape c = shape(3, 4097, 16, 16);
  compareAll(c);
  compareAll(shape(4097, 3, 16, 16));
}

TEST(gradients_that_nobody_asks_for) {
  for (int columns : kWidths) {
    Problem whole(shape(70, 66, 20, 33));
    whole.run(columns);
    for (bool wantsK : {true, false}) {
      Problem one(shape(70, 66, 20, 33));
      one.wantsK = wantsK;
      one.wantsV = !wantsK;
      one.run(columns);
      CHECK((one.dk.data == whole.dk.data) == wantsK);
      CHECK((one.dv.data == whole.dv.data) == !wantsK);
    }
  }
}

// Rows without a visible key, NaN and infinity among the scores.
TEST(special_values) {
  for (int columns : kWidths) {
    Note where(std::to_string(columns) + " columns");
    Problem one(shape(70, 70, 4, 4, true, AttentionMaskKind::boolean));
    std::fill(one.seen.begin(), one.seen.end(), uint8_t{1});
    for (int64_t key = 0; key < 70; ++key) one.seen[one.maskAt(0, 0, 5, key)] = 0;
    one.q.data[one.q.at(0, 0, 6, 0)] = std::numeric_limits<float>::quiet_NaN();
    one.q.data[one.q.at(0, 0, 7, 0)] = INFINITY;
    // Hidden from query 66, whatever it holds.
    one.k.data[one.k.at(0, 0, 67, 1)] = std::numeric_limits<float>::quiet_NaN();
    one.run(columns);
    for (int64_t row : {5, 6, 7, 8, 66, 67}) {
      Note line("query " + std::to_string(row));
      const bool bad = row <= 7 || row == 67;
      for (int64_t x = 0; x < 4; ++x) CHECK(std::isnan(one.y(0, 0, row, x)) == bad);
      const float lse = one.lse[static_cast<std::size_t>(row)];
      CHECK(row == 5 ? lse == -INFINITY : std::isnan(lse) == bad);
    }
    // A query that sees no key has no slopes; its weights are NaN where it is not skipped.
    for (int64_t x = 0; x < 4; ++x) CHECK(one.dq(0, 0, 5, x) == 0);
  }
}

// Modelled traffic of whole tiles.
TEST(traffic) {
  const bool show = std::getenv("WARPLOOM_FIGURES") != nullptr;
  for (const char* name : {"attention", "attention_backward", "attention_simple"}) {
    family(name).settings.counters = true;
  }
  const char* const passes[] = {"forward", "dq", "dk, dv"};
  for (int columns : kWidths) {
    const int64_t width = columns == 0 ? 64 : columns;
    Problem one(shape(256, 256, width, width)), causal(shape(256, 256, width, width, true));
    one.run(columns);
    if (columns > 0) causal.run(columns);
    for (int pass = 0; pass < 3; ++pass) {
      const Counters& n = one.counters[pass];
      const double fmas = 256.0 * 256 * static_cast<double>(width) * (2 + pass);
      Note where(std::string(passes[pass]) + " " + std::to_string(columns));
      CHECK(n.localBytes == 0);
      if (columns > 0) {
        CHECK(static_cast<double>(n.sharedCycles) <= 1.1 * static_cast<double>(n.sharedIdealCycles));
        // 10 of 16 tiles, of which 4 look at each pair.
        const auto instructions = static_cast<double>(n.warpInstructions);
        CHECK(static_cast<double>(causal.counters[pass].warpInstructions) < 0.75 * instructions);
      }
      if (show) {
        std::printf(
            "%-7s %3d columns: shared %.3f bytes/FLOP, bank cycles %.3f of ideal, global %.4f bytes/FLOP, %.2f sectors "
            "a load, %.2f a store, loads %.3f of their sectors, %.2f warp instructions a warp FMA\n",
            passes[pass], columns, static_cast<double>(n.sharedBytes) / (2 * fmas),
            static_cast<double>(n.sharedCycles) / static_cast<double>(std::max<uint64_t>(n.sharedIdealCycles, 1)),
            static_cast<double>(n.globalLoadSectors + n.globalStoreSectors) * 32 / (2 * fmas),
            static_cast<double>(n.globalLoadSectors) / static_cast<double>(n.globalLoadRequests),
            static_cast<double>(n.globalStoreSectors) / static_cast<double>(n.globalStoreRequests),
            static_cast<double>(n.globalLoadBytes) / static_cast<double>(n.globalLoadSectors * 32),
            static_cast<double>(n.warpInstructions) / (fmas / 32));
      }
    }
  }
  for (const char* name : {"attention", "attention_backward", "attention_simple"}) {
    family(name).settings.counters = false;
  }
}

#endif
