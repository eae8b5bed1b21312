// The register-tiled product under matmul and convolution: C [rows, cols] = A [rows, K] B [K, cols] in float32, for
// operands that a policy finds in memory and sums that a policy puts away.
//
// A block owns a tile of kRows x kCols of C, a warp 8 x 4 threads of it, a thread kThreadRows x kThreadCols sums, as
// fragments of 4 x 4 that lie apart so that a warp's 16-byte reads of shared memory meet no bank twice. The block walks
// k in steps of kDepth: cp.async fills a ring of kStages pairs of shared tiles A [kDepth][kRows], B [kDepth][kCols]
// while the threads multiply an earlier pair. The scheme is that of the float32 kernels of CUTLASS ("Fast linear
// algebra in CUDA C++", NVIDIA 2017, and its multistage pipeline); the order of summation is that of gemm_args.h.
//
// How to use it, for a product whose operands are not stored as matrices (convolution as implicit matmul):
//
//   gemmTile<Tile>(a, b, store, row0, col0, kBegin, kEnd, segment);
//
// sums k in [kBegin, kEnd), where kBegin is a multiple of `segment`, for the tile whose first element is (row0, col0).
// All threads of a block of Tile::kThreads call it, once; K is at least 1. `a` and `b` are sources:
//
//   struct Source {
//     // Which neighbours lie side by side in memory, so that neighbouring lanes should read them: those along k of one
//     // line (a row of A, a column of B), or the lines of one k.
//     static constexpr bool kAlongDepth = ...;
//     // at() may give null: an element that is zero (the padding of a convolution).
//     static constexpr bool kHoles = ...;
//     // Four lines at once, for sources not along k: line4(i) takes a multiple of 4. `vector` is uniform; where it is
//     // false every element is read by itself.
//     static constexpr bool kVector = ...;
//     bool vector;
//     // Whether a line is worked out once and kept in registers, or anew whenever it is read: a few operations.
//     static constexpr bool kKeepsLines = ...;
//     using Line = ...;                       // what is worked out for a line
//     __device__ Line line(int i) const;      // i may lie beyond the last line: take the last, nobody uses the sums
//     __device__ Line line4(int i) const;     // only where kVector
//     using Depth = ...;                      // what is worked out once for a k, a step at a time
//     __device__ Depth depth(int k) const;    // k < kEnd
//     __device__ const float* at(Line line, Depth depth) const;
//   };
//
// DenseSource below is the source of a matrix. Along k a thread has kRows * kDepth / (8 kThreads) lines or so and one
// k; across lines one line (seldom two) and several k's: dear things belong where few are kept. `store` is
//
//   struct Store {
//     // Sums [R][C] of C's elements from (row, col) on, any of which may lie outside of C. They belong to one segment:
//     // `first` says that nothing was put there before (else add to what is there), `last` that nothing will be.
//     template <int R, int C> __device__ void put(int row, int col, const float (&sums)[R][C], bool first, bool last)
//     const;
//     // Uniform: whether finish() is called once for each fragment after the last put, by the thread that put it. Put
//     // there what is too long to be repeated for each of a thread's sums, such as gelu.
//     __device__ bool finishes() const;
//     template <int R, int C> __device__ void finish(int row, int col) const;
//   };
//
// Splitting k over blocks: give each block one segment and a store that writes partial sums, and add them in a second
// launch in the order of the segments.
#pragma once

#include <type_traits>

#include "cuda/gemm_args.h"
#include "cuda/kernels/async_copy.cuh"
#include "cuda/kernels/common.cuh"

namespace warploom::cuda {

// The geometry of a block.
template <int Rows, int Cols, int Depth, int ThreadRows, int ThreadCols, int Stages>
struct GemmTile {
  static constexpr int kRows = Rows, kCols = Cols, kDepth = Depth, kStages = Stages;
  static constexpr int kThreadRows = ThreadRows, kThreadCols = ThreadCols;
  static constexpr int kThreadsAcross = Cols / ThreadCols;
  static constexpr int kThreads = Rows / ThreadRows * kThreadsAcross;
  // For __launch_bounds__: blocks that a multiprocessor should hold; 255 registers a thread, or 168 of small blocks.
  static constexpr int kResident = kThreads >= 256 ? 1 : 384 / kThreads;
  // Of a fragment.
  static constexpr int kHeight = ThreadRows < 4 ? ThreadRows : 4, kWidth = ThreadCols < 4 ? ThreadCols : 4;
  static_assert(kThreadsAcross % 4 == 0 && kThreads % kWarp == 0, "a warp is 8 x 4 threads");
  static_assert(kChain % Depth == 0, "a chain ends with a step");
};

// The tiles in use: square ones for large products, tall ones for narrow products.
using Tile128x128 = GemmTile<128, 128, 16, 8, 8, 2>;
using Tile64x64 = GemmTile<64, 64, 16, 8, 4, 3>;
using Tile128x32 = GemmTile<128, 32, 16, 8, 4, 3>;
using Tile128x16 = GemmTile<128, 16, 16, 8, 4, 3>;
using Tile128x4 = GemmTile<128, 4, 32, 4, 1, 2>;

// A matrix, or what strides make of one. Offsets within a tile fit 32 bits (the chooser sees to that).
template <bool AlongDepth>
struct DenseSource {
  static constexpr bool kAlongDepth = AlongDepth, kHoles = false, kVector = !AlongDepth, kKeepsLines = false,
                        kSharesDepths = false;
  const float* origin;  // of line `first`
  int64_t depthStride;
  int lineStride;
  int first, last;  // lines: of the tile, of the matrix
  bool vector;

