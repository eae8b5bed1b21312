// The gradient of attention: the weights are computed again from the saved log-sum-exp, block by block (Dao et al.,
// "FlashAttention", 2022).
//
// A unit of work is a group of key blocks of one head. It takes its key blocks in order, each against all query blocks
// in order: dk and dv of a key block are complete at its end, and dq of the head is added up in a buffer. Heads are
// split into groups where there are few of them; then each group has a buffer of its own, and a second pass adds them
// in order. Groups depend on shapes alone. Scores lie [query][key], so queries, keys and gradients are read where they
// are.
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/attention_backward.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/attention_tile.h"
#include "cpu/narrow_float64.h"

namespace attentions {

// Units that keep as many threads busy as a machine is likely to have, without a buffer for every key block.
constexpr int64_t kUnits = 16;

struct BackwardPlan {
  int batchRank;
  int64_t L, S, E, D;
  int64_t ePadded, dPadded;
  int64_t batches, keyBlocks, groups, groupBlocks;
  MaskKind mask;
  bool scores;  // dq or dk is wanted
};

static BackwardPlan backwardPlan(const AttentionBackwardArgs& args, int64_t lanes) {
  BackwardPlan p = {};
  p.batchRank = args.q.rank - 2;
  p.L = args.q.sizes[p.batchRank];
  p.E = args.q.sizes[p.batchRank + 1];
  p.S = args.k.sizes[p.batchRank];
  p.D = args.v.sizes[p.batchRank + 1];
  p.ePadded = roundUp(p.E, lanes);
  p.dPadded = roundUp(p.D, lanes);
  p.batches = batchesOf(args.q, p.batchRank);
  p.keyBlocks = ceilDiv(p.S, kBlock);
  const int64_t wanted = maxOf(1, minOf(p.keyBlocks, ceilDiv(kUnits, maxOf(1, p.batches))));
  p.groupBlocks = maxOf(1, ceilDiv(p.keyBlocks, wanted));
  p.groups = maxOf(1, ceilDiv(p.keyBlocks, p.groupBlocks));
  p.mask = maskKindOf(args.mask);
  p.scores = args.dq.present() || args.dk.present();
  return p;
}

template <class T>
struct BackwardScratch {
  T *keys, *values, *weights, *gradients, *mask, *dk, *dv, *keyRows, *queryRows, *gRows, *delta, *dq;
  int64_t bytes;
  BackwardScratch(const BackwardPlan& p, char* base) {
    Carver carver = {base, 0};
    const bool eTail = p.E != p.ePadded, dTail = p.D != p.dPadded;
    keys = carver.take<T>(p.E * kBlock);
    values = carver.take<T>(p.D * kBlock);
    weights = carver.take<T>(kBlock * kBlock);
    gradients = carver.take<T>(kBlock * kBlock);
    mask = carver.take<T>(p.mask == MaskKind::none ? 0 : kBlock * kBlock);
    dk = carver.take<T>(kBlock * p.ePadded);
    dv = carver.take<T>(kBlock * p.dPadded);
    keyRows = carver.take<T>(eTail ? kBlock * p.ePadded : 0);
    queryRows = carver.take<T>(eTail ? kBlock * p.ePadded : 0);
    gRows = carver.take<T>(dTail ? kBlock * p.dPadded : 0);
    delta = carver.take<T>(p.L);
    dq = carver.take<T>(p.groups == 1 ? p.L * p.ePadded : 0);
    bytes = carver.used;
  }
};

// The groups' own sums of dq lie behind the lanes' scratch.
template <class T>
static int64_t groupBytes(const BackwardPlan& p) {
  return p.groups == 1 ? 0 : p.L * p.ePadded * static_cast<int64_t>(sizeof(T));
}

// delta(i) = g(i) . y(i).
template <class T>
static void rowProducts(int64_t rows, int64_t length, const T* g, int64_t gStride, const T* y, int64_t yStride,
                        T* delta) {
  for (int64_t i = 0; i < rows; ++i) {
    VectorOf<T> sum{};
    for (int64_t d = 0; d < length; d += kLanes<T>) {
      sum = vfma(gemm::loadPart(g + i * gStride + d, length - d), gemm::loadPart(y + i * yStride + d, length - d), sum);
    }
    delta[i] = vsumAcross<T>(sum);
  }
}

// From products q . k and g . v of rows [begin, end) and one vector of keys: the weights and the gradients of the
// scores, in place. Row i sees the keys of lanes below seen + i; all where that is `lanes` or more.
template <class T, MaskKind MASK>
static void scoreGradients(T* weights, T* gradients, const T* mask, int64_t ld, int64_t begin, int64_t end,
                           int64_t seen, T scale, const T* lse, const T* delta, bool wanted) {
  using V = VectorOf<T>;
  const V factor = vset(scale);
  for (int64_t i = begin; i < end; ++i) {
    typename Vector<T>::mask hidden{};
    V score = finishScores<T, MASK>(vload(weights + i * ld), factor, mask + i * ld, hidden);
    if (seen + i < kLanes<T>) {
      const auto ahead = viota<T>() >= vset(static_cast<T>(seen + i));
      score = ahead ? vset(-static_cast<T>(__builtin_inf())) : score;
      hidden |= ahead;
    }
    const V weight = vexp(score - vset(lse[i]));
    vstore(weights + i * ld, weight);
    if (wanted) {
      const V gradient = weight * (vload(gradients + i * ld) - vset(delta[i])) * factor;
      vstore(gradients + i * ld, hidden ? V{} : gradient);
    }
  }
}

template <class T>
static void storeRows(const T* from, int64_t ld, int64_t rows, int64_t length, T* to, int64_t toStride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t e = 0; e < length; e += kLanes<T>) {
      gemm::storePart(to + i * toStride + e, vload(from + i * ld + e), length - e);
    }
  }
}

