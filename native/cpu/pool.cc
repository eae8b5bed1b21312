// 2-D max pooling. One chunk of work is a run of planes; a plane belongs to one thread, so scattered adds need no atomics.
#ifndef WL_ISA
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/pool.cc"
#include "cpu/foreach_isa.h"
#else

namespace {

constexpr int64_t kGrainElements = int64_t{1} << 14;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t planesPerChunk(int64_t elements) { return elements >= kGrainElements ? 1 : kGrainElements / (elements > 0 ? elements : 1); }

template <class T>
void maxPool(const MaxPool2dArgs& args, Context& context) {
  const int64_t planes = args.x.sizes[0] * args.x.sizes[1];
  const int64_t h = args.x.sizes[2], w = args.x.sizes[3];
  const int64_t outH = args.y.sizes[2], outW = args.y.sizes[3];
  if (outH * outW == 0) return;
  const T* const xs = static_cast<const T*>(args.x.data);
  T* const ys = static_cast<T*>(args.y.data);
  int32_t* const is = static_cast<int32_t*>(args.indices.data);
  const int64_t perPlane = outH * outW * args.kernelH * args.kernelW;
  context.parallel(planes, planesPerChunk(perPlane), [&](int64_t begin, int64_t end, int) {
    for (int64_t plane = begin; plane < end && !context.cancelled(); ++plane) {
      const T* x = xs + plane * h * w;
      T* y = ys + plane * outH * outW;
      int32_t* index = is + plane * outH * outW;
      for (int64_t r = 0; r < outH; ++r) {
        // The window's rows and columns inside the plane: padding never wins.
        int64_t h0 = r * args.strideH - args.padH;
        const int64_t hEnd = smaller(h, h0 + (args.kernelH - 1) * args.dilationH + 1);
        while (h0 < 0) h0 += args.dilationH;
        for (int64_t c = 0; c < outW; ++c) {
          int64_t w0 = c * args.strideW - args.padW;
          const int64_t wEnd = smaller(w, w0 + (args.kernelW - 1) * args.dilationW + 1);
          while (w0 < 0) w0 += args.dilationW;
          T best = -std::numeric_limits<T>::infinity();
          int64_t at = h0 * w + w0;
          for (int64_t i = h0; i < hEnd; i += args.dilationH) {
            for (int64_t j = w0; j < wEnd; j += args.dilationW) {
              const T v = x[i * w + j];
              // The first maximum, and the last NaN, as PyTorch has it.
              if (v > best || v != v) {
                best = v;
                at = i * w + j;
              }
            }
          }
          y[r * outW + c] = best;
          index[r * outW + c] = static_cast<int32_t>(at);
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
