// 2-D convolution and the gradient of its input. Both are correlations of padded planes with packed weights
// (gemm/correlate.h): forward, stride s reads s x s phases of x; backward, each phase of dx (rows congruent modulo s)
// gathers from g with the taps that reach it, so no zeros are inserted between g's elements. Of three kinds of register
// tiles (conv_tiles.h) the shape chooses.
#ifndef WL_ISA
#include "cpu/operands.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/conv2d.cc"
#include "cpu/foreach_isa.h"
#else
// clang-format off
#include "cpu/gemm/gemm.h"
#include "cpu/register_tile.h"
#include "cpu/conv_tiles.h"
#include "cpu/narrow_float64.h"
// clang-format on

namespace {

using gemm::ceilDiv;
using gemm::kBlockK;
using gemm::kTileCols;
using gemm::maxOf;
using gemm::minOf;
using gemm::roundUp;

constexpr int64_t kGrainWork = int64_t{1} << 18;    // multiply-adds worth a hand-off
constexpr int64_t kPlaneBudget = int64_t{1} << 17;  // elements of a lane's planes

// floor(a / b) for b > 0.
int64_t floorDiv(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// The taps of one dimension and where they read: tap k serves output phase phase[k] and reads source phase and offset.
struct Axis {
  int64_t kernel, stride, pad, dilation;
  bool backward;
  // First source row, in units of the plane, that any tap of an output row 0 reads (backward only; negative or
  // positive).
  int64_t lowest() const { return backward ? floorDiv(pad - (kernel - 1) * dilation, stride) : 0; }
  int64_t highest() const { return backward ? floorDiv(stride - 1 + pad, stride) : (kernel - 1) * dilation / stride; }
  int64_t outputPhase(int64_t tap) const {
    if (!backward) return 0;
    const int64_t t = tap * dilation - pad;
    return t - floorDiv(t, stride) * stride;
  }
  int64_t sourcePhase(int64_t tap) const { return backward ? 0 : tap * dilation % stride; }
  int64_t offset(int64_t tap) const {
    return backward ? (outputPhase(tap) + pad - tap * dilation) / stride - lowest() : tap * dilation / stride;
  }
};

enum class Tiles { runs, rows, channels };

struct Plan {
  gemm::Planes planes;  // of one group's source channels
  Axis rowAxis, colAxis;
  int64_t images, groups;
  int64_t outputs;  // output channels of a group
  int64_t outH, outW;
  int64_t phasesH, phasesW, stepH,
      stepW;                           // output phases; phase (a, b) holds rows r * stepH + a, columns c * stepW + b
  int64_t rows;                        // of the largest phase
  int64_t depth;                       // source channels * kernel taps: all phases together
  int64_t outputStride, sourceStride;  // of the weights, per output and per source channel of a group
  int64_t stripRows, strips;
  int64_t outputBlock, outputBlocks;
  Tiles tiles;
  int64_t
      panel;  // output channels that lie side by side in the packed weights; of tiles of channels, the last may be less
  int64_t padded;  // outputs rounded up to panels, of tiles of channels to vectors
  bool relu;
  // Taps whose panels are packed one behind the other: of tiles of channels all of a phase, as they are summed at once.
  int64_t blockOf(int64_t taps) const { return maxOf(1, tiles == Tiles::channels ? taps : kBlockK); }
  int64_t panels() const { return ceilDiv(padded, panel); }
  int64_t panelAt(int64_t row) const { return minOf(panel, padded - row); }
};

// What the tiles cost, as a multiple of the multiply-adds that are asked for: lanes and rows that compute nothing, and
// what storing takes beside `taps` steps of a tile. The shares of storing are measured ones.
template <class T>
Tiles chooseTiles(const Plan& p) {
  const auto ratio = [](int64_t a, int64_t b) { return static_cast<double>(a) / static_cast<double>(maxOf(1, b)); };
  const int64_t lanes = kLanes<T>, cols = p.planes.cols, vectors = roundUp(p.outputs, lanes) / lanes;
  const double taps = ratio(maxOf(1, p.depth / (p.phasesH * p.phasesW)), 1);
  const double idleRows = ratio(roundUp(p.outputs, gemm::panelRows(p.outputs)), p.outputs);
  const int64_t span = (p.stripRows - 1) * p.planes.pitch() + cols;
  const double runs = ratio(roundUp(span, lanes), p.stripRows * cols) * idleRows * (1 + 8 / taps);
  const bool oneChain = p.stepW == 1 && p.phasesH == 1 && p.depth > 0 && p.depth <= gemm::kChain;
  const double rows = ratio(roundUp(cols, lanes), cols) * idleRows * (1 + 2 / taps);
  // Sums of their own that a tile keeps; with few, each waits for its last multiply-add.
  const int64_t sums = minOf(cols, convTiles::kMaxPixels) * minOf(vectors, 2);
  const double channels = ratio(vectors * lanes, p.outputs) * (1 + 8 / taps) * (sums < 6 ? ratio(6, sums) : 1);
  if (channels < runs && (!oneChain || channels < rows)) return Tiles::channels;
  return oneChain && rows < runs ? Tiles::rows : Tiles::runs;
}

template <class T>
void finishPlan(Plan& p) {
  p.depth = p.planes.channels * p.rowAxis.kernel * p.colAxis.kernel;
  const int64_t others = p.images * p.groups;
  p.stripRows = gemm::chooseStripRows(
      p.rows, others, p.planes.channels * p.planes.phasesH * p.planes.phasesW * p.planes.pitch(), kPlaneBudget);
  p.strips = ceilDiv(p.rows, p.stripRows);
  p.tiles = chooseTiles<T>(p);
  const int64_t unit = p.tiles == Tiles::channels ? kLanes<T> : gemm::panelRows(p.outputs);
  p.padded = roundUp(p.outputs, unit);
  p.panel = p.tiles == Tiles::channels ? minOf(p.padded, kTileCols<T>) : unit;
  // With few strips the output channels are shared out too; each share copies its planes again.
  const int64_t shares = minOf(ceilDiv(16, maxOf(1, others * p.strips)), p.panels());
  p.outputBlock = maxOf(p.panel, roundUp(ceilDiv(p.padded, maxOf(1, shares)), p.panel));
  p.outputBlocks = ceilDiv(p.outputs, p.outputBlock);
}

template <class T>
Plan forwardPlan(const Conv2dArgs& args) {
  Plan p = {};
  p.rowAxis = {args.w.sizes[2], args.strideH, args.padH, args.dilationH, false};
  p.colAxis = {args.w.sizes[3], args.strideW, args.padW, args.dilationW, false};
  p.images = args.y.sizes[0];
  p.groups = args.groups;
  p.outputs = args.y.sizes[1] / args.groups;
  p.outH = args.y.sizes[2];
  p.outW = args.y.sizes[3];
  p.phasesH = p.phasesW = p.stepH = p.stepW = 1;
  p.rows = p.outH;
  p.relu = args.activation == static_cast<int64_t>(Activation::relu);
  p.outputStride = args.w.sizes[1] * args.w.sizes[2] * args.w.sizes[3];
  p.sourceStride = args.w.sizes[2] * args.w.sizes[3];
  gemm::Planes& s = p.planes;
  s.channels = args.w.sizes[1];
  s.h = args.x.sizes[2];
  s.w = args.x.sizes[3];
  s.stepH = args.strideH;
  s.stepW = args.strideW;
  s.phasesH = minOf(args.strideH, (p.rowAxis.kernel - 1) * args.dilationH + 1);
  s.phasesW = minOf(args.strideW, (p.colAxis.kernel - 1) * args.dilationW + 1);
  s.originH = -args.padH;
  s.originW = -args.padW;
  s.cols = p.outW;
  s.haloH = p.rowAxis.highest();
  s.haloW = p.colAxis.highest();
  finishPlan<T>(p);
  return p;
}

template <class T>
Plan backwardPlan(const Conv2dBackwardInputArgs& args) {
  Plan p = {};
  p.rowAxis = {args.w.sizes[2], args.strideH, args.padH, args.dilationH, true};
  p.colAxis = {args.w.sizes[3], args.strideW, args.padW, args.dilationW, true};
  p.images = args.dx.sizes[0];
  p.groups = args.groups;
  p.outputs = args.w.sizes[1];
  p.outH = args.dx.sizes[2];
  p.outW = args.dx.sizes[3];
  p.phasesH = p.stepH = args.strideH;
  p.phasesW = p.stepW = args.strideW;
  p.rows = ceilDiv(p.outH, p.stepH);
  p.outputStride = args.w.sizes[2] * args.w.sizes[3];
  p.sourceStride = args.w.sizes[1] * p.outputStride;
  gemm::Planes& s = p.planes;
  s.channels = args.w.sizes[0] / args.groups;
  s.h = args.g.sizes[2];
  s.w = args.g.sizes[3];
  s.stepH = s.stepW = s.phasesH = s.phasesW = 1;
  s.originH = p.rowAxis.lowest();
  s.originW = p.colAxis.lowest();
  s.cols = ceilDiv(p.outW, p.stepW);
  s.haloH = p.rowAxis.highest() - s.originH;
  s.haloW = p.colAxis.highest() - s.originW;
  finishPlan<T>(p);
  return p;
}

template <class T>
struct Scratch {
  int64_t* reads;    // [depth] where a tap reads in the planes, phase after phase
  int64_t* weights;  // [depth] the tap's place among a group's weights
  int64_t* begins;   // [phases + 1] the first tap of each output phase
  T* packed;         // [groups][phases][blocks of k][panels]
  char* lanes;
  int64_t perLane;
  int64_t total;
};

template <class T>
Scratch<T> carve(const Plan& p, void* base, int lanes) {
  gemm::Carver carver = {static_cast<char*>(base), 0};
  Scratch<T> s;
  s.reads = carver.take<int64_t>(p.depth);
  s.weights = carver.take<int64_t>(p.depth);
  s.begins = carver.take<int64_t>(p.phasesH * p.phasesW + 1);
  s.packed = carver.take<T>(p.groups * p.padded * p.depth);
  s.perLane = roundUp(p.planes.size<T>(p.planes.channels, p.stripRows) * static_cast<int64_t>(sizeof(T)), 64);
  s.lanes = carver.take<char>(s.perLane * lanes);
  s.total = carver.used;
  return s;
}

// Fills reads and weights with the taps of output phase (a, b) from `at` on; returns how many.
template <class T>
int64_t listTaps(const Plan& p, const Scratch<T>& s, int64_t a, int64_t b, int64_t at) {
  const int64_t planeSize = p.planes.planeSize(p.stripRows);
  int64_t count = 0;
  for (int64_t c = 0; c < p.planes.channels; ++c) {
    for (int64_t kh = 0; kh < p.rowAxis.kernel; ++kh) {
      if (p.rowAxis.outputPhase(kh) != a) continue;
      for (int64_t kw = 0; kw < p.colAxis.kernel; ++kw) {
        if (p.colAxis.outputPhase(kw) != b) continue;
        const int64_t phase = p.rowAxis.sourcePhase(kh) * p.planes.phasesW + p.colAxis.sourcePhase(kw);
        s.reads[at + count] = (c * p.planes.phasesH * p.planes.phasesW + phase) * planeSize +
                              p.rowAxis.offset(kh) * p.planes.pitch() + p.colAxis.offset(kw);
        s.weights[at + count] = c * p.sourceStride + kh * p.colAxis.kernel + kw;
        ++count;
      }
    }
  }
  return count;
}

// Adds rows x cols of a tile of runs, whose first column is output p = col of the strip, to one image's output
// channels, or sets them.
template <class T>
void storeTile(const Plan& p, const T* tile, int64_t tilePitch, int64_t rows, int64_t col, int64_t cols, T* y,
               int64_t r0, int64_t phaseCols, int64_t a, int64_t b, bool add, const T* bias, bool relu) {
  using V = VectorOf<T>;
  constexpr int64_t lanes = kLanes<T>;
  const int64_t pitch = p.planes.pitch();
  const int64_t plane = p.outH * p.outW;
  for (int64_t at = col; at < col + cols;) {
    const int64_t r = at / pitch;
    const int64_t c = at % pitch;
    const int64_t n = minOf(phaseCols - c, col + cols - at);
    const T* from = tile + (at - col);
    at += n > 0 ? minOf(pitch - c, col + cols - at) : pitch - c;
    if (n <= 0) continue;
    T* to = y + ((r0 + r) * p.stepH + a) * p.outW + c * p.stepW + b;
    for (int64_t i = 0; i < rows; ++i, from += tilePitch, to += plane) {
      const T start = bias ? bias[i] : T(0);
      if (p.stepW == 1) {
        for (int64_t j = 0; j < n; j += lanes) {
          V v = gemm::loadPart(from + j, n - j);
          if (add) v = gemm::loadPart(to + j, n - j) + v;
          gemm::storePart(to + j, convTiles::finish(v, bias != nullptr, vset(start), relu), n - j);
        }
      } else {
        for (int64_t j = 0; j < n; ++j) {
          T v = from[j];
          if (add) v = to[j * p.stepW] + v;
          to[j * p.stepW] = convTiles::finish(v, bias != nullptr, start, relu);
        }
      }
    }
  }
}

// The weights of all groups and phases in panels.
template <class T>
void packWeights(const Plan& p, const Scratch<T>& s, const T* w, Context& context) {
  const int64_t phases = p.phasesH * p.phasesW;
  const int64_t groupWeights = p.outputs * p.planes.channels * p.rowAxis.kernel * p.colAxis.kernel;
  const int64_t panels = p.panels();
  const int64_t grain = maxOf(1, (int64_t{1} << 15) / (p.panel * maxOf(1, p.depth)));
  context.parallel(p.groups * panels, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t row = unit % panels * p.panel;
      const int64_t width = p.panelAt(row);
      const int64_t count = minOf(width, p.outputs - row);
      const T* from = w + unit / panels * groupWeights + row * p.outputStride;
      T* packed = s.packed + unit / panels * p.padded * p.depth;
      for (int64_t phase = 0; phase < phases; ++phase) {
        const int64_t tapEnd = s.begins[phase + 1];
        const int64_t block = p.blockOf(tapEnd - s.begins[phase]);
        for (int64_t k0 = s.begins[phase]; k0 < tapEnd; k0 += block) {
          const int64_t depth = minOf(block, tapEnd - k0);
          T* to = packed + k0 * p.padded + row * depth;
          if (!p.rowAxis.backward) {
            gemm::packPanel<T>(to, width, count, depth, from + k0, p.outputStride, 1);
            continue;
          }
          for (int64_t k = 0; k < depth; ++k, to += width) {
            const T* tap = from + s.weights[k0 + k];
            for (int64_t i = 0; i < width; ++i) to[i] = i < count ? tap[i * p.outputStride] : T(0);
          }
        }
      }
    }
  });
}

