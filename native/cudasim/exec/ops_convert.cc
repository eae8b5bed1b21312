// cvt: every pair of types.
#include <cfenv>
#include <limits>

#include "cudasim/exec/halves.h"
#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

template <class T>
constexpr bool kHalfLike = std::is_same_v<T, Half> || std::is_same_v<T, BFloat>;
template <class T>
constexpr bool kFloatLike = std::is_floating_point_v<T> || kHalfLike<T>;

// What a lane of a register of this type holds.
template <class T>
using Lane = std::conditional_t<std::is_floating_point_v<T>, T, std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>;

template <class T>
inline T fromLane(Lane<T> lane) {
  if constexpr (kHalfLike<T>) {
    return T{static_cast<uint16_t>(lane)};
  } else {
    return static_cast<T>(lane);
  }
}
template <class T>
inline Lane<T> toLane(T value) {
  if constexpr (kHalfLike<T>) {
    return value.bits;
  } else {
    return static_cast<Lane<T>>(value);
  }
}
template <class T>
inline auto widen(T value) {
  if constexpr (kHalfLike<T>) {
    return toFloat(value);
  } else {
    return value;
  }
}

template <Rounding R, class T>
inline T integral(T value) {
  if constexpr (R == Rounding::nearest) return std::nearbyint(value);
  if constexpr (R == Rounding::zero) return std::trunc(value);
  if constexpr (R == Rounding::down) return std::floor(value);
  return std::ceil(value);
}

// Integers of any width into another, clamped where asked for.
template <class D, class S, bool kSat>
inline D integerTo(S value) {
  if constexpr (kSat) {
    const __int128 v = value;
    const __int128 low = std::numeric_limits<D>::min(), high = std::numeric_limits<D>::max();
    return static_cast<D>(v < low ? low : v > high ? high : v);
  } else {
    return static_cast<D>(value);
  }
}
// Out of range is clamped. NaN is 0, but of a double, or in 64 bits, the highest bit alone: the instructions differ.
template <class D, Rounding R, int kSource, class S>
inline D floatToInteger(S value) {
  const S rounded = integral<R>(value);
  constexpr S low = static_cast<S>(std::numeric_limits<D>::min());
  // 2^bits exactly: the maximum itself may not be representable.
  constexpr S high = static_cast<S>(2) * static_cast<S>(std::numeric_limits<D>::max() / 2 + 1);
  if (rounded != rounded)
    return sizeof(D) == 8 || kSource == 8 ? static_cast<D>(uint64_t{1} << (8 * sizeof(D) - 1)) : 0;
  if (rounded < low) return std::numeric_limits<D>::min();
  if (rounded >= high) return std::numeric_limits<D>::max();
  return static_cast<D>(rounded);
}

template <class D, class S, Rounding R, bool F, bool kSat, bool kIntegral>
void convert(Warp& w, const Instruction& in, uint32_t mask) {
  const auto work = [&] {
    map1<Lane<D>, Lane<S>>(w, in, mask, [](Lane<S> lane) -> Lane<D> {
      const S source = fromLane<S>(lane);
      if constexpr (!kFloatLike<S> && !kFloatLike<D>) {
        return toLane<D>(integerTo<D, S, kSat>(source));
      } else if constexpr (!kFloatLike<S>) {
        if constexpr (kHalfLike<D>) {
          return toLane<D>(fromFloat<D, R>(toOdd(static_cast<double>(source))));
        } else {
          return saturate<kSat>(static_cast<D>(source));
        }
      } else if constexpr (!kFloatLike<D>) {
        return toLane<D>(floatToInteger<D, R, sizeof(S)>(flush<F>(widen(source))));
      } else {
        auto value = flush<F>(widen(source));
        if constexpr (kIntegral) value = integral<R>(value);
        value = saturate<kSat>(value);
        if constexpr (kHalfLike<D>) {
          if constexpr (std::is_same_v<D, S>) {
            if (!kIntegral && !kSat) return lane;
          }
          if constexpr (std::is_same_v<decltype(value), double>) {
            return toLane<D>(fromFloat<D, R>(toOdd(value)));
          } else {
            return toLane<D>(fromFloat<D, R>(value));
          }
        } else {
          // A float32 that stays one may be no more than a copy.
          if constexpr (std::is_same_v<D, S> && !kIntegral) return toLane<D>(flush<F>(value));
          return toLane<D>(canonical(flush<F>(static_cast<D>(value))));
        }
      }
    });
  };
  // Only these round by the processor's mode: an integer or a double into a narrower float.
  constexpr bool kMode = R != Rounding::nearest && std::is_floating_point_v<D> && !kIntegral &&
                         (!kFloatLike<S> || (sizeof(D) < sizeof(S)));
  if constexpr (kMode) {
    const RoundingScope scope(R);
    work();
  } else {
    work();
  }
}

