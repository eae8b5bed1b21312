// The loop around every elementwise kernel, compiled once: it turns strided, broadcast views into rows, and rows into
// calls of a row function that the kernel file supplies per instruction set, operation and dtype.
#pragma once

#include <cstdint>

#include "engine/backend.h"
#include "engine/ops.h"

namespace warploom::cpu {

constexpr int kMaxOperands = 4;

// Works on one row of n elements: pointers[0] is y, the others are the inputs; strides count elements and are 0 for a
// broadcast input. y may be the very memory of an input: element i is read before it is written, and by nobody else.
// `streamed`: the result is far larger than the caches, and may be stored past them.
using RowFunction = void (*)(char* const* pointers, const int64_t* strides, int64_t n, bool streamed);

// A result of this many bytes is streamed (stream.h).
constexpr int64_t kStreamedBytes = int64_t{32} << 20;

// An input: a view of y's sizes, or (when absent) the scalar beside it.
struct Operand {
  const View* view;
  double scalar;
  DType dtype;  // the scalar is converted to it
};

// Calls `row` over all of y. `grain`: how many elements make a chunk worth handing to another thread.
void forEachRow(Context& context, const View& y, const Operand* inputs, int count, int64_t grain, RowFunction row);

// One value of `dtype` from a double: integers truncate, saturate at 64 bits and then wrap (PyTorch: -1 as uint8 is
// 255).
void scalarOf(double value, DType dtype, void* out);

// The dtype of a binary operation's operands.
inline DType operandDType(const BinaryArgs& args) {
  return args.a.present() ? args.a.dtype : args.b.present() ? args.b.dtype : args.y.dtype;
}

// True when the view is contiguous in row-major order.
bool isContiguous(const View& view);

void runUnary(const char* op, const UnaryArgs& args, Context& context, int64_t grain, RowFunction row);
void runBinary(const char* op, const BinaryArgs& args, Context& context, int64_t grain, RowFunction row);

// Chunks: arithmetic is bound by memory, so only large ones pay; functions of a polynomial cost about ten times as
// much, and functions of the C library (float64) ten times that.
constexpr int64_t kGrainArithmetic = 32768;
constexpr int64_t kGrainFunction = 8192;
constexpr int64_t kGrainLibrary = 2048;

}  // namespace warploom::cpu
