// 2-D convolution and the gradient of its input. Both are correlations of padded planes with packed weights
// (gemm/correlate.h): forward, stride s reads s x s phases of x; backward, each phase of dx (rows congruent modulo s)
// gathers from g with the taps that reach it, so no zeros are inserted between g's elements.
#ifndef WL_ISA
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/conv2d.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/gemm/gemm.h"

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
  int panel;
  int64_t padded;  // outputs rounded up to panels
};

template <class T>
void finishPlan(Plan& p) {
  p.depth = p.planes.channels * p.rowAxis.kernel * p.colAxis.kernel;
  p.panel = gemm::panelRows(p.outputs);
  p.padded = roundUp(p.outputs, p.panel);
  const int64_t others = p.images * p.groups;
  p.stripRows = gemm::chooseStripRows(
      p.rows, others, p.planes.channels * p.planes.phasesH * p.planes.phasesW * p.planes.pitch(), kPlaneBudget);
  p.strips = ceilDiv(p.rows, p.stripRows);
  // With few strips the output channels are shared out too; each share copies its planes again.
  const int64_t shares = minOf(ceilDiv(16, maxOf(1, others * p.strips)), p.padded / p.panel);
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

// Adds rows x cols of a tile, whose first column is output p = col of the strip, to one image's output channels, or
// sets them.
template <class T>
void storeTile(const Plan& p, const T* tile, int64_t tilePitch, int64_t rows, int64_t col, int64_t cols, T* y,
               int64_t r0, int64_t phaseCols, int64_t a, int64_t b, bool add, const T* bias) {
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
          if (bias) v = v + start;
          gemm::storePart(to + j, v, n - j);
        }
      } else {
        for (int64_t j = 0; j < n; ++j) {
          T v = from[j];
          if (add) v = to[j * p.stepW] + v;
          to[j * p.stepW] = bias ? v + start : v;
        }
      }
    }
  }
}

