// What the tests of kernels share: the kernels of a family on a simulated device, memory that is freed with its owner,
// memory that is larger than the machine's, and comparisons of bits.
#pragma once

#include <sys/mman.h>

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

// Memory at addresses far apart, of which only what is set exists: a device would have to find the rest.
class Sparse {
 public:
  Sparse(Sim& sim, std::size_t bytes) : sim_(sim), bytes_(bytes) {
    void* const all = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(all != MAP_FAILED);
    data_ = static_cast<char*>(all);
  }
  ~Sparse() { munmap(data_, bytes_); }
  Sparse(const Sparse&) = delete;
  Sparse& operator=(const Sparse&) = delete;

  void* at(std::size_t byte) const { return data_ + byte; }
  void registerBytes(std::size_t byte, std::size_t count) { CHECK(sim_.memory.registerHost(at(byte), count)); }
  template <class T>
  void set(std::size_t index, T value) {
    std::memcpy(at(index * sizeof(T)), &value, sizeof(T));
    registerBytes(index * sizeof(T), sizeof(T));
  }
  void* data() const { return data_; }

 private:
  Sim& sim_;
  char* data_;
  std::size_t bytes_;
};

#endif

}  // namespace warploom::test