  using Line = int;
  __device__ Line line(int i) const { return (min(i, last) - first) * lineStride; }
  __device__ Line line4(int i) const { return min(i, last - 3) - first; }
  using Depth = const float*;
  __device__ Depth depth(int k) const { return origin + k * depthStride; }
  __device__ const float* at(Line line, Depth depth) const { return depth + line; }
};

// Calls use(0), use(1) ... use(N - 1), each with a number that is a constant (a type of static value).
template <int N, class Use>
__device__ inline void unrolled(Use use) {
  if constexpr (N > 0) {
    unrolled<N - 1>(use);
    use(std::integral_constant<int, N - 1>{});
  }
}

// How a block of `Threads` fills shared tiles [Depth][Lines] from a source. Rows of the tile are padded so that lanes
// that lie along k write to different banks.
template <int Lines, int Depth, int Threads, class Source>
class TileFill {
 public:
  static constexpr int kPitch = Lines < 8 ? Lines : Lines + 4;

  __device__ TileFill(const Source& source, int line0) : source_(source), line0_(line0) {
    const int t = threadIdx.x;
    if constexpr (Source::kAlongDepth) {
      // A warp takes 8 neighbouring k of 4 lines: whole sectors of memory, and 32 banks.
      static_assert(kWarps % (Depth / 8) == 0, "a thread keeps one k");
      const int warp = t / kWarp;
      k_ = t % 8 + warp % (Depth / 8) * 8;
      line_ = t % kWarp / 8 + warp / (Depth / 8) * 4;
      keepLines();
    } else if constexpr (Source::kSharesDepths) {
      line_ = t % kWarp;
      k_ = t / kWarp;
      keepLines();
    } else if (Source::kVector && source.vector) {
      line_ = t % (Lines / 4) * 4;
      k_ = t / (Lines / 4);
      if constexpr (Source::kVector) kept_[0] = source.line4(line0 + line_);
    } else {
      line_ = t % Lines;
      k_ = t / Lines;
      keepLines();
    }
  }

  // Begins to copy the k's from k0 on. Beyond kEnd every element is `beyond`.
  __device__ void start(float* tile, int k0, int kEnd, float beyond) {
    // As if both came from elsewhere: else the compiler gives every address registers of its own, advanced at each
    // step.
    asm volatile("" : "+r"(k0), "+r"(line_));
    if constexpr (Source::kHoles) {
      if (source_.exact) return startExact(tile, k0, kEnd, beyond);
    }
    if constexpr (Source::kSharesDepths) {
      startShared(tile, k0, kEnd);
    } else if constexpr (Source::kAlongDepth) {
      const int k = k0 + k_;
      if (k < kEnd) {
        const typename Source::Depth depth = source_.depth(k);
        if constexpr (Source::kHoles) {
          const uint32_t to = sharedAddress(tile + k_ * kPitch + line_);
          unrolled<kLines>([&](auto i) {
            constexpr int kLine = decltype(i)::value;
            source_.template copy<kLine * kLineStep * 4>(to, lineAt(kLine), depth);
          });
        } else {
#pragma unroll
          for (int i = 0; i < kLines; ++i)
            copyAsync<4>(tile + k_ * kPitch + line_ + i * kLineStep, source_.at(lineAt(i), depth));
        }
      } else {
#pragma unroll
        for (int i = 0; i < kLines; ++i) tile[k_ * kPitch + line_ + i * kLineStep] = beyond;
      }
    } else if (Source::kVector && source_.vector) {
      constexpr int kStep = Threads * 4 / Lines;
#pragma unroll
      for (int at = 0; at < Depth; at += kStep) {
        if (kStep > Depth && k_ >= Depth) break;
        const int k = k0 + k_ + at;
        float* to = tile + (k_ + at) * kPitch + line_;
        if (k < kEnd) {
          copyAsync<16>(to, source_.at(kept_[0], source_.depth(k)));
        } else {
          storePacked(to, Pack16<float>{{beyond, beyond, beyond, beyond}});
        }
      }
    } else {
#pragma unroll 4
      for (int at = 0; at < Depth; at += kDepthStep) {
        const int k = k0 + k_ + at;
        float* to = tile + (k_ + at) * kPitch + line_;
        if (k < kEnd) {
          const typename Source::Depth depth = source_.depth(k);
#pragma unroll
          for (int i = 0; i < kLines; ++i) copyAsync<4>(to + i * kLineStep, source_.at(lineAt(i), depth));
        } else {
#pragma unroll
          for (int i = 0; i < kLines; ++i) to[i * kLineStep] = beyond;
        }
      }
    }
  }