// A gradient's rows [row, row + kBlock), of which it has `rows`, are about to be written.
template <class T>
static WL_INLINE void fetchOutputs(const BackwardPlan& p, const View& gradient, int64_t batch, int64_t row,
                                   int64_t rows) {
  if (!gradient.present()) return;
  const int64_t stride = gradient.strides[p.batchRank];
  fetchRows<true>(atBatch<const T>(gradient, p.batchRank, batch) + row * stride, stride, minOf(kBlock, rows - row),
                  gradient.sizes[p.batchRank + 1]);
}

template <class T>
static void clear(T* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes<T>) vstore(to + i, VectorOf<T>{});
}

// One head's operands, rows first.
template <class T>
struct Head {
  const T *g, *q, *k, *v, *y, *lse;
  int64_t gStride, qStride, kStride, vStride, yStride;
  Head(const BackwardPlan& p, const AttentionBackwardArgs& args, int64_t batch)
      : g(atBatch<const T>(args.g, p.batchRank, batch)),
        q(atBatch<const T>(args.q, p.batchRank, batch)),
        k(atBatch<const T>(args.k, p.batchRank, batch)),
        v(atBatch<const T>(args.v, p.batchRank, batch)),
        y(atBatch<const T>(args.y, p.batchRank, batch)),
        lse(args.lse.as<const T>() + batch * p.L),
        gStride(args.g.strides[p.batchRank]),
        qStride(args.q.strides[p.batchRank]),
        kStride(args.k.strides[p.batchRank]),
        vStride(args.v.strides[p.batchRank]),
        yStride(args.y.strides[p.batchRank]) {}
};