struct Names {
  FormTable& table;
  template <class D, class S, Rounding R, bool F, bool kSat, bool kIntegral>
  void add(const std::string& middle, const char* d, const char* s) {
    const std::string name = "cvt" + middle + (F ? ".ftz" : "") + (kSat ? ".sat" : "") + "." + d + "." + s;
    static const char* const signatures[] = {"D4A4", "D4A8", "D8A4", "D8A8"};
    Form form;
    // Integers are clamped without being asked.
    form.fn = &convert < D, S, R, F, kSat && !(kFloatLike<S> && std::is_integral_v<D>), kIntegral > ;
    form.signature = signatures[(sizeof(D) == 8) * 2 + (sizeof(S) == 8)];
    form.kind = Class::conversion;
    form.isSigned = std::is_integral_v<D> && std::is_signed_v<D>;
    table.add(name, form);
  }

  template <class D, class S>
  void pair(const char* d, const char* s) {
    if constexpr (!kFloatLike<S> && !kFloatLike<D>) {
      add<D, S, Rounding::nearest, false, false, false>("", d, s);
      // Saturation that can change nothing is no form.
      constexpr bool kHolds = std::numeric_limits<D>::digits >= std::numeric_limits<S>::digits &&
                              (std::is_signed_v<D> || !std::is_signed_v<S>);
      if constexpr (!kHolds) add<D, S, Rounding::nearest, false, true, false>("", d, s);
    } else if constexpr (!kFloatLike<S>) {
      add<D, S, Rounding::nearest, false, false, false>(".rn", d, s);
      add<D, S, Rounding::zero, false, false, false>(".rz", d, s);
      add<D, S, Rounding::down, false, false, false>(".rm", d, s);
      add<D, S, Rounding::up, false, false, false>(".rp", d, s);
    } else {
      // Only float32 is flushed.
      floats<D, S, false>(d, s);
      if constexpr (std::is_same_v<D, float> || std::is_same_v<S, float>) floats<D, S, true>(d, s);
    }
  }
  template <class D, class S, bool F>
  void floats(const char* d, const char* s) {
    if constexpr (!kFloatLike<D>) {
      rounded<D, S, F, false, false>(d, s, "i");
      rounded<D, S, F, true, false>(d, s, "i");
    } else if constexpr (sizeof(D) < sizeof(S)) {
      rounded<D, S, F, false, false>(d, s, "");
      rounded<D, S, F, true, false>(d, s, "");
    } else {
      add<D, S, Rounding::nearest, F, false, false>("", d, s);
      add<D, S, Rounding::nearest, F, true, false>("", d, s);
      if constexpr (std::is_same_v<D, S>) {
        rounded<D, S, F, false, true>(d, s, "i");
        rounded<D, S, F, true, true>(d, s, "i");
      }
    }
  }
  template <class D, class S, bool F, bool kSat, bool kIntegral>
  void rounded(const char* d, const char* s, const std::string& i) {
    add<D, S, Rounding::nearest, F, kSat, kIntegral>(".rn" + i, d, s);
    add<D, S, Rounding::zero, F, kSat, kIntegral>(".rz" + i, d, s);
    add<D, S, Rounding::down, F, kSat, kIntegral>(".rm" + i, d, s);
    add<D, S, Rounding::up, F, kSat, kIntegral>(".rp" + i, d, s);
  }

