// copy between any two dtypes and layouts, and where.
#ifndef WL_ISA
#include "cpu/elementwise_loop.h"
#include "cpu/operands.h"
#include "cpu/prelude.h"
#define WL_ISA_FILE "cpu/elementwise_copy.cc"
#include "cpu/foreach_isa.h"
#else
// clang-format off
#include "cpu/simd.h"  // first: stream.h needs it
#include "cpu/stream.h"
// clang-format on

namespace {

// A bool's byte, so that conversion to bool differs from conversion to uint8.
struct Bool {
  uint8_t byte;
};

// Floats to integers truncate and saturate, NaN becomes 0; to uint8 they go by way of int64 and wrap, so -1 is 255.
template <class To, class From>
WL_INLINE To convertTo(From x) {
  if constexpr (std::is_same_v<To, Bool>) {
    return Bool{static_cast<uint8_t>(x != From{})};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if constexpr (sizeof(To) == 1) {
      return static_cast<To>(convertTo<int64_t>(x));
    } else {
      constexpr From least = static_cast<From>(std::numeric_limits<To>::min());
      // -least is one past the largest value, and exact in every float type.
      if (x >= -least) return std::numeric_limits<To>::max();
      return x >= least ? static_cast<To>(x) : (x != x ? To{0} : std::numeric_limits<To>::min());
    }
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void convertRow(char* const* pointers, const int64_t* strides, int64_t n, bool) {
  To* y = reinterpret_cast<To*>(pointers[0]);
  const From* x = reinterpret_cast<const From*>(pointers[1]);
  const int64_t sy = strides[0], sx = strides[1];
  int64_t i = 0;
  if constexpr (std::is_same_v<To, Bool> || std::is_floating_point_v<To> || !std::is_floating_point_v<From>) {
    // Conversions that the vectors of the compiler define for every value.
    if (sy == 1 && sx == 1) {
      using Lane = std::conditional_t<std::is_same_v<To, Bool>, uint8_t, To>;
      constexpr int L = WL_VECTOR_BYTES / (sizeof(Lane) > sizeof(From) ? sizeof(Lane) : sizeof(From));
      typedef Lane Ys __attribute__((vector_size(L * sizeof(Lane))));
      typedef From Xs __attribute__((vector_size(L * sizeof(From))));
      for (; i + L <= n; i += L) {
        Xs v;
        std::memcpy(&v, x + i, sizeof(v));
        Ys r;
        if constexpr (std::is_same_v<To, Bool>) {
          r = __builtin_convertvector(v != From{}, Ys) & uint8_t{1};
        } else {
          r = __builtin_convertvector(v, Ys);
        }
        std::memcpy(y + i, &r, sizeof(r));
      }
    }
  }
  for (; i < n; ++i) y[i * sy] = convertTo<To>(x[i * sx]);
}

// Equal dtypes: bits move.
template <class T>
void moveRow(char* const* pointers, const int64_t* strides, int64_t n, bool streamed) {
  T* y = reinterpret_cast<T*>(pointers[0]);
  const T* x = reinterpret_cast<const T*>(pointers[1]);
  const int64_t sy = strides[0], sx = strides[1];
  if (sy == 1 && sx == 1) {
    const int64_t done = streamed ? streamRow<T>(y, n, [&](int64_t i) { return vload(x + i); }) : 0;
    std::memmove(y + done, x + done, static_cast<size_t>(n - done) * sizeof(T));
  } else if (sy == 1 && sx == 0) {
    const T value = *x;
    const VectorOf<T> v = vset(value);
    int64_t i = 0;
    for (; i + kLanes<T> <= n; i += kLanes<T>) vstore(y + i, v);
    for (; i < n; ++i) y[i] = value;
  } else if (sy == 1) {
    for (int64_t i = 0; i < n; ++i) y[i] = x[i * sx];
  } else {
    for (int64_t i = 0; i < n; ++i) y[i * sy] = x[i * sx];
  }
}

template <class From>
RowFunction pickConversion(DType to) {
  switch (to) {
    case DType::float32:
      return convertRow<float, From>;
    case DType::float64:
      return convertRow<double, From>;
    case DType::int32:
      return convertRow<int32_t, From>;
    case DType::int64:
      return convertRow<int64_t, From>;
    case DType::uint8:
      return convertRow<uint8_t, From>;
    case DType::boolean:
      return convertRow<Bool, From>;
    default:
      return nullptr;
  }
}

RowFunction pickCopy(DType from, DType to) {
  if (from == to) {
    const int64_t item = itemSize(from);
    if (item == 8) return moveRow<uint64_t>;
    if (item == 4) return moveRow<uint32_t>;
    return item == 1 ? moveRow<uint8_t> : nullptr;
  }
  switch (from) {
    case DType::float32:
      return pickConversion<float>(to);
    case DType::float64:
      return pickConversion<double>(to);
    case DType::int32:
      return pickConversion<int32_t>(to);
    case DType::int64:
      return pickConversion<int64_t>(to);
    case DType::uint8:
    case DType::boolean:
      return pickConversion<uint8_t>(to);
    default:
      return nullptr;
  }
}

// A transpose in registers.
template <int kBy, class V, int L>
WL_INLINE void exchangeAll(V (&rows)[L]) {
  for (int i = 0; i < L; ++i) {
    if ((i & kBy) == 0) vexchange<kBy>(rows[i], rows[i + kBy], std::make_integer_sequence<int, L>{});
  }
  if constexpr (kBy > 1) exchangeAll<kBy / 2>(rows);
}

// L x L elements, L being a vector's lanes: to[r][c] = from[c][r].
template <class T>
WL_INLINE void transposeSquare(const T* from, int64_t fromStride, T* to, int64_t toStride, bool streamed) {
  constexpr int L = kLanes<T>;
  VectorOf<T> rows[L];
  for (int i = 0; i < L; ++i) rows[i] = vload(from + i * fromStride);
  exchangeAll<L / 2>(rows);
  for (int i = 0; i < L; ++i) {
    if (streamed) {
      vstream(to + i * toStride, rows[i]);
    } else {
      vstore(to + i * toStride, rows[i]);
    }
  }
}

// A transposed matrix, or a batch of them: y is contiguous in its last dim, x in the one before. Tiles of a cache line
// by as many elements, so that both sides read and write whole lines, once: rows may lie a power of 2 apart, where few
// lines of a column fit a cache at a time. Tiles by blocks, so that the pages of a block stay known.
template <class T>
void transposeCopy(Context& context, const View& x, const View& y) {
  const int rank = y.rank;
  const int64_t rows = y.sizes[rank - 2], columns = y.sizes[rank - 1];
  const int64_t yRow = y.strides[rank - 2], xColumn = x.strides[rank - 1];
  constexpr int64_t kTile = 64 / sizeof(T), kBlock = 256, L = kLanes<T>;
  const int64_t bands = (rows + kBlock - 1) / kBlock, strips = (columns + kBlock - 1) / kBlock;
  const int64_t batch = y.numel() / (rows * columns);
  const int64_t grain = std::max<int64_t>(1, kGrainArithmetic / (std::min(rows, kBlock) * std::min(columns, kBlock)));
  const bool large = y.numel() * static_cast<int64_t>(sizeof(T)) >= kStreamedBytes;
  context.parallel(batch * bands * strips, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t top = block / strips % bands * kBlock, left = block % strips * kBlock;
      const int64_t bottom = std::min(rows, top + kBlock), right = std::min(columns, left + kBlock);
      int64_t rest = block / strips / bands, offsetX = 0, offsetY = 0;
      for (int d = rank - 3; d >= 0; --d) {
        offsetX += rest % y.sizes[d] * x.strides[d];
        offsetY += rest % y.sizes[d] * y.strides[d];
        rest /= y.sizes[d];
      }
      const T* from = x.as<T>() + offsetX;
      T* to = y.as<T>() + offsetY;
      const bool streamed = large && reinterpret_cast<uintptr_t>(to) % 64 == 0 && yRow % kTile == 0;
      for (int64_t row = top; row < bottom; row += kTile) {
        const int64_t lastRow = std::min(bottom, row + kTile);
        int64_t column = left;
        if constexpr (sizeof(T) >= 4) {
          for (; row + kTile == lastRow && column + kTile <= right; column += kTile) {
            for (int64_t r = row; r < lastRow; r += L) {
              for (int64_t c = column; c < column + kTile; c += L) {
                transposeSquare<T>(from + r + c * xColumn, xColumn, to + r * yRow + c, yRow, streamed);
              }
            }
          }
        }
        for (; column < right; column += kTile) {
          const int64_t lastColumn = std::min(right, column + kTile);
          for (int64_t r = row; r < lastRow; ++r) {
            for (int64_t c = column; c < lastColumn; ++c) to[r * yRow + c] = from[r + c * xColumn];
          }
        }
      }
      if (streamed) streamFence();
    }
  });
}

bool isTranspose(const View& x, const View& y) {
  const int rank = y.rank;
  return rank >= 2 && x.dtype == y.dtype && y.sizes[rank - 1] >= 8 && y.sizes[rank - 2] >= 8 &&
         y.strides[rank - 1] == 1 && x.strides[rank - 2] == 1 && x.strides[rank - 1] > 1;
}

template <class T>
void whereRow(char* const* pointers, const int64_t* strides, int64_t n, bool streamed) {
  using Mask = typename Vector<T>::mask;
  using Bytes = typename Vector<T>::bytes;
  constexpr int L = kLanes<T>;
  T* y = reinterpret_cast<T*>(pointers[0]);
  const uint8_t* cond = reinterpret_cast<const uint8_t*>(pointers[1]);
  const T* a = reinterpret_cast<const T*>(pointers[2]);
  const T* b = reinterpret_cast<const T*>(pointers[3]);
  const int64_t sy = strides[0], sc = strides[1], sa = strides[2], sb = strides[3];
  int64_t i = 0;
  if (sy == 1 && sc == 1 && (sa == 0 || sa == 1) && (sb == 0 || sb == 1)) {
    const T firstA = *a, firstB = *b;
    T bufferA[L], bufferB[L];
    vstore(bufferA, vset(firstA));
    vstore(bufferB, vset(firstB));
    const T* pa = sa == 0 ? bufferA : a;
    const T* pb = sb == 0 ? bufferB : b;
    const auto pick = [&](int64_t at) __attribute__((always_inline)) {
      Bytes c;
      std::memcpy(&c, cond + at, sizeof(c));
      const Mask keep = __builtin_convertvector(c != uint8_t{0}, Mask);
      return keep ? vload(pa + at * sa) : vload(pb + at * sb);
    };
    if (streamed) i = streamRow<T>(y, n, pick);
    for (; i + L <= n; i += L) vstore(y + i, pick(i));
  }
  for (; i < n; ++i) y[i * sy] = cond[i * sc] != 0 ? a[i * sa] : b[i * sb];
}

}  // namespace

namespace ops {

void copy(const UnaryArgs& args, Context& context) {
  if (isTranspose(args.x, args.y)) {
    const int64_t item = itemSize(args.x.dtype);
    if (item == 8) return transposeCopy<uint64_t>(context, args.x, args.y);
    if (item == 4) return transposeCopy<uint32_t>(context, args.x, args.y);
    if (item == 1) return transposeCopy<uint8_t>(context, args.x, args.y);
  }
  runUnary("copy", args, context, kGrainArithmetic, pickCopy(args.x.dtype, args.y.dtype));
}

void where(const WhereArgs& args, Context& context) {
  const DType dtype = args.y.dtype;
  const Operand inputs[] = {
      {&args.cond, 0, DType::boolean}, {&args.a, args.aScalar, dtype}, {&args.b, args.bScalar, dtype}};
  const int64_t item = itemSize(dtype);
  if (item == 2) return unsupported(context, "where", dtype);
  const RowFunction row = item == 8 ? whereRow<uint64_t> : item == 4 ? whereRow<uint32_t> : whereRow<uint8_t>;
  forEachRow(context, args.y, inputs, 3, kGrainArithmetic, row);
}

}  // namespace ops
#endif