// A block of keys against a block of queries: adds to dk, dv and dq. Between its products the first rows of the head
// `next` (or null) are fetched.
template <class T, MaskKind MASK>
static void blockPair(const BackwardPlan& p, const AttentionBackwardArgs& args, const BackwardScratch<T>& s,
                      const Head<T>& h, int64_t batch, int64_t j0, int64_t keys, const PaddedRows<T>& keyRows,
                      int64_t i0, T* dq, bool first, const Head<T>* next) {
  constexpr int64_t lanes = kLanes<T>;
  const int64_t rows = minOf(kBlock, p.L - i0);
  const int64_t width = roundUp(keys, lanes);
  const bool diagonal = args.causal != 0 && j0 + keys > i0 + 1;
  const T scale = p.E == 0 ? T(0) : static_cast<T>(args.scale);
  if (MASK != MaskKind::none) {
    copyMask<T>(args.mask, batch, i0, args.mask.strides[p.batchRank], rows, j0, args.mask.strides[p.batchRank + 1],
                keys, s.mask, width);
  }
  const T* q = h.q + i0 * h.qStride;
  const T* g = h.g + i0 * h.gStride;
  const int64_t step = diagonal ? lanes : 2 * lanes;
  const int64_t nextRows = minOf(kBlock, p.L), nextKeys = minOf(kBlock, p.S);
  if (next) fetchRows<false>(next->k, next->kStride, nextKeys, p.E);
  for (int64_t c = 0; c < width; c += step) {
    const int64_t strip = minOf(step, width - c);
    // The first query that sees a key of this strip.
    const int64_t begin = diagonal ? minOf(rows, maxOf(0, j0 + c - i0)) : 0;
    product<T, Run::down>(rows - begin, strip / lanes, p.E, q + begin * h.qStride, h.qStride, s.keys + c, width,
                          s.weights + begin * width + c, width, false);
    if (p.scores) {
      product<T, Run::down>(rows - begin, strip / lanes, p.D, g + begin * h.gStride, h.gStride, s.values + c, width,
                            s.gradients + begin * width + c, width, false);
    }
    for (int64_t at = c; at < c + strip; at += lanes) {
      scoreGradients<T, MASK>(s.weights + at, s.gradients + at, s.mask + at, width, begin, rows,
                              diagonal ? i0 + 1 - j0 - at : lanes, scale, h.lse + i0, s.delta + i0, p.scores);
      // A panel of keys that ends in this vector may begin before it, and then sums over queries before `begin`.
      for (int64_t i = maxOf(0, begin - kPanel); i < begin; ++i) {
        vstore(s.weights + i * width + at, VectorOf<T>{});
        if (p.scores) vstore(s.gradients + i * width + at, VectorOf<T>{});
      }
    }
  }
  if (next) fetchRows<false>(next->v, next->vStride, nextKeys, p.D);
  const Band below = diagonal ? Band{Band::from, j0 - i0} : Band{Band::all, 0};
  if (args.dv.present()) {
    const PaddedRows<T> gRows = padRows<T>(g, h.gStride, rows, p.D, s.gRows);
    product<T, Run::across>(keys, p.dPadded / lanes, rows, s.weights, width, gRows.data, gRows.ld, s.dv, p.dPadded,
                            !first, below);
  }
  if (next) fetchRows<false>(next->g, next->gStride, nextRows, p.D);
  if (args.dk.present()) {
    const PaddedRows<T> queryRows = padRows<T>(q, h.qStride, rows, p.E, s.queryRows);
    product<T, Run::across>(keys, p.ePadded / lanes, rows, s.gradients, width, queryRows.data, queryRows.ld, s.dk,
                            p.ePadded, !first, below);
  }
  if (next) fetchRows<false>(next->q, next->qStride, nextRows, p.E);
  if (args.dq.present()) {
    const Band above = diagonal ? Band{Band::to, i0 - j0} : Band{Band::all, 0};
    product<T, Run::down>(rows, p.ePadded / lanes, keys, s.gradients, width, keyRows.data, keyRows.ld,
                          dq + i0 * p.ePadded, p.ePadded, true, above);
  }
  if (next) fetchRows<false>(next->y, next->yStride, nextRows, p.D);
}

template <class T, MaskKind MASK>
static void backwardUnit(const BackwardPlan& p, const AttentionBackwardArgs& args, int64_t unit, char* base,
                         char* groupSums) {
  const BackwardScratch<T> s(p, base);
  const int64_t batch = unit / p.groups;
  const int64_t group = unit % p.groups;
  const Head<T> h(p, args, batch);
  T* dq = p.groups == 1 ? s.dq : reinterpret_cast<T*>(groupSums + unit * groupBytes<T>(p));
  if (args.dq.present()) clear(dq, p.L * p.ePadded);
  if (p.scores) rowProducts<T>(p.L, p.D, h.g, h.gStride, h.y, h.yStride, s.delta);
  const Head<T> next(p, args, minOf(batch + 1, p.batches - 1));
  const int64_t keyEnd = minOf(p.S, (group + 1) * p.groupBlocks * kBlock);
  for (int64_t j0 = group * p.groupBlocks * kBlock; j0 < keyEnd; j0 += kBlock) {
    const int64_t keys = minOf(kBlock, p.S - j0);
    const int64_t width = roundUp(keys, kLanes<T>);
    const T* k = h.k + j0 * h.kStride;
    gemm::packPanel<T>(s.keys, width, keys, p.E, k, h.kStride, 1);
    gemm::packPanel<T>(s.values, width, keys, p.D, h.v + j0 * h.vStride, h.vStride, 1);
    const PaddedRows<T> keyRows = padRows<T>(k, h.kStride, keys, p.E, s.keyRows);
    fetchOutputs<T>(p, args.dk, batch, j0, p.S);
    fetchOutputs<T>(p, args.dv, batch, j0, p.S);
    fetchOutputs<T>(p, args.dq, batch, j0, p.L);
    const int64_t start = args.causal ? j0 : 0;  // queries before it see none of these keys
    if (start >= p.L) {
      clear(s.dk, keys * p.ePadded);
      clear(s.dv, keys * p.dPadded);
    }
    for (int64_t i0 = start; i0 < p.L; i0 += kBlock) {
      blockPair<T, MASK>(p, args, s, h, batch, j0, keys, keyRows, i0, dq, i0 == start,
                         i0 + kBlock >= p.L && j0 + kBlock >= keyEnd ? &next : nullptr);
    }
    if (args.dk.present()) {
      storeRows<T>(s.dk, p.ePadded, keys, p.E,
                   atBatch<T>(args.dk, p.batchRank, batch) + j0 * args.dk.strides[p.batchRank],
                   args.dk.strides[p.batchRank]);
    }
    if (args.dv.present()) {
      storeRows<T>(s.dv, p.dPadded, keys, p.D,
                   atBatch<T>(args.dv, p.batchRank, batch) + j0 * args.dv.strides[p.batchRank],
                   args.dv.strides[p.batchRank]);
    }
  }
  if (args.dq.present() && p.groups == 1) {
    storeRows<T>(dq, p.ePadded, p.L, p.E, atBatch<T>(args.dq, p.batchRank, batch), args.dq.strides[p.batchRank]);
  }
}

