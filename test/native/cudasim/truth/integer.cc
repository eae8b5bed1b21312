// Truths of integer arithmetic, done in 128 bits and cut. Bits and fields: integer_bits.cc; carries: integer_carry.cc.
#include "truth.h"

namespace warploom::test {

namespace {

using W = __int128;
using U = unsigned __int128;

template <class T>
void arithmetic(Truths& truths) {
  constexpr int bits = 8 * sizeof(T);
  const std::string t = std::string(".") + nameOf(typeOf<T>());
  const auto two = [&](const std::string& name, W (*f)(W, W)) {
    truths.map<T, T, T>(name + t, [f](T a, T b) { return static_cast<T>(f(a, b)); });
  };
  const auto three = [&](const std::string& name, W (*f)(W, W, W)) {
    truths.map<T, T, T, T>(name + t, [f](T a, T b, T c) { return static_cast<T>(f(a, b, c)); });
  };
  two("add", [](W a, W b) { return a + b; });
  two("sub", [](W a, W b) { return a - b; });
  two("mul.lo", [](W a, W b) { return static_cast<W>(static_cast<U>(a) * static_cast<U>(b)); });
  three("mad.lo",
        [](W a, W b, W c) { return static_cast<W>(static_cast<U>(a) * static_cast<U>(b) + static_cast<U>(c)); });
  two("mul.hi", [](W a, W b) {
    return std::is_signed_v<T> ? a * b >> bits : static_cast<W>(static_cast<U>(a) * static_cast<U>(b) >> bits);
  });
  three("mad.hi", [](W a, W b, W c) {
    return c + (std::is_signed_v<T> ? a * b >> bits : static_cast<W>(static_cast<U>(a) * static_cast<U>(b) >> bits));
  });
  // The PTX ISA leaves division by zero open; the hardware gives all ones, and the dividend as the rest.
  two("div", [](W a, W b) { return b == 0 ? W(-1) : a / b; });
  two("rem", [](W a, W b) { return b == 0 ? a : a % b; });
  two("min", [](W a, W b) { return a < b ? a : b; });
  two("max", [](W a, W b) { return a > b ? a : b; });
  three("sad", [](W a, W b, W c) { return c + (a > b ? a - b : b - a); });
  truths.map<T, T, uint32_t>("shr" + t,
                             [](T a, uint32_t n) { return static_cast<T>(static_cast<W>(a) >> (n > 100 ? 100 : n)); });
  if (std::is_signed_v<T>) {
    truths.map<T, T>("neg" + t, [](T a) { return static_cast<T>(-static_cast<W>(a)); });
    truths.map<T, T>("abs" + t, [](T a) { return static_cast<T>(a < 0 ? -static_cast<W>(a) : a); });
  }
}

// The whole product.
template <class T, class D>
void wide(Truths& truths) {
  const std::string t = std::string(".") + nameOf(typeOf<T>());
  truths.map<D, T, T>("mul.wide" + t, [](T a, T b) { return static_cast<D>(W(a) * W(b)); });
  truths.map<D, T, T, D>("mad.wide" + t, [](T a, T b, D c) { return static_cast<D>(W(a) * W(b) + W(c)); });
}

int32_t clamp(W value) {
  return static_cast<int32_t>(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value);
}

// The low 24 bits of an operand.
template <class T>
W low24(T value) {
  const W low = static_cast<W>(value & 0xffffff);
  return std::is_signed_v<T> && low >= 0x800000 ? low - 0x1000000 : low;
}
template <class T>
void products24(Truths& truths) {
  const std::string t = std::string(".") + nameOf(typeOf<T>());
  // .lo: bits 31..0 of the product, .hi: bits 47..16.
  const auto low = [](T a, T b) { return static_cast<T>(low24(a) * low24(b)); };
  const auto high = [](T a, T b) { return static_cast<T>(low24(a) * low24(b) >> 16); };
  truths.map<T, T, T>("mul24.lo" + t, low);
  truths.map<T, T, T>("mul24.hi" + t, high);
  truths.map<T, T, T, T>("mad24.lo" + t, [low](T a, T b, T c) { return static_cast<T>(W(low(a, b)) + c); });
  truths.map<T, T, T, T>("mad24.hi" + t, [high](T a, T b, T c) { return static_cast<T>(W(high(a, b)) + c); });
}

// Part `index` of a word, `bits` wide.
W part(uint32_t word, int index, int bits, bool isSigned) {
  const W mask = (W(1) << bits) - 1, value = W(word) >> (index * bits) & mask;
  return isSigned && value >> (bits - 1) != 0 ? value - mask - 1 : value;
}
void dotProducts(Truths& truths) {
  for (const bool aSigned : {false, true}) {
    for (const bool bSigned : {false, true}) {
      const std::string t = std::string(aSigned ? ".s32" : ".u32") + (bSigned ? ".s32" : ".u32");
      truths.map<B32, uint32_t, uint32_t, uint32_t>("dp4a" + t, [=](uint32_t a, uint32_t b, uint32_t c) {
        W sum = c;
        for (int i = 0; i < 4; ++i) sum += part(a, i, 8, aSigned) * part(b, i, 8, bSigned);
        return B32{static_cast<uint32_t>(sum)};
      });
      for (const int high : {0, 1}) {
        const std::string name = high == 1 ? "dp2a.hi" : "dp2a.lo";
        truths.map<B32, uint32_t, uint32_t, uint32_t>(name + t, [=](uint32_t a, uint32_t b, uint32_t c) {
          W sum = c;
          for (int i = 0; i < 2; ++i) sum += part(a, i, 16, aSigned) * part(b, i + 2 * high, 8, bSigned);
          return B32{static_cast<uint32_t>(sum)};
        });
      }
    }
  }
}

}  // namespace

void addIntegerBitTruths(Truths& truths);
void addCarryTruths(Truths& truths);

void addIntegerTruths(Truths& truths) {
  addIntegerBitTruths(truths);
  addCarryTruths(truths);
  wide<uint16_t, uint32_t>(truths);
  wide<int16_t, int32_t>(truths);
  wide<uint32_t, uint64_t>(truths);
  wide<int32_t, int64_t>(truths);
  products24<uint32_t>(truths);
  products24<int32_t>(truths);
  dotProducts(truths);
  truths.map<int32_t, int32_t, int32_t>("add.sat.s32", [](int32_t a, int32_t b) { return clamp(W(a) + b); });
  truths.map<int32_t, int32_t, int32_t>("sub.sat.s32", [](int32_t a, int32_t b) { return clamp(W(a) - b); });
  truths.map<int32_t, int32_t, int32_t, int32_t>(
      "mad.hi.sat.s32", [](int32_t a, int32_t b, int32_t c) { return clamp((W(a) * b >> 32) + c); });
  truths.map<int32_t, int32_t, int32_t, int32_t>("mad24.hi.sat.s32", [](int32_t a, int32_t b, int32_t c) {
    return clamp(static_cast<int32_t>(low24(a) * low24(b) >> 16) + W(c));
  });
  arithmetic<uint16_t>(truths);
  arithmetic<int16_t>(truths);
  arithmetic<uint32_t>(truths);
  arithmetic<int32_t>(truths);
  arithmetic<uint64_t>(truths);
  arithmetic<int64_t>(truths);
}

}  // namespace warploom::test
