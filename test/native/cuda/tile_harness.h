// What the tests of tiled kernels share: the kernels of a family on a simulated device, memory that is freed with its
// owner, and comparisons of bits.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "sim.h"

namespace warploom::test {

#ifdef WARPLOOM_SIM_PTX

struct Tile {
  const char* name;
  int rows, cols, threads;
};

// As many blocks of `per` as n elements take.
inline uint32_t blocksOf(int64_t n, int64_t per = 256) { return static_cast<uint32_t>((n + per - 1) / per); }

inline bool sameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline std::string kernelsOf(const char* family) {
  return readText(std::string(WARPLOOM_SIM_PTX) + "/" + family + ".ptx");
}

// Floats in the memory of a device until release().
class DeviceFloats {
 public:
  explicit DeviceFloats(Sim& sim) : sim_(sim) {}
  ~DeviceFloats() { release(); }
  DeviceFloats(const DeviceFloats&) = delete;
  DeviceFloats& operator=(const DeviceFloats&) = delete;

  // Exactly as large as the data, so that reading beyond is found.
  float* put(const std::vector<float>& data) { return own(sim_.put(data)); }
  float* room(int64_t count) { return own(sim_.room(static_cast<uint64_t>(count) * sizeof(float))); }
  std::vector<float> get(const void* at, int64_t count) const {
    return sim_.get<float>(reinterpret_cast<uint64_t>(at), static_cast<std::size_t>(count));
  }
  void release() {
    for (uint64_t address : owned_) sim_.memory.free(address);
    owned_.clear();
  }

 private:
  float* own(uint64_t address) {
    owned_.push_back(address);
    return reinterpret_cast<float*>(address);
  }
  Sim& sim_;
  std::vector<uint64_t> owned_;
};

// A family's kernels and the operands of their launches.
struct Family {
  explicit Family(const char* name) : sim(kernelsOf(name)), floats(sim) {}
  Sim sim;
  DeviceFloats floats;
  float* put(const std::vector<float>& data) { return floats.put(data); }
  float* room(int64_t count) { return floats.room(count); }
  std::vector<float> get(const void* at, int64_t count) const { return floats.get(at, count); }
  void release() { floats.release(); }
};

#endif

}  // namespace warploom::test
