// Truths of the integer forms. Arithmetic is done in 128 bits, and cut.
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

}  // namespace

void addIntegerTruths(Truths& truths) {
  arithmetic<uint16_t>(truths);
  arithmetic<int16_t>(truths);
  arithmetic<uint32_t>(truths);
  arithmetic<int32_t>(truths);
  arithmetic<uint64_t>(truths);
  arithmetic<int64_t>(truths);
}

}  // namespace warploom::test
