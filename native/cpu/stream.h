// Stores past the caches, for results so large that nothing of their beginning is left in them when the next operation
// comes for it: an ordinary store reads each line before it writes it, a quarter of an addition's traffic. Included
// after simd.h, inside each instruction-set region.

// p is aligned to a vector. Such stores are not ordered with others: streamFence() comes before another thread may
// read.
template <class T>
WL_INLINE void vstream(T* p, VectorOf<T> v) {
#if WL_ISA_LEVEL == 2
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), vbits<__m512i>(v));
#elif WL_ISA_LEVEL == 1
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), vbits<__m256i>(v));
#elif defined(__x86_64__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), vbits<__m128i>(v));
#else
  vstore(p, v);
#endif
}
WL_INLINE void streamFence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Streams the whole vectors of y[0, n), fn(i) being the one at i; returns how many elements that were: none where y is
// not aligned.
template <class T, class Fn>
WL_INLINE int64_t streamRow(T* y, int64_t n, Fn&& fn) {
  if (reinterpret_cast<uintptr_t>(y) % WL_VECTOR_BYTES != 0) return 0;
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) vstream(y + i, fn(i));
  streamFence();
  return i;
}