// One phase of one strip of one image's output, for output channels [first, last) of a group.
template <class T>
struct Strip {
  int64_t r0, rows, cols;  // in units of the phase
  int64_t a, b;            // the phase
  int64_t first, last;
  int64_t taps;
  const int64_t* reads;
  const T* planes;
  const T* packed;
  T* y;           // of the group
  const T* bias;  // of the group, or null
};

template <class T>
void sumRuns(const Plan& p, const Strip<T>& at) {
  alignas(64) T tile[gemm::kMaxRows * kTileCols<T>];
  const int64_t span = (at.rows - 1) * p.planes.pitch() + at.cols;
  int64_t k0 = 0;
  do {  // at least once: an output that no tap reaches is zero
    const int64_t depth = minOf(kBlockK, at.taps - k0);
    const bool complete = k0 + kBlockK >= at.taps;
    const T* packed = at.packed + k0 * p.padded;
    for (int64_t col = 0; col < span; col += kTileCols<T>) {
      const int64_t cols = minOf(kTileCols<T>, span - col);
      const int vectors = cols <= kLanes<T> ? 1 : gemm::kVectors;
      const auto kernel = gemm::chooseTileKernel<T, gemm::OffsetRows>(static_cast<int>(p.panel), vectors);
      for (int64_t row = at.first; row < at.last; row += p.panel) {
        kernel(depth, packed + row * depth, at.planes + col, gemm::OffsetRows{at.reads + k0}, tile);
        storeTile<T>(p, tile, vectors * kLanes<T>, minOf(p.panel, at.last - row), col, cols,
                     at.y + row * p.outH * p.outW, at.r0, at.cols, at.a, at.b, k0 > 0,
                     complete && at.bias ? at.bias + row : nullptr, complete && p.relu);
      }
    }
    k0 += kBlockK;
  } while (k0 < at.taps);
}

