// Convolution without an im2col buffer. Needs micro.h and pack.h.
//
// A strip of one image is copied once into padded planes, one per channel and stride phase, with `pitch` columns a row.
// There the operand of tap (c, kh, kw) for all outputs of the strip is one run of memory: offsets[tap] + p, where p = r
// * pitch + column counts the outputs along the same pitch. The register tiles read those runs in place; the few
// columns of p between two output rows are computed and dropped.
namespace gemm {

struct Planes {
  int64_t channels, h, w;  // of the tensor that is copied: [.., channels, h, w]
  int64_t stepH, stepW;    // plane row i of phase a holds tensor row (r0 + i) * stepH + a + originH
  int64_t phasesH, phasesW;
  int64_t originH, originW;
  int64_t cols;          // outputs of a row
  int64_t haloH, haloW;  // rows and columns that taps reach beyond an output's own
  int64_t pitch() const { return cols + haloW; }
  int64_t planeSize(int64_t stripRows) const { return (stripRows + haloH) * pitch(); }
  int64_t perChannel(int64_t stripRows) const { return phasesH * phasesW * planeSize(stripRows); }
  // Elements of the planes of `count` channels, with room for the last tile's reads past the end.
  template <class T>
  int64_t size(int64_t count, int64_t stripRows) const {
    return count * perChannel(stripRows) + kTileCols<T>;
  }
};

// Zeros from dst on, at least `count`: whole vectors, so that what lies behind must be written later.
template <class T>
WL_INLINE void zeroVectors(T* dst, int64_t count) {
  for (int64_t j = 0; j < count; j += kLanes<T>) vstore(dst + j, VectorOf<T>{});
}

// dst = the planes of channels [0, channels) of src, for output rows [r0, r0 + rows); planes are laid out for stripRows
// rows. Rows are written in order and in whole vectors: each spills over its end into the next, the last one into the
// room behind the planes.
template <class T>
void copyPlanes(const Planes& s, const T* src, int64_t channels, int64_t r0, int64_t rows, int64_t stripRows, T* dst) {
  const int64_t pitch = s.pitch();
  const int64_t planeRows = stripRows + s.haloH;
  for (int64_t c = 0; c < channels; ++c) {
    const T* channel = src + c * s.h * s.w;
    for (int64_t a = 0; a < s.phasesH; ++a) {
      for (int64_t b = 0; b < s.phasesW; ++b) {
        // Columns j with 0 <= j * stepW + b + originW < w.
        const int64_t shift = b + s.originW;
        const int64_t jBegin = minOf(pitch, shift >= 0 ? 0 : ceilDiv(-shift, s.stepW));
        const int64_t jEnd = maxOf(jBegin, s.w > shift ? minOf(pitch, ceilDiv(s.w - shift, s.stepW)) : 0);
        // Plane rows [iBegin, iEnd) hold rows of the tensor: 0 <= (r0 + i) * stepH + down < h.
        const int64_t down = a + s.originH;
        const int64_t iBegin = minOf(planeRows, maxOf(0, ceilDiv(maxOf(0, -down), s.stepH) - r0));
        const int64_t inside = s.h > down ? ceilDiv(s.h - down, s.stepH) - r0 : 0;
        const int64_t iEnd = maxOf(iBegin, minOf(minOf(planeRows, rows + s.haloH), inside));
        const T* row = channel + ((r0 + iBegin) * s.stepH + down) * s.w + shift;
        for (int64_t i = 0; i < iBegin; ++i, dst += pitch) zeroVectors(dst, pitch);
        const int64_t count = jEnd - jBegin;
        if (s.stepW == 1 && jBegin <= kLanes<T> && count <= kLanes<T>) {  // rows of one vector, without a loop
          for (int64_t i = iBegin; i < iEnd; ++i, dst += pitch, row += s.stepH * s.w) {
            vstore(dst, VectorOf<T>{});
            vstore(dst + jBegin, loadPart(row + jBegin, count));
            zeroVectors(dst + jBegin + kLanes<T>, pitch - jBegin - kLanes<T>);
          }
        } else {
          for (int64_t i = iBegin; i < iEnd; ++i, dst += pitch, row += s.stepH * s.w) {
            zeroVectors(dst, jBegin);
            int64_t j = jBegin;
            if (s.stepW == 1) {
              for (; j + kLanes<T> <= jEnd; j += kLanes<T>) vstore(dst + j, vload(row + j));
              if (j < jEnd) {
                vstore(dst + j, loadPart(row + j, jEnd - j));
                j += kLanes<T>;
              }
            } else {
              for (; j < jEnd; ++j) dst[j] = row[j * s.stepW];
            }
            zeroVectors(dst + j, pitch - j);
          }
        }
        for (int64_t i = iEnd; i < planeRows; ++i, dst += pitch) zeroVectors(dst, pitch);
      }
    }
  }
  zeroVectors(dst, kTileCols<T>);
}

// Rows of a strip: few enough that `perRow` elements a row stay within `budget`, and enough strips that `others` units
// become about 16. From shapes alone.
inline int64_t chooseStripRows(int64_t rows, int64_t others, int64_t perRow, int64_t budget) {
  const int64_t fit = maxOf(1, budget / maxOf(1, perRow));
  const int64_t share = ceilDiv(rows, ceilDiv(16, maxOf(1, others)));
  return maxOf(1, minOf(rows, minOf(fit, maxOf(share, minOf(rows, 4)))));
}

}  // namespace gemm
