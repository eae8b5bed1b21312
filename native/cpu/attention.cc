// Attention in one pass over the keys: a block of scores is formed, its exponentials are summed against a running
// maximum, and what was summed before is rescaled when the maximum grows (Dao et al., "FlashAttention", 2022).
//
// A unit of work is one block of queries of one head. Scores lie transposed, [key][query]: maximum and sum of a query
// run down a lane, and keys and values are read where they are.
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/attention.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/attention_tile.h"
#include "cpu/narrow_float64.h"

namespace attentions {

struct ForwardPlan {
  int batchRank;
  int64_t L, S, E, D;
  int64_t dPadded;
  int64_t batches, queryBlocks;
  MaskKind mask;
};

static ForwardPlan forwardPlan(const AttentionArgs& args, int64_t lanes) {
  ForwardPlan p = {};
  p.batchRank = args.q.rank - 2;
  p.L = args.q.sizes[p.batchRank];
  p.E = args.q.sizes[p.batchRank + 1];
  p.S = args.k.sizes[p.batchRank];
  p.D = args.v.sizes[p.batchRank + 1];
  p.dPadded = roundUp(p.D, lanes);
  p.batches = batchesOf(args.q, p.batchRank);
  p.queryBlocks = ceilDiv(p.L, kBlock);
  p.mask = maskKindOf(args.mask);
  return p;
}

// What a lane works in: blocks as above, and of each query the greatest score, the sum and the factor of rescaling.
template <class T>
struct ForwardScratch {
  T *queries, *scores, *sums, *values, *mask, *greatest, *total, *rescale;
  int64_t bytes;
  ForwardScratch(const ForwardPlan& p, char* base) {
    Carver carver = {base, 0};
    queries = carver.take<T>(p.E * kBlock);
    scores = carver.take<T>(kBlock * kBlock);
    sums = carver.take<T>(kBlock * p.dPadded);
    values = carver.take<T>(p.D % kLanes<T> == 0 ? 0 : kBlock * p.dPadded);
    mask = carver.take<T>(p.mask == MaskKind::none ? 0 : kBlock * kBlock);
    greatest = carver.take<T>(kBlock);
    total = carver.take<T>(kBlock);
    rescale = carver.take<T>(kBlock);
    bytes = carver.used;
  }
};

// Turns the scores of `n` keys for one vector of queries into exponentials, in place. `seen`: of query lane l the keys
// below seen + l take part; all when it is n.
template <class T, MaskKind MASK>
static void exponentials(T* scores, const T* mask, int64_t ld, int64_t n, int64_t seen, VectorOf<T> scale, T* greatest,
                         T* total, T* rescale) {
  using V = VectorOf<T>;
  const V lowest = vset(-static_cast<T>(__builtin_inf()));
  const V before = vload(greatest);
  V best = before;
  for (int64_t j = 0; j < n; ++j) {
    typename Vector<T>::mask hidden;
    V score = finishScores<T, MASK>(vload(scores + j * ld), scale, mask + j * ld, hidden);
    if (j >= seen) score = viota<T>() < vset(static_cast<T>(j - seen + 1)) ? lowest : score;
    vstore(scores + j * ld, score);
    best = vmax(best, score);
  }
  // While nothing is seen the shift is 0: no sum of -infinity and infinity.
  const V shift = best == lowest ? V{} : best;
  V sum{};
  for (int64_t j = 0; j < n; ++j) {
    const V e = vexp(vload(scores + j * ld) - shift);
    vstore(scores + j * ld, e);
    sum += e;
  }
  const V factor = vexp(before - shift);
  vstore(total, vload(total) * factor + sum);
  vstore(rescale, factor);
  vstore(greatest, best);
}

template <class T, MaskKind MASK>
static void forwardUnit(const ForwardPlan& p, const AttentionArgs& args, int64_t unit, char* base) {
  using V = VectorOf<T>;
  constexpr int64_t lanes = kLanes<T>;
  const ForwardScratch<T> s(p, base);
  const int64_t batch = unit / p.queryBlocks;
  const int64_t i0 = unit % p.queryBlocks * kBlock;
  const int64_t rows = minOf(kBlock, p.L - i0);
  const int64_t width = roundUp(rows, lanes);
  const int64_t vectors = p.dPadded / lanes;
  const bool causal = args.causal != 0;
  const V scale = vset(p.E == 0 ? T(0) : static_cast<T>(args.scale));
  const int64_t qStride = args.q.strides[p.batchRank], kStride = args.k.strides[p.batchRank];
  const T* q = atBatch<const T>(args.q, p.batchRank, batch) + i0 * qStride;
  const T* k = atBatch<const T>(args.k, p.batchRank, batch);
  const T* v = atBatch<const T>(args.v, p.batchRank, batch);
  const int64_t vStride = args.v.strides[p.batchRank];
  gemm::packPanel<T>(s.queries, width, rows, p.E, q, qStride, 1);
  for (int64_t i = 0; i < width; i += lanes) {
    vstore(s.greatest + i, vset(-static_cast<T>(__builtin_inf())));
    vstore(s.total + i, V{});
  }
  const int64_t keyEnd = causal ? minOf(p.S, i0 + rows) : p.S;
  const int64_t yStride = args.y.strides[p.batchRank];
  T* y = atBatch<T>(args.y, p.batchRank, batch) + i0 * yStride;
  fetchRows<true>(y, yStride, rows, p.D);
  // The next head's operands, unless this head has more queries.
  const int64_t next = i0 + rows < p.L ? batch : minOf(batch + 1, p.batches - 1);
  for (int64_t j0 = 0; j0 < keyEnd; j0 += kBlock) {
    const int64_t keys = minOf(kBlock, keyEnd - j0);
    const bool diagonal = causal && j0 + keys > i0;
    if (MASK != MaskKind::none) {
      copyMask<T>(args.mask, batch, j0, args.mask.strides[p.batchRank + 1], keys, i0, args.mask.strides[p.batchRank],
                  rows, s.mask, width);
    }
    const bool fetches = next != batch && j0 + keys >= keyEnd;
    if (fetches) {
      fetchRows<false>(atBatch<const T>(args.k, p.batchRank, next), kStride, minOf(kBlock, p.S), p.E);
      fetchRows<false>(atBatch<const T>(args.q, p.batchRank, next), qStride, minOf(kBlock, p.L), p.E);
    }
    const int64_t step = diagonal ? lanes : 2 * lanes;
    for (int64_t c = 0; c < width; c += step) {
      const int64_t n = diagonal ? minOf(keys, i0 + c + lanes - j0) : keys;
      const int64_t strip = minOf(step, width - c);
      product<T, Run::down>(n, strip / lanes, p.E, k + j0 * kStride, kStride, s.queries + c, width, s.scores + c, width,
                            false);
      for (int64_t at = c; at < c + strip; at += lanes) {
        exponentials<T, MASK>(s.scores + at, s.mask + at, width, n, diagonal ? i0 + at - j0 + 1 : n, scale,
                              s.greatest + at, s.total + at, s.rescale + at);
        // A panel of queries that begins in this vector may end behind it, and then sums over keys behind n.
        for (int64_t j = n; j < minOf(keys, n + kPanel); ++j) vstore(s.scores + j * width + at, V{});
      }
    }
    if (j0 > 0) {
      for (int64_t i = 0; i < rows; ++i) {
        const V factor = vset(s.rescale[i]);
        for (int64_t d = 0; d < p.dPadded; d += lanes) {
          vstore(s.sums + i * p.dPadded + d, vload(s.sums + i * p.dPadded + d) * factor);
        }
      }
    }
    if (fetches) fetchRows<false>(atBatch<const T>(args.v, p.batchRank, next), vStride, minOf(kBlock, p.S), p.D);
    const PaddedRows<T> values = padRows<T>(v + j0 * vStride, vStride, keys, p.D, s.values);
    const Band band = diagonal ? Band{Band::to, i0 - j0} : Band{Band::all, 0};
    product<T, Run::across>(rows, vectors, keys, s.scores, width, values.data, values.ld, s.sums, p.dPadded, j0 > 0,
                            band);
  }
  T* lse = args.lse.as<T>() + batch * p.L + i0;
  for (int64_t i = 0; i < width; i += lanes) {
    const V best = vload(s.greatest + i);
    const V sum = vload(s.total + i);
    const V shift = best == vset(-static_cast<T>(__builtin_inf())) ? V{} : best;
    gemm::storePart(lse + i, shift + vlog(sum), rows - i);
    vstore(s.rescale + i, T(1) / sum);
  }
  for (int64_t i = 0; i < rows; ++i) {
    const V factor = vset(s.rescale[i]);
    for (int64_t d = 0; d < p.D; d += lanes) {
      const V value = p.S == 0 ? V{} : vload(s.sums + i * p.dPadded + d) * factor;
      gemm::storePart(y + i * yStride + d, value, p.D - d);
    }
  }
}

template <class T>
static void forwardAll(const AttentionArgs& args, Context& context) {
  const ForwardPlan p = forwardPlan(args, kLanes<T>);
  const int64_t perLane = ForwardScratch<T>(p, nullptr).bytes;
  const auto run = p.mask == MaskKind::none      ? forwardUnit<T, MaskKind::none>
                   : p.mask == MaskKind::boolean ? forwardUnit<T, MaskKind::boolean>
                                                 : forwardUnit<T, MaskKind::additive>;
  const int64_t each = minOf(kBlock, p.L) * maxOf(1, p.S) * (p.E + p.D + 1);
  context.parallel(p.batches * p.queryBlocks, maxOf(1, kGrainWork / maxOf(1, each)),
                   [&](int64_t begin, int64_t end, int lane) {
                     for (int64_t unit = begin; unit < end && !context.cancelled(); ++unit) {
                       run(p, args, unit, static_cast<char*>(context.scratch()) + lane * perLane);
                     }
                   });
}

template <class T>
static int64_t forwardScratch(const AttentionArgs& args, int lanes) {
  return lanes * ForwardScratch<T>(forwardPlan(args, kLanes<T>), nullptr).bytes;
}

}  // namespace attentions

namespace ops {

int64_t attentionScratch(const AttentionArgs& args, int lanes) {
  const auto bytes = [&](auto zero) { return attentions::forwardScratch<decltype(zero)>(args, lanes); };
  return withFloat(args.q.dtype, bytes, WL_FLOAT64_ISA::ops::attentionScratch, args, lanes);
}

void attention(const AttentionArgs& args, Context& context) {
  if (!checkFloats(context, "attention", args.q, args.k, args.v, args.y, args.lse)) return;
  const auto run = [&](auto zero) { attentions::forwardAll<decltype(zero)>(args, context); };
  withFloat(args.q.dtype, run, WL_FLOAT64_ISA::ops::attention, args, context);
}

}  // namespace ops

#endif
