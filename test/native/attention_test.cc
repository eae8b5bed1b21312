// Attention and its gradient against plain long double loops.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "values.h"

namespace warploom::test {
namespace {

enum class Heads { dense, turned, repeated };  // [B, H, R, C]; [B, R, H, C + 3] seen as that; one batch for all
enum class Mask { none, boolean, additive };

// A tensor [B, H, rows, cols] with a way to lie in memory, and elements around it that must not change.
template <class T>
struct Operand {
  int64_t sizes[4], strides[4], offset = 5;
  std::vector<T> data;

  Operand(int64_t B, int64_t H, int64_t rows, int64_t cols, Heads heads, uint64_t seed) : sizes{B, H, rows, cols} {
    const int64_t pitch = heads == Heads::turned ? H * (cols + 3) : cols;
    const int64_t head = heads == Heads::turned ? cols + 3 : rows * cols;
    const int64_t batch = heads == Heads::repeated ? 0 : H * rows * (heads == Heads::turned ? cols + 3 : cols);
    const int64_t all[4] = {batch, head, pitch, 1};
    for (int d = 0; d < 4; ++d) strides[d] = all[d];
    data = values<T>(offset + std::max<int64_t>(1, B) * H * rows * (cols + 3) + 8, seed, -1.5, 1.5);
  }
  std::size_t at(int64_t b, int64_t h, int64_t i, int64_t c) const {
    return static_cast<std::size_t>(offset + b * strides[0] + h * strides[1] + i * strides[2] + c * strides[3]);
  }
  long double operator()(int64_t b, int64_t h, int64_t i, int64_t c) const { return data[at(b, h, i, c)]; }
  template <class Role>
  Role view() {
    return stridedView<Role>(data.data() + offset, kDType<T>, {sizes[0], sizes[1], sizes[2], sizes[3]},
                             {strides[0], strides[1], strides[2], strides[3]});
  }
  // Whether everything but the tensor's own elements still holds `guard`.
  bool untouchedAround(T guard) const {
    std::vector<char> own(data.size(), 0);
    for (int64_t b = 0; b < sizes[0]; ++b) {
      for (int64_t h = 0; h < sizes[1]; ++h) {
        for (int64_t i = 0; i < sizes[2]; ++i) {
          for (int64_t c = 0; c < sizes[3]; ++c) own[at(b, h, i, c)] = 1;
        }
      }
    }
    for (std::size_t i = 0; i < data.size(); ++i) {
      if (!own[i] && data[i] != guard) return false;
    }
    return true;
  }
};

struct Shape {
  int64_t B, H, L, S, E, D;
  bool causal = false;
  Mask mask = Mask::none;
  Heads heads = Heads::dense;
};

std::string describe(const Shape& s, std::size_t item) {
  std::string text = item == 4 ? "float32" : "float64";
  for (int64_t n : {s.B, s.H, s.L, s.S, s.E, s.D}) text += " " + std::to_string(n);
  if (s.causal) text += " causal";
  if (s.mask != Mask::none) text += s.mask == Mask::boolean ? " bool mask" : " float mask";
  if (s.heads != Heads::dense) text += s.heads == Heads::turned ? " turned" : " repeated";
  return text;
}

template <class T>
struct Problem {
  Shape s;
  Operand<T> q, k, v, g;
  std::vector<uint8_t> visible;  // [L, S], the same for all heads
  std::vector<T> added;
  long double scale;

