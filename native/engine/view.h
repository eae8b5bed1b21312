// The one description of a tensor that crosses from the binding into a kernel. Read by g++ and by nvcc, so it stays a
// standard-layout C++17 struct without methods that need a runtime.
#pragma once

#include <cstdint>

#include "engine/host_device.h"

namespace warploom {

enum class DType : int32_t {
  float32 = 0,
  float64 = 1,
  int32 = 2,
  int64 = 3,
  uint8 = 4,
  boolean = 5,
  bfloat16 = 6,
  float16 = 7
};

constexpr int kDTypeCount = 8;
constexpr int kMaxRank = 8;

WL_HOST_DEVICE constexpr int64_t itemSize(DType dtype) {
  switch (dtype) {
    case DType::float64:
    case DType::int64:
      return 8;
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::bfloat16:
    case DType::float16:
      return 2;
    default:
      return 1;
  }
}

// `data` already points at the view's first element. Sizes and strides count elements; a stride may be 0 (expanded) or
// negative is never produced. An absent optional operand has data == nullptr and rank == -1.
struct View {
  void* data;
  DType dtype;
  int32_t rank;
  int64_t sizes[kMaxRank];
  int64_t strides[kMaxRank];

  template <class T>
  WL_HOST_DEVICE T* as() const {
    return static_cast<T*>(data);
  }
  WL_HOST_DEVICE bool present() const { return rank >= 0; }
  WL_HOST_DEVICE int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= sizes[i];
    return n;
  }
};

// The role of an operand. The binding allocates an Out that names no storage yet; OptIn and OptOut may be absent.
struct In : View {};
struct OptIn : View {};
struct Out : View {};
struct OptOut : View {};
struct InOut : View {};
struct OptInOut : View {};

// The parameters of one optimizer group: `count` separate tensors, each paired with its range in the group's flat
// buckets.
struct Segment {
  void* param;     // first element of a contiguous parameter
  int64_t offset;  // first element of its range in every bucket of the group
  int64_t count;   // elements
};
constexpr int kMaxSegments = 128;
struct Segments {
  DType dtype;
  int32_t count;
  Segment items[kMaxSegments];
};

}  // namespace warploom