  template <class D>
  void to(const char* d) {
    pair<D, uint8_t>(d, "u8");
    pair<D, int8_t>(d, "s8");
    pair<D, uint16_t>(d, "u16");
    pair<D, int16_t>(d, "s16");
    pair<D, uint32_t>(d, "u32");
    pair<D, int32_t>(d, "s32");
    pair<D, uint64_t>(d, "u64");
    pair<D, int64_t>(d, "s64");
    pair<D, Half>(d, "f16");
    pair<D, float>(d, "f32");
    pair<D, double>(d, "f64");
  }
};

// Two floats into one register: a is the upper half.
template <class H, Rounding R, bool kRelu>
void convertTwo(Warp& w, const Instruction& in, uint32_t mask) {
  map2<uint32_t, float, float>(w, in, mask, [](float a, float b) {
    if (kRelu) a = a > 0 || a != a ? a : 0, b = b > 0 || b != b ? b : 0;
    return static_cast<uint32_t>(fromFloat<H, R>(a).bits) << 16 | fromFloat<H, R>(b).bits;
  });
}
template <class H, bool kRelu, Rounding R>
void convertOne(Warp& w, const Instruction& in, uint32_t mask) {
  map1<uint32_t, float>(w, in, mask, [](float a) {
    if (kRelu) a = a > 0 || a != a ? a : 0;
    return static_cast<uint32_t>(fromFloat<H, R>(a).bits);
  });
}
template <class H, Rounding R>
void fromSingle(FormTable& table, const std::string& rounding, const std::string& t) {
  const Class kind = Class::conversion;
  table.add("cvt" + rounding + t + ".f32", "D4A4", &convertOne<H, false, R>, kind);
  table.add("cvt" + rounding + ".relu" + t + ".f32", "D4A4", &convertOne<H, true, R>, kind);
  table.add("cvt" + rounding + t + "x2.f32", "D4A4B4", &convertTwo<H, R, false>, kind);
  table.add("cvt" + rounding + ".relu" + t + "x2.f32", "D4A4B4", &convertTwo<H, R, true>, kind);
}
void bfloatToFloat(Warp& w, const Instruction& in, uint32_t mask) {
  map1<uint32_t, uint32_t>(w, in, mask, [](uint32_t a) { return a << 16; });
}
// To the nearest with 10 bits of fraction, ties away from zero.
void toTf32(Warp& w, const Instruction& in, uint32_t mask) {
  map1<uint32_t, uint32_t>(w, in, mask, [](uint32_t a) {
    if ((a & 0x7f800000) == 0x7f800000) return (a & 0x7fffff) != 0 ? 0x7fffffffu : a;
    return (a + 0x1000) & 0xffffe000u;
  });
}

}  // namespace

void addConvertForms(FormTable& table) {
  Names names{table};
  names.to<uint8_t>("u8");
  names.to<int8_t>("s8");
  names.to<uint16_t>("u16");
  names.to<int16_t>("s16");
  names.to<uint32_t>("u32");
  names.to<int32_t>("s32");
  names.to<uint64_t>("u64");
  names.to<int64_t>("s64");
  names.to<Half>("f16");
  names.to<float>("f32");
  names.to<double>("f64");
  const Class kind = Class::conversion;
  fromSingle<BFloat, Rounding::nearest>(table, ".rn", ".bf16");
  fromSingle<BFloat, Rounding::zero>(table, ".rz", ".bf16");
  fromSingle<Half, Rounding::nearest>(table, ".rn", ".f16");
  fromSingle<Half, Rounding::zero>(table, ".rz", ".f16");
  table.add("cvt.f32.bf16", "D4A4", &bfloatToFloat, kind);
  table.add("cvt.rna.tf32.f32", "D4A4", &toTf32, kind);
}

}  // namespace warploom::cudasim
