// Random draws: uniform, normal, bernoulli, randint, with the bits of the CPU.
//
// A thread owns kRounds Philox blocks, of four elements each, kThreads apart; a block owns kThreads * kRounds of them.
#include "cuda/kernels/random.cuh"
#include "engine/args/create.h"
#include "engine/normal.h"

namespace warploom::cuda {

// y's elements are value(word) of up to four bytes: a thread stores its four at once.
template <class T, class Value>
__device__ inline void drawNarrow(const RandomArgs& args, int64_t n, bool aligned, Value value) {
  T* y = args.y.as<T>();
  eachPhilox(beginDraw(args.state), n, [&](int64_t block, const Philox4& words) {
    Packed<T, kWords> out;
#pragma unroll
    for (int k = 0; k < kWords; ++k) out.v[k] = value(words.lane[k]);
    storeFour(y, block * kWords, out, n, aligned);
  });
}

// The same for elements of eight bytes. Stored by their owners they would lie 32 bytes apart, and each store would
// touch every sector by half; so the warp hands words on until lane l holds the l-th pair of each half of its 64.
template <class T, class Value>
__device__ inline void drawWide(const RandomArgs& args, int64_t n, bool aligned, Value value) {
  T* y = args.y.as<T>();
  const int lane = threadIdx.x % kWarp;
  eachPhilox(beginDraw(args.state), n, [&](int64_t block, const Philox4& words) {
    const int64_t warpFirst = (block - lane) * kWords;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int owner = half * (kWarp / 2) + lane / 2;
      uint32_t from[kWords];
#pragma unroll
      for (int k = 0; k < kWords; ++k) from[k] = __shfl_sync(0xffffffff, words.lane[k], owner);
      const bool second = lane % 2 != 0;
      Packed<T, 2> out;
      out.v[0] = value(second ? from[2] : from[0]);
      out.v[1] = value(second ? from[3] : from[1]);
      const int64_t first = warpFirst + (half * kWarp + lane) * 2;
      if (aligned && first + 2 <= n) {
        storeGlobal(y + first, out);
      } else {
        if (first < n) y[first] = out.v[0];
        if (first + 1 < n) y[first + 1] = out.v[1];
      }
    }
  });
}

template <class T, class Value>
__device__ inline void draw(const RandomArgs& args, int64_t n, bool aligned, Value value) {
  if constexpr (sizeof(T) == 8) {
    drawWide<T>(args, n, aligned, value);
  } else {
    drawNarrow<T>(args, n, aligned, value);
  }
}

}  // namespace warploom::cuda

using namespace warploom;
using namespace warploom::cuda;

// Entries: <op>_<dtype>. aligned: y's address is a multiple of 16.
#define WL_ENTRY extern "C" __global__ void __launch_bounds__(kThreads)

WL_ENTRY uniform_f32(const RandomArgs args, int64_t n, bool aligned, float a, float scale, float below) {
  draw<float>(args, n, aligned, [&](uint32_t word) { return uniformBetween(uniformFromBits(word), a, scale, below); });
}

WL_ENTRY normal_f32(const RandomArgs args, int64_t n, bool aligned, float mean, float deviation) {
  float* y = args.y.as<float>();
  eachPhilox(beginDraw(args.state), n, [&](int64_t block, const Philox4& words) {
    Packed<float, kWords> out;
#pragma unroll
    for (int k = 0; k < kWords; k += 2) {
      const NormalPair pair = normalPair(words.lane[k], words.lane[k + 1]);
      out.v[k] = mulAddRounded(pair.first, deviation, mean);
      out.v[k + 1] = mulAddRounded(pair.second, deviation, mean);
    }
    storeFour(y, block * kWords, out, n, aligned);
  });
}

#define WL_DISCRETE(T, name)                                                                                         \
  WL_ENTRY bernoulli_##name(const RandomArgs args, int64_t n, bool aligned, float p) {                               \
    draw<T>(args, n, aligned, [&](uint32_t word) { return static_cast<T>(uniformFromBits(word) < p); });             \
  }                                                                                                                  \
  WL_ENTRY randint_##name(const RandomArgs args, int64_t n, bool aligned, int64_t low, uint64_t span) {              \
    draw<T>(args, n, aligned,                                                                                        \
            [&](uint32_t word) { return static_cast<T>(low + static_cast<int64_t>(integerFromBits(word, span))); }); \
  }
WL_DISCRETE(float, f32)
WL_DISCRETE(int32_t, i32)
WL_DISCRETE(int64_t, i64)
WL_DISCRETE(uint8_t, u8)

// Behind each draw, one thread.
extern "C" __global__ void random_advance(int64_t* state, int64_t blocks) {
  state[1] = static_cast<int64_t>(static_cast<uint64_t>(state[1]) + static_cast<uint64_t>(blocks));
}