template <class T>
void sumRows(const Plan& p, const Strip<T>& at) {
  const int64_t plane = p.outH * p.outW;
  for (int64_t row = at.first; row < at.last; row += p.panel) {
    const T* packed = at.packed + row * at.taps;
    const T* bias = at.bias ? at.bias + row : nullptr;
    for (int64_t r = 0; r < at.rows; ++r) {
      T* y = at.y + row * plane + ((at.r0 + r) * p.stepH + at.a) * p.outW;
      for (int64_t c = 0; c < at.cols; c += kTileCols<T>) {
        const int64_t n = minOf(kTileCols<T>, at.cols - c);
        const auto kernel = convTiles::chooseRowKernel<T>(p.panel, n <= kLanes<T> ? 1 : 2);
        kernel(at.taps, packed, at.planes + r * p.planes.pitch() + c, at.reads, y + c, plane,
               minOf(p.panel, at.last - row), n, bias, p.relu);
      }
    }
  }
}

template <class T>
void sumChannels(const Plan& p, const Strip<T>& at) {
  alignas(64) T sums[convTiles::kMaxPixels * kTileCols<T>];
  const int64_t plane = p.outH * p.outW;
  for (int64_t row = at.first; row < at.last; row += p.panel) {
    const int vectors = static_cast<int>(p.panelAt(row) / kLanes<T>);
    const int64_t most = convTiles::maxPixels(vectors);
    const int64_t pixels = ceilDiv(at.cols, ceilDiv(at.cols, most));
    const T* packed = at.packed + row * at.taps;
    for (int64_t r = 0; r < at.rows; ++r) {
      T* y = at.y + row * plane + ((at.r0 + r) * p.stepH + at.a) * p.outW + at.b;
      for (int64_t c = 0; c < at.cols; c += pixels) {
        const int64_t n = minOf(pixels, at.cols - c);
        const auto kernel = convTiles::choosePixelKernel<T>(n, vectors);
        kernel(at.taps, at.planes + r * p.planes.pitch() + c, at.reads, packed, sums);
        convTiles::storePixels<T>(sums, n, vectors, minOf(p.panel, at.last - row), y + c * p.stepW, plane, p.stepW,
                                  2 * p.outW, at.bias ? at.bias + row : nullptr, p.relu);
      }
    }
  }
}

