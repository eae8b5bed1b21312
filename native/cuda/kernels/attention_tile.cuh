// The two products under the tiles of attention, forward and backward, in float32.
//
// A block owns kLines lines of one side (queries, or keys) and meets the lines of the other side kLines at a time:
//   multiplyLines    s [own, other] = A [own, width] B [other, width]^T, both from memory: scores, and g v^T
//   multiplyWeights  y [own, columns] = w [own, other] B [other, columns], where the weights w are what the block made
//                    of s and keeps in shared memory
// A warp owns 16 of the block's lines, so that whole rows of s lie in one warp; a thread owns 8 of these: 2 fragments
// of 4 lines, and of the other side every 16th line (s) or neighbouring columns (y). What comes from memory comes in
// slabs: kStep of the width of all lines, or kStep lines of all columns. cp.async fills one while the threads multiply
// another, and one barrier a slab is all there is. The order of each sum depends on its length alone: s is one chain of
// fma over the width, y sums chains over kLines lines.
#pragma once

#include "cuda/kernels/async_copy.cuh"
#include "cuda/kernels/attention_common.cuh"

namespace warploom::cuda {

constexpr int kLines = kAttentionLines, kThreads = kAttentionThreads;
constexpr int kStep = 16;
constexpr int kRows = 8, kCols = 4;  // of s, of a thread
constexpr int kAcross = 16;          // threads that share a line
static_assert(kThreads / kWarp * 16 == kLines && kStep == kAcross, "a warp owns 16 lines, and reads half its banks");

// A tile's lines, in memory: `count` from `first` on, or more.
struct LineTile {
  const float* first;
  int stride, count, width;
  bool vector;
};
// From line `line` on, of `count` in all.
__device__ inline LineTile tileAt(const float* data, const AttentionLines& lines, int line, int64_t count,
                                  int64_t width) {
  return {data + line * lines.stride, static_cast<int>(lines.stride), static_cast<int>(count) - line,
          static_cast<int>(width), lines.vector != 0};
}

// Which lines and columns of which batch a block owns: kLines of `lines`, and up to `columns` of `width`.
struct BlockPlace {
  int tiles, tile, batch, column0;

  __device__ BlockPlace(int lines, int width, int columns)
      : tiles((lines + kLines - 1) / kLines), tile(static_cast<int>(blockIdx.x % tiles)) {
    const int shares = (width + columns - 1) / columns, inBatch = static_cast<int>(blockIdx.x / tiles);
    batch = inBatch / shares;
    column0 = (inBatch - batch * shares) * columns;
  }
};

// What a block that owns queries reads, but for their gradients.
struct QueryBlock {
  const AttentionPlan& plan;
  const int queries, keys;
  const BlockPlace own;
  const int query0, keysEnd;
  const BatchPlace<int> place;
  const Scores<false> scores;
  const float *k, *v;
  const LineTile q;

  // It makes `columns` of `width` columns.
  __device__ QueryBlock(const AttentionPlan& given, int64_t width, int columns)
      : plan(given),
        queries(static_cast<int>(given.queries)),
        keys(static_cast<int>(given.keys)),
        own(queries, static_cast<int>(width), columns),
        query0(firstQuery(given, own)),
        keysEnd(given.causal ? min(keys, query0 + kLines) : keys),
        place(given, own.batch),
        scores(given, place),
        k(place.in(given.k)),
        v(place.in(given.v)),
        q(tileAt(place.in(given.q), given.q, query0, given.queries, given.qkWidth)) {}
  __device__ LineTile keysAt(int key) const { return tileAt(k, plan.k, key, plan.keys, plan.qkWidth); }
  __device__ LineTile valuesAt(int key) const { return tileAt(v, plan.v, key, plan.keys, plan.vWidth); }

