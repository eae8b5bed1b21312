// The 16-bit float formats by their definition: a sign, an exponent with a bias, a fraction.
#pragma once

#include <cmath>
#include <cstdint>

namespace warploom::test {

struct Format16 {
  int exponentBits, fractionBits;
  int bias() const { return (1 << (exponentBits - 1)) - 1; }
};
constexpr Format16 kFloat16{5, 10}, kBFloat16{8, 7};

inline double decode16(uint16_t bits, const Format16& format) {
  const int all = (1 << format.exponentBits) - 1;
  const int exponent = bits >> format.fractionBits & all, fraction = bits & ((1 << format.fractionBits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == all) return fraction != 0 ? std::nan("") : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - format.bias() - format.fractionBits);
  return sign * std::ldexp((1 << format.fractionBits) + fraction, exponent - format.bias() - format.fractionBits);
}
// To the nearest, ties to even.
inline uint16_t encode16(double value, const Format16& format) {
  const int all = (1 << format.exponentBits) - 1;
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return static_cast<uint16_t>(0x7fff);
  const uint16_t infinity = static_cast<uint16_t>(sign | all << format.fractionBits);
  if (std::isinf(value)) return infinity;
  if (value == 0) return sign;
  const int lowest = 1 - format.bias();
  const int exponent = std::max(std::ilogb(value), lowest);
  // In units of the last place: carries run into the exponent by themselves.
  const int units = static_cast<int>(std::nearbyint(std::ldexp(std::fabs(value), format.fractionBits - exponent)));
  const int bits = units + ((exponent - lowest) << format.fractionBits);
  return bits >= all << format.fractionBits ? infinity : static_cast<uint16_t>(sign | bits);
}

}  // namespace warploom::test
