// The gradients of attention (attention.cu), for each batch. Nothing of the forward pass is kept but y and lse: with
//   p = exp(score - lse), dp = g v^T, delta = g . y of a query, ds = p (dp - delta), 0 where hidden,
//   dq = scale ds k      dk = scale ds^T q      dv = p^T g
// (Dao et al., "FlashAttention", 2022, appendix B.4). Nothing passes between blocks and nothing is added atomically: dq
// and dk, dv have a kernel each, which computes the scores anew; a launch before them computes
// delta (attention_simple.cu).
//
// attentionQueries_f32_<columns>: a block owns 64 queries and up to 32, 64 or 128 columns of dq, and walks the keys.
// attentionKeys_f32_<columns>: a block owns 64 keys and up to so many columns of dk and dv, and walks the queries, from
// the first that sees one of its keys when causal.
// For what a warp and a thread own see attention_tile.cuh. Where there are more columns, several blocks compute the
// same scores.
#include "cuda/kernels/attention_tile.cuh"

namespace warploom::cuda {

// Exponentials of the scores, all of them to the weights. `lseOf` and `deltaOf` are given row and column of a thread's.
template <class LseOf>
__device__ inline void toWeights(const AttentionTile& tile, const float (&s)[kRows][kCols], LseOf lseOf) {
  const Seat seat;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kCols; ++c) tile.weight(seat, r, c) = expf(s[r][c] - lseOf(r, c));
  }
}
template <class DeltaOf>
__device__ inline void toSlopes(const AttentionTile& tile, const float (&dp)[kRows][kCols], uint32_t hidden,
                                DeltaOf deltaOf) {
  const Seat seat;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
      float& weight = tile.weight(seat, r, c);
      weight = (hidden >> (r * kCols + c) & 1) != 0 ? 0.0f : weight * (dp[r][c] - deltaOf(r, c));
    }
  }
}

template <int W, int kParts>
__device__ inline void storeParts(const AttentionTile& tile, const float (&sums)[kParts][kRows][W], float factor,
                                  float* batch, const AttentionLines& lines, int line0, int count, int64_t width,
                                  int column0) {
  float factors[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) factors[r] = factor;
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    tile.store<W>(sums[part], factors, batch + line0 * lines.stride, lines.stride, count - line0,
                  static_cast<int>(width), lines.vector != 0, column0 + part * W * kAcross);
  }
}

template <int W, int kParts>
__device__ inline void queriesBackward(const AttentionPlan& plan) {
  constexpr int kColumns = W * kAcross;
  __shared__ AttentionTile::Shared shared;
  AttentionTile tile(shared);
  const QueryBlock block(plan, plan.qkWidth, kColumns * kParts);
  const int queries = block.queries, query0 = block.query0, column0 = block.own.column0;
  const LineTile& q = block.q;
  const LineTile g = tileAt(block.place.in(plan.g), plan.g, query0, plan.queries, plan.vWidth);

  const Seat seat;
  float sums[kParts][kRows][W], lse[kRows], delta[kRows];
#pragma unroll
  for (int part = 0; part < kParts; ++part) setAll(sums[part], 0.0f);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int query = query0 + seat.row(r);
    const int64_t at = static_cast<int64_t>(block.own.batch) * queries + query;
    lse[r] = query < queries ? plan.lse[at] : 0.0f;
    delta[r] = query < queries ? plan.delta[at] : 0.0f;
  }

  tile.startLines(q, block.keysAt(0));
#pragma unroll 1
  for (int key0 = 0; key0 < block.keysEnd; key0 += kLines) {
    float s[kRows][kCols];
    tile.multiplyLines(s, q, block.keysAt(key0), [&] { tile.startLines(g, block.valuesAt(key0)); });
    const uint32_t hidden = tile.score(block.scores, s, query0, queries, key0, block.keys);
    toWeights(tile, s, [&](int r, int) { return lse[r]; });
    tile.multiplyLines(s, g, block.valuesAt(key0), [&] { tile.startColumns<W>(block.keysAt(key0), column0); });
    toSlopes(tile, s, hidden, [&](int r, int) { return delta[r]; });
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const int column = column0 + part * kColumns;
      tile.multiplyWeights<W>(sums[part], block.keysAt(key0), column, [&] {
        if (part + 1 < kParts) {
          tile.startColumns<W>(block.keysAt(key0), column + kColumns);
        } else if (key0 + kLines < block.keysEnd) {
          tile.startLines(q, block.keysAt(key0 + kLines));
        }
      });
    }
  }
  const BatchPlace<int> out(plan, afresh(block.own.batch));
  storeParts<W, kParts>(tile, sums, plan.scale, out.in(plan.dq), plan.dq, query0, queries, plan.qkWidth, column0);
}

