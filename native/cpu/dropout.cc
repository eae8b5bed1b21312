// Inverted dropout: what is kept is scaled by 1 / (1 - p), so that evaluation needs no scaling.
#ifndef WL_ISA
#include "cpu/elementwise_loop.h"
#include "cpu/operands.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/dropout.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/dtypes.h"
#include "cpu/random_bits.h"

namespace {

// With p = 1 nothing is kept, and the scale is 0 rather than infinite: 0 times infinity would be NaN.
template <class T>
T scaleOf(double p) {
  return static_cast<T>(p < 1 ? 1 / (1 - p) : 0);
}

// y = uniform >= p ? x * scale : 0. By masks, not by branches that half of all elements would mispredict.
template <class T>
void dropRun(const T* x, const uint32_t* words, T* y, uint8_t* mask, int64_t n, T scale, float p) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  for (int64_t i = 0; i < n; ++i) {
    const Bits keep = Bits{0} - static_cast<Bits>(uniformFromBits(words[i]) >= p);
    const T scaled = x[i] * scale;
    Bits bits;
    std::memcpy(&bits, &scaled, sizeof(bits));
    bits &= keep;
    std::memcpy(y + i, &bits, sizeof(bits));
  }
  for (int64_t i = 0; i < n; ++i) mask[i] = uniformFromBits(words[i]) >= p;
}

template <>
void dropRun(const float* x, const uint32_t* words, float* y, uint8_t* mask, int64_t n, float scale, float p) {
  constexpr int L = kFloatLanes;
  const vfloat by = vset(scale), bound = vset(p);
  for (int64_t i = 0; i < n; i += L) {
    // The buffer of words goes on past n: see drawWords.
    const vint32 word = vbits<vint32>(vload(words + i) >> 8);
    const vint32 keep = __builtin_convertvector(word, vfloat) * 0x1p-24f >= bound;
    const auto bytes = __builtin_convertvector(keep, typename Vector<float>::bytes) & uint8_t{1};
    if (i + L <= n) {
      vstore(y + i, keep ? vload(x + i) * by : vfloat{});
      std::memcpy(mask + i, &bytes, sizeof(bytes));
    } else {
      const int rest = static_cast<int>(n - i);
      vstorePartial(y + i, keep ? vloadPartial(x + i, rest) * by : vfloat{}, rest);
      std::memcpy(mask + i, &bytes, static_cast<size_t>(rest));
    }
  }
}

template <class T>
void forward(const DropoutArgs& args, Context& context) {
  const T* x = args.x.as<T>();
  T* y = args.y.as<T>();
  uint8_t* mask = args.mask.as<uint8_t>();
  const T scale = scaleOf<T>(args.p);
  const float p = static_cast<float>(args.p);
  drawWords(context, args.state, args.x.numel(), [&](int64_t first, int64_t count, const uint32_t* words) {
    dropRun(x + first, words, y + first, mask + first, count, scale, p);
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
  runTyped<float, double>(context, "dropout", args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args, context); });
}

void dropoutBackward(const DropoutBackwardArgs& args, Context& context) {
  runTyped<float, double>(context, "dropoutBackward", args.g.dtype,
                          [&](auto zero) { backward<decltype(zero)>(args, context); });
}

}  // namespace ops
#endif
