// The gradient of a convolution's weights and bias: dw[o, c, kh, kw] sums g x over images and output positions. x is
// copied into padded planes (gemm/correlate.h), where the positions of one tap are runs of memory, and g is transposed
// so that output channels fill the vectors; with few taps both stay as they are (conv_weight_direct.h). Images are cut
// into chunks by shape; each chunk has a partial sum of its own, and those are added in order.
#ifndef WL_ISA
#include "cpu/operands.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/conv2d_weight.cc"
#include "cpu/foreach_isa.h"
#else
// clang-format off
#include "cpu/gemm/gemm.h"
#include "cpu/register_tile.h"
#include "cpu/conv_weight_direct.h"
#include "cpu/narrow_float64.h"
// clang-format on

namespace {

using gemm::ceilDiv;
using gemm::kChain;
using gemm::kTileCols;
using gemm::maxOf;
using gemm::minOf;
using gemm::roundUp;

constexpr int64_t kGrainWork = int64_t{1} << 18;    // multiply-adds worth a hand-off
constexpr int64_t kStripBudget = int64_t{1} << 16;  // elements of g, and of planes, that a lane holds at once
constexpr int64_t kPartialBudget = int64_t{1}
                                   << 22;  // elements of all partial sums, where more than one chunk is wanted
constexpr int64_t kUnits = 32;             // shares of work aimed at
constexpr int64_t kTapsOfShare = 192;      // rows of dw^T that make repacking g worth it

// Taps are summed in runs, which read neighbours in the planes: a row of the window where neither stride nor dilation
// parts them. Accumulators of all taps and a pointer for each run must fit the registers.
constexpr int kAccumulators = WL_ISA_LEVEL == 2 ? 28 : 12;
constexpr int kMaxPointers = 8;
constexpr int maxRuns(int run, int vectors) {
  const int fit = kAccumulators / (run * vectors);
  return fit < 1 ? 1 : fit < kMaxPointers ? fit : kMaxPointers;
}

struct Plan {
  gemm::Planes planes;
  int64_t images, groups;
  int64_t outputs, padded;  // output channels of a group, and rounded up to whole vectors
  int64_t outH, outW;
  int64_t kernelH, kernelW, taps;  // taps of one channel
  int64_t strideH, strideW, dilationH, dilationW;
  int64_t stripRows;
  int64_t channelBlock, channelBlocks;
  int64_t chunkImages, chunks;
  int64_t run;  // taps of a run: 1, 3 or 5
  bool direct;  // lanes along rows: few taps
  // Elements of one chunk's sums: [groups][channels * taps][padded], then the bias's [groups][padded]; direct ones are
  // [groups][outputs][channels * taps][lanes] and [groups][outputs][lanes].
  int64_t partial;
  int64_t biasAt;  // where the bias's begin
  int64_t allTaps() const { return planes.channels * taps; }
};

template <class T>
Plan makePlan(const Conv2dBackwardWeightArgs& args) {
  Plan p = {};
  p.images = args.g.sizes[0];
  p.groups = args.groups;
  p.outputs = args.dw.sizes[0] / args.groups;
  p.padded = roundUp(p.outputs, kLanes<T>);
  p.outH = args.g.sizes[2];
  p.outW = args.g.sizes[3];
  p.kernelH = args.dw.sizes[2];
  p.kernelW = args.dw.sizes[3];
  p.taps = p.kernelH * p.kernelW;
  p.strideH = args.strideH;
  p.strideW = args.strideW;
  p.dilationH = args.dilationH;
  p.dilationW = args.dilationW;
  gemm::Planes& s = p.planes;
  s.channels = args.dw.sizes[1];
  s.h = args.x.sizes[2];
  s.w = args.x.sizes[3];
  s.stepH = args.strideH;
  s.stepW = args.strideW;
  s.phasesH = minOf(args.strideH, (p.kernelH - 1) * args.dilationH + 1);
  s.phasesW = minOf(args.strideW, (p.kernelW - 1) * args.dilationW + 1);
  s.originH = -args.padH;
  s.originW = -args.padW;
  s.cols = p.outW;
  s.haloH = (p.kernelH - 1) * args.dilationH / args.strideH;
  s.haloW = (p.kernelW - 1) * args.dilationW / args.strideW;

  const bool neighbours = args.strideW == 1 && args.dilationW == 1;
  p.run = neighbours && (p.kernelW == 3 || p.kernelW == 5) ? p.kernelW : 1;
  // Lanes that compute nothing, against those of the other way and the transposition of g there.
  const int64_t along = roundUp(p.outW, kLanes<T>) * p.outputs * p.allTaps();
  p.direct =
      args.strideW == 1 && p.allTaps() <= convWeightDirect::kMostTaps && along < p.outW * p.padded * (p.allTaps() + 8);
  const int64_t perTap = p.groups * (p.direct ? p.outputs * kLanes<T> : p.padded);
  p.biasAt = perTap * p.allTaps();
  p.partial = p.biasAt + perTap;
  const int64_t wanted = minOf(p.images, ceilDiv(kUnits, maxOf(1, p.groups)));
  const int64_t affordable = maxOf(1, kPartialBudget / maxOf(1, p.partial));
  p.chunkImages = maxOf(1, ceilDiv(p.images, maxOf(1, minOf(wanted, affordable))));
  p.chunks = ceilDiv(p.images, p.chunkImages);
  const int64_t blocks = ceilDiv(kUnits, maxOf(1, p.groups * p.chunks));
  p.channelBlock = maxOf(1, maxOf(ceilDiv(kTapsOfShare, maxOf(1, p.taps)), ceilDiv(s.channels, blocks)));
  p.channelBlock = maxOf(1, minOf(p.channelBlock, s.channels));
  p.channelBlocks = maxOf(1, ceilDiv(s.channels, p.channelBlock));  // without channels there still is a bias
  const int64_t perRow = maxOf(kTileCols<T> * p.outW, p.channelBlock * s.phasesH * s.phasesW * s.pitch());
  p.stripRows = maxOf(1, minOf(p.outH, kStripBudget / maxOf(1, perRow)));
  return p;
}

template <class T>
struct Scratch {
  T* partials;     // [chunks] of Plan::partial
  int64_t* reads;  // [channelBlock * taps] where a tap reads in the planes
  char* lanes;
  int64_t perLane;
  int64_t total;
};

template <class T>
struct LaneScratch {
  T* planes;
  T* g;  // [pixels of the strip][one panel of output channels]
  int64_t total;
};

template <class T>
LaneScratch<T> carveLane(const Plan& p, char* base) {
  gemm::Carver carver = {base, 0};
  LaneScratch<T> s;
  s.planes = carver.take<T>(p.planes.size<T>(p.channelBlock, p.stripRows));
  s.g = carver.take<T>(kTileCols<T> * p.stripRows * p.outW);
  s.total = carver.used;
  return s;
}

template <class T>
Scratch<T> carve(const Plan& p, void* base, int lanes) {
  gemm::Carver carver = {static_cast<char*>(base), 0};
  Scratch<T> s;
  s.partials = carver.take<T>(p.chunks * p.partial);
  s.reads = carver.take<int64_t>(p.channelBlock * p.taps);
  s.perLane = carveLane<T>(p, nullptr).total;
  s.lanes = carver.take<char>(s.perLane * lanes);
  s.total = carver.used;
  return s;
}

// out[t][0, VECTORS vectors) += sum over rows x cols positions of x[reads[t] + r * pitch + c] g[r * cols + c], for RUNS
// * RUN taps, each RUN of them side by side in x. Chains of about kChain positions (whole rows, or even parts of one),
// then chains in order, then the strip as one term.
template <class T, int RUNS, int RUN, int VECTORS>
void tapKernel(int64_t rows, int64_t cols, int64_t pitch, const T* x, const int64_t* reads, const T* g, T* out,
               int64_t ldo) {
  using V = VectorOf<T>;
  constexpr int lanes = kLanes<T>;
  constexpr int width = lanes * VECTORS;
  constexpr int taps = RUNS * RUN;
  alignas(64) T tile[taps * width];
  bool first = true;
  const int64_t chainRows = maxOf(1, kChain / maxOf(1, cols));
  const int64_t chainCols = ceilDiv(cols, ceilDiv(maxOf(1, cols), kChain));
  for (int64_t r0 = 0; r0 < rows; r0 += chainRows) {
    const int64_t rowEnd = minOf(rows, r0 + chainRows);
    for (int64_t c0 = 0; c0 < cols; c0 += chainCols) {
      const int64_t count = minOf(chainCols, cols - c0);
      V acc[taps][VECTORS];
      registerTile::clear(acc);
      for (int64_t r = r0; r < rowEnd; ++r) {
        const T* from[RUNS];
#pragma GCC unroll 8
        for (int i = 0; i < RUNS; ++i) from[i] = x + reads[i * RUN] + r * pitch + c0;
        const T* gr = g + (r * cols + c0) * width;
        for (int64_t k = 0; k < count; ++k, gr += width) {
          // Without this g++ keeps values of x for the next k, which reads them again, and spills the accumulators.
          asm volatile("" ::: "memory");
          registerTile::addOuter<T>(acc, gr, [&](int t) { return from[t / RUN][k + t % RUN]; });
        }
      }
      registerTile::store<T>(acc, !first, tile);
      first = false;
    }
  }
  if (first) return;
  for (int t = 0; t < taps; ++t) {
    for (int j = 0; j < VECTORS; ++j) {
      T* at = out + t * ldo + j * lanes;
      vstore(at, vload(at) + vload(tile + t * width + j * lanes));
    }
  }
}

template <class T>
using TapKernel = void (*)(int64_t rows, int64_t cols, int64_t pitch, const T* x, const int64_t* reads, const T* g,
                           T* out, int64_t ldo);

template <class T, int RUN, int VECTORS, int... I>
TapKernel<T> tapKernelOf(int64_t runs, std::integer_sequence<int, I...>) {
  constexpr TapKernel<T> table[] = {tapKernel<T, I + 1, RUN, VECTORS>...};
  return table[runs - 1];
}
template <class T, int RUN>
TapKernel<T> tapKernelOfRun(int64_t runs, int64_t vectors) {
  return vectors == 1 ? tapKernelOf<T, RUN, 1>(runs, std::make_integer_sequence<int, maxRuns(RUN, 1)>())
                      : tapKernelOf<T, RUN, 2>(runs, std::make_integer_sequence<int, maxRuns(RUN, 2)>());
}
template <class T>
TapKernel<T> chooseTapKernel(int64_t runs, int64_t run, int64_t vectors) {
  return run == 5   ? tapKernelOfRun<T, 5>(runs, vectors)
         : run == 3 ? tapKernelOfRun<T, 3>(runs, vectors)
                    : tapKernelOfRun<T, 1>(runs, vectors);
}

// out[0, width) += the sum of the rows of g [pixels][width], a whole number of vectors wide: four chains, kChain rows
// at a time.
template <class T>
void addRows(int64_t pixels, int64_t width, const T* g, T* out) {
  using V = VectorOf<T>;
  constexpr int chains = 4;
  for (int64_t j = 0; j < width; j += kLanes<T>) {
    V total = {};
    for (int64_t i0 = 0; i0 < pixels; i0 += kChain) {
      V sums[chains] = {};
      const int64_t end = minOf(pixels, i0 + kChain);
      int64_t i = i0;
      for (; i + chains <= end; i += chains) {
#pragma GCC unroll 4
        for (int c = 0; c < chains; ++c) sums[c] += vload(g + (i + c) * width + j);
      }
      for (; i < end; ++i) sums[0] += vload(g + i * width + j);
      total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    vstore(out + j, vload(out + j) + total);
  }
}

// The sum of one chunk of images for one group and one block of channels.
template <class T>
void sumUnit(const Plan& p, const Scratch<T>& s, const LaneScratch<T>& lane, const T* g, const T* x, int64_t unit,
             bool hasBias, Context& context) {
  const int64_t block = unit % p.channelBlocks;
  const int64_t group = unit / p.channelBlocks % p.groups;
  const int64_t chunk = unit / p.channelBlocks / p.groups;
  const int64_t channel = block * p.channelBlock;
  const int64_t channels = minOf(p.channelBlock, p.planes.channels - channel);
  const int64_t allTaps = channels * p.taps;
  T* out = s.partials + chunk * p.partial + (group * p.planes.channels + channel) * p.taps * p.padded;
  T* biasOut = s.partials + chunk * p.partial + p.biasAt + group * p.padded;
  for (int64_t i = 0; i < allTaps * p.padded; ++i) out[i] = T(0);
  const bool withBias = hasBias && block == 0;
  for (int64_t i = 0; withBias && i < p.padded; ++i) biasOut[i] = T(0);

  const int64_t positions = p.outH * p.outW;
  const int64_t imageEnd = minOf(p.images, (chunk + 1) * p.chunkImages);
  const int64_t allRuns = allTaps / p.run;
  for (int64_t image = chunk * p.chunkImages; image < imageEnd; ++image) {
    const T* gImage = g + (image * p.groups + group) * p.outputs * positions;
    const T* xImage = x + ((image * p.groups + group) * p.planes.channels + channel) * p.planes.h * p.planes.w;
    for (int64_t r0 = 0; r0 < p.outH; r0 += p.stripRows) {
      if (context.cancelled()) return;
      const int64_t rows = minOf(p.stripRows, p.outH - r0);
      const int64_t pixels = rows * p.outW;
      gemm::copyPlanes<T>(p.planes, xImage, channels, r0, rows, p.stripRows, lane.planes);
      // Without a halo the rows join into one run.
      const bool joined = p.planes.haloW == 0;
      for (int64_t o = 0; o < p.padded; o += kTileCols<T>) {
        const int64_t width = minOf(kTileCols<T>, p.padded - o);
        gemm::packPanel<T>(lane.g, width, minOf(width, p.outputs - o), pixels, gImage + o * positions + r0 * p.outW,
                           positions, 1);
        if (withBias) addRows<T>(pixels, width, lane.g, biasOut + o);
        const int64_t vectors = width / kLanes<T>;
        const int64_t most = maxRuns(static_cast<int>(p.run), static_cast<int>(vectors));
        const int64_t panel = ceilDiv(allRuns, maxOf(1, ceilDiv(allRuns, most)));
        for (int64_t run = 0; run < allRuns; run += panel) {
          const auto kernel = chooseTapKernel<T>(minOf(panel, allRuns - run), p.run, vectors);
          const int64_t tap = run * p.run;
          kernel(joined ? 1 : rows, joined ? pixels : p.outW, p.planes.pitch(), lane.planes, s.reads + tap, lane.g,
                 out + tap * p.padded + o, p.padded);
        }
      }
    }
  }
}

// The direct sum of one chunk of images for one group.
template <class T>
void sumDirectUnit(const Plan& p, const Scratch<T>& s, const LaneScratch<T>& lane, const T* g, const T* x, int64_t unit,
                   bool hasBias, Context& context) {
  const int64_t group = unit % p.groups;
  const int64_t chunk = unit / p.groups;
  const int64_t outputSums = p.allTaps() * kLanes<T>;
  T* out = s.partials + chunk * p.partial + group * p.outputs * outputSums;
  T* biasOut = s.partials + chunk * p.partial + p.biasAt + group * p.outputs * kLanes<T>;
  for (int64_t i = 0; i < p.outputs * outputSums; ++i) out[i] = T(0);
  for (int64_t i = 0; i < p.outputs * kLanes<T>; ++i) biasOut[i] = T(0);
  const int64_t positions = p.outH * p.outW;
  const int64_t imageEnd = minOf(p.images, (chunk + 1) * p.chunkImages);
  for (int64_t image = chunk * p.chunkImages; image < imageEnd; ++image) {
    const T* gImage = g + (image * p.groups + group) * p.outputs * positions;
    const T* xImage = x + (image * p.groups + group) * p.planes.channels * p.planes.h * p.planes.w;
    for (int64_t r0 = 0; r0 < p.outH; r0 += p.stripRows) {
      if (context.cancelled()) return;
      const int64_t rows = minOf(p.stripRows, p.outH - r0);
      const T* from = gImage + r0 * p.outW;
      gemm::copyPlanes<T>(p.planes, xImage, p.planes.channels, r0, rows, p.stripRows, lane.planes);
      for (int64_t o = 0; hasBias && o < p.outputs; ++o) {
        convWeightDirect::addRun<T>(from + o * positions, rows * p.outW, biasOut + o * kLanes<T>);
      }
      convWeightDirect::addStrip<T>(rows, p.outW, p.planes.pitch(), from, positions, p.outputs, lane.planes, s.reads,
                                    p.allTaps(), out);
    }
  }
}

// to[i] = the chunks' vectors i, added in order and then across.
template <class T>
void addDirectChunks(const Plan& p, const T* partials, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) {
    VectorOf<T> sum = {};
    for (int64_t chunk = 0; chunk < p.chunks; ++chunk) sum += vload(partials + chunk * p.partial + i * kLanes<T>);
    to[i] = vsumAcross<T>(sum);
  }
}

// dw[o][tap] = the chunks' sums [tap][o], added in order: transposed in registers, a block of lanes x lanes at a time.
template <class T>
void addChunks(const Plan& p, const T* partials, T* dw, Context& context) {
  using V = VectorOf<T>;
  constexpr int64_t lanes = kLanes<T>;
  const int64_t allTaps = p.planes.channels * p.taps;
  const int64_t blocks = p.padded / lanes;
  context.parallel(p.groups * blocks, maxOf(1, (int64_t{1} << 15) / (allTaps * lanes * maxOf(1, p.chunks))),
                   [&](int64_t begin, int64_t end, int) {
                     for (int64_t unit = begin; unit < end; ++unit) {
                       const int64_t group = unit / blocks;
                       const int64_t o = unit % blocks * lanes;
                       const T* from = partials + group * allTaps * p.padded + o;
                       for (int64_t tap = 0; tap < allTaps; tap += lanes) {
                         V r[lanes];
                         for (int64_t i = 0; i < lanes; ++i) {
                           r[i] = V{};
                           if (tap + i >= allTaps) continue;
                           for (int64_t chunk = 0; chunk < p.chunks; ++chunk) {
                             r[i] += vload(from + chunk * p.partial + (tap + i) * p.padded);
                           }
                         }
                         gemm::transposeVecs<T>(r);
                         for (int64_t i = 0; i < minOf(lanes, p.outputs - o); ++i) {
                           gemm::storePart(dw + (group * p.outputs + o + i) * allTaps + tap, r[i], allTaps - tap);
                         }
                       }
                     }
                   });
}

// dbias[o] = the chunks' sums, added in order.
template <class T>
void addBiasChunks(const Plan& p, const T* partials, T* dbias) {
  const T* from = partials + p.biasAt;
  for (int64_t group = 0; group < p.groups; ++group) {
    for (int64_t o = 0; o < p.outputs; ++o) {
      T sum = T(0);
      for (int64_t chunk = 0; chunk < p.chunks; ++chunk) sum += from[chunk * p.partial + group * p.padded + o];
      dbias[group * p.outputs + o] = sum;
    }
  }
}

template <class T>
void backwardWeight(const Conv2dBackwardWeightArgs& args, Context& context) {
  const Plan p = makePlan<T>(args);
  const int64_t allTaps = p.planes.channels * p.taps;
  const bool hasBias = args.dbias.present();
  if (p.groups * p.outputs == 0) return;
  const Scratch<T> s = carve<T>(p, context.scratch(), context.lanes());
  const int64_t planeSize = p.planes.planeSize(p.stripRows);
  for (int64_t i = 0; i < p.channelBlock * p.taps; ++i) {
    const int64_t h = i / p.kernelW % p.kernelH * p.dilationH;
    const int64_t w = i % p.kernelW * p.dilationW;
    const int64_t phase = h % p.strideH * p.planes.phasesW + w % p.strideW;
    s.reads[i] = (i / p.taps * p.planes.phasesH * p.planes.phasesW + phase) * planeSize +
                 h / p.strideH * p.planes.pitch() + w / p.strideW;
  }
  const T* g = static_cast<const T*>(args.g.data);
  const T* x = static_cast<const T*>(args.x.data);
  const int64_t unitWork = p.chunkImages * p.outH * p.outW * p.channelBlock * p.taps * p.padded;
  context.parallel(p.chunks * p.groups * p.channelBlocks, maxOf(1, kGrainWork / maxOf(1, unitWork)),
                   [&](int64_t begin, int64_t end, int lane) {
                     const LaneScratch<T> own = carveLane<T>(p, s.lanes + lane * s.perLane);
                     const auto sum = p.direct ? sumDirectUnit<T> : sumUnit<T>;
                     for (int64_t unit = begin; unit < end; ++unit) sum(p, s, own, g, x, unit, hasBias, context);
                   });
  if (p.direct) {
    addDirectChunks<T>(p, s.partials, p.groups * p.outputs * allTaps, static_cast<T*>(args.dw.data));
    if (hasBias) addDirectChunks<T>(p, s.partials + p.biasAt, p.groups * p.outputs, static_cast<T*>(args.dbias.data));
    return;
  }
  if (allTaps > 0) addChunks<T>(p, s.partials, static_cast<T*>(args.dw.data), context);
  if (hasBias) addBiasChunks<T>(p, s.partials, static_cast<T*>(args.dbias.data));
}

template <class T>
int64_t backwardWeightScratch(const Conv2dBackwardWeightArgs& args, int lanes) {
  return carve<T>(makePlan<T>(args), nullptr, lanes).total;
}

}  // namespace

namespace ops {

void conv2dBackwardWeight(const Conv2dBackwardWeightArgs& args, Context& context) {
  if (!checkFloats(context, "conv2dBackwardWeight", args.g, args.x, args.dw, args.dbias)) return;
  const auto run = [&](auto zero) { backwardWeight<decltype(zero)>(args, context); };
  withFloat(args.dw.dtype, run, WL_FLOAT64_ISA::ops::conv2dBackwardWeight, args, context);
}

int64_t conv2dBackwardWeightScratch(const Conv2dBackwardWeightArgs& args, int lanes) {
  const auto bytes = [&](auto zero) { return backwardWeightScratch<decltype(zero)>(args, lanes); };
  return withFloat(args.dw.dtype, bytes, WL_FLOAT64_ISA::ops::conv2dBackwardWeightScratch, args, lanes);
}

}  // namespace ops
#endif