template <class T>
void correlate(const Plan& p, const T* source, const T* w, const T* bias, T* y, Context& context) {
  if (p.images * p.groups * p.outputs * p.outH * p.outW == 0) return;
  const Scratch<T> s = carve<T>(p, context.scratch(), context.lanes());
  const int64_t phases = p.phasesH * p.phasesW;
  const int64_t groupWeights = p.outputs * p.planes.channels * p.rowAxis.kernel * p.colAxis.kernel;
  int64_t listed = 0;
  for (int64_t phase = 0; phase < phases; ++phase) {
    s.begins[phase] = listed;
    listed += listTaps<T>(p, s, phase / p.phasesW, phase % p.phasesW, listed);
  }
  s.begins[phases] = listed;

  const int64_t panels = p.padded / p.panel;
  context.parallel(p.groups * panels, maxOf(1, (int64_t{1} << 15) / (p.panel * maxOf(1, p.depth))),
                   [&](int64_t begin, int64_t end, int) {
                     for (int64_t unit = begin; unit < end; ++unit) {
                       const int64_t row = unit % panels * p.panel;
                       const int64_t count = minOf(p.panel, p.outputs - row);
                       const T* from = w + unit / panels * groupWeights + row * p.outputStride;
                       T* packed = s.packed + unit / panels * p.padded * p.depth;
                       for (int64_t phase = 0; phase < phases; ++phase) {
                         const int64_t tapBegin = s.begins[phase];
                         const int64_t tapEnd = s.begins[phase + 1];
                         for (int64_t k0 = tapBegin; k0 < tapEnd; k0 += kBlockK) {
                           const int64_t depth = minOf(kBlockK, tapEnd - k0);
                           T* to = packed + k0 * p.padded + row * depth;
                           if (!p.rowAxis.backward) {
                             gemm::packPanel<T>(to, p.panel, count, depth, from + k0, p.outputStride, 1);
                             continue;
                           }
                           for (int64_t k = 0; k < depth; ++k, to += p.panel) {
                             const T* tap = from + s.weights[k0 + k];
                             for (int64_t i = 0; i < p.panel; ++i) to[i] = i < count ? tap[i * p.outputStride] : T(0);
                           }
                         }
                       }
                     }
                   });

  const int64_t units = p.images * p.groups * p.strips * p.outputBlocks;
  const int64_t unitWork = p.outputBlock * p.stripRows * p.planes.pitch() * maxOf(1, p.depth);
  context.parallel(units, maxOf(1, kGrainWork / maxOf(1, unitWork)), [&](int64_t begin, int64_t end, int lane) {
    T* planes = reinterpret_cast<T*>(s.lanes + lane * s.perLane);
    alignas(64) T tile[gemm::kMaxRows * kTileCols<T>];
    for (int64_t unit = begin; unit < end && !context.cancelled(); ++unit) {
      const int64_t block = unit % p.outputBlocks;
      const int64_t strip = unit / p.outputBlocks % p.strips;
      const int64_t group = unit / p.outputBlocks / p.strips % p.groups;
      const int64_t image = unit / p.outputBlocks / p.strips / p.groups;
      const int64_t r0 = strip * p.stripRows;
      const int64_t rowsHere = minOf(p.stripRows, p.rows - r0);
      const int64_t first = block * p.outputBlock;
      const int64_t last = minOf(p.outputs, first + p.outputBlock);
      gemm::copyPlanes<T>(p.planes, source + (image * p.groups + group) * p.planes.channels * p.planes.h * p.planes.w,
                          p.planes.channels, r0, rowsHere, p.stripRows, planes);
      T* out = y + (image * p.groups + group) * p.outputs * p.outH * p.outW;
      for (int64_t phase = 0; phase < phases; ++phase) {
        const int64_t a = phase / p.phasesW;
        const int64_t b = phase % p.phasesW;
        // Rows and columns of this phase; the last of a strided output may be one short.
        const int64_t phaseRows = minOf(rowsHere, (p.outH - a + p.stepH - 1) / p.stepH - r0);
        const int64_t phaseCols = (p.outW - b + p.stepW - 1) / p.stepW;
        if (phaseRows <= 0 || phaseCols <= 0) continue;
        const int64_t tapBegin = s.begins[phase];
        const int64_t tapEnd = s.begins[phase + 1];
        const int64_t span = (phaseRows - 1) * p.planes.pitch() + phaseCols;
        int64_t k0 = tapBegin;
        do {  // at least once: an output that no tap reaches is zero
          const int64_t depth = minOf(kBlockK, tapEnd - k0);
          const bool complete = k0 + kBlockK >= tapEnd;
          const T* packed = s.packed + group * p.padded * p.depth + k0 * p.padded;
          for (int64_t col = 0; col < span; col += kTileCols<T>) {
            const int64_t cols = minOf(kTileCols<T>, span - col);
            const int vectors = cols <= kLanes<T> ? 1 : gemm::kVectors;
            const auto kernel = gemm::chooseTileKernel<T, gemm::OffsetRows>(p.panel, vectors);
            for (int64_t row = first; row < last; row += p.panel) {
              kernel(depth, packed + row * depth, planes + col, gemm::OffsetRows{s.reads + k0}, tile);
              storeTile<T>(p, tile, vectors * kLanes<T>, minOf(p.panel, last - row), col, cols,
                           out + row * p.outH * p.outW, r0, phaseCols, a, b, k0 > tapBegin,
                           complete && bias ? bias + group * p.outputs + row : nullptr);
            }
          }
          k0 += kBlockK;
        } while (k0 < tapEnd);
      }
    }
  });
}

const char* const kDtypes = "takes float32 or float64; convert the operands first";

}  // namespace

namespace ops {

void conv2d(const Conv2dArgs& args, Context& context) {
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    correlate<T>(forwardPlan<T>(args), static_cast<const T*>(args.x.data), static_cast<const T*>(args.w.data),
                 args.bias.present() ? static_cast<const T*>(args.bias.data) : nullptr, static_cast<T*>(args.y.data),
                 context);
  };
  if (args.y.dtype == DType::float32) return run(0.0f);
  if (args.y.dtype == DType::float64) return run(0.0);
  context.fail("conv2d", kDtypes);
}

int64_t conv2dScratch(const Conv2dArgs& args, int lanes) {
  if (args.y.dtype == DType::float32) return carve<float>(forwardPlan<float>(args), nullptr, lanes).total;
  if (args.y.dtype == DType::float64) return carve<double>(forwardPlan<double>(args), nullptr, lanes).total;
  return 0;
}

void conv2dBackwardInput(const Conv2dBackwardInputArgs& args, Context& context) {
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    correlate<T>(backwardPlan<T>(args), static_cast<const T*>(args.g.data), static_cast<const T*>(args.w.data), nullptr,
                 static_cast<T*>(args.dx.data), context);
  };
  if (args.dx.dtype == DType::float32) return run(0.0f);
  if (args.dx.dtype == DType::float64) return run(0.0);
  context.fail("conv2dBackwardInput", kDtypes);
}

int64_t conv2dBackwardInputScratch(const Conv2dBackwardInputArgs& args, int lanes) {
  if (args.dx.dtype == DType::float32) return carve<float>(backwardPlan<float>(args), nullptr, lanes).total;
  if (args.dx.dtype == DType::float64) return carve<double>(backwardPlan<double>(args), nullptr, lanes).total;
  return 0;
}

}  // namespace ops
#endif