template <int W, int kParts>
__device__ inline void keysBackward(const AttentionPlan& plan) {
  constexpr int kColumns = W * kAcross;
  __shared__ AttentionTile::Shared shared;
  AttentionTile tile(shared);
  const int queries = static_cast<int>(plan.queries), keys = static_cast<int>(plan.keys);
  const int width =
      static_cast<int>(max(plan.dk.data != nullptr ? plan.qkWidth : 0, plan.dv.data != nullptr ? plan.vWidth : 0));
  const BlockPlace own(keys, width, kColumns * kParts);
  const int batch = own.batch, column0 = own.column0, key0 = own.tile * kLines;
  const bool wantsK = plan.dk.data != nullptr && column0 < plan.qkWidth;
  const bool wantsV = plan.dv.data != nullptr && column0 < plan.vWidth;

  const BatchPlace<int> place(plan, batch);
  const Scores<true> scores(plan, place);
  const float *q = place.in(plan.q), *g = place.in(plan.g);
  const LineTile k = tileAt(place.in(plan.k), plan.k, key0, plan.keys, plan.qkWidth);
  const LineTile v = tileAt(place.in(plan.v), plan.v, key0, plan.keys, plan.vWidth);
  const auto queriesAt = [&](int query) { return tileAt(q, plan.q, query, plan.queries, plan.qkWidth); };
  const auto gradientsAt = [&](int query) { return tileAt(g, plan.g, query, plan.queries, plan.vWidth); };
  // Of a query of each of this thread's columns.
  const auto read = [&](const float* values, int query0, float(&to)[kCols]) {
    const Seat seat;
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
      const int query = query0 + seat.other(c);
      to[c] = query < queries ? values[static_cast<int64_t>(batch) * queries + query] : 0.0f;
    }
  };

  float sumsK[kParts][kRows][W], sumsV[kParts][kRows][W];
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    setAll(sumsK[part], 0.0f);
    setAll(sumsV[part], 0.0f);
  }
  int query0 = plan.causal ? key0 : 0;
  if (query0 < queries) tile.startLines(k, queriesAt(query0));
#pragma unroll 1
  for (; query0 < queries; query0 += kLines) {
    const auto startNext = [&] {
      if (query0 + kLines < queries) tile.startLines(k, queriesAt(query0 + kLines));
    };
    float s[kRows][kCols], ofQuery[kCols];
    tile.multiplyLines(s, k, queriesAt(query0), [&] {
      if (wantsV) {
        tile.startColumns<W>(gradientsAt(query0), column0);
      } else {
        tile.startLines(v, gradientsAt(query0));
      }
    });
    const uint32_t hidden = tile.score(scores, s, key0, keys, query0, queries);
    read(plan.lse, query0, ofQuery);
    toWeights(tile, s, [&](int, int c) { return ofQuery[c]; });
    if (wantsV) {
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        const int column = column0 + part * kColumns;
        tile.multiplyWeights<W>(sumsV[part], gradientsAt(query0), column, [&] {
          if (part + 1 < kParts) {
            tile.startColumns<W>(gradientsAt(query0), column + kColumns);
          } else if (wantsK) {
            tile.startLines(v, gradientsAt(query0));
          } else {
            startNext();
          }
        });
      }
    }
    if (!wantsK) continue;
    tile.multiplyLines(s, v, gradientsAt(query0), [&] { tile.startColumns<W>(queriesAt(query0), column0); });
    read(plan.delta, query0, ofQuery);
    toSlopes(tile, s, hidden, [&](int, int c) { return ofQuery[c]; });
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const int column = column0 + part * kColumns;
      tile.multiplyWeights<W>(sumsK[part], queriesAt(query0), column, [&] {
        if (part + 1 < kParts) {
          tile.startColumns<W>(queriesAt(query0), column + kColumns);
        } else {
          startNext();
        }
      });
    }
  }
  const BatchPlace<int> out(plan, afresh(batch));
  if (wantsK) {
    storeParts<W, kParts>(tile, sumsK, plan.scale, out.in(plan.dk), plan.dk, key0, keys, plan.qkWidth, column0);
  }
  if (wantsV) {
    storeParts<W, kParts>(tile, sumsV, 1.0f, out.in(plan.dv), plan.dv, key0, keys, plan.vWidth, column0);
  }
}

}  // namespace warploom::cuda

using namespace warploom::cuda;

#define WL_ATTENTION_BACKWARD(columns, blocks, ...)              \
  extern "C" __global__ void __launch_bounds__(kThreads, blocks) \
      attentionQueries_f32_##columns(const AttentionPlan plan) { \
    queriesBackward<__VA_ARGS__>(plan);                          \
  }                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads, blocks) \
      attentionKeys_f32_##columns(const AttentionPlan plan) {    \
    keysBackward<__VA_ARGS__>(plan);                             \
  }
WL_ATTENTION_BACKWARD(32, 3, 2, 1)
WL_ATTENTION_BACKWARD(64, 2, 4, 1)
WL_ATTENTION_BACKWARD(128, 2, 4, 2)