 private:
  __device__ static int firstQuery(const AttentionPlan& plan, const BlockPlace& own) {
    const int query0 = own.tile * kLines;
    return plan.causal ? (own.tiles - 1) * kLines - query0 : query0;  // the longest first
  }
};

// The number, as if it came from elsewhere: else the compiler keeps every address that is made of it in registers of
// its own throughout the loops.
__device__ inline int afresh(int number) {
  asm volatile("" : "+r"(number));
  return number;
}

// Which lines and columns of a block's tile a thread owns.
struct Seat {
  int line, across, down;
  __device__ Seat() {
    const int t = afresh(threadIdx.x), lane = t % kWarp;
    across = lane % kAcross;
    down = lane / kAcross;
    line = t / kWarp * 16 + down * 4;
  }
  __device__ int row(int r) const { return line + r / 4 * 8 + r % 4; }
  __device__ int other(int c) const { return across + c * kAcross; }
};

// Joins one value of each thread of a line, in an order that is the same everywhere.
template <class Join>
__device__ inline float joinAcross(float value, Join join) {
#pragma unroll
  for (int offset = 1; offset < kAcross; offset *= 2) {
    value = join(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

template <int R, int C>
__device__ inline void setAll(float (&values)[R][C], float value) {
#pragma unroll
  for (int r = 0; r < R; ++r) {
#pragma unroll
    for (int c = 0; c < C; ++c) values[r][c] = value;
  }
}

class AttentionTile {
 public:
  struct Shared {
    // Groups of four of a line are permuted, so that eight neighbouring lines have theirs in all 32 banks.
    alignas(16) float own[2][kLines * kStep], other[2][kLines * kStep];
    // Halves of 32 banks are exchanged in every second fragment of lines: a warp reads and writes two at once.
    alignas(16) float weights[kLines * kLines];
  };

  __device__ explicit AttentionTile(Shared& shared) : shared_(shared) {}

  // Of a thread: row r, and for s its column c.
  __device__ float& weight(const Seat& seat, int r, int c) const {
    return shared_.weights[seat.row(r) * kLines + seat.across + (c ^ seat.down) * kAcross];
  }

  // Each start begins to fill the slab that the next product begins with, and is called right before that product, or
  // by what that product's predecessor is told to do next.
  __device__ void startLines(const LineTile& own, const LineTile& other, int k0 = 0) const {
    copyLines(shared_.own[fill_], own, k0);
    copyLines(shared_.other[fill_], other, k0);
  }
  template <int W>
  __device__ void startColumns(const LineTile& other, int column, int line0 = 0) const {
    constexpr int kWidth = W * kAcross;
    float* slab = shared_.other[fill_];
    const int t = afresh(threadIdx.x);
    if (other.vector) {
#pragma unroll
      for (int i = 0; i < kStep * kWidth / 4 / kThreads; ++i) {
        const int at = t + i * kThreads, line = line0 + at / (kWidth / 4), c = column + at % (kWidth / 4) * 4;
        const bool inside = line < other.count && c < other.width;
        copyAsyncOrZero<16>(slab + at * 4, inside ? other.first + line * other.stride + c : nullptr);
      }
    } else {
#pragma unroll 2
      for (int i = 0; i < kStep * kWidth / kThreads; ++i) {
        const int at = t + i * kThreads, line = line0 + at / kWidth, c = column + at % kWidth;
        const bool inside = line < other.count && c < other.width;
        copyAsyncOrZero<4>(slab + at, inside ? other.first + line * other.stride + c : nullptr);
      }
    }
  }

  template <class Next>
  __device__ void multiplyLines(float (&s)[kRows][kCols], const LineTile& own, const LineTile& other, Next next) {
    const Seat seat;
    setAll(s, 0.0f);
    bool last;
    int k = 0;
#pragma unroll 1
    do {
      const int slab = turn();
      k += kStep;
      last = k >= own.width;
      if (last) {
        next();
      } else {
        startLines(own, other, k);
      }
      const float* a = shared_.own[slab] + seat.line * kStep;
      const float* b = shared_.other[slab] + seat.across * kStep;
#pragma unroll 1
      for (int g = 0; g < kStep / 4; ++g) {
        Packed<float, 4> fromB[kCols];
#pragma unroll
        for (int c = 0; c < kCols; ++c) {
          fromB[c] = loadPacked<float, 4>(b + c * kAcross * kStep + groupAt(g, seat.across));
        }
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const Packed<float, 4> fromA =
              loadPacked<float, 4>(a + (r / 4 * 8 + r % 4) * kStep + groupAt(g, seat.down * 4 + r % 4));
#pragma unroll
          for (int i = 0; i < 4; ++i) {
#pragma unroll
            for (int c = 0; c < kCols; ++c) s[r][c] = fmaf(fromA.v[i], fromB[c].v[i], s[r][c]);
          }
        }
      }
    } while (!last);
  }

  // Scores of the products s of lines from own0 and other0 on, of so many. Gives the hidden ones, and those that do not
  // exist, as bits: that of s[r][c] is r * kCols + c.
  template <bool kKeysOwn>
  __device__ uint32_t score(const Scores<kKeysOwn>& scores, float (&s)[kRows][kCols], int own0, int ownCount,
                            int other0, int otherCount) const {
    if (scores.kind == AttentionMaskKind::none && other0 + kLines <= otherCount &&
        (!scores.causal || (kKeysOwn ? other0 >= own0 + kLines - 1 : other0 + kLines - 1 <= own0))) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int c = 0; c < kCols; ++c) s[r][c] = s[r][c] * scores.scale;
      }
      return 0;
    }
    const Seat seat;
    // By way of shared memory, where each thread has the place of its weights: one code for all rows, which is long.
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) weight(seat, r, c) = s[r][c];
    }
    uint32_t hidden = 0;
