// Where a finished tile goes: y = act(tile + bias). Needs micro.h.
namespace gemm {

template <class T>
WL_INLINE VectorOf<T> activate(VectorOf<T> x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return x < T(0) ? VectorOf<T>{} : x;  // NaN passes, as in PyTorch
    case Activation::gelu:
      return Gelu::apply(x);
    case Activation::geluTanh:
      return GeluTanh::apply(x);
    default:
      return x;
  }
}

// Writes rows x cols of a tile (row pitch `pitch`, a multiple of the vector) to y. `last`: the sum is complete, so bias
// and activation follow. bias is already at the tile's first column.
template <class T>
void storeTile(const T* tile, int64_t pitch, int64_t rows, int64_t cols, T* y, int64_t ldy, bool last, const T* bias,
               T* pre, int64_t ldp, Activation activation) {
  using V = VectorOf<T>;
  constexpr int64_t lanes = kLanes<T>;
  const bool plain = !last || (!bias && !pre && activation == Activation::none);
  for (int64_t j = 0; j < cols; j += lanes) {
    const int64_t n = minOf(lanes, cols - j);
    if (plain) {
      for (int64_t i = 0; i < rows; ++i) storePart(y + i * ldy + j, vload(tile + i * pitch + j), n);
      continue;
    }
    const V b = bias ? loadPart(bias + j, n) : V{};
    for (int64_t i = 0; i < rows; ++i) {
      V v = vload(tile + i * pitch + j);
      if (bias) v += b;
      if (pre) storePart(pre + i * ldp + j, v, n);
      storePart(y + i * ldy + j, activate<T>(v, activation), n);
    }
  }
}

}  // namespace gemm
