// Row functions of elementwise operations, one instruction set. Brings simd.h; like it, inside its namespace and
// without a guard.
//
// An operation is a struct with a static apply() on vectors: `V apply(V)` or `V apply(V, V)`, and kMask true where the
// result is a comparison's mask, to be stored as bool. Tails run the same vector code on padded lanes.

// clang-format off
#include "cpu/simd.h"  // first: stream.h needs it
#include "cpu/stream.h"
// clang-format on

template <class Op, class T, int kInputs>
WL_INLINE auto applyLanes(VectorOf<T> a, VectorOf<T> b) {
  if constexpr (kInputs == 1) {
    (void)b;
    if constexpr (Op::kMask) {
      return __builtin_convertvector(Op::apply(a), typename Vector<T>::bytes) & uint8_t{1};
    } else {
      return Op::apply(a);
    }
  } else {
    if constexpr (Op::kMask) {
      return __builtin_convertvector(Op::apply(a, b), typename Vector<T>::bytes) & uint8_t{1};
    } else {
      return Op::apply(a, b);
    }
  }
}

template <class Op, class T, int kInputs>
void elementRow(char* const* pointers, const int64_t* strides, int64_t n, bool streamed) {
  constexpr int L = kLanes<T>;
  using Out = std::conditional_t<Op::kMask, uint8_t, T>;
  Out* y = reinterpret_cast<Out*>(pointers[0]);
  const T* a = reinterpret_cast<const T*>(pointers[1]);
  const T* b = kInputs == 2 ? reinterpret_cast<const T*>(pointers[2]) : a;
  const int64_t sy = strides[0], sa = strides[1], sb = kInputs == 2 ? strides[2] : strides[1];
  T bufferA[L], bufferB[L];
  if (sy == 1 && (sa == 0 || sa == 1) && (sb == 0 || sb == 1)) {
    // A broadcast operand becomes a buffer of equal lanes that is read again and again.
    if (sa == 0) {
      vstore(bufferA, vset(*a));
      a = bufferA;
    }
    if (kInputs == 1) {
      b = a;
    } else if (sb == 0) {
      vstore(bufferB, vset(*b));
      b = bufferB;
    }
    int64_t i = 0;
    if constexpr (!Op::kMask) {
      if (streamed) {
        i = streamRow<T>(
            y, n, [&](int64_t at) __attribute__((always_inline)) {
              return applyLanes<Op, T, kInputs>(vload(a + at * sa), vload(b + at * sb));
            });
      }
    }
    for (; i + L <= n; i += L) {
      const auto r = applyLanes<Op, T, kInputs>(vload(a + i * sa), vload(b + i * sb));
      std::memcpy(y + i, &r, sizeof(r));
    }
    if (i < n) {
      const int rest = static_cast<int>(n - i);
      const auto r = applyLanes<Op, T, kInputs>(vloadPartial(a + i * sa, rest), vloadPartial(b + i * sb, rest));
      if constexpr (Op::kMask) {
        std::memcpy(y + i, &r, static_cast<size_t>(rest));
      } else {
        vstorePartial(y + i, r, rest);
      }
    }
    return;
  }
  vstore(bufferA, VectorOf<T>{});
  vstore(bufferB, VectorOf<T>{});
  Out results[L];
  for (int64_t i = 0; i < n; i += L) {
    const int count = static_cast<int>(std::min<int64_t>(L, n - i));
    for (int j = 0; j < count; ++j) bufferA[j] = a[(i + j) * sa];
    if (kInputs == 2) {
      for (int j = 0; j < count; ++j) bufferB[j] = b[(i + j) * sb];
    }
    const auto r = applyLanes<Op, T, kInputs>(vload(bufferA), vload(bufferB));
    std::memcpy(results, &r, sizeof(r));
    for (int j = 0; j < count; ++j) y[(i + j) * sy] = results[j];
  }
}

// The row function of Op for a dtype, or null. Floats: float32 and float64.
template <class Op, int kInputs>
RowFunction pickFloats(DType dtype) {
  if (dtype == DType::float32) return elementRow<Op, float, kInputs>;
  if (dtype == DType::float64) return elementRow<Op, double, kInputs>;
  return nullptr;
}
// Floats and integers, the latter as unsigned: the same bits, and wrapping is defined.
template <class Op, int kInputs>
RowFunction pickWrapping(DType dtype) {
  if (dtype == DType::int32) return elementRow<Op, uint32_t, kInputs>;
  if (dtype == DType::int64) return elementRow<Op, uint64_t, kInputs>;
  if (dtype == DType::uint8) return elementRow<Op, uint8_t, kInputs>;
  return pickFloats<Op, kInputs>(dtype);
}
// Floats, integers with their sign, and bool.
template <class Op, int kInputs>
RowFunction pickOrdered(DType dtype) {
  if (dtype == DType::int32) return elementRow<Op, int32_t, kInputs>;
  if (dtype == DType::int64) return elementRow<Op, int64_t, kInputs>;
  if (dtype == DType::uint8 || dtype == DType::boolean) return elementRow<Op, uint8_t, kInputs>;
  return pickFloats<Op, kInputs>(dtype);
}

// How many elements make a chunk, for operations that are functions.
inline int64_t functionGrain(DType dtype) { return dtype == DType::float64 ? kGrainLibrary : kGrainFunction; }
