// Tensors from nothing: constants, ramps and random draws.
#ifndef WL_ISA
#include <string>

#include "cpu/elementwise_loop.h"
#include "cpu/operands.h"
#include "cpu/prelude.h"
#include "engine/normal.h"

namespace warploom::cpu {
namespace {
// Text is made here, outside the instruction sets: see prelude.h.
void failRange(Context& context, double low, double high) {
  context.fail("randint", "the range [" + std::to_string(low) + ", " + std::to_string(high) +
                              ") must hold at least one integer and at most 2^32");
}
}  // namespace
}  // namespace warploom::cpu

#define WL_ISA_FILE "cpu/create.cc"
#include "cpu/foreach_isa.h"
#else
// clang-format off
#include "cpu/random_bits.h"  // first: it brings simd.h, which stream.h needs
#include "cpu/stream.h"
#include "cpu/dtypes.h"
// clang-format on

namespace {

template <class T>
void fillRow(char* const* pointers, const int64_t* strides, int64_t n, bool streamed) {
  T* y = reinterpret_cast<T*>(pointers[0]);
  const T value = *reinterpret_cast<const T*>(pointers[1]);
  const int64_t stride = strides[0];
  int64_t i = 0;
  if (stride == 1) {
    const VectorOf<T> v = vset(value);
    if (streamed) i = streamRow<T>(y, n, [&](int64_t) { return v; });
    for (; i + kLanes<T> <= n; i += kLanes<T>) vstore(y + i, v);
  }
  for (; i < n; ++i) y[i * stride] = value;
}

// Floats are computed in float64 and rounded once; integers in int64 where start and step are whole.
template <class T>
void arangeOf(const ArangeArgs& args, Context& context) {
  T* y = args.y.as<T>();
  const double start = args.start, step = args.step;
  constexpr double kLimit = 9007199254740992.0;  // beyond 2^53 a double is no exact integer
  const bool whole = std::is_integral_v<T> && std::floor(start) == start && std::floor(step) == step &&
                     std::fabs(start) <= kLimit && std::fabs(step) <= kLimit;
  context.parallel(args.y.numel(), kGrainArithmetic, [&](int64_t begin, int64_t end, int) {
    if (whole) {
      const uint64_t first = static_cast<uint64_t>(static_cast<int64_t>(start));
      const uint64_t by = static_cast<uint64_t>(static_cast<int64_t>(step));
      for (int64_t i = begin; i < end; ++i) y[i] = static_cast<T>(first + static_cast<uint64_t>(i) * by);
    } else if constexpr (std::is_integral_v<T>) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t value;
        scalarOf(start + static_cast<double>(i) * step, DType::int64, &value);
        y[i] = static_cast<T>(value);
      }
    } else {
      for (int64_t i = begin; i < end; ++i) y[i] = static_cast<T>(start + static_cast<double>(i) * step);
    }
  });
}

template <class T>
void uniformOf(const RandomArgs& args, Context& context) {
  T* y = args.y.as<T>();
  const float a = static_cast<float>(args.a), b = static_cast<float>(args.b);
  const float scale = static_cast<float>(args.b - args.a);
  const float below = b > a ? std::nextafter(b, a) : std::numeric_limits<float>::infinity();
  drawWords(context, args.state, args.y.numel(), [&](int64_t first, int64_t count, const uint32_t* words) {
    for (int64_t i = 0; i < count; ++i) {
      y[first + i] = static_cast<T>(uniformBetween(uniformFromBits(words[i]), a, scale, below));
    }
  });
}

template <class T>
void normalOf(const RandomArgs& args, Context& context) {
  T* y = args.y.as<T>();
  const float mean = static_cast<float>(args.a), deviation = static_cast<float>(args.b);
  drawWords(context, args.state, args.y.numel(), [&](int64_t first, int64_t count, const uint32_t* words) {
    const int64_t pairs = (count + 1) / 2;
    float firsts[kWordsAtOnce / 2], seconds[kWordsAtOnce / 2];
    for (int64_t i = 0; i < pairs; ++i) {
      const NormalPair pair = normalPair(words[2 * i], words[2 * i + 1]);
      firsts[i] = mulAddRounded(pair.first, deviation, mean);
      seconds[i] = mulAddRounded(pair.second, deviation, mean);
    }
    for (int64_t i = 0; i < count / 2; ++i) {
      y[first + 2 * i] = static_cast<T>(firsts[i]);
      y[first + 2 * i + 1] = static_cast<T>(seconds[i]);
    }
    if (count % 2 != 0) y[first + count - 1] = static_cast<T>(firsts[pairs - 1]);
  });
}

template <class T>
void bernoulliOf(const RandomArgs& args, Context& context) {
  T* y = args.y.as<T>();
  const float p = static_cast<float>(args.a);
  drawWords(context, args.state, args.y.numel(), [&](int64_t first, int64_t count, const uint32_t* words) {
    T* to = y + first;  // and p in a local: a store to bytes may alias what the lambda captured
    const float bound = p;
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(uniformFromBits(words[i]) < bound);
  });
}

template <class T>
void randintOf(const RandomArgs& args, Context& context) {
  T* y = args.y.as<T>();
  const int64_t low = static_cast<int64_t>(args.a);
  const uint64_t span = static_cast<uint64_t>(static_cast<int64_t>(args.b) - low);
  drawWords(context, args.state, args.y.numel(), [&](int64_t first, int64_t count, const uint32_t* words) {
    for (int64_t i = 0; i < count; ++i) {
      y[first + i] = static_cast<T>(low + static_cast<int64_t>(integerFromBits(words[i], span)));
    }
  });
}

}  // namespace

namespace ops {

void fill(const FillArgs& args, Context& context) {
  const DType dtype = args.y.dtype;
  const View none = [] {
    View view{};
    view.rank = -1;
    return view;
  }();
  const Operand value{&none, args.value, dtype};
  const int64_t item = itemSize(dtype);
  if (item == 2) return unsupported(context, "fill", dtype);
  forEachRow(context, args.y, &value, 1, kGrainArithmetic,
             item == 8   ? fillRow<uint64_t>
             : item == 4 ? fillRow<uint32_t>
                         : fillRow<uint8_t>);
}

void arange(const ArangeArgs& args, Context& context) {
  runTyped<float, double, int32_t, int64_t, uint8_t>(context, "arange", args.y.dtype,
                                                     [&](auto zero) { arangeOf<decltype(zero)>(args, context); });
}

void uniform(const RandomArgs& args, Context& context) {
  runTyped<float, double>(context, "uniform", args.y.dtype,
                          [&](auto zero) { uniformOf<decltype(zero)>(args, context); });
}

void normal(const RandomArgs& args, Context& context) {
  runTyped<float, double>(context, "normal", args.y.dtype, [&](auto zero) { normalOf<decltype(zero)>(args, context); });
}

void bernoulli(const RandomArgs& args, Context& context) {
  runTyped<float, double, int32_t, int64_t, uint8_t, bool>(
      context, "bernoulli", args.y.dtype, [&](auto zero) { bernoulliOf<decltype(zero)>(args, context); });
}

void randint(const RandomArgs& args, Context& context) {
  if (!(args.b > args.a) || args.b - args.a > 4294967296.0) return failRange(context, args.a, args.b);
  runTyped<float, double, int32_t, int64_t, uint8_t>(context, "randint", args.y.dtype,
                                                     [&](auto zero) { randintOf<decltype(zero)>(args, context); });
}

}  // namespace ops
#endif
