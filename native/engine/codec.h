// The form in which an argument struct travels through a stream's queue: only the dims a view has, so that a small job
// is three cache lines on its way from one core to another instead of nine.
#pragma once

#include <cstring>

#include "engine/args.h"
#include "engine/ops.h"

namespace warploom {

class Packer {
 public:
  explicit Packer(void* target) : at_(static_cast<unsigned char*>(target)) {}

  void visit(const View& view) {
    put(view.data);
    put(view.dtype);
    put(view.rank);
    if (view.rank <= 0) return;
    putArray(view.sizes, view.rank);
    putArray(view.strides, view.rank);
  }
  void visit(const Segments& segments) {
    put(segments.dtype);
    put(segments.count);
    putArray(segments.items, segments.count);
  }
  void visit(int64_t value) { put(value); }
  void visit(double value) { put(value); }
  void visit(int32_t value) { put(static_cast<int64_t>(value)); }

  unsigned char* end() const { return at_; }

 private:
  template <class T>
  void put(const T& value) {
    std::memcpy(at_, &value, sizeof(T));
    at_ += sizeof(T);
  }
  template <class T>
  void putArray(const T* values, int32_t count) {
    std::memcpy(at_, values, sizeof(T) * static_cast<std::size_t>(count));
    at_ += sizeof(T) * static_cast<std::size_t>(count);
  }
  unsigned char* at_;
};

class Unpacker {
 public:
  explicit Unpacker(const void* source) : at_(static_cast<const unsigned char*>(source)) {}

  void visit(View& view) {
    take(view.data);
    take(view.dtype);
    take(view.rank);
    if (view.rank <= 0) return;
    takeArray(view.sizes, view.rank);
    takeArray(view.strides, view.rank);
  }
  void visit(Segments& segments) {
    take(segments.dtype);
    take(segments.count);
    takeArray(segments.items, segments.count);
  }
  void visit(int64_t& value) { take(value); }
  void visit(double& value) { take(value); }
  void visit(int32_t& value) {
    int64_t wide;
    take(wide);
    value = static_cast<int32_t>(wide);
  }

 private:
  template <class T>
  void take(T& value) {
    std::memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
  }
  template <class T>
  void takeArray(T* values, int32_t count) {
    std::memcpy(values, at_, sizeof(T) * static_cast<std::size_t>(count));
    at_ += sizeof(T) * static_cast<std::size_t>(count);
  }
  const unsigned char* at_;
};

// One row of ops.def as the engine needs it.
struct OpCodec {
  const char* name;
  uint32_t bytes;  // of the argument struct; its packed form is never longer
  uint32_t (*pack)(void* args, void* target);
  void (*unpack)(const void* source, void* args);
};

namespace detail {
template <class Args>
uint32_t pack(void* args, void* target) {
  Packer packer(target);
  visitFields(*static_cast<Args*>(args), packer);
  return static_cast<uint32_t>(packer.end() - static_cast<unsigned char*>(target));
}
template <class Args>
void unpack(const void* source, void* args) {
  Unpacker unpacker(source);
  visitFields(*static_cast<Args*>(args), unpacker);
}
}  // namespace detail

// By OpId.
inline constexpr OpCodec kOpCodecs[] = {
#define WL_OP(name, Args) {#name, sizeof(Args), &detail::pack<Args>, &detail::unpack<Args>},
#define WL_OP_SCRATCH(name, Args) WL_OP(name, Args)
#include "engine/ops.def"
#undef WL_OP
#undef WL_OP_SCRATCH
};

}  // namespace warploom
