// Packing: a strided operand becomes panels in which the lanes of one k lie side by side. Needs micro.h.
namespace gemm {

// Exchanges, between rows i and i + S, the lanes whose index has bit S: one stage of a transposition.
template <class V, int S, int... J>
inline void exchange(V& low, V& high, std::integer_sequence<int, J...>) {
  constexpr int lanes = sizeof...(J);
  const V a = low;
  const V b = high;
  low = __builtin_shufflevector(a, b, ((J & S) == 0 ? J : lanes + J - S)...);
  high = __builtin_shufflevector(a, b, ((J & S) == 0 ? J + S : lanes + J)...);
}

template <class T, int S>
inline void exchangeAll(VectorOf<T>* r) {
  constexpr int lanes = kLanes<T>;
  if constexpr (S < lanes) {
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) {
      if ((i & S) == 0) exchange<VectorOf<T>, S>(r[i], r[i + S], std::make_integer_sequence<int, lanes>());
    }
    exchangeAll<T, S * 2>(r);
  }
}

// r[i] lane j becomes r[j] lane i.
template <class T>
inline void transposeVecs(VectorOf<T>* r) {
  exchangeAll<T, 1>(r);
}

template <class T>
WL_INLINE void copyRun(T* dst, const T* src, int64_t count) {
  constexpr int64_t lanes = kLanes<T>;
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) vstore(dst + i, vload(src + i));
  if (i < count) storePart(dst + i, loadPart(src + i, count - i), count - i);
}

// dst[k * width + i] = src[i * si + k * sk] for i < count and k < depth, zeros for count <= i < width.
template <class T>
void packPanel(T* dst, int64_t width, int64_t count, int64_t depth, const T* src, int64_t si, int64_t sk) {
  using V = VectorOf<T>;
  constexpr int64_t lanes = kLanes<T>;
  if (si == 1 || width == 1) {
    for (int64_t k = 0; k < depth; ++k) {
      const T* from = src + k * sk;
      T* to = dst + k * width;
      int64_t i = 0;
      for (; i + lanes <= count; i += lanes) vstore(to + i, vload(from + i));
      for (; i < width; i += lanes) storePart(to + i, loadPart(from + i, maxOf(0, count - i)), width - i);
    }
    return;
  }
  int64_t k0 = 0;
  if (sk == 1) {
    // Blocks of lanes x lanes, transposed in registers. A store may spill over the lanes behind the width, so the
    // partial block of a row goes first and what it spoils is written again by the blocks and rows after it; the
    // panel's end is never passed.
    const int64_t size = depth * width;
    for (; k0 + lanes <= depth; k0 += lanes) {
      for (int64_t i0 = (width - 1) / lanes * lanes; i0 >= 0; i0 -= lanes) {
        V r[lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) r[i] = i0 + i < count ? vload(src + (i0 + i) * si + k0) : V{};
        transposeVecs<T>(r);
        const int64_t keep = minOf(lanes, width - i0);
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) {
          const int64_t at = (k0 + i) * width + i0;
          storePart(dst + at, r[i], at + lanes <= size ? lanes : keep);
        }
      }
    }
  }
  for (; k0 < depth; ++k0) {
    const T* from = src + k0 * sk;
    T* to = dst + k0 * width;
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * si];
    for (int64_t i = count; i < width; ++i) to[i] = T(0);
  }
}

}  // namespace gemm