 private:
  // Where all lanes of a warp take the same k. Beyond kEnd the source copies zeros.
  __device__ void startShared(float* tile, int k0, int kEnd) const {
    static_assert(Lines % kWarp == 0 && Depth <= kWarp, "a warp's k's have a lane each");
    const typename Source::Depth mine = source_.depth(k0 + static_cast<int>(threadIdx.x) % kWarp, kEnd);
    const uint32_t to = sharedAddress(tile + k_ * kPitch + line_);
    unrolled<Depth / kDepthStep>([&](auto step) {
      constexpr int kAt = decltype(step)::value * kDepthStep;
      const typename Source::Depth depth = source_.ofLane(mine, k_ + kAt);
      unrolled<kLines>([&](auto i) {
        constexpr int kLine = decltype(i)::value;
        source_.template copy<(kAt * kPitch + kLine * kLineStep) * 4>(to, lineAt(kLine), depth);
      });
    });
  }

  // Where the source has no bits for its holes.
  __device__ void startExact(float* tile, int k0, int kEnd, float beyond) const {
#pragma unroll 1
    for (int line = line_; line < Lines; line += kLineStep) {
      const typename Source::Place place = source_.place(line0_ + line);
#pragma unroll 1
      for (int k = k_; k < Depth; k += Source::kAlongDepth ? Depth : kDepthStep) {
        float* to = tile + k * kPitch + line;
        if (k0 + k < kEnd) {
          copyAsyncOrZero(to, source_.at(place, k0 + k));
        } else {
          *to = beyond;
        }
      }
    }
  }

  static constexpr int kWarps = Threads / kWarp;
  // Across lines, a thread's k's lie kDepthStep apart. With shared depths a warp takes all lines of few k's.
  static constexpr int kDepthStep = Source::kSharesDepths ? kWarps : Threads > Lines ? Threads / Lines : 1;
  static constexpr int kLineStep = Source::kSharesDepths ? kWarp
                                   : Source::kAlongDepth ? kWarps / (Depth / 8) * 4
                                                         : Threads;
  static constexpr int kLines = Lines > kLineStep ? Lines / kLineStep : 1;
  static_assert(kDepthStep <= Depth && (Lines % Threads == 0 || Threads % Lines == 0), "every thread has work");
  static_assert(!Source::kAlongDepth || Lines % kLineStep == 0, "every warp has work");

  __device__ void keepLines() {
    if constexpr (Source::kKeepsLines) {
#pragma unroll
      for (int i = 0; i < kLines; ++i) kept_[i] = source_.line(line0_ + line_ + i * kLineStep);
    }
  }
  // The i-th line of this thread.
  __device__ typename Source::Line lineAt(int i) const {
    if constexpr (Source::kKeepsLines) {
      return kept_[i];
    } else {
      return source_.line(line0_ + line_ + i * kLineStep);
    }
  }