  explicit Problem(const Shape& shape)
      : s(shape),
        q(s.B, s.H, s.L, s.E, s.heads, 1),
        k(s.B, s.H, s.S, s.E, s.heads, 2),
        v(s.B, s.H, s.S, s.D, s.heads, 3),
        g(s.B, s.H, s.L, s.D, s.heads == Heads::repeated ? Heads::dense : s.heads, 4),
        visible(static_cast<std::size_t>(s.L * s.S), 1),
        added(values<T>(s.L * s.S, 5)),
        scale(static_cast<T>(0.6)) {
    for (int64_t i = 0; i < s.L; ++i) {
      // Key 0 stays visible, so that every query sees one.
      for (int64_t j = 1; j < s.S; ++j) visible[static_cast<std::size_t>(i * s.S + j)] = (i * 7 + j * 3) % 5 != 0;
    }
  }
  bool sees(int64_t i, int64_t j) const {
    if (s.causal && j > i) return false;
    return s.mask != Mask::boolean || visible[static_cast<std::size_t>(i * s.S + j)] != 0;
  }
  OptIn maskView() {
    if (s.mask == Mask::none) return absent<OptIn>();
    void* data = s.mask == Mask::boolean ? static_cast<void*>(visible.data()) : static_cast<void*>(added.data());
    return stridedView<OptIn>(data, s.mask == Mask::boolean ? DType::boolean : kDType<T>, {s.B, s.H, s.L, s.S},
                              {0, 0, s.S, 1});
  }
};

// What the definition gives for one head, and the sizes of the sums behind each number.
struct Expected {
  std::vector<long double> y, yScale, lse, dq, dqScale, dk, dkScale, dv, dvScale;
  long double magnitude = 1;  // the largest sum |q||k| of a score: its rounding error goes through exp
};

template <class T>
Expected expect(const Problem<T>& p, int64_t b, int64_t h) {
  const Shape& s = p.s;
  const auto size = [](int64_t rows, int64_t cols) { return static_cast<std::size_t>(rows * cols); };
  Expected e;
  for (auto* out : {&e.y, &e.yScale}) out->assign(size(s.L, s.D), 0);
  for (auto* out : {&e.dq, &e.dqScale}) out->assign(size(s.L, s.E), 0);
  for (auto* out : {&e.dk, &e.dkScale}) out->assign(size(s.S, s.E), 0);
  for (auto* out : {&e.dv, &e.dvScale}) out->assign(size(s.S, s.D), 0);
  e.lse.assign(static_cast<std::size_t>(s.L), -INFINITY);
  std::vector<long double> score(static_cast<std::size_t>(s.S));
  for (int64_t i = 0; i < s.L && s.S > 0; ++i) {
    long double best = -INFINITY, total = 0;
    for (int64_t j = 0; j < s.S; ++j) {
      long double sum = 0, sizeOf = 0;
      for (int64_t c = 0; c < s.E; ++c) {
        sum += p.q(b, h, i, c) * p.k(b, h, j, c);
        sizeOf += std::fabs(p.q(b, h, i, c) * p.k(b, h, j, c));
      }
      sum *= p.scale;
      if (s.mask == Mask::additive) sum += p.added[static_cast<std::size_t>(i * s.S + j)];
      e.magnitude = std::max(e.magnitude, sizeOf * p.scale + 1);
      score[static_cast<std::size_t>(j)] = p.sees(i, j) ? sum : -INFINITY;
      best = std::max(best, score[static_cast<std::size_t>(j)]);
    }
    for (long double x : score) total += std::exp(x - best);
    e.lse[static_cast<std::size_t>(i)] = best + std::log(total);
    long double delta = 0, deltaScale = 0;
    for (int64_t j = 0; j < s.S; ++j) {
      const long double w = std::exp(score[static_cast<std::size_t>(j)] - best) / total;
      score[static_cast<std::size_t>(j)] = w;
      for (int64_t d = 0; d < s.D; ++d) {
        const long double term = w * p.v(b, h, j, d);
        e.y[size(i, s.D) + static_cast<std::size_t>(d)] += term;
        e.yScale[size(i, s.D) + static_cast<std::size_t>(d)] += std::fabs(term);
        e.dv[size(j, s.D) + static_cast<std::size_t>(d)] += w * p.g(b, h, i, d);
        e.dvScale[size(j, s.D) + static_cast<std::size_t>(d)] += std::fabs(w * p.g(b, h, i, d));
        delta += term * p.g(b, h, i, d);
        deltaScale += std::fabs(term * p.g(b, h, i, d));
      }
    }
    for (int64_t j = 0; j < s.S; ++j) {
      long double dp = 0, dpScale = 0;
      for (int64_t d = 0; d < s.D; ++d) {
        dp += p.g(b, h, i, d) * p.v(b, h, j, d);
        dpScale += std::fabs(p.g(b, h, i, d) * p.v(b, h, j, d));
      }
      const long double w = score[static_cast<std::size_t>(j)] * p.scale;
      for (int64_t c = 0; c < s.E; ++c) {
        e.dq[size(i, s.E) + static_cast<std::size_t>(c)] += w * (dp - delta) * p.k(b, h, j, c);
        e.dqScale[size(i, s.E) + static_cast<std::size_t>(c)] +=
            w * (dpScale + deltaScale) * std::fabs(p.k(b, h, j, c));
        e.dk[size(j, s.E) + static_cast<std::size_t>(c)] += w * (dp - delta) * p.q(b, h, i, c);
        e.dkScale[size(j, s.E) + static_cast<std::size_t>(c)] +=
            w * (dpScale + deltaScale) * std::fabs(p.q(b, h, i, c));
      }
    }
  }
  return e;
}

// Heads whose expectations are computed: all of few, some of many.
template <class Fn>
void eachHead(const Shape& s, Fn&& fn) {
  const int64_t count = s.B * s.H;
  for (int64_t at = 0; at < count; at += std::max<int64_t>(1, count / 8)) fn(at / s.H, at % s.H);
}

template <class T>
void compare(const Operand<T>& got, int64_t b, int64_t h, const std::vector<long double>& want,
             const std::vector<long double>& scale, long double factor) {
  for (int64_t i = 0; i < got.sizes[2]; ++i) {
    for (int64_t c = 0; c < got.sizes[3]; ++c) {
      const std::size_t at = static_cast<std::size_t>(i * got.sizes[3] + c);
      CHECK_NEAR(static_cast<double>(got(b, h, i, c)), static_cast<double>(want[at]),
                 static_cast<double>(factor * scale[at]) + 1e-30);
    }
  }
}

template <class T>
void run(const Shape& s) {
  Note note(describe(s, sizeof(T)));
  Problem<T> p(s);
  const T guard = T(77);
  std::vector<Expected> expected;
  eachHead(s, [&](int64_t b, int64_t h) { expected.push_back(expect(p, b, h)); });
  const Heads heads = s.heads == Heads::repeated ? Heads::dense : s.heads;
  ThreadWatch<T> watchY, watchQ, watchK, watchV;
  forEachDevice([&](DeviceImpl& device) {
    Operand<T> y(s.B, s.H, s.L, s.D, heads, 0), dq(s.B, s.H, s.L, s.E, heads, 0), dk(s.B, s.H, s.S, s.E, heads, 0),
        dv(s.B, s.H, s.S, s.D, heads, 0);
    for (auto* out : {&y, &dq, &dk, &dv}) std::fill(out->data.begin(), out->data.end(), guard);
    std::vector<T> lse(static_cast<std::size_t>(s.B * s.H * s.L) + 4, guard);
    AttentionArgs forward{p.q.template view<In>(),
                          p.k.template view<In>(),
                          p.v.template view<In>(),
                          p.maskView(),
                          y.template view<Out>(),
                          viewOf<Out>(lse.data(), kDType<T>, {s.B, s.H, s.L}),
                          0.6,
                          s.causal};
    runOp(device, OpId::attention, forward);
    AttentionBackwardArgs backward{p.g.template view<In>(),
                                   p.q.template view<In>(),
                                   p.k.template view<In>(),
                                   p.v.template view<In>(),
                                   p.maskView(),
                                   y.template view<In>(),
                                   viewOf<In>(lse.data(), kDType<T>, {s.B, s.H, s.L}),
                                   dq.template view<OptOut>(),
                                   dk.template view<OptOut>(),
                                   dv.template view<OptOut>(),
                                   0.6,
                                   s.causal};
    runOp(device, OpId::attentionBackward, backward);
    std::size_t at = 0;
    eachHead(s, [&](int64_t b, int64_t h) {
      const Expected& e = expected[at++];
      // Products round by eps a term in chains; what a score loses comes back as a relative error of its exponential.
      const long double factor = kEps<T> * 8 * (2 + e.magnitude);
      compare(y, b, h, e.y, e.yScale, factor);
      for (int64_t i = 0; i < s.L; ++i) {
        CHECK_NEAR(lse[static_cast<std::size_t>((b * s.H + h) * s.L + i)],
                   static_cast<double>(e.lse[static_cast<std::size_t>(i)]), static_cast<double>(factor));
      }
      compare(dq, b, h, e.dq, e.dqScale, 2 * factor);
      compare(dk, b, h, e.dk, e.dkScale, 2 * factor);
      compare(dv, b, h, e.dv, e.dvScale, 2 * factor);
    });
    for (const auto* out : {&y, &dq, &dk, &dv}) CHECK(out->untouchedAround(guard));
    CHECK(untouchedOutside(lse, 0, s.B * s.H * s.L, guard));
    // Each gradient alone has the bits it has beside the others.
    for (int only = 0; only < 3; ++only) {
      Operand<T>* all[3] = {&dq, &dk, &dv};
      const std::vector<T> before = all[only]->data;
      std::fill(all[only]->data.begin(), all[only]->data.end(), guard);
      backward.dq = only == 0 ? dq.template view<OptOut>() : absent<OptOut>();
      backward.dk = only == 1 ? dk.template view<OptOut>() : absent<OptOut>();
      backward.dv = only == 2 ? dv.template view<OptOut>() : absent<OptOut>();
      runOp(device, OpId::attentionBackward, backward);
      CHECK(sameBits(before, all[only]->data));
    }
    watchY.check(device, y.data);
    watchQ.check(device, dq.data);
    watchK.check(device, dk.data);
    watchV.check(device, dv.data);
  });
}

void both(const Shape& shape) {
  run<float>(shape);
  run<double>(shape);
}

TEST(sizesAroundBlocks) {
  for (int64_t n : {1, 2, 31, 33, 63, 64, 65, 130}) {
    both({1, 2, n, n, 7, 5});
    both({1, 2, n, n, 16, 32, true});
  }
}

TEST(queriesAndKeysOfDifferentNumbers) {
  for (bool causal : {false, true}) {
    both({2, 1, 5, 70, 8, 3, causal});
    both({2, 1, 70, 5, 3, 8, causal});
    both({1, 1, 3, 4097, 4, 4, causal});
    both({1, 1, 200, 131, 16, 16, causal});
  }
}

TEST(masks) {
  for (Mask mask : {Mask::boolean, Mask::additive}) {
    for (bool causal : {false, true}) {
      both({2, 2, 33, 65, 5, 7, causal, mask});
      both({1, 1, 130, 130, 16, 4, causal, mask, Heads::turned});
    }
  }
}

TEST(layouts) {
  for (Heads heads : {Heads::turned, Heads::repeated}) {
    both({2, 3, 66, 66, 32, 32, true, Mask::none, heads});
    both({3, 2, 9, 20, 5, 1, false, Mask::none, heads});
  }
}

TEST(longHeads) {
  both({1, 1, 3, 4, 130, 1});
  both({1, 1, 65, 66, 67, 257, true});
}

TEST(manyHeads) { both({70000, 1, 1, 2, 1, 1}); }

TEST(emptySizes) {
  for (const Shape& shape : {Shape{0, 2, 3, 3, 2, 2}, Shape{1, 2, 0, 3, 2, 2}, Shape{1, 2, 3, 0, 2, 2},
                             Shape{1, 2, 3, 3, 0, 2}, Shape{1, 2, 3, 3, 2, 0}, Shape{1, 1, 3, 0, 2, 2, true}}) {
    both(shape);
  }
}

// A query that sees nothing is NaN; its neighbours are not, and hidden pairs pass no gradient to q and k.
TEST(queryThatSeesNothing) {
  forEachDevice([&](DeviceImpl& device) {
    constexpr int64_t n = 3;
    std::vector<float> x = values<float>(n * 2, 1), y(6), lse(n), dq(6), dk(6), dv(6);
    std::vector<uint8_t> mask = {1, 1, 1, 0, 0, 0, 1, 0, 1};
    const auto in = [&](std::vector<float>& data) { return viewOf<In>(data.data(), DType::float32, {n, 2}); };
    const OptIn seen = viewOf<OptIn>(mask.data(), DType::boolean, {n, n});
    AttentionArgs forward{in(x),
                          in(x),
                          in(x),
                          seen,
                          viewOf<Out>(y.data(), DType::float32, {n, 2}),
                          viewOf<Out>(lse.data(), DType::float32, {n}),
                          1.0,
                          0};
    runOp(device, OpId::attention, forward);
    for (std::size_t i = 0; i < 6; ++i) CHECK(std::isnan(y[i]) == (i / 2 == 1));
    CHECK(lse[1] == -INFINITY);
    const auto out = [&](std::vector<float>& data) { return viewOf<OptOut>(data.data(), DType::float32, {n, 2}); };
    AttentionBackwardArgs backward{
        in(x),   in(x),   in(x),   in(x), seen, in(y), viewOf<In>(lse.data(), DType::float32, {n}),
        out(dq), out(dk), out(dv), 1.0,   0};
    runOp(device, OpId::attentionBackward, backward);
    for (std::size_t i = 0; i < 6; ++i) {
      CHECK(std::isnan(dv[i]));
      CHECK(!std::isnan(dk[i]));
      CHECK(std::isnan(dq[i]) == false);
    }
    CHECK(dq[2] == 0 && dq[3] == 0);
  });
}

}  // namespace
}  // namespace warploom::test
