// Register tiles: ROWS x VECTORS sums that a loop of multiply-adds keeps in registers. Needs simd.h; like it, inside
// its namespace and without a guard.
namespace registerTile {

template <class V, int ROWS, int VECTORS>
WL_INLINE void clear(V (&sums)[ROWS][VECTORS]) {
#pragma GCC unroll 32
  for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < VECTORS; ++j) sums[i][j] = V{};
  }
}

// sums[i][j] += number(i) * vector j from `vectors` on.
template <class T, int ROWS, int VECTORS, class Number>
WL_INLINE void addOuter(VectorOf<T> (&sums)[ROWS][VECTORS], const T* vectors, Number number) {
  VectorOf<T> v[VECTORS];
#pragma GCC unroll 2
  for (int j = 0; j < VECTORS; ++j) v[j] = vload(vectors + j * kLanes<T>);
#pragma GCC unroll 32
  for (int i = 0; i < ROWS; ++i) {
    const VectorOf<T> n = vset<T>(number(i));
#pragma GCC unroll 2
    for (int j = 0; j < VECTORS; ++j) sums[i][j] = vfma(n, v[j], sums[i][j]);
  }
}

// to [ROWS][VECTORS vectors], rows `pitch` apart, = the sums, or with `add` what stands there plus the sums.
template <class T, int ROWS, int VECTORS>
WL_INLINE void store(const VectorOf<T> (&sums)[ROWS][VECTORS], bool add, T* to, int64_t pitch = VECTORS * kLanes<T>) {
#pragma GCC unroll 32
  for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < VECTORS; ++j) {
      T* at = to + i * pitch + j * kLanes<T>;
      vstore(at, add ? vload(at) + sums[i][j] : sums[i][j]);
    }
  }
}

}  // namespace registerTile