#pragma unroll 1
    for (int r = 0; r < kRows; ++r) {
      const int own = own0 + seat.row(r);
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        const int other = other0 + seat.other(c);
        float& here = weight(seat, r, c);
        if (own < ownCount && other < otherCount) {
          if (scores.apply(here, own, other, here)) hidden |= 1u << (r * kCols + c);
        } else {
          here = lowest();
          hidden |= 1u << (r * kCols + c);
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) s[r][c] = weight(seat, r, c);
    }
    return hidden;
  }

  // y += w B for the W columns of each thread; those begin at column + W * across.
  template <int W, class Next>
  __device__ void multiplyWeights(float (&y)[kRows][W], const LineTile& other, int column, Next next) {
    const Seat seat;
    float chain[kRows][W];
    setAll(chain, 0.0f);
    const int count = min(other.count, kLines);
    bool last;
    int line = 0;
#pragma unroll 1
    do {
      const int slab = turn();
      const float* weights = shared_.weights + seat.line * kLines + (line ^ seat.down * kAcross);
      const float* b = shared_.other[slab] + seat.across * W;
      line += kStep;
      last = line >= count;
      if (last) {
        next();
      } else {
        startColumns<W>(other, column, line);
      }
#pragma unroll 1
      for (int g = 0; g < kStep; g += 4) {
        Packed<float, W> fromB[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) fromB[i] = loadPacked<float, W>(b + (g + i) * W * kAcross);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const Packed<float, 4> w = loadPacked<float, 4>(weights + (r / 4 * 8 + r % 4) * kLines + g);
#pragma unroll
          for (int i = 0; i < 4; ++i) {
#pragma unroll
            for (int c = 0; c < W; ++c) chain[r][c] = fmaf(w.v[i], fromB[i].v[c], chain[r][c]);
          }
        }
      }
    } while (!last);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < W; ++c) y[r][c] = y[r][c] + chain[r][c];
    }
  }

  // The columns of this thread go to lines of [count, width], each row times its factor.
  template <int W>
  __device__ void store(const float (&y)[kRows][W], const float (&factors)[kRows], float* first, int64_t stride,
                        int count, int width, bool vector, int column) const {
    const Seat seat;
    const int c0 = column + seat.across * W;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (seat.row(r) >= count) continue;
      float* to = first + seat.row(r) * stride + c0;
      Packed<float, W> values;
#pragma unroll
      for (int c = 0; c < W; ++c) values.v[c] = y[r][c] * factors[r];
      if (vector) {
        if (c0 < width) storeGlobal(to, values);
      } else {
#pragma unroll
        for (int c = 0; c < W; ++c) {
          if (c0 + c < width) to[c] = values.v[c];
        }
      }
    }
  }

 private:
  // Where group g of a line lies among its groups.
  __device__ static int groupAt(int g, int line) { return (g ^ (line / 2 % 4)) * 4; }

  __device__ void copyLines(float* slab, const LineTile& lines, int k0) const {
    const int t = afresh(threadIdx.x);
    if (lines.vector) {
#pragma unroll
      for (int i = 0; i < kLines * kStep / 4 / kThreads; ++i) {
        const int at = t + i * kThreads, line = at / (kStep / 4), g = at % (kStep / 4), k = k0 + g * 4;
        const bool inside = line < lines.count && k < lines.width;
        copyAsyncOrZero<16>(slab + line * kStep + groupAt(g, line),
                            inside ? lines.first + line * lines.stride + k : nullptr);
      }
    } else {
#pragma unroll 2
      for (int i = 0; i < kLines * kStep / kThreads; ++i) {
        const int at = t + i * kThreads, line = at / kStep, in = at % kStep;
        const bool inside = line < lines.count && k0 + in < lines.width;
        copyAsyncOrZero<4>(slab + line * kStep + groupAt(in / 4, line) + in % 4,
                           inside ? lines.first + line * lines.stride + k0 + in : nullptr);
      }
    }
  }

  // Waits for the slab that was started, and gives it; the other one may be filled.
  __device__ int turn() {
    commitCopies();
    waitCopies<0>();
    // Without this barrier a thread would read what others have copied (or of the weights what other lanes have
    // written) before it has arrived; and the next copies would overwrite the slab that slower threads still multiply.
    __syncthreads();
    const int slab = fill_;
    fill_ ^= 1;
    return slab;
  }

  Shared& shared_;
  int fill_ = 0;
};

}  // namespace warploom::cuda
