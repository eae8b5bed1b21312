// Values for native tests: seeded numbers, dtypes by type, and a watch over bits that must not depend on the thread
// count.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "check.h"
#include "cpu/backend.h"

namespace warploom::test {

template <class T>
constexpr DType kDType = sizeof(T) == 4 ? DType::float32 : DType::float64;

template <class T>
constexpr double kEps = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;

// `count` numbers in [low, high), the same for the same seed (splitmix64).
template <class T>
std::vector<T> values(int64_t count, uint64_t seed, double low = -1, double high = 1) {
  std::vector<T> out(static_cast<std::size_t>(count));
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (T& value : out) {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    value = static_cast<T>(low + (high - low) * static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53);
  }
  return out;
}

template <class T>
bool sameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// forEachDevice begins each instruction set with one thread: its bits are kept, and those of more threads must equal
// them.
template <class T>
class ThreadWatch {
 public:
  void check(const DeviceImpl& device, const std::vector<T>& result) {
    if (device.facts().threads == 1) {
      kept_ = result;
    } else {
      CHECK(sameBits(kept_, result));
    }
  }

 private:
  std::vector<T> kept_;
};

// True where every element outside [begin, end) of a padded buffer still holds `guard`.
template <class T>
bool untouchedOutside(const std::vector<T>& buffer, int64_t begin, int64_t end, T guard) {
  for (int64_t i = 0; i < static_cast<int64_t>(buffer.size()); ++i) {
    if ((i < begin || i >= end) && buffer[static_cast<std::size_t>(i)] != guard) return false;
  }
  return true;
}

}  // namespace warploom::test