  const Source source_;
  const int line0_;
  typename Source::Line kept_[Source::kKeepsLines ? kLines : 1];
  int line_, k_;  // where this thread begins
};

// A thread's values of one k: fragments of four (or fewer), Lines / fragments apart.
template <int Lines, int PerThread>
__device__ inline void readFragments(const float* row, int at, float (&values)[PerThread]) {
  constexpr int kSize = PerThread < 4 ? PerThread : 4;
#pragma unroll
  for (int f = 0; f < PerThread / kSize; ++f) {
    const Packed<float, kSize> part = loadPacked<float, kSize>(row + f * (Lines / (PerThread / kSize)) + at * kSize);
#pragma unroll
    for (int i = 0; i < kSize; ++i) values[f * kSize + i] = part.v[i];
  }
}

template <class Tile, class SourceA, class SourceB, class Store>
__device__ inline void gemmTile(const SourceA& a, const SourceB& b, const Store& store, int row0, int col0, int kBegin,
                                int kEnd, int segment) {
  constexpr int R = Tile::kThreadRows, C = Tile::kThreadCols, H = Tile::kHeight, W = Tile::kWidth;
  using FillA = TileFill<Tile::kRows, Tile::kDepth, Tile::kThreads, SourceA>;
  using FillB = TileFill<Tile::kCols, Tile::kDepth, Tile::kThreads, SourceB>;
  __shared__ alignas(16) float tileA[Tile::kStages][Tile::kDepth * FillA::kPitch];
  __shared__ alignas(16) float tileB[Tile::kStages][Tile::kDepth * FillB::kPitch];
  FillA fillA(a, row0);
  FillB fillB(b, col0);
  // A product of k's beyond the end is 0 times -0, and adding -0 changes no sum, not even -0.
  const auto start = [&](int stage, int k) {
    if (k < kEnd) {
      fillA.start(tileA[stage], k, kEnd, 0.0f);
      fillB.start(tileB[stage], k, kEnd, -0.0f);
    }
    commitCopies();  // also when empty: waitCopies counts groups
  };

  // Warps side by side along the columns, each 8 threads high and 4 wide.
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int across = warp % (Tile::kThreadsAcross / 4) * 4 + lane % 4;
  const int down = warp / (Tile::kThreadsAcross / 4) * 8 + lane / 4;
  constexpr int kFragmentsAcross = C / W, kFragments = R / H * kFragmentsAcross;
  const auto rowOf = [](int row, int f) { return row + f / kFragmentsAcross * (Tile::kRows / (R / H)); };
  const auto colOf = [](int col, int f) { return col + f % kFragmentsAcross * (Tile::kCols / kFragmentsAcross); };

  float chain[R][C], total[R][C];
  const auto set = [](float(&values)[R][C], float value) {
#pragma unroll
    for (int i = 0; i < R; ++i) {
#pragma unroll
      for (int j = 0; j < C; ++j) values[i][j] = value;
    }
  };
  set(chain, 0.0f);
  set(total, -0.0f);  // to which adding is moving

#pragma unroll
  for (int s = 0; s < Tile::kStages - 1; ++s) start(s, kBegin + s * Tile::kDepth);
  int stage = 0, untilPut = segment;
  bool first = true;
#pragma unroll 1
  for (int k = kBegin; k < kEnd; k += Tile::kDepth) {
    waitCopies<Tile::kStages - 2>();
    // Without this barrier a thread would read what others have copied before it has arrived; and the next copies would
    // overwrite the pair that others, a step behind, still multiply.
    __syncthreads();
    start(stage == 0 ? Tile::kStages - 1 : stage - 1, k + (Tile::kStages - 1) * Tile::kDepth);
    const float* rowA = tileA[stage];
    const float* rowB = tileB[stage];
#pragma unroll 8
    for (int i = 0; i < Tile::kDepth; ++i) {
      float fromA[R], fromB[C];
      readFragments<Tile::kRows>(rowA + i * FillA::kPitch, down, fromA);
      readFragments<Tile::kCols>(rowB + i * FillB::kPitch, across, fromB);
#pragma unroll
      for (int r = 0; r < R; ++r) {
#pragma unroll
        for (int c = 0; c < C; ++c) chain[r][c] = fmaf(fromA[r], fromB[c], chain[r][c]);
      }
    }
    stage = stage + 1 == Tile::kStages ? 0 : stage + 1;

    untilPut -= Tile::kDepth;
    const bool last = k + Tile::kDepth >= kEnd;
    if (untilPut % kChain != 0 && !last) continue;
#pragma unroll
    for (int r = 0; r < R; ++r) {
#pragma unroll
      for (int c = 0; c < C; ++c) total[r][c] += chain[r][c];
    }
    set(chain, 0.0f);
    if (untilPut != 0 && !last) continue;
    int row = row0 + down * H, col = col0 + across * W;
    // Seemingly changed here, so that the addresses made of them are not kept in registers throughout the loop.
    asm volatile("" : "+r"(row), "+r"(col));
    // Through one copy of put, whose code is long: the fragments move up one by one.
#pragma unroll 1
    for (int f = 0; f < kFragments; ++f) {
      float sums[H][W];
#pragma unroll
      for (int i = 0; i < H; ++i) {
#pragma unroll
        for (int j = 0; j < W; ++j) {
          sums[i][j] = total[i][j];
#pragma unroll
          for (int g = 0; g < kFragments; ++g) {
            float& here = total[g / kFragmentsAcross * H + i][g % kFragmentsAcross * W + j];
            const int next = g + 1 < kFragments ? g + 1 : g;
            here = g == next ? -0.0f : total[next / kFragmentsAcross * H + i][next % kFragmentsAcross * W + j];
          }
        }
      }
      store.put(rowOf(row, f), colOf(col, f), sums, first, last);
    }
    untilPut = segment;
    first = false;
  }
  if (!store.finishes()) return;
#pragma unroll 1
  for (int f = 0; f < kFragments; ++f) {
    store.template finish<H, W>(rowOf(row0 + down * H, f), colOf(col0 + across * W, f));
  }
}

}  // namespace warploom::cuda