template <class T>
void correlate(const Plan& p, const T* source, const T* w, const T* bias, T* y, Context& context) {
  if (p.images * p.groups * p.outputs * p.outH * p.outW == 0) return;
  const Scratch<T> s = carve<T>(p, context.scratch(), context.lanes());
  const int64_t phases = p.phasesH * p.phasesW;
  int64_t listed = 0;
  for (int64_t phase = 0; phase < phases; ++phase) {
    s.begins[phase] = listed;
    listed += listTaps<T>(p, s, phase / p.phasesW, phase % p.phasesW, listed);
  }
  s.begins[phases] = listed;

  packWeights<T>(p, s, w, context);

  const int64_t units = p.images * p.groups * p.strips * p.outputBlocks;
  const int64_t unitWork = p.outputBlock * p.stripRows * p.planes.pitch() * maxOf(1, p.depth);
  context.parallel(units, maxOf(1, kGrainWork / maxOf(1, unitWork)), [&](int64_t begin, int64_t end, int lane) {
    T* planes = reinterpret_cast<T*>(s.lanes + lane * s.perLane);
    for (int64_t unit = begin; unit < end && !context.cancelled(); ++unit) {
      const int64_t block = unit % p.outputBlocks;
      const int64_t strip = unit / p.outputBlocks % p.strips;
      const int64_t group = unit / p.outputBlocks / p.strips % p.groups;
      const int64_t image = unit / p.outputBlocks / p.strips / p.groups;
      Strip<T> at = {};
      at.r0 = strip * p.stripRows;
      at.first = block * p.outputBlock;
      at.last = minOf(p.outputs, at.first + p.outputBlock);
      at.planes = planes;
      at.y = y + (image * p.groups + group) * p.outputs * p.outH * p.outW;
      at.bias = bias ? bias + group * p.outputs : nullptr;
      const int64_t rows = minOf(p.stripRows, p.rows - at.r0);
      gemm::copyPlanes<T>(p.planes, source + (image * p.groups + group) * p.planes.channels * p.planes.h * p.planes.w,
                          p.planes.channels, at.r0, rows, p.stripRows, planes);
      for (int64_t phase = 0; phase < phases; ++phase) {
        at.a = phase / p.phasesW;
        at.b = phase % p.phasesW;
        // Rows and columns of this phase; the last of a strided output may be one short.
        at.rows = minOf(rows, (p.outH - at.a + p.stepH - 1) / p.stepH - at.r0);
        at.cols = (p.outW - at.b + p.stepW - 1) / p.stepW;
        if (at.rows <= 0 || at.cols <= 0) continue;
        at.reads = s.reads + s.begins[phase];
        at.taps = s.begins[phase + 1] - s.begins[phase];
        at.packed = s.packed + group * p.padded * p.depth + s.begins[phase] * p.padded;
        if (p.tiles == Tiles::channels) {
          sumChannels<T>(p, at);
        } else if (p.tiles == Tiles::rows) {
          sumRows<T>(p, at);
        } else {
          sumRuns<T>(p, at);
        }
      }
    }
  });
}

