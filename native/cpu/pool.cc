// 2-D max pooling. One chunk of work is a run of planes; a plane belongs to one thread, so scattered adds need no
// atomics.
#ifndef WL_ISA
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/pool.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/simd.h"

namespace {

constexpr int64_t kGrainElements = int64_t{1} << 14;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t planesPerChunk(int64_t elements) {
  return elements >= kGrainElements ? 1 : kGrainElements / (elements > 0 ? elements : 1);
}

int64_t ceilDiv(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; }

template <int... I>
vfloat everySecond(vfloat low, vfloat high, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(low, high, (2 * I)...);
}

// One tap over a row of outputs: x[c * stride] against the best so far. Selected, not branched on: which of a window's
// elements wins cannot be predicted. The first maximum stays; NaN always wins, the last one, as in PyTorch.
template <class T>
void poolTap(int64_t count, const T* x, int64_t stride, int32_t at, T* y, int32_t* index) {
  for (int64_t c = 0; c < count; ++c) {
    const T v = x[c * stride];
    const T best = y[c];
    const bool wins = (v > best) | (v != v);
    y[c] = wins ? v : best;
    index[c] = wins ? at + static_cast<int32_t>(c * stride) : index[c];
  }
}

// The same for float32, whose mask fits the indices' lanes, with whole vectors: a row of outputs is often shorter than
// one.
template <int STRIDE>
void poolTapVectors(int64_t count, const float* x, int64_t, int32_t at, float* y, int32_t* index) {
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
      v = everySecond(low, high, std::make_integer_sequence<int, lanes>());
    }
    const vfloat best = vloadPartial<float>(y + c, n);
    const vint32 wins = (v > best) | (v != v);
    vstorePartial<float>(y + c, wins ? v : best, n);
    // Indices travel as float bits, for which partial loads are single instructions.
    float* const lane = reinterpret_cast<float*>(index + c);
    const vint32 here = viota<int32_t>() * STRIDE + (at + static_cast<int32_t>(c * STRIDE));
    vstorePartial<float>(lane, vbits<vfloat>(wins ? here : vbits<vint32>(vloadPartial<float>(lane, n))), n);
  }
}

template <class T>
using PoolTap = void (*)(int64_t count, const T* x, int64_t stride, int32_t at, T* y, int32_t* index);

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
  int32_t* const is = static_cast<int32_t*>(args.indices.data);
  const PoolTap<T> tap = choosePoolTap(T(0), args.strideW);
  const int64_t perPlane = outH * outW * args.kernelH * args.kernelW;
  context.parallel(planes, planesPerChunk(perPlane), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin * outH; row < end * outH && !context.cancelled(); ++row) {
      const T* x = xs + row / outH * h * w;
      T* y = ys + row * outW;
      int32_t* index = is + row * outW;
      // Padding never wins: a window starts at its first row and column inside the plane, and so does its index.
      const int64_t top = row % outH * args.strideH - args.padH;
      const int64_t h0 = top + ceilDiv(-top, args.dilationH) * args.dilationH;
      const int64_t hEnd = smaller(h, top + (args.kernelH - 1) * args.dilationH + 1);
      for (int64_t c = 0; c < outW; ++c) y[c] = -std::numeric_limits<T>::infinity();
      int64_t c = 0;
      for (int64_t left = -args.padW; c < outW && left < 0; ++c, left += args.strideW) {
        index[c] = static_cast<int32_t>(h0 * w + left + ceilDiv(-left, args.dilationW) * args.dilationW);
      }
      const int32_t start = static_cast<int32_t>(h0 * w - args.padW);
      const int32_t stride = static_cast<int32_t>(args.strideW);
      for (; c < outW; ++c) index[c] = start + static_cast<int32_t>(c) * stride;
      for (int64_t i = h0; i < hEnd; i += args.dilationH) {
        for (int64_t k = 0; k < args.kernelW; ++k) {
          // Outputs whose tap k lies inside: 0 <= c * strideW + shift < w.
          const int64_t shift = k * args.dilationW - args.padW;
          const int64_t c0 = ceilDiv(-shift, args.strideW);
          const int64_t count = smaller(outW, ceilDiv(w - shift, args.strideW)) - c0;
          if (count <= 0) continue;
          const int64_t at = i * w + c0 * args.strideW + shift;
          tap(count, x + at, args.strideW, static_cast<int32_t>(at), y + c0, index + c0);
        }
      }
    }
  });
}

template <class T>
void maxPoolBackward(const MaxPool2dBackwardArgs& args, Context& context) {
  const int64_t planes = args.dx.sizes[0] * args.dx.sizes[1];
  const int64_t size = args.dx.sizes[2] * args.dx.sizes[3];
  const int64_t outputs = args.g.sizes[2] * args.g.sizes[3];
  const T* const gs = static_cast<const T*>(args.g.data);
  const int32_t* const is = static_cast<const int32_t*>(args.indices.data);
  T* const dxs = static_cast<T*>(args.dx.data);
  context.parallel(planes, planesPerChunk(size + outputs), [&](int64_t begin, int64_t end, int) {
    for (int64_t plane = begin; plane < end && !context.cancelled(); ++plane) {
      T* dx = dxs + plane * size;
      const T* g = gs + plane * outputs;
      const int32_t* index = is + plane * outputs;
      for (int64_t i = 0; i < size; ++i) dx[i] = T(0);
      for (int64_t i = 0; i < outputs; ++i) {
        if (index[i] < 0 || index[i] >= size) {
          context.indexError("maxPool2dBackward", index[i], size);
          continue;
        }
        dx[index[i]] += g[i];
      }
    }
  });
}

template <class T>
void maxPoolGather(const MaxPool2dGatherArgs& args, Context& context) {
  const int64_t planes = args.x.sizes[0] * args.x.sizes[1];
  const int64_t size = args.x.sizes[2] * args.x.sizes[3];
  const int64_t outputs = args.y.sizes[2] * args.y.sizes[3];
  const T* const xs = static_cast<const T*>(args.x.data);
  const int32_t* const is = static_cast<const int32_t*>(args.indices.data);
  T* const ys = static_cast<T*>(args.y.data);
  context.parallel(planes, planesPerChunk(outputs), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * outputs; i < end * outputs; ++i) {
      const int64_t index = is[i];
      const bool inside = index >= 0 && index < size;
      if (!inside) context.indexError("maxPool2dGather", index, size);
      ys[i] = inside ? xs[i / outputs * size + index] : T(0);
    }
  });
}

}  // namespace

namespace ops {

void maxPool2d(const MaxPool2dArgs& args, Context& context) {
  if (args.x.dtype == DType::float32) return maxPool<float>(args, context);
  if (args.x.dtype == DType::float64) return maxPool<double>(args, context);
  context.fail("maxPool2d", "takes float32 or float64; convert the input first");
}

void maxPool2dBackward(const MaxPool2dBackwardArgs& args, Context& context) {
  if (args.dx.dtype == DType::float32) return maxPoolBackward<float>(args, context);
  if (args.dx.dtype == DType::float64) return maxPoolBackward<double>(args, context);
  context.fail("maxPool2dBackward", "takes float32 or float64; convert the gradient first");
}

void maxPool2dGather(const MaxPool2dGatherArgs& args, Context& context) {
  if (args.x.dtype == DType::float32) return maxPoolGather<float>(args, context);
  if (args.x.dtype == DType::float64) return maxPoolGather<double>(args, context);
  context.fail("maxPool2dGather", "takes float32 or float64; convert the input first");
}

}  // namespace ops
#endif
