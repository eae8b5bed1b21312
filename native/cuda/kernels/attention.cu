// Attention: y [L, D] = softmax(scale q [L, E] k [S, E]^T + mask) v [S, D] and lse [L] = log sum exp of the scores, for
// each batch, without the L x S scores in memory.
//
// attention_f32_<columns>: a block owns 64 queries and up to 32, 64 or 128 columns of v (wider v: several blocks, which
// compute the same scores); a warp 16 queries, a thread 8 queries and, of every 64 keys, 4. The block walks the keys in
// order, 64 at a time: scores, their exponentials against the largest so far (in shared memory), and these times v, to
// which what was summed so far is scaled down whenever a larger score turns up. Online softmax: Milakov and Gimelshein
// 2018; as attention: Dao et al., "FlashAttention" (2022), and Dao, "FlashAttention-2" (2023). Keys beyond the last
// query are skipped when causal. attention_simple.cu has the kernels for readers.
#include "cuda/kernels/attention_tile.cuh"

namespace warploom::cuda {

struct MaxOf {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }  // a NaN shows in the sum
};
struct SumOf {
  __device__ float operator()(float a, float b) const { return a + b; }
};

template <int W, int kParts>
__device__ inline void attention(const AttentionPlan& plan) {
  constexpr int kColumns = W * kAcross;  // of a part
  __shared__ AttentionTile::Shared shared;
  AttentionTile tile(shared);

  const QueryBlock block(plan, plan.vWidth, kColumns * kParts);
  const int queries = block.queries, query0 = block.query0, column0 = block.own.column0;
  const LineTile& q = block.q;

  float total[kParts][kRows][W], top[kRows], sum[kRows];
#pragma unroll
  for (int part = 0; part < kParts; ++part) setAll(total[part], 0.0f);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    top[r] = lowest();
    sum[r] = 0.0f;  // of this thread's keys
  }

  tile.startLines(q, block.keysAt(0));
#pragma unroll 1
  for (int key0 = 0; key0 < block.keysEnd; key0 += kLines) {
    const LineTile values = block.valuesAt(key0);
    float s[kRows][kCols];
    tile.multiplyLines(s, q, block.keysAt(key0), [&] { tile.startColumns<W>(values, column0); });

    tile.score(block.scores, s, query0, queries, key0, block.keys);
    const Seat seat;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float most = top[r];
#pragma unroll
      for (int c = 0; c < kCols; ++c) most = fmaxf(most, s[r][c]);
      most = joinAcross(most, MaxOf());
      const float base = most == lowest() ? 0.0f : most;
      const float scale = top[r] == most ? 1.0f : expf(top[r] - base);
      float added = 0.0f;
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        const float weight = expf(s[r][c] - base);
        tile.weight(seat, r, c) = weight;
        added = added + weight;
      }
      sum[r] = fmaf(sum[r], scale, added);
      top[r] = most;
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
#pragma unroll
        for (int c = 0; c < W; ++c) total[part][r][c] = total[part][r][c] * scale;
      }
    }

#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const int column = column0 + part * kColumns;
      tile.multiplyWeights<W>(total[part], values, column, [&] {
        if (part + 1 < kParts) {
          tile.startColumns<W>(values, column + kColumns);
        } else if (key0 + kLines < block.keysEnd) {
          tile.startLines(q, block.keysAt(key0 + kLines));
        }
      });
    }
  }

  const Seat seat;
  float* lse = plan.lse + static_cast<int64_t>(block.own.batch) * queries + query0;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    sum[r] = joinAcross(sum[r], SumOf());
    if (column0 == 0 && seat.across == 0 && seat.row(r) < queries - query0) lse[seat.row(r)] = top[r] + logf(sum[r]);
    sum[r] = 1.0f / sum[r];
  }
  float* y = BatchPlace<int>(plan, afresh(block.own.batch)).in(plan.y) + query0 * plan.y.stride;
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    tile.store<W>(total[part], sum, y, plan.y.stride, queries - query0, static_cast<int>(plan.vWidth),
                  plan.y.vector != 0, column0 + part * kColumns);
  }
}

}  // namespace warploom::cuda

using namespace warploom::cuda;

extern "C" __global__ void __launch_bounds__(kThreads, 3) attention_f32_32(const AttentionPlan plan) {
  attention<2, 1>(plan);
}
extern "C" __global__ void __launch_bounds__(kThreads, 3) attention_f32_64(const AttentionPlan plan) {
  attention<4, 1>(plan);
}
extern "C" __global__ void __launch_bounds__(kThreads, 2) attention_f32_128(const AttentionPlan plan) {
  attention<4, 2>(plan);
}
