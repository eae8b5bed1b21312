// Inverted dropout: what is kept is scaled by 1 / (1 - p), so that evaluation needs no scaling.
#ifndef WL_ISA
#include "cpu/elementwise_loop.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/dropout.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/simd.h"

#include "cpu/random_bits.h"

namespace {

// With p = 1 nothing is kept, and the scale is 0 rather than infinite: 0 times infinity would be NaN.
template <class T>
T scaleOf(double p) {
  return static_cast<T>(p < 1 ? 1 / (1 - p) : 0);
}

template <class T>
void forward(const DropoutArgs& args, Context& context) {
  const T* x = args.x.as<T>();
  T* y = args.y.as<T>();
  uint8_t* mask = args.mask.as<uint8_t>();
  const T scale = scaleOf<T>(args.p);
  const float p = static_cast<float>(args.p);
  drawWords(context, args.state, args.x.numel(), [&](int64_t first, int64_t count, const uint32_t* words) {
    // Copies in locals: a store to bytes may alias anything, so the compiler would reload the lambda's captures each time.
    const T* from = x + first;
    T* to = y + first;
    uint8_t* keep = mask + first;
    const T factor = scale;
    const float bound = p;
    for (int64_t i = 0; i < count; ++i) {
      const T scaled = from[i] * factor;
      to[i] = uniformFromBits(words[i]) >= bound ? scaled : T{0};
    }
    for (int64_t i = 0; i < count; ++i) keep[i] = uniformFromBits(words[i]) >= bound;
  });
}

template <class T>
void backward(const DropoutBackwardArgs& args, Context& context) {
  const T* g = args.g.as<T>();
  T* dx = args.dx.as<T>();
  const uint8_t* mask = args.mask.as<uint8_t>();
  const T scale = scaleOf<T>(args.p);
  context.parallel(args.g.numel(), kGrainArithmetic, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const T scaled = g[i] * scale;
      dx[i] = mask[i] != 0 ? scaled : T{0};
    }
  });
}

}  // namespace

namespace ops {

void dropout(const DropoutArgs& args, Context& context) {
  if (args.x.dtype == DType::float32) return forward<float>(args, context);
  if (args.x.dtype == DType::float64) return forward<double>(args, context);
  unsupported(context, "dropout", args.x.dtype);
}

void dropoutBackward(const DropoutBackwardArgs& args, Context& context) {
  if (args.g.dtype == DType::float32) return backward<float>(args, context);
  if (args.g.dtype == DType::float64) return backward<double>(args, context);
  unsupported(context, "dropoutBackward", args.g.dtype);
}

}  // namespace ops
#endif