template <class T>
void forward(const Conv2dArgs& args, Context& context) {
  correlate<T>(forwardPlan<T>(args), args.x.as<const T>(), args.w.as<const T>(), args.bias.as<const T>(),
               args.y.as<T>(), context);
}

template <class T>
int64_t forwardScratch(const Conv2dArgs& args, int lanes) {
  return carve<T>(forwardPlan<T>(args), nullptr, lanes).total;
}

template <class T>
void backwardInput(const Conv2dBackwardInputArgs& args, Context& context) {
  correlate<T>(backwardPlan<T>(args), args.g.as<const T>(), args.w.as<const T>(), nullptr, args.dx.as<T>(), context);
}

template <class T>
int64_t backwardInputScratch(const Conv2dBackwardInputArgs& args, int lanes) {
  return carve<T>(backwardPlan<T>(args), nullptr, lanes).total;
}

}  // namespace

namespace ops {

void conv2d(const Conv2dArgs& args, Context& context) {
  if (!checkFloats(context, "conv2d", args.x, args.w, args.bias, args.y)) return;
  const auto run = [&](auto zero) { forward<decltype(zero)>(args, context); };
  withFloat(args.y.dtype, run, WL_FLOAT64_ISA::ops::conv2d, args, context);
}

int64_t conv2dScratch(const Conv2dArgs& args, int lanes) {
  const auto bytes = [&](auto zero) { return forwardScratch<decltype(zero)>(args, lanes); };
  return withFloat(args.y.dtype, bytes, WL_FLOAT64_ISA::ops::conv2dScratch, args, lanes);
}

void conv2dBackwardInput(const Conv2dBackwardInputArgs& args, Context& context) {
  if (!checkFloats(context, "conv2dBackwardInput", args.g, args.w, args.dx)) return;
  const auto run = [&](auto zero) { backwardInput<decltype(zero)>(args, context); };
  withFloat(args.dx.dtype, run, WL_FLOAT64_ISA::ops::conv2dBackwardInput, args, context);
}

int64_t conv2dBackwardInputScratch(const Conv2dBackwardInputArgs& args, int lanes) {
  const auto bytes = [&](auto zero) { return backwardInputScratch<decltype(zero)>(args, lanes); };
  return withFloat(args.dx.dtype, bytes, WL_FLOAT64_ISA::ops::conv2dBackwardInputScratch, args, lanes);
}

}  // namespace ops
#endif
