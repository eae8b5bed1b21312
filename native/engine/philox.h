// Philox 4x32-10 (Salmon, Moraes, Dror and Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// Counter-based: block i of a stream is a pure function of (seed, i), so any element can be made by any thread on any
// device. Read by g++ and nvcc.
#pragma once

#include <cstdint>

#include "engine/host_device.h"

namespace warploom {

struct Philox4 {
  uint32_t lane[4];
};

// The four 32-bit words of counter block `block` under key `seed`.
WL_HOST_DEVICE inline Philox4 philox4x32(uint64_t seed, uint64_t block) {
  uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * c0;
    const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Uniform in [0, 1) with 24 bits.
WL_HOST_DEVICE inline float uniformFromBits(uint32_t bits) {
  return static_cast<float>(static_cast<int32_t>(bits >> 8)) * 0x1p-24f;
}

// An integer in [0, span), for span <= 2^32.
WL_HOST_DEVICE inline uint64_t integerFromBits(uint32_t bits, uint64_t span) {
  return span > 0xffffffffu ? bits : bits * span >> 32;
}

}  // namespace warploom
