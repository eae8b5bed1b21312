// The sums of exponentials of rows, exp(x - greatest): what softmax, log-softmax and the cross-entropy have in common.
// Included inside an instruction-set region, hence without a guard; brings rows.h.
//
// Short rows are taken as many together as a vector has lanes, so that the lanes of all are joined at once and what
// follows from a row's sum (a division, a logarithm) costs as much for all of them as for one. Long rows are read once,
// by blocks that stay in the first-level cache (the online softmax of Milakov and Gimelshein, 2018): each block has a
// greatest element and a sum of its own, and these are joined at the end. A block's exponentials hide the way of the
// next one from memory.

#include "cpu/rows.h"

template <class T>
constexpr T kNegativeInfinity = -static_cast<T>(__builtin_inf());

// The greatest and the sum of `rows` <= kLanes dense rows of n elements, rowStride apart; what lies behind them is 1.
// keep(k, i, count, e) is handed the exponentials of row k.
template <class T, class Keep>
static WL_INLINE void sumExpTogether(const T* x, int64_t rowStride, int64_t n, int rows, T (&greatest)[kLanes<T>],
                                     VectorOf<T>* sums, Keep&& keep) {
  VectorOf<T> lanes[kLanes<T>];
  for (int k = 0; k < kLanes<T>; ++k) lanes[k] = vset<T>(T{1});
  for (int k = 0; k < rows; ++k) {
    lanes[k] = maxVectors<T>(
        n, [&](int64_t i, int count) __attribute__((always_inline)) {
          return loadRow<true>(x + k * rowStride, 1, i, count, kNegativeInfinity<T>);
        });
  }
  vstore(greatest, vmaxAcrossEach<T>(lanes));
  for (int k = 0; k < kLanes<T>; ++k) lanes[k] = vset<T>(T{1});
  for (int k = 0; k < rows; ++k) {
    const VectorOf<T> shift = vset<T>(greatest[k]);
    lanes[k] = sumVectors<T>(
        n, [&](int64_t i, int count) __attribute__((always_inline)) {
          const VectorOf<T> e =
              vexpOfNegative(loadRow<true>(x + k * rowStride, 1, i, count, kNegativeInfinity<T>) - shift);
          keep(k, i, count, e);
          return e;
        });
  }
  *sums = vsumAcrossEach<T>(lanes);
}

// The greatest and the sum of one row of any length, and what its exponentials were taken against.
template <class T>
struct ExponentialRow {
  static constexpr int64_t kMaxBlocks = 256;
  T greatest;
  T sum;
  int64_t block;  // elements of a block, from the row's length alone
  int64_t blocks;
  T greatests[kMaxBlocks];
  T sums[kMaxBlocks];

  // keep(i, count, e) is handed the exponentials, each against the greatest element of its block. An element is read
  // before its exponential is kept.
  template <bool kUnit, class Keep>
  WL_INLINE void take(const T* x, int64_t stride, int64_t n, Keep&& keep) {
    block = 8192 / static_cast<int64_t>(sizeof(T));
    if (n > block * kMaxBlocks) block = (n + kMaxBlocks * kLanes<T> - 1) / (kMaxBlocks * kLanes<T>)*kLanes<T>;
    blocks = (n + block - 1) / block;
    greatest = kNegativeInfinity<T>;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t begin = b * block, length = n - begin < block ? n - begin : block;
      const T most = maxRow<T>(
          length, [&](int64_t i, int count) __attribute__((always_inline)) {
            return loadRow<kUnit>(x, stride, begin + i, count, kNegativeInfinity<T>);
          });
      greatests[b] = most;
      greatest = most > greatest ? most : greatest;
      // A block of -infinity has the sum 0, which is not yet the row's.
      const VectorOf<T> shift = vset<T>(blocks > 1 && most == kNegativeInfinity<T> ? T{0} : most);
      sums[b] = sumRow<T>(
          length, [&](int64_t i, int count) __attribute__((always_inline)) {
            if (kUnit && blocks > 1) __builtin_prefetch(x + begin + i + block);
            const VectorOf<T> e =
                vexpOfNegative(loadRow<kUnit>(x, stride, begin + i, count, kNegativeInfinity<T>) - shift);
            keep(begin + i, count, e);
            return e;
          });
    }
    const VectorOf<T> shift = vset<T>(greatest);
    sum = blocks == 1 ? sums[0]
                      : sumRow<T>(
                            blocks, [&](int64_t b, int count) __attribute__((always_inline)) {
                              return vexpOfNegative(loadRow<true>(static_cast<const T*>(greatests), 1, b, count,
                                                                  kNegativeInfinity<T>) -
                                                    shift) *
                                     loadRow<true>(static_cast<const T*>(sums), 1, b, count, T{0});
                            });
  }

  // What block b's exponentials are multiplied by to be against the greatest of the whole row.
  WL_INLINE T factor(int64_t b) const { return blocks == 1 ? T{1} : scalarExp<T>(greatests[b] - greatest); }
};