// dq = the sums of a head's groups, in order.
template <class T>
static void addGroups(const BackwardPlan& p, const AttentionBackwardArgs& args, const char* groupSums,
                      Context& context) {
  const int64_t stride = args.dq.strides[p.batchRank];
  context.parallel(
      p.batches * p.L, maxOf(1, (int64_t{1} << 14) / maxOf(1, p.E * p.groups)), [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t batch = row / p.L, i = row % p.L;
          const T* from = reinterpret_cast<const T*>(groupSums + batch * p.groups * groupBytes<T>(p)) + i * p.ePadded;
          T* to = atBatch<T>(args.dq, p.batchRank, batch) + i * stride;
          for (int64_t e = 0; e < p.E; e += kLanes<T>) {
            VectorOf<T> sum = vload(from + e);
            for (int64_t group = 1; group < p.groups; ++group) sum += vload(from + group * p.L * p.ePadded + e);
            gemm::storePart(to + e, sum, p.E - e);
          }
        }
      });
}

template <class T>
static void backwardAll(const AttentionBackwardArgs& args, Context& context) {
  const BackwardPlan p = backwardPlan(args, kLanes<T>);
  const int64_t perLane = BackwardScratch<T>(p, nullptr).bytes;
  char* scratch = static_cast<char*>(context.scratch());
  char* groupSums = scratch + context.lanes() * perLane;
  const auto run = p.mask == MaskKind::none      ? backwardUnit<T, MaskKind::none>
                   : p.mask == MaskKind::boolean ? backwardUnit<T, MaskKind::boolean>
                                                 : backwardUnit<T, MaskKind::additive>;
  const int64_t each = maxOf(1, p.L) * minOf(p.groupBlocks * kBlock, maxOf(1, p.S)) * (p.E + p.D + 1);
  context.parallel(p.batches * p.groups, maxOf(1, kGrainWork / each), [&](int64_t begin, int64_t end, int lane) {
    for (int64_t unit = begin; unit < end && !context.cancelled(); ++unit) {
      run(p, args, unit, scratch + lane * perLane, groupSums);
    }
  });
  if (args.dq.present() && p.groups > 1) addGroups<T>(p, args, groupSums, context);
}

template <class T>
static int64_t backwardScratch(const AttentionBackwardArgs& args, int lanes) {
  const BackwardPlan p = backwardPlan(args, kLanes<T>);
  return lanes * BackwardScratch<T>(p, nullptr).bytes + p.batches * p.groups * groupBytes<T>(p);
}

}  // namespace attentions

namespace ops {

int64_t attentionBackwardScratch(const AttentionBackwardArgs& args, int lanes) {
  const auto bytes = [&](auto zero) { return attentions::backwardScratch<decltype(zero)>(args, lanes); };
  return withFloat(args.q.dtype, bytes, WL_FLOAT64_ISA::ops::attentionBackwardScratch, args, lanes);
}

void attentionBackward(const AttentionBackwardArgs& args, Context& context) {
  if (!checkFloats(context, "attentionBackward", args.g, args.q, args.k, args.v, args.y, args.lse, args.dq, args.dk,
                   args.dv)) {
    return;
  }
  const auto run = [&](auto zero) { attentions::backwardAll<decltype(zero)>(args, context); };
  withFloat(args.q.dtype, run, WL_FLOAT64_ISA::ops::attentionBackward, args, context);
}

}  // namespace ops

#endif
