// 2-D max pooling. One chunk of work is a run of planes; a plane belongs to one thread, so scattered adds need no
// atomics. Windows of 2 x 2 side by side, the usual ones, have loops of their own (pool_halving.h).
#ifndef WL_ISA
#include "cpu/operands.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/pool.cc"
#include "cpu/foreach_isa.h"
#else
// clang-format off
#include "cpu/simd.h"
#include "cpu/pool_halving.h"
// clang-format on

namespace {

constexpr int64_t kGrainElements = int64_t{1} << 14;
constexpr int64_t kBlock = 256;  // outputs whose taps are held at once

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t ceilDiv(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; }

int64_t planesPerChunk(int64_t elements) {
  return elements >= kGrainElements ? 1 : kGrainElements / (elements > 0 ? elements : 1);
}

// Windows of 2 x 2 that touch and lie inside the plane, float32.
template <class Args>
bool isHalving(const Args& args) {
  return args.kernelH == 2 && args.kernelW == 2 && args.strideH == 2 && args.strideW == 2 && args.padH == 0 &&
         args.padW == 0 && args.dilationH == 1 && args.dilationW == 1 &&
         (!args.indices.present() || args.indices.dtype == DType::uint8);
}

// One tap over a row of outputs: x[c * stride] against the best so far. Selected, not branched on: which of a window's
// elements wins cannot be predicted. The first maximum stays; NaN always wins, the last one, as in PyTorch.
template <class T>
void poolTap(int64_t count, const T* x, int64_t stride, int32_t tap, T* y, int32_t* taps) {
  for (int64_t c = 0; c < count; ++c) {
    const T v = x[c * stride];
    const T best = y[c];
    const bool wins = (v > best) | (v != v);
    y[c] = wins ? v : best;
    taps[c] = wins ? tap : taps[c];
  }
}

// The same for float32, whose mask fits the taps' lanes, with whole vectors: a row of outputs is often shorter than
// one.
template <int STRIDE>
void poolTapVectors(int64_t count, const float* x, int64_t, int32_t tap, float* y, int32_t* taps) {
  static_assert(STRIDE == 1 || STRIDE == 2, "other strides go lane by lane");
  constexpr int lanes = kFloatLanes;
  for (int64_t c = 0; c < count; c += lanes) {
    const int n = static_cast<int>(smaller(count - c, lanes));
    vfloat v;
    if constexpr (STRIDE == 1) {
      v = vloadPartial<float>(x + c, n);
    } else {
      const int wanted = 2 * n - 1;
      const vfloat low = vloadPartial<float>(x + 2 * c, static_cast<int>(smaller(wanted, lanes)));
      const vfloat high = wanted > lanes ? vloadPartial<float>(x + 2 * c + lanes, wanted - lanes) : vfloat{};
      v = everySecond<0>(low, high);
    }
    const vfloat best = vloadPartial<float>(y + c, n);
    vstorePartial<float>(y + c, v > best ? v : (v != v ? v : best), n);
    // Taps travel as float bits, for which partial loads are single instructions.
    float* const lane = reinterpret_cast<float*>(taps + c);
    const vfloat old = vloadPartial<float>(lane, n);
    const vfloat here = vbits<vfloat>(vset<int32_t>(tap));
    vstorePartial<float>(lane, v > best ? here : (v != v ? here : old), n);
  }
}

template <class T>
using PoolTap = void (*)(int64_t count, const T* x, int64_t stride, int32_t tap, T* y, int32_t* taps);

PoolTap<float> choosePoolTap(float, int64_t stride) {
  return stride == 1 ? poolTapVectors<1> : stride == 2 ? poolTapVectors<2> : poolTap<float>;
}
PoolTap<double> choosePoolTap(double, int64_t) { return poolTap<double>; }

template <class T>
void maxPool(const MaxPool2dArgs& args, Context& context) {
  const int64_t planes = args.x.sizes[0] * args.x.sizes[1];
  const int64_t h = args.x.sizes[2], w = args.x.sizes[3];
  const int64_t outH = args.y.sizes[2], outW = args.y.sizes[3];
  if (outH * outW == 0) return;
  const T* const xs = static_cast<const T*>(args.x.data);
  T* const ys = static_cast<T*>(args.y.data);
  const PoolTap<T> tap = choosePoolTap(T(0), args.strideW);
  const int32_t none = static_cast<int32_t>(args.kernelH * args.kernelW);
  const int64_t perPlane = outH * outW * args.kernelH * args.kernelW;
  context.parallel(planes, planesPerChunk(perPlane), [&](int64_t begin, int64_t end, int) {
    if constexpr (std::is_same<T, float>::value) {
      if (isHalving(args)) {
        uint8_t* taps =
            args.indices.present() ? static_cast<uint8_t*>(args.indices.data) + begin * outH * outW : nullptr;
        return halve({h, w, outH, outW}, xs + begin * h * w, end - begin, ys + begin * outH * outW, taps,
                     args.relu != 0);
      }
    }
    int32_t winners[kBlock];
    for (int64_t row = begin * outH; row < end * outH && !context.cancelled(); ++row) {
      const T* x = xs + row / outH * h * w;
      // Padding never wins: a window starts at its first row and column inside the plane, and so does its tap.
      const int64_t top = row % outH * args.strideH - args.padH;
      const int64_t skippedRows = ceilDiv(-top, args.dilationH);
      const int64_t rows = smaller(args.kernelH, ceilDiv(h - top, args.dilationH));
      for (int64_t block = 0; block < outW; block += kBlock) {
        const int64_t n = smaller(kBlock, outW - block);
        T* y = ys + row * outW + block;
        for (int64_t c = 0; c < n; ++c) {
          y[c] = -std::numeric_limits<T>::infinity();
          const int64_t left = (block + c) * args.strideW - args.padW;
          winners[c] = static_cast<int32_t>(skippedRows * args.kernelW + ceilDiv(-left, args.dilationW));
        }
        for (int64_t i = skippedRows; i < rows; ++i) {
          for (int64_t j = 0; j < args.kernelW; ++j) {
            // Outputs whose tap lies inside: 0 <= c * strideW + shift < w.
            const int64_t shift = j * args.dilationW - args.padW;
            const int64_t first = larger(block, ceilDiv(-shift, args.strideW));
            const int64_t count = smaller(block + n, ceilDiv(w - shift, args.strideW)) - first;
            if (count <= 0) continue;
            tap(count, x + (top + i * args.dilationH) * w + first * args.strideW + shift, args.strideW,
                static_cast<int32_t>(i * args.kernelW + j), y + (first - block), winners + (first - block));
          }
        }
        if (args.relu != 0) {
          for (int64_t c = 0; c < n; ++c) {
            winners[c] = y[c] <= T(0) ? none : winners[c];
            y[c] = y[c] <= T(0) ? T(0) : y[c];
          }
        }
        if (!args.indices.present()) continue;
        const int64_t at = row * outW + block;
        if (args.indices.dtype == DType::uint8) {
          uint8_t* to = static_cast<uint8_t*>(args.indices.data) + at;
          for (int64_t c = 0; c < n; ++c) to[c] = static_cast<uint8_t>(winners[c]);
        } else {
          int32_t* to = static_cast<int32_t*>(args.indices.data) + at;
          for (int64_t c = 0; c < n; ++c) {
            const int64_t i = winners[c] / args.kernelW, j = winners[c] % args.kernelW;
            const int64_t left = (block + c) * args.strideW - args.padW;
            const int64_t place = (top + i * args.dilationH) * w + left + j * args.dilationW;
            to[c] = static_cast<int32_t>(winners[c] == none ? -1 : place);
          }
        }
      }
    }
  });
}

// Where the maximum of window (r, c) is, in a plane of h x w; negative for none.
struct Windows {
  const char* op;
  int64_t h, w, outH, outW;
  int64_t kernelH, kernelW, strideH, strideW, padH, padW, dilationH, dilationW;
  int64_t place(uint8_t tap, int64_t r, int64_t c, Context&) const {
    const int64_t row = r * strideH - padH + tap / kernelW * dilationH;
    const int64_t col = c * strideW - padW + tap % kernelW * dilationW;
    const bool inside = tap < kernelH * kernelW && row >= 0 && row < h && col >= 0 && col < w;
    return inside ? row * w + col : -1;
  }
  int64_t place(int32_t index, int64_t, int64_t, Context& context) const {
    if (index >= -1 && index < h * w) return index;
    context.indexError(op, index, h * w);
    return -1;
  }
};
template <class Args>
Windows windowsOf(const char* op, const Args& args, const View& x, const View& y) {
  return {op,           x.sizes[2],   x.sizes[3], y.sizes[2], y.sizes[3],     args.kernelH,  args.kernelW,
          args.strideH, args.strideW, args.padH,  args.padW,  args.dilationH, args.dilationW};
}

// Calls visit(output, place) for each output of a plane, in order.
template <class Index, class Visit>
void forEachMaximum(const Windows& p, const Index* indices, Context& context, Visit visit) {
  for (int64_t r = 0; r < p.outH; ++r) {
    for (int64_t c = 0; c < p.outW; ++c) {
      const int64_t at = r * p.outW + c;
      visit(at, p.place(indices[at], r, c, context));
    }
  }
}

template <class T, class Index>
void maxPoolBackward(const MaxPool2dBackwardArgs& args, Context& context) {
  const int64_t planes = args.dx.sizes[0] * args.dx.sizes[1];
  const int64_t h = args.dx.sizes[2], w = args.dx.sizes[3];
  const int64_t outH = args.g.sizes[2], outW = args.g.sizes[3];
  const T* const gs = static_cast<const T*>(args.g.data);
  const Index* const is = static_cast<const Index*>(args.indices.data);
  T* const dxs = static_cast<T*>(args.dx.data);
  const Windows windows = windowsOf("maxPool2dBackward", args, args.dx, args.g);
  context.parallel(planes, planesPerChunk(h * w + outH * outW), [&](int64_t begin, int64_t end, int) {
    if constexpr (std::is_same<T, float>::value && std::is_same<Index, uint8_t>::value) {
      if (isHalving(args)) {
        return halveBackward({h, w, outH, outW}, gs + begin * outH * outW, is + begin * outH * outW, end - begin,
                             dxs + begin * h * w);
      }
    }
    for (int64_t plane = begin; plane < end && !context.cancelled(); ++plane) {
      T* dx = dxs + plane * h * w;
      const T* g = gs + plane * outH * outW;
      for (int64_t i = 0; i < h * w; ++i) dx[i] = T(0);
      forEachMaximum(windows, is + plane * outH * outW, context, [&](int64_t from, int64_t to) {
        if (to >= 0) dx[to] += g[from];
      });
    }
  });
}

template <class T, class Index>
void maxPoolGather(const MaxPool2dGatherArgs& args, Context& context) {
  const int64_t planes = args.x.sizes[0] * args.x.sizes[1];
  const int64_t size = args.x.sizes[2] * args.x.sizes[3];
  const int64_t outputs = args.y.sizes[2] * args.y.sizes[3];
  const T* const xs = static_cast<const T*>(args.x.data);
  const Index* const is = static_cast<const Index*>(args.indices.data);
  T* const ys = static_cast<T*>(args.y.data);
  const Windows windows = windowsOf("maxPool2dGather", args, args.x, args.y);
  context.parallel(planes, planesPerChunk(outputs), [&](int64_t begin, int64_t end, int) {
    for (int64_t plane = begin; plane < end; ++plane) {
      forEachMaximum(windows, is + plane * outputs, context, [&](int64_t to, int64_t from) {
        ys[plane * outputs + to] = from >= 0 ? xs[plane * size + from] : T(0);
      });
    }
  });
}

// Calls run with a zero of the elements' type and one of the indices'; false where the dtypes are none of those.
template <class Run>
bool withTypes(DType dtype, const View& indices, Run run) {
  if (indices.dtype != DType::uint8 && indices.dtype != DType::int32) return false;
  const bool bytes = indices.dtype == DType::uint8;
  if (dtype == DType::float32) return (bytes ? run(0.0f, uint8_t{}) : run(0.0f, int32_t{})), true;
  if (dtype == DType::float64) return (bytes ? run(0.0, uint8_t{}) : run(0.0, int32_t{})), true;
  return false;
}

const char* const kDtypes = "takes float32 or float64, and indices of uint8 or int32; convert the operands first";

}  // namespace

namespace ops {

void maxPool2d(const MaxPool2dArgs& args, Context& context) {
  if (args.x.dtype == DType::float32) return maxPool<float>(args, context);
  if (args.x.dtype == DType::float64) return maxPool<double>(args, context);
  refuse(context, "maxPool2d", kDtypes);
}

void maxPool2dBackward(const MaxPool2dBackwardArgs& args, Context& context) {
  const auto run = [&](auto zero, auto index) { maxPoolBackward<decltype(zero), decltype(index)>(args, context); };
  if (!withTypes(args.dx.dtype, args.indices, run)) refuse(context, "maxPool2dBackward", kDtypes);
}

void maxPool2dGather(const MaxPool2dGatherArgs& args, Context& context) {
  const auto run = [&](auto zero, auto index) { maxPoolGather<decltype(zero), decltype(index)>(args, context); };
  if (!withTypes(args.x.dtype, args.indices, run)) refuse(context, "maxPool2dGather", kDtypes);
}

}  // namespace ops
#endif
