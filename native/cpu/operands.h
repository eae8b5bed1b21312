// Checks and readers of operands that several kernel families share. Ordinary code: included before any instruction-set
// region opens (see prelude.h), so the standard library's inline functions stay compiled for every machine.
#pragma once

#include "engine/backend.h"
#include "engine/index.h"
#include "engine/view.h"

namespace warploom::cpu {

template <class... Views>
inline bool sameDType([[maybe_unused]] DType dtype, const Views&... views) {
  return (... && (!views.present() || views.dtype == dtype));
}

// Both fail the job, and refuse returns false. Out of line: every op would carry the call and its text.
bool refuse(Context& context, const char* op, const char* why);
void unsupported(Context& context, const char* op, DType dtype);

// True where every operand that is present has one dtype, float32 or float64; otherwise the job fails.
template <class... Views>
inline bool checkFloats(Context& context, const char* op, const View& first, const Views&... rest) {
  const bool isFloat = first.dtype == DType::float32 || first.dtype == DType::float64;
  if (isFloat && sameDType(first.dtype, rest...)) return true;
  return refuse(context, op, "the CPU kernel takes operands of one dtype, float32 or float64; cast them first");
}

inline bool isIndexDType(DType dtype) {
  return dtype == DType::int32 || dtype == DType::int64 || dtype == DType::uint8;
}

inline bool checkIndices(Context& context, const char* op, const View& index) {
  if (isIndexDType(index.dtype)) return true;
  return refuse(context, op, "the CPU kernel takes indices of int32, int64 or uint8; cast them first");
}

// The offset of element `flat` (row-major) of a strided view.
inline int64_t elementOffset(const View& view, int64_t flat) {
  int64_t offset = 0;
  for (int d = view.rank - 1; d >= 0; --d) {
    offset += flat % view.sizes[d] * view.strides[d];
    flat /= view.sizes[d];
  }
  return offset;
}

// True where elements lie `1` apart along a dim: any stride serves a dim of at most one element.
inline bool unitStride(const View& view, int dim) { return view.sizes[dim] <= 1 || view.strides[dim] == 1; }

// The grain that gives a chunk about `work` elements when one item is `each` of them. From shapes alone.
inline int64_t grainFor(int64_t work, int64_t each) {
  const int64_t grain = work / (each < 1 ? 1 : each);
  return grain < 1 ? 1 : grain;
}

}  // namespace warploom::cpu
